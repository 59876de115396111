package integration

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// What a process finds where exec takes it: init's namespaces, root, cgroup and filter, and no more rights than it should have.

const listNamespaces = "for n in /proc/self/ns/*; do echo $(basename $n) $(readlink $n); done"

// initNamespaces is what listNamespaces would print in init.
func initNamespaces(t *testing.T, pid int) string {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/ns", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, e := range entries {
		fmt.Fprintln(&text, e.Name(), rttest.NsInode(t, pid, e.Name()))
	}
	return text.String()
}

func TestExecNamespaces(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(b *rttest.Bundle){
		"usual":      func(*rttest.Bundle) {},
		"cgroup":     func(b *rttest.Bundle) { b.Join(specs.CgroupNamespace, "") },
		"time":       func(b *rttest.Bundle) { b.Join(specs.TimeNamespace, "") },
		"user":       func(b *rttest.Bundle) { b.MapIDs(100000, 65536) },
		"all":        func(b *rttest.Bundle) { b.MapIDs(100000, 65536).Join("cgroup", "").Join("time", "") },
		"shared pid": func(b *rttest.Bundle) { b.Drop("pid") },
		"mount only": func(b *rttest.Bundle) { b.Drop("pid", "ipc", "network", "uts"); b.Spec.Hostname = "" },
		"joined by pid": func(b *rttest.Bundle) {
			b.Join("network", "/proc/self/ns/net").Join("uts", "")
			b.Spec.Mounts = b.Spec.Mounts[:5]
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := sleeping(t, edit)
			pid := b.Pid()
			execIn(b, "", "sh", "-c", listNamespaces).OK().Prints(strings.TrimSpace(initNamespaces(t, pid)))
			execIn(b, "", "cat", "/proc/self/mountinfo").OK().Prints(strings.TrimSpace(rttest.ProcFile(t, pid, "mountinfo")))
			cgroup := rttest.ProcFile(t, pid, "cgroup")
			if !strings.Contains(name, "cgroup") && name != "all" {
				execIn(b, "", "cat", "/proc/self/cgroup").OK().Prints(strings.TrimSpace(cgroup))
			}
		})
	}
}

// Ids in a user namespace are its own, and everything joined belongs to it.
func TestExecInAUserNamespace(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.MapIDs(100000, 65536) })
	s := execStatus(b, "--user 1000:1000")
	wantFields(t, s, map[string]string{"Uid": "1000 1000 1000 1000", "Gid": "1000 1000 1000 1000", "Groups": "", "CapEff": capsNone})
	wantFields(t, execStatus(b, ""), map[string]string{"Uid": "0 0 0 0", "CapEff": capsDefault})
	execIn(b, "", "sh", "-c", "hostname renamed && hostname").Exits(1) // CAP_SYS_ADMIN is not in the set
	execIn(b, "--cap CAP_SYS_ADMIN", "sh", "-c", "hostname renamed && hostname").OK().Prints("renamed")
	refused(t, execIn(b, "--user 70000", "true"))
	file := filepath.Join(b.Mkdir("pids"), "pid")
	execIn(b, "--detach --pid-file "+file, "sleep", "1000").OK()
	pid, _ := strconv.Atoi(read(t, file))
	if uid := rttest.Status(rttest.ProcFile(t, pid, "status"))["Uid"]; !strings.HasPrefix(uid, "100000 ") {
		t.Errorf("its uid on the host is %s", uid)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	b.Wait(pid)
}

// Where cgroup namespaces are boundaries, as systemd mounts cgroup2, nobody goes from a cgroup outside of his own into one.
func TestExecIntoACgroupNamespace(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Unified)
	for name, edit := range map[string]func(b *rttest.Bundle){
		"cgroup":          func(b *rttest.Bundle) { b.Join(specs.CgroupNamespace, "") },
		"cgroup and user": func(b *rttest.Bundle) { b.MapIDs(100000, 65536).Join(specs.CgroupNamespace, "") },
	} {
		t.Run(name, func(t *testing.T) {
			b := sleeping(t, edit)
			execIn(b, "", "sh", "-c", "readlink /proc/self/ns/cgroup; grep ^0: /proc/self/cgroup").OK().
				Prints(rttest.NsInode(t, b.Pid(), "cgroup") + "\n0::/")
		})
	}
}

