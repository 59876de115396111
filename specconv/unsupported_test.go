package specconv

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Everything in the table is noticed when a config asks for it, and only then, and refused once it is
// marked as not supported.
func TestUnsupported(t *testing.T) {
	asking := func() *specs.Spec {
		s := Example(false)
		s.Process.ApparmorProfile, s.Process.SelinuxLabel, s.Linux.MountLabel = "profile", "label", "label"
		s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther}
		s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE}
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a"}
		s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}
		s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux}
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}}
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: "/s"}
		handles := uint32(1)
		s.Linux.Resources.Rdma = map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: &handles}}
		s.Linux.Resources.Network = &specs.LinuxNetwork{}
		return s
	}
	was := optional
	defer func() { optional = was }()
	for i := range optional {
		optional = was
		for j := range optional {
			optional[j].supported = i != j
		}
		field := optional[i].field
		err := Validate(asking(), Host{})
		if err == nil || err.Error() != field+": is not supported" {
			t.Errorf("%s is not supported and asked for: %v", field, err)
		}
		if err := Validate(Example(false), Host{}); err != nil {
			t.Errorf("%s is not supported and not asked for: %v", field, err)
		}
		if supports(field) {
			t.Errorf("supports(%q)", field)
		}
	}
}

// Features asks the table by name.
func TestFeaturesAreInTheTable(t *testing.T) {
	for _, field := range []string{
		"linux.resources.rdma", "process.apparmorProfile", "process.selinuxLabel",
		"linux.intelRdt", "linux.memoryPolicy", "linux.netDevices",
	} {
		found := false
		for i := range optional {
			found = found || optional[i].field == field
		}
		if !found {
			t.Errorf("%s is not in the table", field)
		}
	}
}
