package cgroups

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// wantCgroup compares one file of the cgroup, in the hierarchy of a controller.
func wantCgroup(t *testing.T, c *Cgroup, controller, file, want string) {
	t.Helper()
	h, ok := c.find(controller)
	if !ok {
		t.Logf("no v1 hierarchy with %s here", controller)
		return
	}
	got, err := readFile(h.path, file)
	if err != nil || got != want {
		t.Errorf("%s: %q, %v; want %q", file, got, err, want)
	}
}

// The limits of a config arrive in the kernel; parents are made; every hierarchy has the cgroup.
func TestRealCreate(t *testing.T) {
	parent := realName()
	openReal(t, parent) // removes the parents at the end
	c := openReal(t, parent+"/b/ct")
	err := c.Create(&specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)),
			Swap: ptr(int64(128 << 20)), Swappiness: ptr(uint64(10)), DisableOOMKiller: ptr(true), UseHierarchy: ptr(true)},
		CPU: &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(20000)), Period: ptr(uint64(50000)),
			Burst: ptr(uint64(10000)), Cpus: "0"},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(20))},
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range append(c.v1, c.unified) {
		if _, err := os.Stat(h.path); h.path != "" && err != nil {
			t.Error(err)
		}
	}
	wantCgroup(t, c, "memory", "memory.limit_in_bytes", "67108864")
	wantCgroup(t, c, "memory", "memory.memsw.limit_in_bytes", "134217728")
	wantCgroup(t, c, "memory", "memory.soft_limit_in_bytes", "33554432")
	wantCgroup(t, c, "memory", "memory.swappiness", "10")
	wantCgroup(t, c, "cpu", "cpu.shares", "512")
	wantCgroup(t, c, "cpu", "cpu.cfs_period_us", "50000")
	wantCgroup(t, c, "cpu", "cpu.cfs_quota_us", "20000")
	wantCgroup(t, c, "cpu", "cpu.cfs_burst_us", "10000")
	wantCgroup(t, c, "cpuset", "cpuset.cpus", "0")
	wantCgroup(t, c, "cpuset", "cpuset.mems", "0")
	wantCgroup(t, c, "pids", "pids.max", "20")
	wantCgroup(t, c, "devices", "devices.list", strings.Join([]string{"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm",
		"c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm", "c 136:* rwm", "c 10:200 rwm"}, "\n"))
}

// Values whose order depends on the old ones: every step of the way up and down works.
func TestRealSet(t *testing.T) {
	c := createReal(t, nil)
	steps := []specs.LinuxResources{
		{Memory: &specs.LinuxMemory{Limit: ptr(int64(32 << 20)), Swap: ptr(int64(64 << 20))}},
		{Memory: &specs.LinuxMemory{Limit: ptr(int64(128 << 20)), Swap: ptr(int64(256 << 20))}},
		{Memory: &specs.LinuxMemory{Limit: ptr(int64(16 << 20)), Swap: ptr(int64(16 << 20))}},
		{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1))}},
		{CPU: &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Burst: ptr(uint64(50000))}},
		{CPU: &specs.LinuxCPU{Quota: ptr(int64(5000)), Period: ptr(uint64(10000)), Burst: ptr(uint64(5000))}},
		{CPU: &specs.LinuxCPU{Quota: ptr(int64(500000)), Period: ptr(uint64(1000000)), Burst: ptr(uint64(400000))}},
		{CPU: &specs.LinuxCPU{Shares: ptr(uint64(100)), Idle: ptr(int64(1))}},
		{CPU: &specs.LinuxCPU{Shares: ptr(uint64(200)), Idle: ptr(int64(0))}},
	}
	for i := range steps {
		if err := c.Set(&steps[i]); err != nil {
			t.Errorf("step %d: %v", i, err)
		}
	}
	wantCgroup(t, c, "cpu", "cpu.shares", "200")
	wantCgroup(t, c, "cpu", "cpu.cfs_quota_us", "500000")
	err := c.Set(&specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "4095"}})
	wantField(t, err, "cpu.cpus", nil)
}

// Huge pages are limited where the controller is: in the cgroup2 tree here, or in a v1 hierarchy.
func TestRealHugetlb(t *testing.T) {
	needRoot(t)
	c := openReal(t, realName())
	_, inV1 := c.find("hugetlb")
	available, _ := readFile(c.unified.root, "cgroup.controllers")
	inV2 := slices.Contains(strings.Fields(available), "hugetlb")
	if inV2 {
		restoreSubtree(t, c.unified.root)
	}
	err := c.Create(&specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}})
	switch {
	case inV1:
		wantCgroup(t, c, "hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304")
	case inV2:
		for _, file := range []string{"hugetlb.2MB.max", "hugetlb.2MB.rsvd.max"} {
			got, rerr := readFile(c.unified.path, file)
			if rerr != nil || got != "4194304" {
				t.Errorf("%s: %q, %v", file, got, rerr)
			}
		}
	default:
		wantField(t, err, "hugepageLimits[0].limit", ErrUnavailable)
		return
	}
	if err != nil {
		t.Error(err)
	}
}

