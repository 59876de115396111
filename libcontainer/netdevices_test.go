package libcontainer

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/libcontainer/intelrdt"
)

func TestStepsThatOnlyTheParentDoes(t *testing.T) {
	spec := &specs.Spec{Linux: &specs.Linux{
		NetDevices: map[string]specs.LinuxNetDevice{"eth1": {Name: "net%d"}, "eth0": {}, "wlan0": {Name: "wlan0"}},
		IntelRdt:   &specs.LinuxIntelRdt{ClosID: "gold"},
	}}
	c := &compiler{spec: spec, plan: &Plan{spec: spec}}
	c.intelRdtStep()
	c.netDevicesStep()
	want := []string{"let rt put it into resctrl group " + intelrdt.Mount + "/gold", "let rt move eth0, eth1 as net%d, wlan0 into the network namespace"}
	for i, s := range c.plan.Steps {
		if i >= len(want) || s.What != want[i] {
			t.Errorf("step %d: %q", i, s.What)
		}
	}
	if len(c.plan.Steps) != len(want) {
		t.Errorf("%d steps", len(c.plan.Steps))
	}
	c = &compiler{spec: &specs.Spec{}, plan: &Plan{}}
	c.intelRdtStep()
	c.netDevicesStep()
	if len(c.plan.Steps) > 0 {
		t.Errorf("steps that nobody has asked for: %v", c.plan.Steps)
	}
}
