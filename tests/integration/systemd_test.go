package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// scoped is a bundle whose cgroup is a scope of systemd's; unit and cgroup are the scope's name and path.
func scoped(t *testing.T) (b *rttest.Bundle, unit, cgroup string) {
	t.Helper()
	b = rttest.New(t)
	b.Flags = []string{"--systemd-cgroup"}
	b.Spec.Linux.CgroupsPath = "rttest-a.slice:rt:" + b.ID
	unit = "rt-" + b.ID + ".scope"
	return b, unit, "/rttest.slice/rttest-a.slice/" + unit
}

func stateThere(t *testing.T, s *rttest.Systemd, b *rttest.Bundle) (state rttest.State) {
	t.Helper()
	res := s.RT(b, "state", b.ID).OK()
	if err := json.Unmarshal([]byte(res.Stdout), &state); err != nil {
		t.Fatalf("%v: %s", err, res)
	}
	return state
}

// A container's life in a scope, by the manager's own socket and by the message bus.
func TestSystemdLifecycle(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	for _, way := range []string{"own socket", "bus"} {
		if way == "bus" {
			s.Deafen("/run/systemd/private")
			s.Exec("busctl", "list").OK() // starts it
		}
		b, unit, cgroup := scoped(t)
		b.Sh("cat /proc/self/cgroup; sleep 1000")
		b.Spec.Annotations = map[string]string{
			"org.systemd.property.TimeoutStopSec": "uint64 17",
			"org.systemd.property.Description":    "'hello'",
		}
		s.Launch(b, "create").OK()
		got := s.Show(unit)
		for name, want := range map[string]string{
			"Id": unit, "Slice": "rttest-a.slice", "ControlGroup": cgroup, "ActiveState": "active", "Transient": "yes",
			"Delegate": "yes", "Description": "hello", "TimeoutStopUSec": "17s", "DefaultDependencies": "no",
			"CPUAccounting": "yes", "MemoryAccounting": "yes", "TasksAccounting": "yes", "IOAccounting": "yes",
			"CollectMode": "inactive-or-failed",
		} {
			if name == "IOAccounting" && s.V1() {
				name = "BlockIOAccounting"
			}
			if got[name] != want {
				t.Errorf("%s: %s=%s, want %s", way, name, got[name], want)
			}
		}
		if state := stateThere(t, s, b); state.Status != "created" {
			t.Errorf("%s: %+v", way, state)
		}
		s.RT(b, "start", b.ID).OK()
		rttest.Eventually(t, "the container says where it is", func() bool { return strings.Contains(b.Output(), s.Line(cgroup)) })
		s.RT(b, "pause", b.ID).OK()
		if state := stateThere(t, s, b); state.Status != "paused" {
			t.Errorf("%s: %+v", way, state)
		}
		s.RT(b, "resume", b.ID).OK()
		s.RT(b, "kill", b.ID, "KILL").OK()
		rttest.Eventually(t, "the container has stopped", func() bool { return stateThere(t, s, b).Status == "stopped" })
		s.RT(b, "delete", b.ID).OK()
		s.Gone(unit, cgroup)
	}
}

// In the foreground: the status comes back and nothing stays. Sub-cgroups and processes left behind go with it.
func TestSystemdRun(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, unit, cgroup := scoped(t)
	b.Drop(specs.PIDNamespace)
	b.Spec.Linux.Namespaces = append(b.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.CgroupNamespace})
	b.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup"})
	top := "/sys/fs/cgroup"
	if s.V1() {
		top += "/systemd"
	}
	b.Sh(`cd ` + top + ` && mkdir -p sub/sub && (echo 0 >sub/sub/cgroup.procs; exec sleep 1000 </dev/null >/dev/null 2>&1) &
		until grep -q . ` + top + `/sub/sub/cgroup.procs; do sleep 0.1; done; cat /proc/self/cgroup; exit 7`)
	if res := s.Launch(b, "run").Exits(7); !strings.Contains(res.Stdout, s.Line("/")) {
		t.Errorf("not at the root of its cgroup namespace: %s", res)
	}
	s.Gone(unit, cgroup)
}