// The same for a container: it has a cgroup of its own, outside of the namespace that it joins.
func TestJoinedCgroupNamespace(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Unified)
	first := sleeping(t, func(b *rttest.Bundle) { b.Join(specs.CgroupNamespace, "") })
	namespace := fmt.Sprintf("/proc/%d/ns/cgroup", first.Pid())
	second := sleeping(t, func(b *rttest.Bundle) { b.Join(specs.CgroupNamespace, namespace) })
	if mine, others := rttest.ProcFile(t, second.Pid(), "cgroup"), rttest.ProcFile(t, first.Pid(), "cgroup"); mine == others {
		t.Errorf("both are in %q", mine)
	}
	execIn(second, "", "readlink", "/proc/self/ns/cgroup").OK().Prints(rttest.NsInode(t, first.Pid(), "cgroup"))
}

// An init that moved itself into a sub-cgroup, as systemd does, takes who joins it along (runc 2356, 5101: EBUSY).
func TestExecFollowsInitToItsCgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "the cgroup where init is now, on v1 too")
	b := sleeping(t, nil)
	for _, controller := range []string{"devices", ""} {
		if controller != "" || rttest.Unified() == "" {
			moveToSubCgroup(t, b, controller, b.Pid())
		}
	}
	execIn(b, "", "cat", "/proc/self/cgroup").OK().Prints(strings.TrimSpace(rttest.ProcFile(t, b.Pid(), "cgroup")))
}

func TestExecCgroup(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1, rttest.Controller("devices"), rttest.Controller("memory"))
	b := sleeping(t, nil)
	path := b.Spec.Linux.CgroupsPath
	for _, controller := range []string{"devices", "memory"} {
		if err := os.Mkdir(filepath.Join(rttest.CgroupDir(t, controller, path), "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	own := strings.TrimSpace(rttest.ProcFile(t, b.Pid(), "cgroup"))
	for flags, edit := range map[string]func(string) string{
		"--cgroup devices:sub": func(c string) string { return strings.Replace(c, ":devices:"+path, ":devices:"+path+"/sub", 1) },
		"--cgroup devices:/sub --cgroup memory:sub": func(c string) string {
			return strings.NewReplacer(":devices:"+path, ":devices:"+path+"/sub", ":memory:"+path, ":memory:"+path+"/sub").Replace(c)
		},
		"--cgroup devices,memory:sub": func(c string) string {
			return strings.NewReplacer(":devices:"+path, ":devices:"+path+"/sub", ":memory:"+path, ":memory:"+path+"/sub").Replace(c)
		},
		"--cgroup /": func(c string) string { return c },
	} {
		execIn(b, flags, "cat", "/proc/self/cgroup").OK().Prints(edit(own))
	}
	refused(t, execIn(b, "--cgroup nosuch", "true"), "nosuch", "no such file or directory")
	refused(t, execIn(b, "--cgroup nosuch:sub", "true"), "nosuch")
	refused(t, execIn(b, "--cgroup ../..", "true"))
	refused(t, execIn(b, "--cgroup devices:../..", "true"))
	if rttest.IsRT(t) {
		refused(t, execIn(b, "--cgroup nosuch", "true"), "exec "+b.ID+": --cgroup: ")
		refused(t, execIn(b, "--cgroup devices:sub --cgroup devices:/", "true"), "devices")
		refused(t, execIn(b, "--cgroup devices,:sub", "true"), "empty controller")
	}
}

// --cgroup with a path alone is for every hierarchy.
func TestExecCgroupInEveryHierarchy(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	path := b.Spec.Linux.CgroupsPath
	own := strings.TrimSpace(rttest.ProcFile(t, b.Pid(), "cgroup"))
	for line := range strings.Lines(own) {
		controller, _, _ := strings.Cut(strings.SplitN(line, ":", 3)[1], ",")
		if !strings.HasSuffix(strings.TrimSpace(line), ":"+path) {
			continue // a hierarchy that is mounted elsewhere on the machine only
		}
		if err := os.MkdirAll(filepath.Join(rttest.CgroupDir(t, controller, path), "sub"), 0o755); err != nil {
			t.Fatal(err)
		}
		cpuset := filepath.Join(rttest.CgroupDir(t, controller, path), "sub", "cpuset.")
		for _, file := range []string{"cpus", "mems"} { // an empty v1 cpuset takes nobody
			if data, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(cpuset)), "cpuset."+file)); controller == "cpuset" && err == nil {
				_ = os.WriteFile(cpuset+file, data, 0)
			}
		}
	}
	execIn(b, "--cgroup sub", "cat", "/proc/self/cgroup").OK().Prints(strings.TrimSpace(strings.ReplaceAll(own+"\n", ":"+path+"\n", ":"+path+"/sub\n")))
}

