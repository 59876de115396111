package cgroups

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// fakeV1 is a cgroup at /a/ct in hierarchies that are plain directories. The files are those the test
// writes or reads.
func fakeV1(t *testing.T, files map[string]string) (*Cgroup, string) {
	t.Helper()
	root := fakeDir(t, map[string]string{
		"cpu/a/ct/cgroup.procs": "", "cpu/a/ct/cpu.shares": "1024",
		"memory/a/ct/cgroup.procs":  "",
		"devices/a/ct/cgroup.procs": "", "devices/a/ct/devices.deny": "", "devices/a/ct/devices.allow": "",
	})
	addFiles(t, root, files)
	paths := map[string]string{}
	for _, name := range []string{"cpu", "memory", "devices"} {
		paths[name] = root + "/" + name + "/a/ct"
	}
	return Load(State{Mode: V1, Mount: root, Paths: paths}), root
}

func TestCreateV1(t *testing.T) {
	c, root := fakeV1(t, map[string]string{"memory/a/ct/memory.limit_in_bytes": "", "memory/a/ct/memory.oom_control": ""})
	err := c.Create(&specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(2048))},
		Memory: &specs.LinuxMemory{Limit: ptr(int64(4096)), DisableOOMKiller: ptr(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string]string{
		"cpu/a/ct/cpu.shares": "2048", "memory/a/ct/memory.limit_in_bytes": "4096", "memory/a/ct/memory.oom_control": "1",
		"devices/a/ct/devices.deny": "a",
		"devices/a/ct/devices.allow": "c *:* mb *:* mc 1:3 rwmc 1:5 rwmc 1:7 rwmc 1:8 rwmc 1:9 rwm" +
			"c 5:0 rwmc 5:2 rwmc 136:* rwmc 10:200 rwm",
	})
}

// A limit whose file is missing is an error with field, file, value and errno; what Create made goes.
func TestCreateMissingFile(t *testing.T) {
	c, root := fakeV1(t, nil)
	c.v1 = append(c.v1, hierarchy{names: []string{"pids"}, root: root + "/pids", path: root + "/pids/a/ct"})
	if err := os.Mkdir(root+"/pids", 0o755); err != nil {
		t.Fatal(err)
	}
	err := c.Create(&specs.LinuxResources{CPU: &specs.LinuxCPU{Burst: ptr(uint64(5000))}})
	wantField(t, err, "cpu.burst", unix.ENOENT)
	for _, part := range []string{`"5000"`, root + "/cpu/a/ct/cpu.cfs_burst_us", "no such file or directory"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not contain %q", err, part)
		}
	}
	wantGone(t, root, "pids/a")
}

func TestCreateRefusesUsed(t *testing.T) {
	c, _ := fakeV1(t, map[string]string{"memory/a/ct/sub/cgroup.procs": "17\n4711\n"})
	err := c.Create(nil)
	if !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), "17") {
		t.Errorf("a cgroup with processes in a sub-cgroup: %v", err)
	}

	c, root := fakeV1(t, map[string]string{"freezer/a/ct/cgroup.procs": "", "freezer/a/ct/freezer.state": "FROZEN\n"})
	c.v1 = append(c.v1, hierarchy{names: []string{"freezer"}, root: root + "/freezer", path: root + "/freezer/a/ct"})
	if err := c.Create(nil); !errors.Is(err, ErrFrozen) {
		t.Errorf("a frozen v1 cgroup: %v", err)
	}

	for frozen, target := range map[string]error{"frozen 1\n": ErrFrozen, "frozen 0\n": nil} {
		c, _ = fakeV2(t, map[string]string{"ct/cgroup.events": "populated 0\n" + frozen, "ct/cgroup.type": "domain\n"})
		if _, err := c.makeAll(); !errors.Is(err, target) {
			t.Errorf("cgroup.events %q: %v", frozen, err)
		}
	}
}

// New parents in a cpuset hierarchy are filled from the root down, and hand it down themselves then; what has a value keeps it.
func TestCpusetInherited(t *testing.T) {
	root := fakeDir(t, map[string]string{
		"cpuset.cpus": "0-3\n", "cpuset.mems": "0\n",
		"a/cpuset.cpus": "2\n", "a/cpuset.mems": "0\n", "a/cgroup.clone_children": "0",
		"a/b/cpuset.cpus": "1\n", "a/b/cpuset.mems": "", "a/b/cgroup.clone_children": "0",
		"a/b/c/cpuset.cpus": "", "a/b/c/cpuset.mems": "", "a/b/c/cgroup.clone_children": "0",
		"a/b/c/ct/cpuset.cpus": "", "a/b/c/ct/cpuset.mems": "", "a/b/c/ct/cgroup.clone_children": "0",
	})
	if err := inheritCpuset(hierarchy{names: []string{"cpuset"}, root: root, path: root + "/a/b/c/ct"}); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string]string{
		"a/cpuset.cpus": "2\n", "a/cpuset.mems": "0\n", "a/cgroup.clone_children": "0", // somebody uses it as it is
		"a/b/cpuset.cpus": "1\n", "a/b/cpuset.mems": "0", "a/b/cgroup.clone_children": "1",
		"a/b/c/cpuset.cpus": "1", "a/b/c/cpuset.mems": "0", "a/b/c/cgroup.clone_children": "1",
		"a/b/c/ct/cpuset.cpus": "1", "a/b/c/ct/cpuset.mems": "0", "a/b/c/ct/cgroup.clone_children": "0",
	})
}

// fakeV2 is a cgroup at /ct in a cgroup2 tree that is a plain directory.
func fakeV2(t *testing.T, files map[string]string) (*Cgroup, string) {
	t.Helper()
	root := fakeDir(t, map[string]string{"cgroup.subtree_control": "cpu memory\n", "ct/cgroup.procs": ""})
	addFiles(t, root, files)
	return Load(State{Mode: V2, Mount: root, Paths: map[string]string{unifiedKey: root + "/ct"}}), root
}