// systemd reads its units again: devices stay as they were, allowed and refused. Not parallel: one that starts anew
// hangs up on whoever else talks to it.
func TestSystemdDaemonReload(t *testing.T) {
	rttest.Need(t, rttest.File("/dev/fuse"), rttest.File("/dev/autofs")) // which any root may open, but for device rules
	s := rttest.StartSystemd(t)
	b, unit, cgroup := scoped(t)
	device := func(name string, minor int64) specs.LinuxDevice {
		return specs.LinuxDevice{Path: "/dev/" + name, Type: "c", Major: 10, Minor: minor}
	}
	b.Spec.Linux.Devices = []specs.LinuxDevice{device("allowed", 229), device("refused", 235)}
	b.Spec.Linux.Resources.Devices = append(b.Spec.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(10)), Minor: ptr(int64(229)), Access: "rw"})
	b.Args("sleep", "1000")
	s.Launch(b, "run", "--detach").OK()
	check := func(when string) {
		t.Helper()
		const probe = `echo >/dev/null && : <>/dev/allowed && echo open; (: </dev/refused) 2>/dev/null || echo shut; cat /proc/self/cgroup`
		res := s.RT(b, "exec", b.ID, "sh", "-c", probe).OK()
		if !strings.HasPrefix(res.Stdout, "open\nshut\n") || !strings.Contains(res.Stdout, s.Line(cgroup)) {
			t.Errorf("%s: %s", when, res)
		}
	}
	check("before")
	for range 2 {
		s.Exec("systemctl", "daemon-reload").OK()
		check("after a daemon-reload")
	}
	s.Exec("systemctl", "set-property", "--runtime", unit, "TasksMax=1000").OK()
	check("after set-property")
	s.Exec("systemctl", "daemon-reexec").OK()
	check("after systemd started anew")
	s.RT(b, "delete", "--force", b.ID).OK()
	s.Gone(unit, cgroup)
}

// A create that is killed leaves nothing that delete --force does not remove.
func TestSystemdKilledCreate(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, unit, cgroup := scoped(t)
	mark := filepath.Join(b.Dir, "mark")
	b.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo $PPID $$ >" + mark + "; exec sleep 1000"}}}}
	cmd := s.Background(b, "create")
	rttest.Eventually(t, "the hook runs", func() bool {
		text, err := os.ReadFile(mark)
		return err == nil && strings.HasSuffix(string(text), "\n")
	})
	if _, err := os.Stat(s.Cgroup(cgroup)); err != nil {
		t.Errorf("no scope while the container is made: %v", err)
	}
	text, _ := os.ReadFile(mark)
	runtime, hook, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	s.Exec("kill", "-KILL", runtime).OK()
	_ = cmd.Wait()
	s.Exec("kill", "-KILL", hook).OK() // nobody else will
	s.RT(b, "delete", "--force", b.ID).OK()
	s.Gone(unit, cgroup)
}

// A unit that has failed is forgotten: by delete, and by create when one of its name is in the way.
func TestSystemdResetFailed(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, unit, cgroup := scoped(t)
	b.Args("sleep", "1000")
	b.Spec.Annotations = map[string]string{
		"org.systemd.property.RuntimeMaxSec": "uint64 1",
		"org.systemd.property.KillSignal":    "9", // an init without a handler for it does not hear SIGTERM
		"org.systemd.property.CollectMode":   "'inactive'",
	}
	fail := func() {
		t.Helper()
		s.Launch(b, "run", "--detach").OK()
		rttest.Eventually(t, "the scope fails", func() bool { return s.Show(unit)["ActiveState"] == "failed" })
	}
	fail()
	s.RT(b, "delete", "--force", b.ID).OK()
	s.Gone(unit, cgroup)

	fail()
	if err := os.RemoveAll(filepath.Join(b.Root, b.ID)); err != nil { // now nobody but systemd knows of it
		t.Fatal(err)
	}
	b.Spec.Annotations = nil
	s.Launch(b, "create").OK()
	if state := s.Show(unit)["ActiveState"]; state != "active" {
		t.Errorf("after the second create: %s", state)
	}
	s.RT(b, "delete", "--force", b.ID).OK()
	s.Gone(unit, cgroup)
}

