package hooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// shell is a hook that runs a script in which $OUT is a directory to leave
// results in.
func shell(out, script string) specs.Hook {
	return specs.Hook{
		Path: "/bin/sh", Args: []string{"sh", "-c", script},
		Env: []string{"OUT=" + out, "PATH=" + os.Getenv("PATH")},
	}
}

func state(t *testing.T) specs.State {
	return specs.State{
		Version: "1.2.0", ID: "web1", Status: specs.StateCreating, Pid: 42, Bundle: t.TempDir(),
		Annotations: map[string]string{"a.b": `x"<&>`},
	}
}

func content(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func mustRun(t *testing.T, kind string, list ...specs.Hook) {
	t.Helper()
	if err := Run(kind, list, state(t)); err != nil {
		t.Fatal(err)
	}
}

// mustFail runs one prestart hook that fails, and returns how.
func mustFail(t *testing.T, hook specs.Hook) *Error {
	t.Helper()
	err := Run("prestart", []specs.Hook{hook}, state(t))
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return failed
}

func TestStateOnStdin(t *testing.T) {
	out, want := t.TempDir(), state(t)
	if err := Run("createRuntime", []specs.Hook{shell(out, `cat > $OUT/state`)}, want); err != nil {
		t.Fatal(err)
	}
	var got specs.State
	if err := json.Unmarshal([]byte(content(t, out, "state")), &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the hook read %+v, want %+v", got, want)
	}
}

// A stopped container has no pid.
func TestStateWithoutPid(t *testing.T) {
	out, s := t.TempDir(), state(t)
	s.Pid, s.Status, s.Annotations = 0, specs.StateStopped, nil
	if err := Run(Poststop, []specs.Hook{shell(out, `cat > $OUT/state`)}, s); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf(`{"ociVersion":"1.2.0","id":"web1","status":"stopped","bundle":%q}`, s.Bundle)
	if got := content(t, out, "state"); got != want {
		t.Errorf("the hook read %s, want %s", got, want)
	}
}

func TestWorkingDirectoryIsBundle(t *testing.T) {
	out, s := t.TempDir(), state(t)
	list := []specs.Hook{shell(out, `pwd >> $OUT/dir`)}
	if err := Run("prestart", list, s); err != nil {
		t.Fatal(err)
	}
	gone := s
	gone.Bundle += "/gone"
	if err := Run(Poststop, list, gone); err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, out, "dir"), s.Bundle+"\n/\n"; got != want {
		t.Errorf("hooks ran in %q, want %q", got, want)
	}
}

func TestArguments(t *testing.T) {
	out := t.TempDir()
	script := filepath.Join(out, "hook")
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho \"$#:$1\" >> "+out+"/args\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	named := shell(out, `echo "$0:$1" >> $OUT/args`)
	named.Args = append(named.Args, "zeroth", "first")
	cmdline := shell(out, "")
	cmdline.Path, cmdline.Args = "/bin/sh", []string{"not-sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline | cut -c1-6 >> $OUT/args"}
	mustRun(t, "prestart", specs.Hook{Path: script, Args: []string{"ignored", "one"}}, specs.Hook{Path: script}, named, cmdline)
	if got, want := content(t, out, "args"), "1:one\n0:\nzeroth:first\nnot-sh\n"; got != want {
		t.Errorf("hooks saw %q, want %q", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("RT_TEST_OURS", "inherited")
	out := t.TempDir()
	script := filepath.Join(out, "hook")
	text := "#!/bin/sh\n/usr/bin/env > " + out + "/env.$1\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, env := range map[string][]string{"nil": nil, "empty": {}, "given": {"A=b", "C="}} {
		mustRun(t, "prestart", specs.Hook{Path: script, Args: []string{"x", name}, Env: env})
	}
	if got := content(t, out, "env.nil"); !strings.Contains(got, "RT_TEST_OURS=inherited\n") {
		t.Errorf("without env a hook inherits ours, got %s", got)
	}
	if got := content(t, out, "env.empty"); strings.Contains(got, "RT_TEST_OURS") || strings.Contains(got, "HOME=") {
		t.Errorf("with an empty env a hook inherits %s", got)
	}
	if got := content(t, out, "env.given"); !strings.Contains(got, "A=b\n") || !strings.Contains(got, "C=\n") || strings.Contains(got, "RT_TEST_OURS") {
		t.Errorf("with an env of its own a hook has %s", got)
	}
}

func TestOnlyStdioIsInherited(t *testing.T) {
	file, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	// ls fails for the second path, so that its output can be seen.
	failed := mustFail(t, specs.Hook{Path: "/bin/ls", Args: []string{"ls", "/proc/self/fd", "/no/such"}})
	_, list, _ := strings.Cut(failed.Output, "/proc/self/fd:\n")
	extra := 0
	for _, word := range strings.Fields(list) {
		var fd int
		if _, err := fmt.Sscan(word, &fd); err != nil {
			t.Fatalf("ls printed %q", failed.Output)
		}
		if fd > 2 && !inherited(fd) {
			extra++
		}
	}
	if extra != 1 { // ls itself has the directory open
		t.Errorf("the hook has more than stdio: %q", list)
	}
}

// inherited is true for what the test itself got from whoever started it.
func inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}

