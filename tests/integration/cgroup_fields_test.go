package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// The two network controllers, each in a hierarchy of its own.
func TestNetworkControllers(t *testing.T) { // not parallel, see MountBeside
	rttest.MountBeside(t, "net_cls")
	rttest.MountBeside(t, "net_prio")
	b := limited(t, specs.LinuxResources{Network: &specs.LinuxNetwork{
		ClassID: ptr(uint32(1048577)), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 7}},
	}})
	b.Create().OK()
	if got := cgroupFile(t, b, "net_cls", "net_cls.classid"); got != "1048577" {
		t.Errorf("class %s", got)
	}
	if got := cgroupNumbers(t, b, "net_prio", "net_prio.ifpriomap")["lo"]; got != 7 {
		t.Errorf("lo has the priority %d", got)
	}
	b.Delete("--force").OK()
	b.Spec.Linux.Resources.Network.Priorities[0].Name = "nosuch0"
	b.Create().FailsNaming("linux.resources.network.priorities[0]")
	b.CheckGone()
}

// A controller that the machine does not have is an error that names the field: a limit that is not there protects nobody.
func TestLimitsWithoutTheirController(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "limits that cannot be given are refused")
	for field, c := range map[string]struct {
		controller string
		resources  specs.LinuxResources
	}{
		"linux.resources.rdma[":                 {"rdma", specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(9))}}}},
		"linux.resources.network.classID":       {"net_cls", specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(1))}}},
		"linux.resources.network.priorities[0]": {"net_prio", specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 1}}}}},
	} {
		t.Run(field, func(t *testing.T) {
			rttest.Need(t, func() string {
				if rttest.Controller(c.controller)() == "" {
					return "the lack of " + c.controller
				}
				return ""
			})
			b := limited(t, c.resources)
			b.Create().FailsNaming(field)
			b.CheckGone()
		})
	}
}

// Limits of adapters need an adapter; a name that the kernel does not know is its error.
func TestRdmaOfAnUnknownDevice(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("rdma"))
	b := limited(t, specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"nosuch0": {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(9))}}})
	b.Create().FailsNaming("linux.resources.rdma[", "nosuch0")
	b.CheckGone()
}

// The weight of the container's I/O stands where the scheduler BFQ reads it, or in io.weight in its own scale.
func TestBlockIOWeight(t *testing.T) {
	t.Parallel()
	controller := map[bool]string{true: "io", false: "blkio"}[rttest.CgroupV2() == ""]
	rttest.Need(t, rttest.Controller(controller))
	b := limited(t, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(321))}})
	res := b.Create()
	if strings.Contains(res.Stderr, "weight") {
		rttest.Need(t, func() string { return "a kernel with weights: " + res.Stderr })
	}
	res.OK()
	dir := rttest.CgroupDir(t, controller, b.Spec.Linux.CgroupsPath)
	for file, want := range map[string]string{"blkio.bfq.weight": "321", "blkio.weight": "321", "io.bfq.weight": "default 321", "io.weight": "default 3142"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err == nil && strings.TrimSpace(string(data)) == want {
			return
		}
	}
	t.Error("the weight is in no file")
}

// Weights that this kernel has no place for are errors: leaf weights were CFQ's, and a device has one only with BFQ.
func TestBlockIOWeightsRefused(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "the error names the field")
	rttest.Need(t, rttest.Kernel("5.0"))
	device := specs.LinuxWeightDevice{LeafWeight: ptr(uint16(100))}
	device.Major, device.Minor = 4000, 1
	heavy := specs.LinuxWeightDevice{Weight: ptr(uint16(100))}
	heavy.Major, heavy.Minor = 4000, 1
	for field, b := range map[string]specs.LinuxBlockIO{
		"blockIO.leafWeight":                 {LeafWeight: ptr(uint16(100))},
		"blockIO.weightDevice[0].leafWeight": {WeightDevice: []specs.LinuxWeightDevice{device}},
		"blockIO.weightDevice[0].weight":     {WeightDevice: []specs.LinuxWeightDevice{heavy}},
	} {
		t.Run(field, func(t *testing.T) {
			b := limited(t, specs.LinuxResources{BlockIO: &b})
			b.Create().FailsNaming("linux.resources." + field)
			b.CheckGone()
		})
	}
}