// The same limit where hugetlb is mounted as v1, which takes it away from the cgroup2 tree; and where it
// is a v1 hierarchy that is mounted in a place we do not look at.
func TestRealHugetlbV1(t *testing.T) {
	mount := privateMounts(t)
	if err := os.Mkdir(mount+"/hugetlb", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", mount+"/hugetlb", "cgroup", 0, "hugetlb"); err != nil {
		t.Skipf("hugetlb is in use: %v", err)
	}
	t.Cleanup(waitHugetlbUnused)
	bindAt(t, "/sys/fs/cgroup/devices", mount+"/devices")
	r := &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}}
	name := realName()
	c, err := Open(Options{Path: name, Mount: mount})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(r); err != nil {
		t.Error(err)
	}
	wantCgroup(t, c, "hugetlb", "hugetlb.2MB.limit_in_bytes", "4194304")
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	wantField(t, openReal(t, name).Create(r), "hugepageLimits[0].limit", ErrUnavailable)
}

// waitHugetlbUnused waits until the kernel has freed the removed cgroups: a hierarchy that is unmounted
// before stays, and keeps the controller from the cgroup2 tree.
func waitHugetlbUnused() {
	for range 200 {
		text, _ := os.ReadFile("/proc/cgroups")
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); f[0] == "hugetlb" && f[2] == "1" {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// restoreSubtree switches the controllers off again at the end that the test switches on.
func restoreSubtree(t *testing.T, root string) {
	before, err := readFile(root, "cgroup.subtree_control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		after, _ := readFile(root, "cgroup.subtree_control")
		for _, name := range strings.Fields(after) {
			if !slices.Contains(strings.Fields(before), name) {
				_ = writeFile(root, "cgroup.subtree_control", "-"+name)
			}
		}
	})
}

// net_cls is not mounted here: the error says which field cannot be given, and nothing is left behind.
func TestRealUnavailable(t *testing.T) {
	c := openReal(t, realName())
	if _, ok := c.find("net_cls"); ok {
		t.Skip("net_cls is mounted")
	}
	err := c.Create(&specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(7))}})
	wantField(t, err, "network.classID", ErrUnavailable)
	for _, h := range append(c.v1, c.unified) {
		wantGone(t, "/", h.path)
	}
}

func TestRealRefusesNonEmpty(t *testing.T) {
	c := createReal(t, nil)
	spawn(t, c, "exec sleep 1000")
	again := Load(c.State())
	if err := again.Create(nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("with a process: %v", err)
	}
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	waitNoProcs(t, c)
	if err := again.Create(nil); err != nil {
		t.Errorf("empty again: %v", err)
	}
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := again.Create(nil); !errors.Is(err, ErrFrozen) {
		t.Errorf("frozen: %v", err)
	}
	if err := c.Thaw(); err != nil {
		t.Error(err)
	}
}

// waitNoProcs waits until the killed are gone.
func waitNoProcs(t *testing.T, c *Cgroup) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for _, h := range append(c.v1, c.unified) {
		if h.path != "" {
			waitEmpty(h, deadline)
		}
	}
	if pids, err := c.Procs(); err != nil || len(pids) != 0 {
		t.Fatalf("still there: %v, %v", pids, err)
	}
}

