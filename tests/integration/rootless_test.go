package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// anOrdinaryUser is a uid that owns nothing else on the machine.
const anOrdinaryUser = 4712

// rootless is a bundle whose container an ordinary user makes: a user namespace, no network of its own, no limits.
func rootless(t *testing.T) *rttest.Bundle {
	t.Helper()
	b := rttest.New(t)
	ofUser(t, b, anOrdinaryUser)
	b.Spec.Linux.CgroupsPath, b.Spec.Linux.Resources = "", nil
	b.Every = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: anOrdinaryUser, Gid: anOrdinaryUser}}
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Dir(b.Dir), "USER=somebody")
	}
	return b
}

// ofUser makes of a bundle what the user may make a container of: a user namespace, no network of its own.
func ofUser(t *testing.T, b *rttest.Bundle, uid uint32) {
	t.Helper()
	b.Drop("network").Join(specs.UserNamespace, "")
	b.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: uid, Size: 1}}
	b.Spec.Linux.GIDMappings = b.Spec.Linux.UIDMappings
	var kept []specs.Mount
	for _, m := range b.Spec.Mounts {
		if m.Type == "sysfs" { // belongs to the network namespace, which is the host's
			continue
		}
		m.Options = without(m.Options, "gid=5") // is not mapped
		kept = append(kept, m)
	}
	b.Spec.Mounts = kept
	b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = []string{"/proc/keys", "/proc/acpi"}, []string{"/proc/sys"}
	giveAway(t, filepath.Dir(b.Dir), int(uid))
}

func giveAway(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRootless(t *testing.T) {
	t.Parallel()
	b := rootless(t).Sh(`id -u; tr -s ' ' < /proc/self/uid_map; cat /proc/self/setgroups; echo x > /dev/null && echo null; (: < /proc/keys) 2>&1; echo y > /proc/sys/kernel/domainname || echo ro`)
	res := b.Run()
	res.OK()
	for _, want := range []string{"0\n", fmt.Sprintf(" 0 %d 1\n", anOrdinaryUser), "deny\n", "null\n", "ro\n"} {
		if !strings.Contains(res.Stdout, want) {
			t.Errorf("no %q: %s", want, res)
		}
	}
}

func TestRootlessBindMounts(t *testing.T) {
	t.Parallel()
	b := rootless(t)
	b.WriteFile("volume/file", "content\n")
	giveAway(t, b.Dir, anOrdinaryUser)
	b.Mount(specs.Mount{Destination: "/v", Type: "bind", Source: filepath.Join(b.Dir, "volume"), Options: []string{"rbind", "ro"}})
	b.Sh("cat /v/file; echo z > /v/file || echo read-only").Run().OK().Prints("content\nread-only")
}

// The whole life in a user's hands: everything but what needs a cgroup works, and that says so.
func TestRootlessLife(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1) // of which a user has nothing
	b := rootless(t).Sh("sleep 1001 & exec sleep 1000")
	b.Create().OK()
	pid := b.Pid()
	b.RT("start", b.ID).OK()
	b.RT("start", b.ID).Fails("cannot start an already running container")
	if s := b.RT("state", b.ID).OK().Stdout; !strings.Contains(s, `"status": "running"`) || !strings.Contains(s, fmt.Sprintf(`"pid": %d`, pid)) {
		t.Errorf("state %s", s)
	}
	b.RT("list", "-q").OK().Prints(b.ID)
	b.RT("exec", b.ID, "sh", "-c", "id -u; id -g; exit 7").Exits(7).Prints("0\n0")
	if rttest.IsRT(t) {
		var pids []int
		rttest.Eventually(t, "its child runs", func() bool {
			return json.Unmarshal([]byte(b.RT("ps", "--format", "json", b.ID).OK().Stdout), &pids) == nil && len(pids) == 2
		})
		if !slices.Contains(pids, pid) || !strings.Contains(b.RT("ps", b.ID).OK().Stdout, "sleep 1001") {
			t.Errorf("its processes are %v, init is %d", pids, pid)
		}
		b.RT("pause", b.ID).Fails("no cgroup")
		b.RT("resume", b.ID).Fails("container not paused")
		b.RT("events", "--stats", b.ID).Fails("no cgroup")
		b.RT("update", "--memory", "100m", b.ID).Fails("linux.resources.memory.limit")
	}
	b.RT("delete", b.ID).Fails("that is not stopped: running")
	b.RT("kill", b.ID, "KILL").OK()
	b.Wait(pid)
	b.RT("kill", b.ID, "KILL").Fails("container not running")
	b.RT("exec", b.ID, "true").Exits(255)
	b.RT("delete", b.ID).OK()
	b.CheckGone()
	b.RunDetached().OK()
	b.RT("delete", "--force", b.ID).OK()
}

