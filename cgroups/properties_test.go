package cgroups

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/cgroups/systemd"
)

// withAllV1 and withAllV2 are cgroups in which every controller is in a v1 hierarchy, or in the cgroup2 tree.
func withAllV1() *Cgroup {
	c := &Cgroup{mode: V1}
	for _, ctl := range controllers {
		c.v1 = append(c.v1, hierarchy{names: []string{ctl.v1}, root: "/nowhere", path: "/nowhere"})
	}
	c.v1 = append(c.v1, hierarchy{names: []string{"devices"}, root: "/nowhere", path: "/nowhere"})
	return c
}

func withAllV2() *Cgroup {
	return &Cgroup{mode: V2, unified: hierarchy{root: "/nowhere", path: "/nowhere"}}
}

func shown(list []systemd.Property) string {
	var parts []string
	for _, p := range list {
		parts = append(parts, fmt.Sprintf("%s=%v", p.Name, p.Value.Value()))
	}
	return strings.Join(parts, " ")
}

func TestPropertiesOf(t *testing.T) {
	memory := &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20)), Reservation: ptr(int64(32 << 20))}
	for _, test := range []struct {
		name     string
		r        specs.LinuxResources
		version  int
		v1, v2   string
		existing string // what every control file holds
	}{
		{name: "nothing"},
		{name: "memory", r: specs.LinuxResources{Memory: memory},
			v1: "MemoryLimit=67108864", v2: "MemoryMax=67108864 MemorySwapMax=33554432 MemoryLow=33554432"},
		{name: "no memory limit", r: specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1))}},
			v1: "MemoryLimit=18446744073709551615", v2: "MemoryMax=18446744073709551615 MemorySwapMax=18446744073709551615"},
		{name: "shares", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(512))}},
			v1: "CPUShares=512", v2: "CPUWeight=59"},
		{name: "quota", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(200000))}},
			v1: "CPUQuotaPeriodUSec=200000 CPUQuotaPerSecUSec=250000", v2: "CPUQuotaPeriodUSec=200000 CPUQuotaPerSecUSec=250000"},
		{name: "whole percents", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(12345)), Period: ptr(uint64(100000))}},
			version: 240, v1: "CPUQuotaPerSecUSec=130000", v2: "CPUQuotaPerSecUSec=130000"},
		{name: "quota alone", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(50000))}},
			v1: "CPUQuotaPerSecUSec=500000", v2: "CPUQuotaPerSecUSec=500000"},
		{name: "no quota", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(-1))}},
			v1: "CPUQuotaPerSecUSec=18446744073709551615", v2: "CPUQuotaPerSecUSec=18446744073709551615"},
		{name: "period alone", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr(uint64(50000))}}, existing: "20000 100000",
			v2: "CPUQuotaPeriodUSec=50000 CPUQuotaPerSecUSec=400000", v1: "-"},
		{name: "cpuset", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-2,9", Mems: "0"}},
			v1: "-", v2: "AllowedCPUs=[7 2] AllowedMemoryNodes=[1]"},
		{name: "empty cpuset", r: specs.LinuxResources{Unified: map[string]string{"cpuset.cpus": " "}}, v1: "-", v2: "AllowedCPUs=[]"},
		{name: "cpuset, old systemd", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-2,9", Mems: "0"}}, version: 243},
		{name: "idle", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1))}}, v2: "CPUWeight=0", v1: "CPUWeight=0"},
		{name: "idle, old systemd", r: specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1))}}, version: 251},
		{name: "pids", r: specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(20))}}, v1: "TasksMax=20", v2: "TasksMax=20"},
		{name: "no pids limit", r: specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}},
			v1: "TasksMax=18446744073709551615", v2: "TasksMax=18446744073709551615"},
		{name: "io", r: specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(500))}}, v1: "BlockIOWeight=500", v2: "IOWeight=4950"},
		{name: "unified", r: specs.LinuxResources{Unified: map[string]string{
			"memory.high": "48M", "memory.min": "1K", "cpu.max": "max", "io.weight": "default 77", "io.max": "8:0 rbps=1", "hugetlb.2MB.max": "0",
		}}, v1: "-", v2: "IOWeight=77 MemoryHigh=50331648 MemoryMin=1024 CPUQuotaPerSecUSec=18446744073709551615"},
	} {
		version := test.version
		if version == 0 {
			version = 252
		}
		read := func(share, string) string { return test.existing }
		for want, c := range map[string]*Cgroup{"1" + test.v1: withAllV1(), "2" + test.v2: withAllV2()} {
			if want[1:] == "-" {
				continue
			}
			shares, err := c.divide(&test.r)
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			if got := shown(propertiesOf(shares, version, read)); got != want[1:] {
				t.Errorf("%s, v%c: %s, want %s", test.name, want[0], got, want[1:])
			}
		}
	}
}