// lesson 2753 2767 3803: payloads make sub-cgroups, put processes into them and fork meanwhile.
func TestRealSubCgroups(t *testing.T) {
	c := createReal(t, nil)
	deep := strings.Repeat("/deep", 30)
	script := `while :; do sleep 0.01 & done`
	cmd := spawn(t, c, script)
	for _, h := range append(c.v1, c.unified) {
		if h.path == "" || h.names != nil && h.names[0] == "cpuset" {
			continue // an empty cpuset takes no process
		}
		if err := os.MkdirAll(h.path+deep, 0o755); err != nil {
			t.Fatal(err)
		}
		if h.names != nil {
			pid := fmt.Sprint(cmd.Process.Pid)
			if err := os.WriteFile(h.path+deep+"/tasks", []byte(pid), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	pids, err := c.Procs()
	if err != nil || !slices.Contains(pids, cmd.Process.Pid) {
		t.Fatalf("%v does not hold %d: %v", pids, cmd.Process.Pid, err)
	}
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if frozen, err := c.Frozen(); !frozen || err != nil {
		t.Errorf("frozen: %v, %v", frozen, err)
	}
	before, _ := c.Procs()
	time.Sleep(50 * time.Millisecond)
	after, _ := c.Procs()
	if !slices.Equal(before, after) {
		t.Errorf("something moved in a frozen cgroup: %v, then %v", before, after)
	}
	if err := c.Kill(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	for _, h := range append(c.v1, c.unified) {
		wantGone(t, "/", h.path)
	}
}

// Without a cgroup2 tree the v1 way has to do: freeze, kill, thaw; and without a freezer, too.
func TestRealKillV1(t *testing.T) {
	for _, without := range []string{unifiedKey, "freezer"} {
		s := openReal(t, realName()).State()
		for _, name := range []string{unifiedKey, without} {
			delete(s.Paths, name)
		}
		s.Mode = V1
		c := Load(s)
		if err := c.Create(nil); err != nil {
			t.Fatal(err)
		}
		cmd := spawn(t, c, `while :; do sleep 0.01 & done`, `trap "" TERM`)
		if err := c.Kill(unix.SIGTERM); err != nil {
			t.Errorf("without %s: TERM: %v", without, err)
		}
		if err := c.Kill(unix.SIGKILL); err != nil {
			t.Errorf("without %s: KILL: %v", without, err)
		}
		_ = cmd.Wait()
		if err := c.Remove(); err != nil {
			t.Errorf("without %s: %v", without, err)
		}
	}
}

// A signal reaches every process, and a paused container stays paused.
func TestRealSignal(t *testing.T) {
	c := createReal(t, nil)
	cmd := spawn(t, c, `while :; do sleep 0.01; done`, `trap "exit 7" USR1`)
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(unix.SIGUSR1); err != nil {
		t.Error(err)
	}
	if frozen, err := c.Frozen(); !frozen || err != nil {
		t.Errorf("a signal thawed the container: %v", err)
	}
	if err := c.Thaw(); err != nil {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("ended with %v", err)
	}
}

// Processes that survive are named, and the deadline holds.
func TestRealRemoveBusy(t *testing.T) {
	c := createReal(t, nil)
	cmd := spawn(t, c, "exec sleep 1000")
	start := time.Now()
	err := c.removeWithin(100 * time.Millisecond)
	var busy *BusyError
	if !errors.As(err, &busy) || !slices.Contains(busy.Pids, cmd.Process.Pid) {
		t.Errorf("%v does not name %d", err, cmd.Process.Pid)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("took %v", took)
	}
	// It goes as soon as the process has gone.
	time.AfterFunc(50*time.Millisecond, func() { _ = cmd.Process.Kill() })
	go func() { _ = cmd.Wait() }()
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	if err := c.Remove(); err != nil {
		t.Errorf("twice: %v", err)
	}
	// Whatever comes too late finds nothing to do.
	for name, err := range map[string]error{"Thaw": c.Thaw(), "Kill": c.Kill(unix.SIGKILL), "signal": c.Kill(unix.SIGTERM)} {
		if err != nil {
			t.Errorf("%s on a cgroup that is gone: %v", name, err)
		}
	}
	if pids, err := c.Procs(); err != nil || len(pids) != 0 {
		t.Errorf("processes of a cgroup that is gone: %v, %v", pids, err)
	}
}

// Threaded sub-cgroups of cgroup2 have no process list; killing and removing goes on.
func TestRealThreaded(t *testing.T) {
	c := createReal(t, nil)
	if c.unified.path == "" {
		t.Skip("this machine has no cgroup2 tree")
	}
	sub := c.unified.path + "/threads"
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(sub, "cgroup.type", "threaded"); err != nil {
		t.Fatal(err)
	}
	cmd := spawn(t, c, "exec sleep 1000")
	if err := writeFile(sub, "cgroup.threads", fmt.Sprint(cmd.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	if pids, err := c.Procs(); err != nil || !slices.Equal(pids, []int{cmd.Process.Pid}) {
		t.Errorf("%v, %v", pids, err)
	}
	threads := Load(State{Mode: V2, Mount: "/sys/fs/cgroup/unified", Paths: map[string]string{unifiedKey: sub}})
	if err := threads.Kill(unix.SIGKILL); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait()
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
}

// A container below a frozen cgroup would hang at its birth.
func TestRealFrozenParent(t *testing.T) {
	parent := createReal(t, nil)
	if err := parent.Freeze(); err != nil {
		t.Fatal(err)
	}
	h := parent.freezer()
	name := strings.TrimPrefix(h.path, "/sys/fs/cgroup/freezer")
	if err := openReal(t, name+"/ct").Create(nil); !errors.Is(err, ErrFrozen) {
		t.Errorf("v1: %v", err)
	}
	if parent.unified.path == "" {
		return
	}
	if err := writeFile(parent.unified.path, "cgroup.freeze", "1"); err != nil {
		t.Fatal(err)
	}
	c := Load(State{Mode: V2, Mount: "/sys/fs/cgroup/unified", Paths: map[string]string{unifiedKey: parent.unified.path + "/ct"}})
	if err := c.Create(nil); !errors.Is(err, ErrFrozen) {
		t.Errorf("v2: %v", err)
	}
	wantGone(t, "/", c.unified.path)
}

// The v2 freezer and cgroup.kill, on the cgroup2 tree alone.
func TestRealFreezeV2(t *testing.T) {
	s := createReal(t, nil).State()
	if s.Paths[unifiedKey] == "" {
		t.Skip("this machine has no cgroup2 tree")
	}
	c := Load(State{Mode: V2, Mount: "/sys/fs/cgroup/unified", Paths: map[string]string{unifiedKey: s.Paths[unifiedKey]}})
	cmd := spawn(t, c, "while :; do sleep 0.01 & done")
	if err := c.Freeze(); err != nil {
		t.Fatal(err)
	}
	if frozen, err := c.Frozen(); !frozen || err != nil {
		t.Errorf("%v, %v", frozen, err)
	}
	if text, _ := readFile(c.unified.path, "cgroup.events"); !strings.Contains(text, "frozen 1") {
		t.Errorf("Freeze came back before all stood still: %q", text)
	}
	if err := c.Kill(unix.SIGKILL); err != nil { // frozen processes die on v2
		t.Error(err)
	}
	_ = cmd.Wait()
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(c.unified.path); err == nil {
		t.Error("still there")
	}
}

// Delegation on the real cgroup2 tree: the directory and cgroup.procs change owner, limits do not.
func TestRealDelegate(t *testing.T) {
	s := createReal(t, nil).State()
	path := s.Paths[unifiedKey]
	if path == "" {
		t.Skip("this machine has no cgroup2 tree")
	}
	c := Load(State{Mode: V2, Mount: "/sys/fs/cgroup/unified", Paths: map[string]string{unifiedKey: path}})
	if err := c.Delegate(1234, 2345); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"": 1234, "cgroup.procs": 1234, "cgroup.threads": 1234, "cgroup.freeze": 0} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(path, name), &st); err != nil || st.Uid != want {
			t.Errorf("%q belongs to %d, want %d (%v)", name, st.Uid, want, err)
		}
	}
}

// A memory hog is killed, and counted.
func TestRealOOM(t *testing.T) {
	c := createReal(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(8 << 20)), Swap: ptr(int64(8 << 20))}})
	if n, err := c.OOMKills(); n != 0 || err != nil {
		t.Errorf("before: %d, %v", n, err)
	}
	cmd := spawn(t, c, `exec /bin/bash -c 'x=a; while :; do x=$x$x; done'`)
	_ = cmd.Wait()
	if n, err := c.OOMKills(); n == 0 || err != nil {
		t.Errorf("after: %d, %v", n, err)
	}
}