func TestExitStatus(t *testing.T) {
	failed := mustFail(t, shell("", `echo to stdout; echo "no such key" >&2; exit 3`))
	if got, want := failed.Error(), `hooks.prestart[0] /bin/sh: exit status 3, output "to stdout\nno such key\n"`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var status StatusError
	if !errors.As(failed, &status) {
		t.Errorf("%v holds no StatusError", failed)
	}
}

func TestKilledBySignal(t *testing.T) {
	if got, want := mustFail(t, shell("", `kill -SEGV $$`)).Error(), `hooks.prestart[0] /bin/sh: killed by SIGSEGV`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// The command line library exits by itself on errors with this method.
func TestErrorHidesExitCode(t *testing.T) {
	err := Run("prestart", []specs.Hook{shell("", "exit 3")}, state(t))
	var coder interface{ ExitCode() int }
	if errors.As(err, &coder) {
		t.Errorf("%T has an ExitCode method", coder)
	}
}

func TestMissingHook(t *testing.T) {
	failed := mustFail(t, specs.Hook{Path: "/no/such/hook"})
	if !errors.Is(failed, fs.ErrNotExist) || !strings.HasPrefix(failed.Error(), "hooks.prestart[0] /no/such/hook: ") {
		t.Errorf("got %v", failed)
	}
}

func TestOutputTail(t *testing.T) {
	failed := mustFail(t, shell("", `i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done; echo the end >&2; exit 1`))
	if n := len(failed.Output); n > maxTail+len("…") || !strings.HasPrefix(failed.Output, "…") || !strings.HasSuffix(failed.Output, "line 19999\nthe end\n") {
		t.Errorf("%d bytes of output: %q", n, failed.Output)
	}
}

func TestSuccessIsSilent(t *testing.T) {
	mustRun(t, "prestart", shell("", `echo noise; echo noise >&2`))
}

func TestTimeoutKillsGroup(t *testing.T) {
	out := t.TempDir()
	hook := shell(out, `sleep 300 & echo $! > $OUT/pid; echo waiting; wait`)
	second := 1
	hook.Timeout = &second
	begin := time.Now()
	failed := mustFail(t, hook)
	if took := time.Since(begin); took < time.Second || took > 10*time.Second {
		t.Errorf("took %v", took)
	}
	if !errors.Is(failed, ErrTimeout) || failed.Error() != `hooks.prestart[0] /bin/sh: timed out after 1s, output "waiting\n"` {
		t.Errorf("got %v", failed)
	}
	var pid int
	if _, err := fmt.Sscan(content(t, out, "pid"), &pid); err != nil {
		t.Fatal(err)
	}
	waitGone(t, pid)
}

// waitGone waits until pid is dead: gone, or a zombie that nobody reaps.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(data), ") Z ") || strings.Contains(string(data), ") X ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d of the hook's group still runs", pid)
}

