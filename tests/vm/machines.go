package main

// A machine is one way to boot.
type machine struct {
	name    string
	cmdline string // more of the kernel's command line
	init    string // what the kernel starts, see init.sh
	tests   string // what runs of the tests unless asked for all, as go test -run
}

// Slow as a machine in software is, it runs what depends on the kernel's configuration, cgroups first of all. What
// is the same everywhere is left to the machine at hand.
const (
	cgroupTests = "Cgroup|Limit|Hugetlb|Blkio|Device|Cpuset|Quota|Pause|Kill|Delete|Events|Update|Ps$|Unified|Frozen|OutOfMemory"
	basicTests  = "TestLifecycle|TestCreateStart|TestRun|TestExec|TestMounts?|TestNamespaces?|TestCapabilit|TestRlimit|TestAppArmor"
)

var machines = []machine{
	{name: "v2", init: "v2", tests: cgroupTests + "|" + basicTests},
	{name: "v2-systemd", init: "systemd", cmdline: "systemd.unified_cgroup_hierarchy=1", tests: cgroupTests + "|TestSystemd"},
	{name: "v1", init: "v1", tests: cgroupTests},
	{name: "hybrid", init: "hybrid", tests: cgroupTests},
	{name: "v1-systemd", init: "systemd", tests: cgroupTests,
		cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"},
	{name: "hybrid-systemd", init: "systemd", tests: cgroupTests,
		cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0"},
}