// rootlessHelper is what TestRealRootless runs as an ordinary user.
func rootlessHelper() {
	o := Options{ID: "ct", Rootless: true}
	report := func(o Options, r *specs.LinuxResources) {
		c, err := Open(o)
		if err == nil {
			err = c.Create(r)
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(c.State().Mode)
	}
	report(o, nil)
	report(o, &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}, Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}})
	o.Path = "/rt-cgtest-rootless"
	report(o, nil)
}

// An ordinary user without access: nothing asked for is fine and silent, limits and paths are errors.
func TestRealRootless(t *testing.T) {
	if os.Getenv("CGTEST_ROOTLESS") != "" {
		rootlessHelper()
		return
	}
	needRoot(t)
	exe := filepath.Join(t.TempDir(), "test")
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(exe, self, 0o755), os.Chmod(filepath.Dir(exe), 0o755), os.Chmod(filepath.Dir(filepath.Dir(exe)), 0o755)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run=^TestRealRootless$")
	cmd.Env = append(os.Environ(), "CGTEST_ROOTLESS=1")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	got := strings.Split(out.String(), "\n")
	if got[0] != "disabled" {
		t.Errorf("nothing asked for: %q", got[0])
	}
	for _, part := range []string{"linux.resources.pids.limit: ", "permission denied"} {
		if !strings.Contains(got[1], part) {
			t.Errorf("a limit: %q does not contain %q", got[1], part)
		}
	}
	if !strings.Contains(got[2], "make cgroup: mkdir") {
		t.Errorf("a path: %q", got[2])
	}
}