// What cannot be is an error that names the field, and leaves nothing.
func TestSystemdErrors(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	for name, test := range map[string]struct {
		edit  func(*specs.Spec)
		words []string
	}{
		"a path of cgroupfs": {func(s *specs.Spec) { s.Linux.CgroupsPath = "/a/b" }, []string{"linux.cgroupsPath", "slice:prefix:name"}},
		"no slice":           {func(s *specs.Spec) { s.Linux.CgroupsPath = "a:b:c" }, []string{"linux.cgroupsPath", ".slice"}},
		"no value": {func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property.TasksMax": "many"} },
			[]string{"annotations[", "org.systemd.property.TasksMax", "many"}},
		"no property": {func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property.NoSuch": "true"} },
			[]string{"annotations[", "org.systemd.property.NoSuch", "systemd StartTransientUnit"}},
		"wrong type": {func(s *specs.Spec) { s.Annotations = map[string]string{"org.systemd.property.KillSignal": "'x'"} },
			[]string{"systemd StartTransientUnit"}},
	} {
		b, unit, cgroup := scoped(t)
		test.edit(b.Spec)
		if res := s.Launch(b, "create").FailsNaming(test.words...); strings.Count(res.Stderr, "\n") > 1 {
			t.Errorf("%s: %s", name, res)
		}
		s.Soon(unit, cgroup)
	}
	if missing := rttest.UnifiedController("memory")(); missing != "" && !s.V1() {
		b, unit, cgroup := scoped(t)
		b.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
		s.Launch(b, "create").FailsNaming("linux.resources.memory.limit", "memory controller not available")
		s.Gone(unit, cgroup)
	}
}

// A unit in use is nobody else's.
func TestSystemdUnitInUse(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, unit, cgroup := scoped(t)
	b.Args("sleep", "1000")
	s.Launch(b, "run", "--detach").OK()
	second, _, _ := scoped(t)
	second.Spec.Linux.CgroupsPath = b.Spec.Linux.CgroupsPath
	s.Launch(second, "create").FailsNaming(unit)
	s.RT(second, "delete", "--force", second.ID).OK()
	if state := stateThere(t, s, b); state.Status != "running" {
		t.Errorf("the first one: %+v", state)
	}
	s.RT(b, "delete", "--force", b.ID).OK()
	s.Gone(unit, cgroup)
}

// Without a path there are defaults; a name that ends in .slice is a slice.
func TestSystemdNames(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, unit, _ := scoped(t)
	slice := "rttest" + strconv.Itoa(os.Getpid()) + ".slice"
	for path, want := range map[string]string{
		"":                    "/system.slice/" + unit,
		"::x+y":               `/system.slice/x\x2by.scope`,
		"-.slice:p:n":         "/p-n.scope",
		"any.slice::" + slice: "/" + slice,
	} {
		b.Spec.Linux.CgroupsPath = path
		b.Args("cat", "/proc/self/cgroup")
		if res := s.Launch(b, "run").OK(); !strings.Contains(res.Stdout, s.Line(want)) {
			t.Errorf("%q: %s, want %s", path, res, want)
		}
		s.Gone(filepath.Base(want), want)
	}
}

// Limits are the unit's properties and in the cgroup's files, before and after systemd reads its units again.
func TestSystemdLimits(t *testing.T) {
	t.Parallel()
	for _, controller := range []string{"memory", "pids", "cpu"} {
		rttest.Need(t, rttest.Controller(controller))
	}
	s := rttest.StartSystemd(t)
	if !s.V1() {
		rttest.Need(t, rttest.UnifiedController("memory"))
	}
	b, unit, cgroup := scoped(t)
	b.Args("sleep", "1000")
	r := b.Spec.Linux.Resources
	r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
	r.Pids = &specs.LinuxPids{Limit: ptr(int64(1))}
	r.CPU = &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Shares: ptr(uint64(512))}
	s.Launch(b, "run", "--detach").OK()
	check := func(when, memory, tasks, quota string) {
		t.Helper()
		properties := map[string]string{"MemoryMax": memory, "TasksMax": tasks, "CPUQuotaPerSecUSec": quota + "0ms", "CPUWeight": "59"}
		files := map[string]string{"memory memory.max": memory, "pids pids.max": tasks, "cpu cpu.max": quota + "000 100000", "cpu cpu.weight": "59"}
		if s.V1() {
			properties = map[string]string{"MemoryLimit": memory, "TasksMax": tasks, "CPUQuotaPerSecUSec": quota + "0ms", "CPUShares": "512"}
			files = map[string]string{"memory memory.limit_in_bytes": memory, "pids pids.max": tasks,
				"cpu cpu.cfs_quota_us": quota + "000", "cpu cpu.cfs_period_us": "100000", "cpu cpu.shares": "512"}
		}
		got := s.Show(unit)
		for name, want := range properties {
			if got[name] != want {
				t.Errorf("%s: %s=%s, want %s", when, name, got[name], want)
			}
		}
		for key, want := range files {
			controller, file, _ := strings.Cut(key, " ")
			if got := s.Limit(cgroup, controller, file); got != want {
				t.Errorf("%s: %s holds %s, want %s", when, file, got, want)
			}
		}
	}
	check("at first", "67108864", "1", "50")
	s.Exec("systemctl", "daemon-reload").OK()
	check("after a daemon-reload", "67108864", "1", "50")
	s.RT(b, "update", "--pids-limit", "20", "--memory", "128m", "--cpu-quota", "20000", b.ID).OK()
	check("after an update", "134217728", "20", "20")
	s.Exec("systemctl", "daemon-reload").OK()
	check("after both", "134217728", "20", "20")
	s.RT(b, "update", "--pids-limit", "7", "--cpuset-cpus", "9999", b.ID).FailsNaming("linux.resources.cpu.cpus")
	s.Exec("systemctl", "daemon-reload").OK()
	check("after an update that failed", "134217728", "20", "20")
	s.RT(b, "delete", "--force", b.ID).OK()
	s.Gone(unit, cgroup)
}