// Without a cgroup, kill --all reaches everybody in the container's own pid namespace, and nobody else.
func TestKillAllWithoutACgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--all without a cgroup")
	script := "sh -c 'trap \"echo child; exit\" USR1; echo up; while :; do sleep 0.05; done' & trap 'echo init' USR1; while :; do wait; done"
	b := rttest.New(t).Sh(script)
	b.Flags = []string{"--cgroup-manager=disabled"}
	b.RunDetached().OK()
	rttest.Eventually(t, "it is up", func() bool { return b.Output() == "up\n" })
	pid := b.Pid()
	b.RT("kill", "--all", b.ID, "USR1").OK()
	rttest.Eventually(t, "both got it", func() bool { return strings.Contains(b.Output(), "child\n") && strings.Contains(b.Output(), "init\n") })
	b.RT("kill", "--all", b.ID, "KILL").OK()
	b.Wait(pid)
}

// What a user types on a terminal reaches the container, at run and at exec.
func TestRootlessTerminal(t *testing.T) {
	t.Parallel()
	const script = "tty; read line; echo got $line; id -u"
	converse := func(start func(edit func(*exec.Cmd)) *rttest.Result) {
		t.Helper()
		master, slave := rttest.OpenPty(t)
		done := rttest.Async(func() *rttest.Result {
			return start(func(cmd *exec.Cmd) {
				cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
				cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
			})
		})
		rttest.ReadTerminal(t, master, "/dev/pts/0")
		typed(t, master, "this\r")
		rttest.ReadTerminal(t, master, "got this\r\n0")
		done().OK()
	}
	b := rootless(t).Sh(script)
	b.Spec.Process.Terminal = true
	converse(func(edit func(*exec.Cmd)) *rttest.Result {
		b.Setup = edit
		return b.Run()
	})
	inside := rootless(t).Args("sleep", "1000")
	inside.RunDetached().OK()
	converse(func(edit func(*exec.Cmd)) *rttest.Result { return execWith(inside, edit, "--tty", "sh", "-c", script) })
}

// One id of one's own is all there is: others cannot be had, and groups cannot be set (the kernel's rule for who maps alone).
func TestRootlessSingleID(t *testing.T) {
	t.Parallel()
	b := rootless(t).Args("sleep", "1000")
	b.RunDetached().OK()
	for flags, field := range map[string]string{"--user=1": "process.user.uid", "--user=0:1": "process.user.gid", "--additional-gids=5": "process.user.additionalGids"} {
		res := b.RT("exec", flags, b.ID, "true").Exits(255)
		if rttest.IsRT(t) && !strings.Contains(res.Stderr, field) {
			t.Errorf("%s: no %s in %s", flags, field, res)
		}
	}
	other := rootless(t)
	other.Spec.Process.User.AdditionalGids = []uint32{5}
	other.Run().FailsNaming("process.user.additionalGids")
	other.CheckGone()
}

// The oom score can be raised by anybody, for init and for who joins, also by root of a user namespace.
func TestRootlessOOMScore(t *testing.T) {
	t.Parallel()
	score := 300
	b := rootless(t)
	b.Spec.Process.OOMScoreAdj = &score
	b.Sh("cat /proc/self/oom_score_adj").Run().OK().Prints("300")
	b.Args("sleep", "1000").RunDetached().OK()
	b.RT("exec", b.ID, "cat", "/proc/self/oom_score_adj").OK().Prints("300")
	inside := rootless(t).Sh("cat /proc/self/oom_score_adj")
	inside.Spec.Process.OOMScoreAdj = &score
	inside.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 0, Size: 1}}
	inside.Spec.Linux.GIDMappings = inside.Spec.Linux.UIDMappings
	inside.WriteConfig()
	rttest.Exec(t, inside.Every, append([]string{"unshare", "-r"}, inside.Command("run", "--bundle", inside.Dir, inside.ID)...)...).OK().Prints("300")
	low := -500
	b = rootless(t)
	b.Spec.Process.OOMScoreAdj = &low
	b.Run().FailsNaming("process.oomScoreAdj", "-500", "CAP_SYS_RESOURCE")
	b.CheckGone()
}

