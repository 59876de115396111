package specconv

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"rt/rootfs"
)

// FeatureInputs is what Features has to be told: facts of the build and of the machine.
type FeatureInputs struct {
	// Version and Commit are those of the runtime.
	Version, Commit string
	// LibseccompVersion is empty if seccomp is not compiled in.
	LibseccompVersion string
	// SeccompFlags is the filter flags that libseccomp and the kernel take; nil means unknown.
	SeccompFlags []string
	// LastCap is as in Host.
	LastCap int
	// Systemd tells whether the systemd cgroup manager is built.
	Systemd bool
	// Checkpoint tells whether checkpoint and restore are built.
	Checkpoint bool
}

// Features is the document of `rt features`, made from the tables that Validate uses.
func Features(in FeatureInputs) *features.Features {
	return &features.Features{
		OCIVersionMin: OldestVersion,
		OCIVersionMax: specs.Version,
		Hooks:         hookKinds[:],
		MountOptions:  rootfs.OptionNames(),
		Linux:         linuxFeatures(in),
		Annotations:   featureAnnotations(in),
		PotentiallyUnsafeConfigAnnotations: []string{
			"bundle",
			"org.criu.config",
			"org.systemd.property.",
		},
	}
}

func linuxFeatures(in FeatureInputs) *features.Linux {
	last := in.LastCap
	if last == 0 {
		last = len(capabilities) - 1
	}
	yes, systemd := true, in.Systemd
	return &features.Linux{
		Namespaces:   asStrings(namespaceTypes[:]),
		Capabilities: CapabilityNames(last),
		Cgroup: &features.Cgroup{
			V1:          &yes,
			V2:          &yes,
			Systemd:     &systemd,
			SystemdUser: &systemd,
			Rdma:        supported("linux.resources.rdma"),
		},
		Seccomp:         seccompFeatures(in),
		Apparmor:        &features.Apparmor{Enabled: supported("process.apparmorProfile")},
		Selinux:         &features.Selinux{Enabled: supported("process.selinuxLabel")},
		IntelRdt:        intelRdtFeatures(),
		MemoryPolicy:    memoryPolicyFeatures(),
		MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
		NetDevices:      &features.NetDevices{Enabled: supported("linux.netDevices")},
	}
}

func supported(field string) *bool {
	s := supports(field)
	return &s
}

func seccompFeatures(in FeatureInputs) *features.Seccomp {
	enabled := in.LibseccompVersion != ""
	if !enabled {
		return &features.Seccomp{Enabled: &enabled}
	}
	return &features.Seccomp{
		Enabled:        &enabled,
		Actions:        asStrings(seccompActions[:]),
		Operators:      asStrings(seccompOperators[:]),
		Archs:          asStrings(seccompArchs[:]),
		KnownFlags:     asStrings(seccompFlags[:]),
		SupportedFlags: in.SeccompFlags,
	}
}

func intelRdtFeatures() *features.IntelRdt {
	on := supported("linux.intelRdt")
	return &features.IntelRdt{Enabled: on, Schemata: on, Monitoring: on}
}

func memoryPolicyFeatures() *features.MemoryPolicy {
	if !supports("linux.memoryPolicy") {
		return nil
	}
	return &features.MemoryPolicy{
		Modes: asStrings(names(memoryPolicyModes[:])),
		Flags: asStrings(names(memoryPolicyFlags[:])),
	}
}

// featureAnnotations uses runc's keys, by which engines look for versions and for checkpointing.
func featureAnnotations(in FeatureInputs) map[string]string {
	a := map[string]string{
		"org.opencontainers.runc.checkpoint.enabled": strconv.FormatBool(in.Checkpoint),
	}
	for key, value := range map[string]string{
		"org.opencontainers.runc.version":      in.Version,
		"org.opencontainers.runc.commit":       in.Commit,
		"io.github.seccomp.libseccomp.version": in.LibseccompVersion,
	} {
		if value != "" {
			a[key] = value
		}
	}
	return a
}
