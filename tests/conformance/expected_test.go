package conformance

import (
	"os"
	"strings"

	"rt/tests/rttest"
)

// An expectation is what a right runtime gets from a program of the suite that it does not simply pass.
type expectation struct {
	why    string   // why it is not a pass, or not always one
	points []int    // these points fail
	faults []string // the program says these words, as an error outside of any point or when it dies
	status int      // the program ends with it
	race   bool     // …or the program passes: it is tried again a few times
	kernel string   // …from this version of Linux on; before it the program passes
	test   string   // our own test, of what the specification says there
}

const (
	pointers  = "compares the addresses of two limits, never the limits: fails under every runtime"
	leaf      = "wants blkio.leaf_weight, which the kernel has no more since 5.0; a limit that can't be set is an error"
	kmem      = "wants memory.kmem.limit_in_bytes, which the kernel ignores since 5.16"
	poststart = "expects the rule of specification 1.0, a warning; since 1.1 a failing poststart hook is an error"
)

// expected are the programs that are not simply passed.
var expected = map[string]expectation{
	"delete": {points: []int{2, 3}, test: "integration.TestDelete/kills a created one",
		why: "wants delete of a created container refused; runc and crun delete it, and engines count on that"},
	"delete_resources":              {points: []int{3}, why: pointers, test: "integration.TestCgroupV1LimitFiles/pids"},
	"linux_cgroups_pids":            {points: []int{3}, why: pointers, test: "integration.TestCgroupV1LimitFiles/pids"},
	"linux_cgroups_relative_pids":   {points: []int{3}, why: pointers, test: "integration.TestCgroupV1LimitFiles/pids"},
	"linux_cgroups_blkio":           {status: 1, faults: []string{"blkio.leaf_weight"}, why: leaf, test: "integration.TestBlkioThrottling"},
	"linux_cgroups_relative_blkio":  {points: []int{1}, why: leaf, test: "integration.TestBlkioThrottling"},
	"linux_cgroups_memory":          {points: []int{6, 15, 24, 33, 42, 51}, kernel: "5.16", why: kmem, test: "integration.TestCgroupV1LimitFiles/memory"},
	"linux_cgroups_relative_memory": {points: []int{6}, kernel: "5.16", why: kmem, test: "integration.TestCgroupV1LimitFiles/memory"},
	"hooks": {faults: []string{"Hooks MUST be called in the listed order"}, test: "integration.TestHookOrder",
		why: "its expected text lacks words that its own hooks write: fails under every runtime"},
	"misc_props": {points: []int{1}, test: "integration.TestUnknownFieldsAreTolerated",
		why: "the bundle of the point lacks the program that it runs: fails under every runtime"},
	"poststart_fail": {faults: []string{"if any poststart hook fails, the runtime MUST log a warning"}, why: poststart,
		test: "integration.TestHookFailureAtStart/poststart"},
	"prestart": {faults: []string{"Pre-start hooks MUST be called after the `start` operation"}, test: "integration.TestHookOrder",
		why: "expects the rule of specification 1.0; since 1.1 prestart hooks are part of create"},
	"process_capabilities_fail": {status: 1, faults: []string{"Any value which cannot be mapped to a relevant kernel interface"},
		why:  "expects the rule of specification 1.0; since 1.1 an unknown capability is a warning",
		test: "integration.TestUnknownCapabilityIsAWarning"},
	"process_rlimits": {points: []int{13}, test: "integration.TestRlimits",
		why: "its checker is a Go program, and Go raises the soft RLIMIT_NOFILE when it starts"},
	"start": {points: []int{7}, test: "integration.TestNoProcess",
		why: "quotes that start MUST fail without a process, and then wants it to succeed (crun does)"},
	"mounts": {status: 1, faults: []string{`is no option of a bind mount`}, test: "integration.TestBadConfigs/data option on a bind",
		why: "gives options of tmpfs to bind mounts: refused, as runc does, since a word for nothing may be a flag with a slip (crun drops them)"},
	"pidfile": {points: []int{1}, race: true, test: "integration.TestPidFile",
		why: "starts `true` and wants to kill it before it ends; that the pid file is right was found before"},
	"poststart": {faults: []string{"The post-start hooks MUST be called after"}, race: true, test: "integration.TestPoststartHookRunsAfterTheProcess",
		why: "wants the process to have written its line when the hook writes one; it had only been executed"},
}

// silent are the programs that print no point: they pass if they end well and report no error.
var silent = []string{"hooks", "linux_cgroups_blkio", "mounts", "poststart", "poststart_fail", "poststop", "poststop_fail", "prestart", "prestart_fail", "process_rlimits_fail"}

// needs is what programs need of the machine, besides root.
var needs = map[string]rttest.Requirement{
	"linux_cgroups_":                 rttest.CgroupV1, // the suite knows no other
	"linux_cgroups_network":          rttest.V1Controllers("net_cls", "net_prio"),
	"linux_cgroups_relative_network": rttest.V1Controllers("net_cls", "net_prio"),
	"linux_cgroups_hugetlb":          rttest.V1Controllers("hugetlb"),
	"linux_cgroups_relative_hugetlb": rttest.V1Controllers("hugetlb"),
	"delete_resources":               rttest.CgroupV1,
	"delete_only_create_resources":   rttest.CgroupV1,
	"linux_mount_label":              rttest.File("/sys/fs/selinux/enforce"), // or the label is refused; crun drops it in silence
	"linux_process_apparmor_profile": apparmorProfile,
	"linux_ns_itype":                 rttest.Kernel("6.15"), // mounts without a mount namespace: before, they are refused
	"process_capabilities":           rttest.Capability(24), // CAP_SYS_RESOURCE: it asks for all there are
}

// apparmorProfile is the profile of linux_process_apparmor_profile. Without AppArmor it is refused; crun drops it in silence.
func apparmorProfile() string {
	profiles, _ := os.ReadFile("/sys/kernel/security/apparmor/profiles")
	if strings.Contains(string(profiles), "acme_secure_profile ") {
		return ""
	}
	return "AppArmor with the profile acme_secure_profile"
}
