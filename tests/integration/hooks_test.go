package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// hookKinds in the order in which they run.
var hookKinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// hooksOf is the list of one kind, to append to.
func hooksOf(b *rttest.Bundle, kind string) *[]specs.Hook {
	if b.Spec.Hooks == nil {
		b.Spec.Hooks = &specs.Hooks{}
	}
	h := b.Spec.Hooks
	return map[string]*[]specs.Hook{
		"prestart": &h.Prestart, "createRuntime": &h.CreateRuntime, "createContainer": &h.CreateContainer,
		"startContainer": &h.StartContainer, "poststart": &h.Poststart, "poststop": &h.Poststop,
	}[kind]
}

// addHook appends a hook that runs a shell script. startContainer ones run in the container, with its shell.
func addHook(b *rttest.Bundle, kind, script string) *specs.Hook {
	list := hooksOf(b, kind)
	*list = append(*list, specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", script}})
	return &(*list)[len(*list)-1]
}

// hookFile is where the hook of a kind can write, seen from the hook and from here.
func hookFile(b *rttest.Bundle, kind, name string) (inside, outside string) {
	outside = b.InRootfs(name)
	if kind == "startContainer" {
		return "/" + name, outside
	}
	return outside, outside
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// loggingHooks adds two hooks of each kind that append to one log in the rootfs.
func loggingHooks(b *rttest.Bundle) {
	for _, kind := range hookKinds {
		log, _ := hookFile(b, kind, "log")
		for _, n := range []string{"1", "2"} {
			addHook(b, kind, "echo "+kind+n+" >> "+log)
		}
	}
}

func TestHookOrder(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo process >> /log; sleep 1000")
	loggingHooks(b)
	logged := func() string {
		words := strings.Fields(read(t, b.InRootfs("log")))
		if !rttest.IsRT(t) { // runc 1.5 runs poststart at the end of create
			words = without(without(words, "poststart1"), "poststart2")
		}
		return strings.Join(words, " ")
	}
	b.Create().OK()
	created := "prestart1 prestart2 createRuntime1 createRuntime2 createContainer1 createContainer2"
	if got := logged(); got != created {
		t.Errorf("after create: %s", got)
	}
	pid := b.Pid()
	b.Start().OK()
	rttest.Eventually(t, "the process runs", func() bool { return strings.Contains(logged(), "process") })
	got := strings.TrimPrefix(logged(), created+" startContainer1 startContainer2 ")
	// The process and the poststart hooks run side by side; after start all have run.
	if want := "poststart1 poststart2"; rttest.IsRT(t) && strings.Join(without(strings.Fields(got), "process"), " ") != want {
		t.Errorf("after start: %q, want process and %q", got, want)
	}
	b.Kill("KILL").OK()
	b.Wait(pid)
	if strings.Contains(logged(), "poststop") {
		t.Error("poststop ran before delete")
	}
	b.Delete().OK()
	if got := logged(); !strings.HasSuffix(got, "poststop1 poststop2") {
		t.Errorf("after delete: %q", got)
	}
}

// Poststart hooks run after the user's program does (runc 4347).
func TestPoststartHookRunsAfterTheProcess(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "poststart after execve")
	b := rttest.New(t).Args("sleep", "1000")
	_, out := hookFile(b, "poststart", "comm")
	addHook(b, "poststart", `pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/'); cat /proc/$pid/comm > `+out)
	b.RunDetached().OK()
	if comm := strings.TrimSpace(read(t, out)); comm != "sleep" {
		t.Errorf("the hook saw %q run", comm)
	}
}

func TestHookGetsTheState(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Annotations = map[string]string{"a.key": "a value"}
	status := map[string]string{
		"prestart": "created", "createRuntime": "creat", "createContainer": "creat", // hooks_stdin of the OCI's suite, and crun
		"startContainer": "created", "poststart": "running", "poststop": "stopped",
	}
	if !rttest.IsRT(t) {
		status["prestart"] = "creating"
		status["poststart"] = "" // runc 1.5 runs it at the end of create
	}
	for _, kind := range hookKinds {
		inside, _ := hookFile(b, kind, kind+".json")
		addHook(b, kind, "cat > "+inside)
	}
	b.Args("sleep", "1000").Create().OK()
	pid := b.Pid()
	b.Start().OK()
	b.Delete("--force").OK()
	for _, kind := range hookKinds {
		_, outside := hookFile(b, kind, kind+".json")
		var s rttest.State
		if err := json.Unmarshal([]byte(read(t, outside)), &s); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if s.ID != b.ID || s.Bundle != b.Dir || s.OCIVersion == "" || s.Annotations["a.key"] != "a value" || !strings.HasPrefix(s.Status, status[kind]) {
			t.Errorf("%s got %+v", kind, s)
		}
		wantPid := pid
		switch kind {
		case "poststop":
			wantPid = 0
		case "createContainer", "startContainer":
			wantPid = 1 // as the container's own namespace has it
		}
		if s.Pid != wantPid {
			t.Errorf("%s got pid %d, want %d", kind, s.Pid, wantPid)
		}
	}
}

// Runtime hooks run in the runtime's namespaces, container hooks in the container's: before and after the root changes.
func TestHookNamespaces(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	for _, kind := range hookKinds {
		inside, _ := hookFile(b, kind, kind+".ns")
		addHook(b, kind, "for n in mnt net uts; do readlink /proc/self/ns/$n; done > "+inside+"; ls -d /bin/sh /proc/1 >> "+inside)
	}
	b.RunDetached().OK()
	pid := b.Pid()
	container := namespacesOf(t, pid)
	b.Delete("--force").OK()
	own := namespacesOf(t, "self")
	for _, kind := range hookKinds {
		_, outside := hookFile(b, kind, kind+".ns")
		want := own
		if strings.HasSuffix(kind, "Container") {
			want = container
		}
		if got := read(t, outside); !strings.HasPrefix(got, want) {
			t.Errorf("%s ran in %q, want %q", kind, got, want)
		}
	}
}

func namespacesOf(t *testing.T, pid any) string {
	t.Helper()
	return rttest.NsInode(t, pid, "mnt") + "\n" + rttest.NsInode(t, pid, "net") + "\n" + rttest.NsInode(t, pid, "uts") + "\n"
}

// Hooks get only the environment they ask for, and their arguments as they are.
// A hook's program is the host's, also where it runs in the container's namespaces; that of startContainer is the container's.
func TestHookPathsResolve(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds {
		t.Run(kind, func(t *testing.T) {
			b := rttest.New(t)
			inside, outside := hookFile(b, kind, "ran")
			theirs, program := b.WriteFile("hook", "#!/bin/sh\ncat >&2; echo right > "+inside+"\n"), "/hook"
			other := b.WriteFile("rootfs"+theirs, "#!/bin/sh\necho wrong > "+inside+"\n") // the same path, of the other side
			if kind == "startContainer" {
				theirs, other = b.WriteFile("rootfs"+program, strings.ReplaceAll(read(t, theirs), inside, "/ran")), theirs
			} else {
				program = theirs
			}
			for _, file := range []string{theirs, other} {
				if err := os.Chmod(file, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			*hooksOf(b, kind) = []specs.Hook{{Path: program}}
			b.Run().OK()
			if got := read(t, outside); got != "right\n" {
				t.Errorf("it ran %q", got)
			}
		})
	}
}

func TestHookEnvironmentAndArguments(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds {
		t.Run(kind, func(t *testing.T) {
			b := rttest.New(t)
			inside, outside := hookFile(b, kind, "out")
			h := addHook(b, kind, "echo \"$0:$1:$2:$ONLY:$HOME\" > "+inside)
			h.Args = append(h.Args, "zero", "one", "two words")
			h.Env = []string{"ONLY=this", "PATH=/bin:/usr/bin"}
			b.Run().OK()
			if got := read(t, outside); got != "zero:one:two words:this:\n" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// HOME comes from the image's passwd, also for hooks of the start, and for the program although the start has hooks.
func TestHomeBesideAStartContainerHook(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo $HOME; cat /out")
	addHook(b, "startContainer", "echo $HOME > /out")
	b.Create().OK()
	if out, _ := b.Finish(); out != "/root\n/root\n" {
		t.Errorf("HOME is %q", out)
	}
	b.Delete().OK()
	b.Run().OK().Prints("/root\n/root")
}

// A createContainer hook starts in the root filesystem, and what it makes is not for everybody to write.
func TestCreateContainerHookUmaskAndDirectory(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	out := b.InRootfs("out")
	addHook(b, "createContainer", "{ umask; pwd; } > "+out)
	b.Run().OK()
	if got := read(t, out); got != "0022\n"+b.InRootfs()+"\n" {
		t.Errorf("got %q", got)
	}
}

// The mounts of the config are there when createContainer hooks run, but the root is still the host's.
func TestCreateContainerHookSeesTheMounts(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	out := b.InRootfs("out")
	addHook(b, "createContainer", "cat "+b.InRootfs("volume/file")+" > "+out)
	b.WriteFile("volume/file", "mounted\n")
	b.Mount(bind("volume", "/volume", "bind"))
	b.Run().OK()
	if got := read(t, out); got != "mounted\n" {
		t.Errorf("got %q", got)
	}
}

// What a createContainer hook mounts into the root filesystem is in the container: GPU hooks do that.
func TestCreateContainerHookMayMount(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /injected/file")
	b.WriteFile("volume/file", "injected\n")
	b.Mkdir("rootfs/injected")
	addHook(b, "createContainer", "mount --bind "+b.Dir+"/volume "+b.InRootfs("injected"))
	b.Run().OK().Prints("injected")
}

// A runtime hook gets the network namespace ready by the pid it is told, before the program runs.
func TestCreateRuntimeHookReachesTheContainer(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Command("nsenter"))
	b := rttest.New(t).Sh("cat /proc/sys/net/ipv4/conf/lo/forwarding")
	addHook(b, "createRuntime", `pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/'); nsenter -t $pid -n sh -c 'echo 1 > /proc/sys/net/ipv4/conf/lo/forwarding'`)
	b.Run().OK().Prints("1")
}

// A failing hook is an error up to poststart, with what the hook said; the container is killed and gone.
func TestHookFailure(t *testing.T) {
	t.Parallel()
	for _, kind := range hookKinds {
		t.Run(kind, func(t *testing.T) {
			b := rttest.New(t)
			addHook(b, kind, "echo out; echo complaint >&2; exit 3")
			res := b.Run()
			if kind == "poststop" { // too late to undo anything: a warning
				if rttest.IsRT(t) && (res.Code != 0 || !strings.Contains(res.Stderr, "complaint")) {
					t.Errorf("want a warning: %s", res)
				}
				return
			}
			if !strings.Contains(res.Stderr, kind) || !strings.Contains(res.Stderr, "complaint") {
				t.Errorf("the error does not name the hook and what it said: %s", res)
			}
			runFailed(t, res)
			b.CheckGone()
		})
	}
}

// runFailed: 1 is the status of an error, but runc passes on the 255 of its init when that fails late.
func runFailed(t *testing.T, res *rttest.Result) {
	t.Helper()
	if res.Code != 1 && (rttest.IsRT(t) || res.Code != 255) {
		t.Errorf("want an error: %s", res)
	}
}

func TestHookFailureAtStart(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "hooks of start fail start")
	for _, kind := range []string{"startContainer", "poststart"} {
		t.Run(kind, func(t *testing.T) {
			b := rttest.New(t).Args("sleep", "1000")
			addHook(b, kind, "echo complaint >&2; exit 3")
			b.Create().OK()
			pid := b.Pid()
			b.Start().Exits(1)
			b.Wait(pid)
			if s := b.State(); s.Status != "stopped" {
				t.Errorf("state %+v", s)
			}
		})
	}
}

// A later hook does not run after one has failed; poststop hooks all run, and those of a failed create too.
func TestHooksAfterAFailure(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	log := b.InRootfs("log")
	addHook(b, "createRuntime", "echo 1 >> "+log)
	addHook(b, "createRuntime", "exit 1")
	addHook(b, "createRuntime", "echo 3 >> "+log)
	addHook(b, "poststop", "echo stop1 >> "+log+"; exit 1")
	addHook(b, "poststop", "echo stop2 >> "+log)
	b.Create().Fails()
	b.CheckGone()
	if got := strings.ReplaceAll(read(t, log), "\n", " "); !strings.HasPrefix(got, "1 ") || strings.Contains(got, "3") {
		t.Errorf("log %q", got)
	}
}

func TestHookTimeout(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"prestart", "createRuntime", "createContainer", "startContainer"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := rttest.New(t)
			one := 1
			addHook(b, kind, "exec sleep 1000").Timeout = &one
			begun := time.Now()
			res := b.Run()
			runFailed(t, res)
			if !strings.Contains(res.Stderr, kind) {
				t.Errorf("the error does not name the hook: %s", res)
			}
			if d := time.Since(begun); d > 10*time.Second {
				t.Errorf("the hook was let run for %v", d)
			}
			b.CheckGone()
		})
	}
}

// After the program has begun a hook that hangs ends the container; after its end, nothing but the wait.
func TestHookTimeoutOfTheLastKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"poststart", "poststop"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := rttest.New(t).Args("sleep", "1")
			one := 1
			addHook(b, kind, "exec sleep 1000").Timeout = &one
			begun := time.Now()
			res := b.Run()
			if !strings.Contains(res.Stderr, kind) {
				t.Errorf("nothing is said of the hook: %s", res)
			}
			if kind == "poststart" {
				runFailed(t, res)
			} else if rttest.IsRT(t) {
				res.OK()
			}
			if d := time.Since(begun); d > rttest.Stretch(10*time.Second) {
				t.Errorf("the hook was let run for %v", d)
			}
			b.CheckGone()
		})
	}
}