// systemd runs the machine but does not listen: nothing is made behind its back. What is there already, even paused,
// can still be deleted.
func TestSystemdDeaf(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, _, cgroup := scoped(t)
	b.Args("sleep", "1000")
	s.Launch(b, "run", "--detach").OK()
	s.RT(b, "pause", b.ID).OK()
	s.Deafen("/run/systemd/private", "/run/dbus/system_bus_socket")
	second, _, itsCgroup := scoped(t)
	s.Launch(second, "create").FailsNaming("systemd is not reachable", "/run/systemd/private", "/run/dbus/system_bus_socket")
	s.RT(b, "delete", "--force", b.ID).OK()
	for _, path := range []string{cgroup, itsCgroup} {
		if _, err := os.Stat(s.Cgroup(path)); err == nil {
			t.Errorf("cgroup %s is still there", path)
		}
	}
}

// No systemd at all: rt says so and makes the cgroup itself; the limits hold.
func TestSystemdUnreachable(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--systemd-cgroup without systemd")
	rttest.Need(t, rttest.NoSystemd)
	b := rttest.New(t).Args("cat", "/proc/self/cgroup")
	b.Flags = []string{"--systemd-cgroup"}
	slice := strings.ReplaceAll(rttest.CgroupParent()[1:], "-", "_") + ".slice"
	b.Spec.Linux.CgroupsPath = slice + ":rt:x"
	res := b.Run().OK()
	for _, word := range []string{"systemd is not reachable", "/run/systemd/private", "cgroupfs"} {
		if !strings.Contains(res.Stderr, word) {
			t.Errorf("no %q: %s", word, res)
		}
	}
	if !strings.Contains(res.Stdout, "/"+slice+"/rt-x.scope\n") {
		t.Errorf("in another cgroup: %s", res)
	}
	matches, _ := filepath.Glob("/sys/fs/cgroup/*/" + slice)
	for _, dir := range matches {
		_ = unix.Rmdir(dir)
	}
}