// A user has no right to id-map a mount of the machine: an error, not a mount with other owners.
func TestRootlessIDMappedMount(t *testing.T) {
	t.Parallel()
	b := rootless(t)
	b.WriteFile("volume/file", "")
	giveAway(t, b.Dir, anOrdinaryUser)
	b.Mount(specs.Mount{Destination: "/v", Type: "bind", Source: filepath.Join(b.Dir, "volume"), Options: []string{"rbind"},
		UIDMappings: b.Spec.Linux.UIDMappings, GIDMappings: b.Spec.Linux.GIDMappings})
	b.Run().FailsNaming("mounts[5]", "id-map")
	b.CheckGone()
}

// Who is root of a user namespace may id-map what was mounted there.
func TestIDMappedMountInsideAUserNamespace(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Kernel("6.3")) // tmpfs
	b := rttest.New(t).Sh("stat -c %u /v/of-five; touch /v/new; stat -c %u /v/new")
	source := b.Mkdir("source")
	from := func(id uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{ContainerID: id, HostID: 0, Size: 1}}
	}
	b.Mount(specs.Mount{Destination: "/v", Type: "bind", Source: source, Options: []string{"bind"}, UIDMappings: from(5), GIDMappings: from(5)})
	b.Setup = func(cmd *exec.Cmd) {
		script := "mount -t tmpfs tmpfs " + source + "; touch " + source + "/of-five; chown 5:5 " + source + " " + source + "/of-five; \"$0\" \"$@\"; stat -c %u " + source + "/new"
		cmd.Args = append([]string{"sh", "-c", script}, cmd.Args...)
		cmd.Path = "/bin/sh"
		all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 20}}
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, UidMappings: all, GidMappings: all}
	}
	b.Run().OK().Prints("0\n0\n5")
}

// Without --root the state is in $XDG_RUNTIME_DIR, for the user's eyes only, and sticky, so that cleaners spare it.
func TestRootlessDefaultRoot(t *testing.T) {
	t.Parallel()
	b := rootless(t)
	b.WriteConfig()
	name := "rt"
	if !rttest.IsRT(t) {
		name = "runc"
	}
	runtimeDir := filepath.Join(filepath.Dir(b.Dir), name)
	plain := func(args ...string) *rttest.Result {
		return rttest.Exec(t, b.Every, append([]string{rttest.Runtime(t)}, args...)...)
	}
	plain("list", "-q").OK().Prints("")
	plain("run", "--bundle", b.Dir, b.ID).OK()
	info, err := os.Stat(runtimeDir)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeDir|os.ModeSticky|0o700 {
		t.Errorf("%s is %v", runtimeDir, info.Mode())
	}
	if !rttest.IsRT(t) {
		return
	}
	user := b.Every
	b.Every = func(cmd *exec.Cmd) {
		user(cmd)
		cmd.Env = append(cmd.Env, "XDG_RUNTIME_DIR=")
	}
	plain("run", "--bundle", b.Dir, b.ID).Fails("/run/rt", "permission denied", "set XDG_RUNTIME_DIR")
}

// --rootless says whether a container may be without a cgroup that we have no access to; auto asks who we are.
func TestRootlessFlag(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	for flag, works := range map[string]bool{"true": true, "auto": true, "false": false} {
		b := rootless(t)
		b.Flags = []string{"--rootless", flag}
		if res := b.Run(); works != (res.Code == 0) {
			t.Errorf("--rootless %s: %s", flag, res)
		} else if !works && rttest.IsRT(t) && !strings.Contains(res.Stderr, "permission denied") {
			t.Errorf("--rootless %s: %s", flag, res)
		}
		b.CheckGone()
	}
	b := rttest.New(t).Sh("cat /proc/self/cgroup")
	b.Flags = []string{"--rootless", "true"} // a root with access has its cgroup all the same
	if res := b.Run().OK(); !strings.Contains(res.Stdout, b.Spec.Linux.CgroupsPath) {
		t.Errorf("%s", res)
	}
}