func TestSetV2(t *testing.T) {
	c, root := fakeV2(t, map[string]string{
		"ct/cpu.max": "max 9\n", "ct/cpu.weight": "100", "ct/io.weight": "", "ct/memory.max": "max",
		"cgroup.subtree_control": "cpu memory io\n",
	})
	err := c.Set(&specs.LinuxResources{
		CPU:     &specs.LinuxCPU{Shares: ptr(uint64(512)), Period: ptr(uint64(50000)), Burst: ptr(uint64(0))},
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(4096)), Swap: ptr(int64(4096)), KernelTCP: ptr(int64(1))},
		BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(500))},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(-1))},
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}, // never touched by Set
	})
	if err != nil {
		t.Fatal(err)
	}
	// A period alone keeps the quota; io.weight stands in for the absent io.bfq.weight; swap "0", burst
	// 0 and pids "max" hold without their files.
	wantFiles(t, root, map[string]string{
		"ct/cpu.max": "max 50000", "ct/cpu.weight": "590", "ct/io.weight": "4950", "ct/memory.max": "4096",
		"cgroup.subtree_control": "cpu memory io\n",
	})
	if w := c.Warnings(); len(w) != 1 || !strings.HasPrefix(w[0], "linux.resources.memory.kernelTCP: ") {
		t.Errorf("warnings %q", w)
	}
}

// Controllers are enabled from the root down to the parent, and only those that a limit needs.
func TestEnable(t *testing.T) {
	root := fakeDir(t, map[string]string{
		"cgroup.subtree_control": "", "a/cgroup.subtree_control": "", "a/b/cgroup.subtree_control": "cpu\n",
		"a/b/ct/pids.max": "", "a/b/ct/cpu.weight": "",
	})
	c := Load(State{Mode: V2, Mount: root, Paths: map[string]string{unifiedKey: root + "/a/b/ct"}})
	err := c.Set(&specs.LinuxResources{
		CPU:            &specs.LinuxCPU{Shares: ptr(uint64(2)), Burst: ptr(uint64(0))},
		Pids:           &specs.LinuxPids{Limit: ptr(int64(7))},
		Memory:         &specs.LinuxMemory{Limit: ptr(int64(-1))}, // asks for nothing
		HugepageLimits: nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, root, map[string]string{
		"cgroup.subtree_control": "+pids", "a/cgroup.subtree_control": "+pids", "a/b/cgroup.subtree_control": "+pids",
		"a/b/ct/pids.max": "7", "a/b/ct/cpu.weight": "1",
	})
}

func TestCheckBeforeUpdate(t *testing.T) {
	c, root := fakeV2(t, map[string]string{"ct/memory.max": "max\n", "ct/memory.current": "8192\n"})
	r := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(4096)), CheckBeforeUpdate: ptr(true)}}
	wantField(t, c.Set(r), "memory.limit", nil)
	wantFiles(t, root, map[string]string{"ct/memory.max": "max\n"})
	*r.Memory.Limit = 8192
	if err := c.Set(r); err != nil {
		t.Error(err)
	}
	wantFiles(t, root, map[string]string{"ct/memory.max": "8192"})
}

func TestThreadedDomain(t *testing.T) {
	for kind, want := range map[string]string{"domain\n": "domain", "domain invalid\n": "threaded"} {
		root := fakeDir(t, map[string]string{"cgroup.type": kind})
		if err := checkDomain(root); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(root + "/cgroup.type"); err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("%q became %q, want %s", kind, got, want)
		}
	}
}

func TestOOMKills(t *testing.T) {
	c, _ := fakeV1(t, map[string]string{"memory/a/ct/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"})
	if n, err := c.OOMKills(); n != 3 || err != nil {
		t.Errorf("v1: %d, %v", n, err)
	}
	c, _ = fakeV2(t, nil)
	if n, err := c.OOMKills(); n != 0 || err != nil {
		t.Errorf("v2 without the memory controller: %d, %v", n, err)
	}
	c, _ = fakeV2(t, map[string]string{"ct/memory.events": "low 0\noom 9\noom_kill 2\noom_group_kill 0\n"})
	if n, err := c.OOMKills(); n != 2 || err != nil {
		t.Errorf("v2: %d, %v", n, err)
	}
	if err := os.RemoveAll(c.unified.path); err != nil {
		t.Fatal(err)
	}
	if _, err := c.OOMKills(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a cgroup that is gone: %v", err)
	}
}

func TestDelegable(t *testing.T) {
	root := fakeDir(t, map[string]string{"list": "cgroup.procs\nmemory.oom.group\n"})
	for name, want := range map[string]string{"list": "cgroup.procs memory.oom.group", "none": "cgroup.procs cgroup.subtree_control cgroup.threads"} {
		if got, err := delegable(root + "/" + name); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := delegable(root); err == nil {
		t.Errorf("a directory lists %q", got)
	}
}

func TestDelegate(t *testing.T) {
	root := fakeDir(t, map[string]string{"cgroup.procs": "", "cgroup.threads": "", "memory.max": ""})
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 1234, 2345
	}
	if err := delegate(root, []string{"cgroup.procs", "cgroup.threads", "memory.reclaim"}, uid, gid); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"": uid, "cgroup.procs": uid, "cgroup.threads": uid, "memory.max": os.Getuid()} {
		var st unix.Stat_t
		if err := unix.Stat(root+"/"+name, &st); err != nil || int(st.Uid) != want {
			t.Errorf("%q belongs to %d, want %d (%v)", name, st.Uid, want, err)
		}
	}
}