// What the specification calls NOT RECOMMENDED: kernel memory is a warning where the kernel has dropped it, and the
// hierarchy is always on.
func TestOldMemoryFields(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1, rttest.Controller("memory"))
	b := limited(t, specs.LinuxResources{Memory: &specs.LinuxMemory{
		Limit: ptr(int64(64 << 20)), Kernel: ptr(int64(32 << 20)), UseHierarchy: ptr(true),
	}})
	b.Create().OK()
	if got := cgroupFile(t, b, "memory", "memory.use_hierarchy"); got != "1" {
		t.Errorf("memory.use_hierarchy is %s", got)
	}
	b.Delete("--force").OK()
	b.Spec.Linux.Resources.Memory = &specs.LinuxMemory{KernelTCP: ptr(int64(8 << 20))}
	b.Create().OK()
	if rttest.IsRT(t) { // runc leaves it
		if got := cgroupFile(t, b, "memory", "memory.kmem.tcp.limit_in_bytes"); got != "8388608" {
			t.Errorf("memory.kmem.tcp.limit_in_bytes is %s", got)
		}
	}
}

// With checkBeforeUpdate a limit below what is used is refused; the kernel of cgroup2 would kill instead.
func TestMemoryCheckBeforeUpdate(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("memory"))
	b := limited(t, specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(256 << 20)), CheckBeforeUpdate: ptr(true)}})
	b.AddProbe().Sh("head -c 33554432 /dev/zero > /dev/shm/x; echo up; sleep 1000")
	b.Spec.Mounts = withoutMount(b.Spec.Mounts, "/dev/shm")
	b.Mount(specs.Mount{Type: "tmpfs", Source: "shm", Destination: "/dev/shm", Options: []string{"size=64m"}})
	b.RunDetached().OK()
	rttest.Eventually(t, "memory is used", func() bool { return b.Output() == "up\n" })
	file := b.WriteFile("resources.json", `{"memory":{"limit":16777216,"swap":16777216,"checkBeforeUpdate":true}}`)
	b.RT("update", "--resources", file, b.ID).FailsNaming("memory.limit")
	if got := cgroupFile(t, b, "memory", "memory.max"); got != fmt.Sprint(256<<20) {
		t.Errorf("memory.max is %s", got)
	}
}

// The types of device rules, their numbers and the three accesses: what is not allowed is EPERM, before the driver is asked.
func TestDeviceRuleTypes(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("devices"))
	const script = `try() { m=$( (: <$1) 2>&1 ) && echo $1 read && return; case "$m" in *"not permitted"*) echo $1 denied;; *) echo $1 passed;; esac; }
		mknod /dev/kmsg2 c 1 11; mknod /dev/nobody b 240 1; try /dev/kmsg2; try /dev/nobody; (: >/dev/kmsg2) 2>/dev/null && echo written; :`
	number := func(n int64) *int64 { return &n }
	for name, c := range map[string]struct {
		rule specs.LinuxDeviceCgroup
		want string
	}{
		"a":               {specs.LinuxDeviceCgroup{Allow: true, Type: "a", Access: "rwm"}, "/dev/kmsg2 read\n/dev/nobody passed\nwritten"},
		"no type":         {specs.LinuxDeviceCgroup{Allow: true, Access: "rwm"}, "/dev/kmsg2 read\n/dev/nobody passed\nwritten"},
		"b":               {specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: number(240), Minor: number(1), Access: "r"}, "/dev/kmsg2 denied\n/dev/nobody passed"},
		"b, any minor":    {specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: number(240), Access: "r"}, "/dev/kmsg2 denied\n/dev/nobody passed"},
		"b, another":      {specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: number(240), Minor: number(2), Access: "r"}, "/dev/kmsg2 denied\n/dev/nobody denied"},
		"c":               {specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: number(1), Minor: number(11), Access: "rw"}, "/dev/kmsg2 read\n/dev/nobody denied\nwritten"},
		"c, reading only": {specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: number(1), Minor: number(11), Access: "r"}, "/dev/kmsg2 read\n/dev/nobody denied"},
		"c, writing only": {specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: number(1), Minor: number(11), Access: "w"}, "/dev/kmsg2 denied\n/dev/nobody denied\nwritten"},
	} {
		t.Run(name, func(t *testing.T) {
			b := limited(t, specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{c.rule}}).Sh(script)
			b.Spec.Process.Capabilities = allCaps(t)
			b.Run().OK().Prints(c.want)
		})
	}
}