func TestExecUnderTheFilter(t *testing.T) {
	t.Parallel()
	for _, nnp := range []bool{true, false} {
		b := sleeping(t, func(b *rttest.Bundle) {
			b.AddProbe()
			b.Spec.Process.NoNewPrivileges = nnp
			b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "getpid"))
		})
		execIn(b, "", "probe", "syscall", fmt.Sprint(sysGetpid)).OK().Prints("-1 1")
		wantFields(t, execStatus(b, ""), map[string]string{"Seccomp": "2", "Seccomp_filters": "1", "CapEff": capsDefault})
		if !rttest.IsRT(t) {
			continue
		}
		b.Spec.Linux.Seccomp = nil // an edited bundle frees nobody
		b.WriteConfig()
		execIn(b, "", "probe", "syscall", fmt.Sprint(sysGetpid)).OK().Prints("-1 1")
		filter := filepath.Join(b.Root, b.ID, "seccomp.bpf")
		data := read(t, filter)
		for _, damaged := range []string{data[:len(data)-3], data[:8], ""} {
			if err := os.WriteFile(filter, []byte(damaged), 0o600); err != nil {
				t.Fatal(err)
			}
			refused(t, execIn(b, "", "true"), "seccomp.bpf")
		}
		if err := os.Remove(filter); err != nil {
			t.Fatal(err)
		}
		refused(t, execIn(b, "", "true"), "seccomp.bpf")
	}
}

func TestExecSeesMaskedPaths(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	execIn(b, "", "sh", "-c", "cat /proc/kcore | wc -c; ls /proc/acpi | wc -l; echo 1 > /proc/sys/kernel/panic || echo refused").OK().Prints("0\n0\nrefused")
}

func TestExecKeyring(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.AddProbe() })
	if text := execIn(b, "", "probe", "keyring").OK().Stdout; !strings.Contains(text, "_ses."+b.ID) {
		t.Errorf("session keyring %q, want the container's", text)
	}
}

// A container that was left with its caller's keyring has no other for those who join it.
func TestExecMakesNoKeyringUnasked(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("sleep", "1000")
	b.RunDetached("--no-new-keyring").OK()
	if text := execIn(b, "", "probe", "keyring").OK().Stdout; strings.Contains(text, b.ID) {
		t.Errorf("session keyring %q, want the caller's", text)
	}
}

// CVE-2016-9962: from the moment it joins until its program runs, what joins cannot be opened by who is there already.
func TestExecIsOutOfReachWhileJoining(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(b *rttest.Bundle){
		"default capabilities": func(*rttest.Bundle) {},
		"user namespace with every capability": func(b *rttest.Bundle) {
			b.MapIDs(100000, 65536)
			all := rttest.AllCaps()
			b.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).AddProbe().Args("probe", "hunt", "rt:stage")
			edit(b)
			b.RunDetached().OK()
			rttest.Eventually(t, "it hunts", func() bool { return strings.Contains(b.Output(), "hunting\n") })
			for range 60 {
				execIn(b, "", "true").OK()
				execIn(b, "--user 1000:1000", "true").OK()
			}
			b.Kill("TERM").OK()
			rttest.Eventually(t, "it says what it saw", func() bool { return strings.Contains(b.Output(), "seen ") })
			if strings.Contains(b.Output(), "opened") {
				t.Errorf("the container got at a process that was joining:\n%s", b.Output())
			}
			if rttest.IsRT(t) && strings.Contains(b.Output(), "seen 0\n") {
				t.Errorf("it saw none of them: %s", b.Output())
			}
		})
	}
}