// A hook that leaves a process behind with its output open holds up nobody.
func TestHookThatLeavesAProcess(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "hooks are waited for, not their output")
	b := rttest.New(t)
	pidFile := b.Dir + "/sleeper"
	addHook(b, "createRuntime", "sleep 1000 & echo $! > "+pidFile)
	begun := time.Now()
	b.Run().OK()
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("run took %v", d)
	}
	var pid int
	_, _ = fmt.Sscan(read(t, pidFile), &pid)
	p, err := os.FindProcess(pid)
	if err == nil {
		_ = p.Kill()
		rttest.WaitPid(t, pid)
	}
}

func TestHookThatDoesNotReadItsStdin(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Annotations = map[string]string{"big": strings.Repeat("x", 300000)} // more than a pipe holds
	for _, kind := range hookKinds {
		addHook(b, kind, "exec < /dev/null; exit 0")
	}
	b.Run().OK()
}

func TestMissingHookProgram(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	*hooksOf(b, "createRuntime") = []specs.Hook{{Path: "/no/such/hook"}}
	b.Create().FailsNaming("hooks.createRuntime[0]", "/no/such/hook", "no such file or directory")
	b.CheckGone()
}

// rt itself makes do with one processor, coarse timers and, for a moment, no files; nothing that it starts may inherit that.
func TestHooksAreAsTheCallersProcesses(t *testing.T) {
	t.Parallel()
	const look = "grep Cpus_allowed_list /proc/self/status; cat /proc/self/timerslack_ns; ulimit -n; ulimit -Hn"
	b := rttest.New(t).Sh(look)
	b.Spec.Process.Rlimits = nil
	b.Setup = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", "ulimit -Sn 600; ulimit -Hn 700; exec \"$@\"", "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	seen := filepath.Join(b.Dir, "seen")
	hook := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", fmt.Sprintf("cat > /dev/null; (%s) > %s", look, seen)}}
	b.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{hook}}
	res := b.Run().OK()
	own, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	want := "Cpus_allowed_list:\t" + rttest.Status(string(own))["Cpus_allowed_list"] + "\n50000\n600\n700\n"
	got, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("a hook has %q, want %q", got, want)
	}
	if res.Stdout != want {
		t.Errorf("the container has %q, want %q", res.Stdout, want)
	}
}