// An ordinary user's container is a scope of the user's own manager. As with Podman, the user is root of a user namespace. The
// process comes from outside of that manager's cgroup: it asks the system's manager to move it, by the message bus.
func TestSystemdUser(t *testing.T) {
	t.Parallel()
	s := rttest.StartSystemd(t)
	b, unit, _ := scoped(t)
	// A user may mount a procfs only where the one outside is whole, and here /proc/sys is read-only.
	b.Spec.Mounts, b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = nil, nil, nil
	b.Mount(specs.Mount{Destination: "/dev", Type: "tmpfs", Source: "tmpfs"})
	b.Args("sleep", "1000")
	b.WriteConfig()
	b.Root = "/run/user/" + s.UserID() + "/rt"
	disguised := func(args ...string) *rttest.Result {
		return s.ExecAsUser(append([]string{"unshare", "--user", "--map-root-user", "--mount"}, b.Command(args...)...)...)
	}
	disguised("run", "--detach", "--bundle", b.Dir, b.ID).OK()
	show := s.ExecAsUser("systemctl", "--user", "show", "--property", "ControlGroup", "--property", "ActiveState", unit).OK()
	cgroup := "/user.slice/user-" + s.UserID() + ".slice/user@" + s.UserID() + ".service/rttest.slice/rttest-a.slice/" + unit
	if !strings.Contains(show.Stdout, "ControlGroup="+cgroup+"\n") || !strings.Contains(show.Stdout, "ActiveState=active\n") {
		t.Errorf("the unit: %s", show)
	}
	if text, err := os.ReadFile(s.Cgroup(cgroup + "/cgroup.procs")); err != nil || len(text) == 0 {
		t.Errorf("nobody in the scope: %q, %v", text, err)
	}
	disguised("delete", "--force", b.ID).OK()
	if _, err := os.Stat(s.Cgroup(cgroup)); err == nil {
		t.Errorf("%s is still there", cgroup)
	}
}

// A user's container from an ordinary login: the user's manager makes the scope and holds the limits, ids come from the
// user's ranges, and exec enters the scope from outside of it, which takes the manager as well.
func TestSystemdRootless(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.UnifiedController("memory"), rttest.Command("newuidmap"))
	s := rttest.StartSystemd(t)
	id, err := strconv.Atoi(s.UserID())
	if err != nil {
		t.Fatal(err)
	}
	needRanges(t, id)
	b, unit, _ := scoped(t)
	ofUser(t, b, uint32(id))
	b.Spec.Linux.UIDMappings = append(b.Spec.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 1, HostID: 100000, Size: 65536})
	b.Spec.Linux.GIDMappings = b.Spec.Linux.UIDMappings
	b.Spec.Linux.Resources = &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: ptr(int64(30))}, CPU: &specs.LinuxCPU{Quota: ptr(int64(50000))},
	}
	b.Args("sleep", "1000")
	b.WriteConfig()
	b.Root = "/run/user/" + s.UserID() + "/rt"
	as := func(args ...string) *rttest.Result { return s.ExecAsUser(b.Command(args...)...) }
	show := func(want ...string) {
		t.Helper()
		res := s.ExecAsUser("systemctl", "--user", "show", unit).OK()
		for _, w := range want {
			if !strings.Contains(res.Stdout, "\n"+w+"\n") {
				t.Errorf("the unit has no %s: %s", w, res)
			}
		}
	}
	cgroup := "/user.slice/user-" + s.UserID() + ".slice/user@" + s.UserID() + ".service/rttest.slice/rttest-a.slice/" + unit
	as("run", "--detach", "--bundle", b.Dir, b.ID).OK()
	show("ControlGroup="+cgroup, "MemoryMax=67108864", "TasksMax=30", "CPUQuotaPerSecUSec=500ms")
	wantFiles(t, s.Cgroup(cgroup), "memory.max=67108864 pids.max=30 cpu.max=50000_100000")
	as("exec", b.ID, "cat", "/proc/self/cgroup").OK().Prints("0::" + cgroup)
	as("exec", "--user", "1000:1000", b.ID, "id", "-u").OK().Prints("1000")
	rootlessLife(t, b, as)
	show("MemoryMax=134217728", "TasksMax=20")
	wantFiles(t, s.Cgroup(cgroup), "memory.max=134217728 pids.max=20 cpu.max=50000_100000")
	as("kill", b.ID, "KILL").OK()
	rttest.Eventually(t, "it has stopped", func() bool { return strings.Contains(as("state", b.ID).OK().Stdout, `"stopped"`) })
	as("delete", b.ID).OK()
	if _, err := os.Stat(s.Cgroup(cgroup)); err == nil {
		t.Errorf("%s is still there", cgroup)
	}
}

// needRanges is for a test whose user has ranges of ids in /etc/subuid.
func needRanges(t *testing.T, id int) {
	t.Helper()
	for _, file := range []string{"/etc/subuid", "/etc/subgid"} {
		text, _ := os.ReadFile(file)
		rttest.Need(t, func() string {
			if strings.Contains(string(text), fmt.Sprintf("%d:100000:65536\n", id)) {
				return ""
			}
			return fmt.Sprintf("ranges of ids for user %d in %s", id, file)
		})
	}
}