// What spec --rootless writes runs for whom it was written: a user, and root of a user namespace.
func TestRootlessSpec(t *testing.T) {
	t.Parallel()
	for name, prefix := range map[string][]string{"a user": nil, "root of a user namespace": {"unshare", "-r"}} {
		t.Run(name, func(t *testing.T) {
			rttest.Need(t, rttest.Command("unshare"))
			b := rootless(t)
			script := `set -e
				"$0" "$@" spec --rootless --bundle BUNDLE
				sed -i 's/"terminal": true/"terminal": false/; s/"sh"$/"sleep", "1000"/' BUNDLE/config.json
				"$0" "$@" run --detach --bundle BUNDLE ID </dev/null >/dev/null
				"$0" "$@" exec ID id -u
				"$0" "$@" exec ID sh -c 'tr -s " " </proc/self/uid_map'
				"$0" "$@" list --quiet
				"$0" "$@" kill ID KILL
				"$0" "$@" delete --force ID
				"$0" "$@" list --quiet`
			script = strings.NewReplacer("BUNDLE", b.Dir, "ID", b.ID).Replace(script)
			line := append(append(prefix, "sh", "-c", script), b.Command()...)
			hostID := "0"
			if prefix == nil {
				hostID = fmt.Sprint(anOrdinaryUser)
			}
			rttest.Exec(t, b.Every, line...).OK().Prints("0\n 0 " + hostID + " 1\n" + b.ID)
		})
	}
}

// Limits need a cgroup, which an ordinary user does not have on v1: to go without them silently would be less than was asked.
func TestRootlessLimitsAreRefused(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	b := rootless(t)
	limit := int64(64 << 20)
	b.Spec.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	b.Run().Fails()
}

// delegated makes a cgroup that belongs to an ordinary user, and has the bundle's commands run in it, as a login manager
// would: in "session", beside which the user's containers come to lie.
func delegated(t *testing.T, b *rttest.Bundle) (dir string) {
	t.Helper()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("memory"), rttest.Controller("pids"), rttest.Controller("cpu"))
	dir = rttest.CgroupDir(t, "", rttest.CgroupParent()+"-user-"+b.ID)
	for _, d := range []string{dir, dir + "/session"} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = os.Remove(d) })
		for _, f := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
			if err := os.Chown(filepath.Join(d, f), anOrdinaryUser, anOrdinaryUser); err != nil {
				t.Fatal(err)
			}
		}
		if d == dir {
			for _, controller := range []string{"+memory", "+pids", "+cpu"} {
				write(t, filepath.Join(filepath.Dir(dir), "cgroup.subtree_control"), controller)
			}
		}
	}
	session, err := os.Open(dir + "/session")
	if err != nil {
		t.Fatal(err)
	}
	asUser := b.Every
	t.Cleanup(func() { b.Every = asUser; _ = session.Close() })
	b.Every = func(cmd *exec.Cmd) {
		asUser(cmd)
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(session.Fd())
	}
	return dir
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0); err != nil {
		t.Fatal(err)
	}
}

// Where a cgroup has been delegated to the user, a container's whole life works, limits and all.
func TestRootlessCgroupDelegated(t *testing.T) {
	t.Parallel()
	b := rootless(t).Sh("cat /proc/self/cgroup; exec sleep 1000")
	outside := b.Every
	dir := delegated(t, b)
	b.Spec.Linux.Resources = &specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}, Pids: &specs.LinuxPids{Limit: ptr(int64(30))}, CPU: &specs.LinuxCPU{Quota: ptr(int64(50000))},
	}
	b.RunDetached().OK()
	wantFiles(t, dir+"/"+b.ID, "memory.max=67108864 pids.max=30 cpu.max=50000_100000")
	b.RT("exec", b.ID, "cat", "/proc/self/cgroup").OK().Prints("0::/" + filepath.Base(dir) + "/" + b.ID)
	rootlessLife(t, b, b.RT)
	wantFiles(t, dir+"/"+b.ID, "memory.max=134217728 pids.max=20 cpu.max=50000_100000")
	// From outside of what was delegated the kernel lets nobody in: an error, not a process without limits.
	if rttest.IsRT(t) {
		inside := b.Every
		b.Every = outside
		b.RT("exec", b.ID, "true").Exits(255)
		b.Every = inside
	}
	pid := b.Pid()
	b.Kill("KILL").OK()
	b.Wait(pid)
	b.Delete().OK()
	b.CheckGone()
}