func TestDeviceProperties(t *testing.T) {
	const majors = "Character devices:\n  1 mem\n136 pts\n\nBlock devices:\n  7 loop\n136 no\n"
	none, err := deviceRules([]specs.LinuxDeviceCgroup{
		{Access: "rwm"},
		{Allow: true, Type: "b", Major: ptr(int64(7)), Access: "r"},
		{Allow: true, Type: "b", Major: ptr(int64(8)), Access: "rw"},
		{Allow: true, Type: "c", Major: ptr(int64(4)), Minor: ptr(int64(5)), Access: "w"},
	})
	if err != nil {
		t.Fatal(err)
	}
	list, lost := deviceProperties(none, majors)
	if shown(list[:1]) != "DevicePolicy=strict" || !slices.Equal(lost, []string{"b 8:* rw"}) {
		t.Errorf("%s, lost %q", shown(list), lost)
	}
	for _, want := range []string{"{block-loop r}", "{/dev/char/4:5 w}", "{/dev/char/1:3 rwm}", "{char-pts rwm}", "{char-* m}", "{block-* m}"} {
		if !strings.Contains(shown(list), want) {
			t.Errorf("no %s in %s", want, shown(list))
		}
	}
	all, err := deviceRules([]specs.LinuxDeviceCgroup{
		{Allow: true, Access: "rwm"}, {Type: "c", Major: ptr(int64(4)), Minor: ptr(int64(5)), Access: "w"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if list, lost := deviceProperties(all, majors); shown(list) != "DevicePolicy=auto" || !slices.Equal(lost, []string{"c 4:5 w"}) {
		t.Errorf("%s, lost %q", shown(list), lost)
	}
}

// What systemd is told names the process, and leaves room for it beside a lonely init.
func TestUnitProperties(t *testing.T) {
	c := withAllV2()
	c.unit = &unit{Unit: systemd.Unit{Name: "a.scope", Slice: "b.slice"}, id: "web", given: []systemd.Property{systemd.NewProperty("KillSignal", int32(9))}}
	c.Adopt(42)
	r := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(0))}}
	list, err := c.unitProperties(r, deviceSet{}, 252)
	if err != nil {
		t.Fatal(err)
	}
	const want = "Description=rt container web DefaultDependencies=false CPUAccounting=true MemoryAccounting=true TasksAccounting=true " +
		"IOAccounting=true Slice=b.slice Delegate=true PIDs=[42] CollectMode=inactive-or-failed TasksMax=2 KillSignal=9"
	if shown(list) != want || !c.unit.tight {
		t.Errorf("%s, want %s", shown(list), want)
	}
	c.unit.Name = "a.slice"
	if list, err = c.unitProperties(r, deviceSet{}, 230); err != nil || strings.Contains(shown(list), "PIDs") ||
		strings.Contains(shown(list), "CollectMode") || !strings.Contains(shown(list), "TasksMax=1") {
		t.Errorf("slice: %s, %v", shown(list), err)
	}
}

func TestSystemdPath(t *testing.T) {
	for _, test := range []struct {
		text   string
		v2     bool
		wanted string
	}{
		{"0::/system.slice/a.scope\n", true, "/system.slice/a.scope"},
		{"1:name=systemd:/\n0::/system.slice/a.scope\n", true, "/system.slice/a.scope"},
		{"2:pids:/x\n1:name=systemd:/system.slice/a.scope\n0::/system.slice/a.scope\n", false, "/system.slice/a.scope"},
		{"2:pids:/x\n1:name=systemd:/system.slice/a.scope\n", false, "/system.slice/a.scope"},
	} {
		own, err := parseOwn(test.text)
		if got := own.systemdPath(test.v2); err != nil || got != test.wanted {
			t.Errorf("%q: %q, %v", test.text, got, err)
		}
	}
}

func TestOpenUnit(t *testing.T) {
	proc := fakeDir(t, map[string]string{"1/cgroup": "9:name=systemd:/outer/init.scope\n", "self/cgroup": "", "self/uid_map": "0 0 4294967295\n"})
	mount := t.TempDir()
	o := Options{ID: "web", Path: "a-b.slice:rt:x", Manager: "systemd", Mount: mount, Proc: proc, Rootless: true}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Unit != "rt-x.scope" {
		t.Errorf("%+v", s)
	}
	if loaded := Load(c.State()); loaded.unit == nil || loaded.unit.Name != "rt-x.scope" || loaded.unit.user != c.unit.user {
		t.Errorf("%+v", loaded.unit)
	}
	for path, annotation := range map[string]string{"/a/b": "", "a.slice:b:c": "seven"} {
		o.Path, o.Annotations = path, map[string]string{"org.systemd.property.TasksMax": annotation}
		if annotation == "" {
			o.Annotations = nil
		}
		_, err := Open(o)
		if err == nil || !strings.Contains(err.Error(), "linux.cgroupsPath") && !strings.Contains(err.Error(), `annotations["org.systemd.property.TasksMax"]`) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A user without any systemd goes without a cgroup, warned; but not without a limit.
func TestNoSystemd(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "")
	if booted() {
		t.Skip("systemd runs this machine")
	}
	mount := fakeDir(t, map[string]string{"x": ""})
	open := func() *Cgroup {
		c := &Cgroup{mode: V2, mount: mount, proc: "/proc", rootless: true, unified: hierarchy{root: "/sys", path: "/sys/rt"}}
		c.unit = &unit{Unit: systemd.Unit{Name: "a.scope", Slice: "b.slice"}, user: true}
		return c
	}
	c := open()
	err := c.startUnit(&specs.LinuxResources{}, deviceSet{})
	if err != nil || c.unit != nil || len(c.Warnings()) != 1 {
		t.Fatalf("%v, unit %v, warnings %q", err, c.unit, c.Warnings())
	}
	for _, word := range []string{"systemd is not reachable", "/systemd/private", "/run/dbus/system_bus_socket", "going on with cgroupfs"} {
		if !strings.Contains(c.Warnings()[0], word) {
			t.Errorf("no %q in %q", word, c.Warnings()[0])
		}
	}
	c = open() // nobody, not even root, can make a directory in /sys
	err = c.Create(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(7))}})
	if err == nil || !strings.Contains(err.Error(), "linux.resources.pids.limit") || !strings.Contains(err.Error(), "systemd is not reachable") {
		t.Errorf("a limit without a cgroup: %v", err)
	}
}