// CVE-2019-5736: a program that is the runtime itself finds a binary that nobody can write to.
func TestExecOfTheRuntimeItself(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.AddProbe() })
	before := sha256.Sum256([]byte(read(t, rttest.Runtime(t))))
	b.WriteFile("rootfs/bin/self", "#!/proc/self/exe\n")
	if err := os.Chmod(b.InRootfs("bin/self"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"/proc/self/exe", "/bin/self"} {
		execIn(b, "", program) // whatever comes of it
	}
	execIn(b, "", "sh", "-c", "for p in /proc/[0-9]*/exe; do echo x >$p; done")
	if after := sha256.Sum256([]byte(read(t, rttest.Runtime(t)))); after != before {
		t.Fatal("the runtime's binary was changed")
	}
}

// A container with hardly any memory still takes a command, or says that there is none left.
func TestExecWithLittleMemory(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "512 KiB are enough for its making")
	limit := int64(512 << 10)
	b := sleeping(t, func(b *rttest.Bundle) { b.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &limit} })
	for range 5 {
		if res := execIn(b, "", "true"); res.Code != 0 && res.Code != 128+9 && (res.Code != 255 || !strings.Contains(res.Stderr, "memory")) {
			t.Errorf("%s", res)
		}
	}
	if s := b.State(); s.Status != "running" {
		t.Errorf("init did not survive: %+v", s)
	}
}

// A filter that notifies an agent does so for an exec'd process too, which is told apart from init.
func TestExecUnderANotifyingFilter(t *testing.T) {
	t.Parallel()
	socket := rttest.ListenFD(t)
	b := rttest.New(t).AddProbe().Args("sleep", "1000")
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActNotify, "mkdir"))
	b.Spec.Linux.Seccomp.ListenerPath = socket.Path
	b.Spec.Linux.Seccomp.ListenerMetadata = "meta"
	b.Create().OK()
	started := rttest.Async(b.Start)
	first, _ := socket.Receive()
	started().OK()
	first.Close()
	init := b.Pid()
	file := filepath.Join(b.Mkdir("pids"), "pid")
	done := rttest.Async(func() *rttest.Result {
		return execIn(b, "--pid-file "+file, "probe", "syscall", fmt.Sprint(sysMkdir), "0")
	})
	listener, payload := socket.Receive()
	listener.Close() // nobody answers: ENOSYS
	done().OK().Prints(fmt.Sprintf("-1 %d", unix.ENOSYS))
	var state specs.ContainerProcessState
	if err := json.Unmarshal([]byte(payload), &state); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	if own := read(t, file); strconv.Itoa(state.Pid) != own || state.State.Pid != init || state.State.Status != specs.StateRunning || state.Metadata != "meta" {
		t.Errorf("the agent was told %+v of process %s; init is %d", state, own, init)
	}
}

func TestExecWithoutACgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--cgroup-manager=disabled")
	b := rttest.New(t).Args("sleep", "1000")
	b.Flags = []string{"--cgroup-manager=disabled"}
	b.RunDetached().OK()
	b.Flags = nil // the container knows
	own := strings.TrimSpace(rttest.ProcFile(t, os.Getpid(), "cgroup"))
	execIn(b, "", "cat", "/proc/self/cgroup").OK().Prints(own)
	refused(t, execIn(b, "--cgroup devices:x", "true"), "no cgroup")
	b.Kill("KILL").OK()
}

// rt exec that waits for a paused container can be interrupted.
func TestExecInterruptedWhilePaused(t *testing.T) { // not parallel, see onlyInitIsLeft
	rttest.OnlyRT(t, "an end of the wait")
	b := sleeping(t, nil)
	b.RT("pause", b.ID).OK()
	res := execWith(b, func(cmd *exec.Cmd) {
		go func() {
			time.Sleep(300 * time.Millisecond)
			_ = cmd.Process.Signal(unix.SIGTERM)
		}()
	}, "--ignore-paused", "true")
	if res.Code == 0 {
		t.Errorf("%s", res)
	}
	b.RT("resume", b.ID).OK()
	onlyInitIsLeft(t, b)
}