// rootlessLife is what a user does with a running container that sleeps; as runs the runtime as the user.
func rootlessLife(t *testing.T, b *rttest.Bundle, as func(...string) *rttest.Result) {
	t.Helper()
	status := func() string {
		var s rttest.State
		if err := json.Unmarshal([]byte(as("state", b.ID).OK().Stdout), &s); err != nil {
			t.Fatal(err)
		}
		return s.Status
	}
	as("pause", b.ID).OK()
	if got := status(); got != "paused" {
		t.Errorf("status %s, want paused", got)
	}
	as("exec", b.ID, "true").Exits(255)
	as("resume", b.ID).OK()
	as("update", "--memory", "128m", "--pids-limit", "20", b.ID).OK()
	var pids []int
	if err := json.Unmarshal([]byte(as("ps", "--format", "json", b.ID).OK().Stdout), &pids); err != nil || len(pids) != 1 {
		t.Errorf("ps: %v, %v", pids, err)
	}
	var event struct {
		Data struct {
			Memory struct{ Usage struct{ Limit, Usage uint64 } }
		}
	}
	res := as("events", "--stats", b.ID).OK()
	if err := json.Unmarshal([]byte(res.Stdout), &event); err != nil || event.Data.Memory.Usage.Limit != 128<<20 || event.Data.Memory.Usage.Usage == 0 {
		t.Errorf("events: %v: %s", err, res)
	}
	if got := status(); got != "running" {
		t.Errorf("status %s, want running", got)
	}
}

// wantFiles compares files of a cgroup; an underscore stands for a space.
func wantFiles(t *testing.T, dir, files string) {
	t.Helper()
	for _, f := range strings.Fields(files) {
		file, want, _ := strings.Cut(strings.ReplaceAll(f, "_", " "), "=")
		if got := strings.TrimSpace(read(t, filepath.Join(dir, file))); got != want {
			t.Errorf("%s is %q, want %q", file, got, want)
		}
	}
}

// Ranges of ids are mapped by the setuid helpers, by what /etc/subuid and /etc/subgid grant.
func TestRootlessIDRanges(t *testing.T) {
	rttest.Need(t, rttest.Command("newuidmap"))
	rttest.OnlyRT(t, "needs files in /etc of the test's own, which its sandbox does not have for peers")
	for _, f := range []string{"/etc/subuid", "/etc/subgid", "/etc/passwd"} {
		grantIn(t, f)
	}
	b := rootless(t)
	b.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: anOrdinaryUser, Size: 1}, {ContainerID: 1, HostID: 700000, Size: 1000}}
	b.Spec.Linux.GIDMappings = b.Spec.Linux.UIDMappings
	b.Spec.Process.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}}
	b.Sh("id -u; id -G; cat /proc/self/setgroups").Run().OK().Prints("5\n6 7\nallow")
	b.Args("sleep", "1000").RunDetached().OK()
	b.RT("exec", "--user", "9:10", "--additional-gids", "11", b.ID, "sh", "-c", "id -u; id -G").OK().Prints("9\n10 7 11")
	b.RT("exec", "--user", "1001", b.ID, "true").Exits(255)
	others := rootless(t)
	others.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 800000, Size: 1000}}
	others.Spec.Linux.GIDMappings = others.Spec.Linux.UIDMappings
	others.Run().FailsNaming("linux.uidMappings", "newuidmap", "800000", "not allowed")
	others.CheckGone()
	t.Setenv("PATH", "/nonexistent")
	others.Run().FailsNaming("linux.uidMappings", "newuidmap", "not found")
	others.CheckGone()
}

// grantIn covers a file of /etc with a copy that knows the user; the test binary has a mount namespace of its own.
func grantIn(t *testing.T, file string) {
	t.Helper()
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%d:700000:1000\n", anOrdinaryUser)
	if file == "/etc/passwd" {
		line = fmt.Sprintf("somebody:x:%d:%d::/:/bin/sh\n", anOrdinaryUser, anOrdinaryUser)
	}
	covered := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(covered, append(old, line...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(covered, file, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(file, syscall.MNT_DETACH) })
}