func TestTimeoutNotReached(t *testing.T) {
	hook := shell("", "exit 0")
	minute := 60
	hook.Timeout = &minute
	mustRun(t, "prestart", hook)
}

func TestTimeoutMustBePositive(t *testing.T) {
	for _, n := range []int{0, -1} {
		hook := shell("", "exit 0")
		hook.Timeout = &n
		err := Run("poststart", []specs.Hook{hook}, state(t))
		if want := fmt.Sprintf("hooks.poststart[0].timeout: %d is not greater than zero", n); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// More state than a pipe holds, and nobody reads it.
func TestStdinClosedEarly(t *testing.T) {
	s := state(t)
	s.Annotations["big"] = strings.Repeat("x", 1<<20)
	for name, script := range map[string]string{
		"closed": `exec <&-; sleep 0.1`, "never read": `sleep 0.1`, "read in part": `head -c 10 > /dev/null`,
	} {
		if err := Run("prestart", []specs.Hook{shell("", script)}, s); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	out := t.TempDir()
	if err := Run("prestart", []specs.Hook{shell(out, `cat > $OUT/state`)}, s); err != nil {
		t.Fatal(err)
	}
	if n := len(content(t, out, "state")); n < 1<<20 {
		t.Errorf("the hook read %d bytes", n)
	}
}

// A daemon keeps the hook's stdout, and even writes to it all the time.
func TestBackgroundChild(t *testing.T) {
	for name, daemon := range map[string]string{"silent": "sleep 300", "chatty": "while echo noise; do :; done"} {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			done := make(chan error, 1)
			go func() {
				done <- Run("prestart", []specs.Hook{shell(out, `(`+daemon+`) & echo $! > $OUT/pid`)}, state(t))
			}()
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(20 * time.Second):
				t.Error("Run waits for the daemon")
			}
			var pid int
			if _, err := fmt.Sscan(content(t, out, "pid"), &pid); err != nil {
				t.Fatal(err)
			}
			_ = unix.Kill(pid, unix.SIGKILL)
		})
	}
}

func TestFirstFailureStops(t *testing.T) {
	for kind, want := range map[string]string{"prestart": "a", "createRuntime": "a", "poststart": "a", Poststop: "abc"} {
		out := t.TempDir()
		err := Run(kind, []specs.Hook{
			shell(out, `printf a >> $OUT/ran`),
			shell(out, `exit 1`),
			shell(out, `printf b >> $OUT/ran; exit 2`),
			shell(out, `printf c >> $OUT/ran`),
		}, state(t))
		if err == nil || !strings.Contains(err.Error(), "hooks."+kind+"[1] /bin/sh: exit status 1") {
			t.Errorf("%s: %v", kind, err)
		}
		if strings.Contains(fmt.Sprint(err), "\n") {
			t.Errorf("%s: more than one line: %v", kind, err)
		}
		if got := content(t, out, "ran"); got != want {
			t.Errorf("%s: ran %q, want %q", kind, got, want)
		}
		if second := strings.Contains(fmt.Sprint(err), "hooks."+kind+"[2]"); second != (kind == Poststop) {
			t.Errorf("%s: the error is %v", kind, err)
		}
	}
}

func TestNoHooks(t *testing.T) {
	mustRun(t, "prestart")
}

func TestNoFDLeak(t *testing.T) {
	count := func() int {
		files, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(files)
	}
	before := count()
	for range 5 {
		mustRun(t, "prestart", shell("", "exit 0"))
		mustFail(t, shell("", "exit 1"))
		mustFail(t, specs.Hook{Path: "/no/such/hook"})
	}
	if after := count(); after > before {
		t.Errorf("%d fds before, %d after", before, after)
	}
}
