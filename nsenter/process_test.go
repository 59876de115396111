package nsenter

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tryLookup runs a plan up to the end of its OpLookup, with what follows.
func tryLookup(t *testing.T, name, path string) failure {
	t.Helper()
	r := startStage(t)
	r.send(Simple(OpLookup, "", "", nil, name, path), Simple(OpExec, "", "", nil, List([]string{name}), ""))
	return r.refused()
}

// The files of these tests are no programs, so that the name found shows in the failing execve.
func TestLookup(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"a/tool": 0o644, "b/tool": 0o755, "c/tool": 0o755, "a/plain": 0o644} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte("no program"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "a/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	a, b, c := dir+"/a", dir+"/b", dir+"/c"
	for _, test := range []struct {
		name, path string
		want       failure
	}{
		{"tool", b, failure{1, unix.ENOEXEC, "execve", b + "/tool"}},
		{"tool", b + ":" + c, failure{1, unix.ENOEXEC, "execve", b + "/tool"}},
		{"tool", a + ":" + c, failure{1, unix.ENOEXEC, "execve", c + "/tool"}},
		{"tool", "/nowhere:::" + c + ":", failure{1, unix.ENOEXEC, "execve", c + "/tool"}},
		{"tool", "b:.::" + c, failure{1, unix.ENOEXEC, "execve", c + "/tool"}},
		{"tool", a, failure{0, unix.ENOENT, "lookup in PATH", "tool"}},
		{"tool", "", failure{0, unix.ENOENT, "lookup in PATH", "tool"}},
		{"tool", ":", failure{0, unix.ENOENT, "lookup in PATH", "tool"}},
		{"dir", a, failure{0, unix.ENOENT, "lookup in PATH", "dir"}},
		{"tool", "/" + strings.Repeat("x", 5000), failure{0, unix.ENOENT, "lookup in PATH", "tool"}},
		{"", b, failure{0, unix.ENOENT, "lookup in PATH", ""}},
		{b + "/tool", "", failure{1, unix.ENOEXEC, "execve", b + "/tool"}},
		{a + "/plain", b, failure{0, unix.EACCES, "lookup", a + "/plain"}},
		{a + "/dir", "", failure{0, unix.EISDIR, "lookup", a + "/dir"}},
		{a + "/plain/x", "", failure{0, unix.ENOTDIR, "lookup", a + "/plain/x"}},
		{dir + "/none", b, failure{0, unix.ENOENT, "lookup", dir + "/none"}},
		{"./tool", b, failure{0, unix.ENOENT, "lookup", "./tool"}},
	} {
		if got := tryLookup(t, test.name, test.path); got != test.want {
			t.Errorf("%q in %q: %+v, want %+v", test.name, test.path, got, test.want)
		}
	}
}

func TestSyscallPassesItsArguments(t *testing.T) {
	dir := t.TempDir()
	for name, test := range map[string]struct {
		step Step
		want unix.Errno
	}{
		"text":                          {Syscall("", "", unix.SYS_RMDIR, Text(dir+"/none")), unix.ENOENT},
		"negative":                      {Syscall("", "", unix.SYS_UNLINKAT, Num(-1), Text("x"), Num(0)), unix.EBADF},
		"five":                          {Syscall("", "", unix.SYS_RENAMEAT2, Num(-1), Text(dir+"/none"), Num(-1), Text(dir+"/other"), Num(1<<30)), unix.EINVAL},
		"no number":                     {Syscall("", "", 1<<20), unix.ENOSYS},
		"a number where a text must be": {Step{Op: OpSyscall, Num: []uint64{unix.SYS_RMDIR, 1, 99}}, unix.EFAULT},
	} {
		r := startStage(t)
		r.send(Syscall("", "", unix.SYS_UMASK, Num(0)), test.step, theEnd)
		if got, want := r.refused(), (failure{1, test.want, "", ""}); got != want {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
}

// A directory that only a leaked fd leads to is no cwd (CVE-2024-21626), nor is one outside of the root.
func TestChdirStaysInside(t *testing.T) {
	outside := tree(t, "dir d")
	leak := open(t, outside, unix.O_RDONLY|unix.O_DIRECTORY)
	root := tree(t, "dir in", "file f", "link out → "+outside, "link up → ../../../../../../..", "link loop → loop")
	for _, lenient := range []uint64{0, 1} {
		for path, want := range map[string]unix.Errno{
			outside: unix.ENOENT, "/out/d": unix.ENOENT, "/up/tmp": unix.ENOENT, "/in/../../../tmp": unix.ENOENT, "/none": unix.ENOENT, "/f": unix.ENOTDIR, "/loop": unix.ELOOP, "": unix.ENOENT,
		} {
			if got := inRoot(t, root, Simple(OpChdir, "", "", []uint64{lenient}, path)); got != (failure{1, want, "chdir", path}) {
				t.Errorf("%s: %+v, want %v", path, got, want)
			}
		}
		for _, path := range []string{"/proc/self/fd/3", "/proc/self/fd/3/d", "/proc/self/cwd", "/proc/thread-self/root"} {
			r := startStage(t, leak)
			r.send(Take(OpRoot, "", "", Source{}, 0), Simple(OpChdir, "", "", []uint64{lenient}, path))
			r.feed(open(t, "/", unix.O_PATH))
			if got := r.refused(); got != (failure{1, unix.ELOOP, "chdir", path}) {
				t.Errorf("%s: %+v", path, got)
			}
		}
	}
}

func TestChdirOnce(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	r := startStage(t)
	r.send(append([]Step{
		Take(OpRoot, "", "", Source{}, 0),
		Simple(OpChdir, "", "", []uint64{1}, first),
		Simple(OpChdir, "", "", []uint64{0}, second), // as the user: only if root could not
	}, program(t)...)...)
	r.feed(open(t, "/", unix.O_PATH))
	want(t, r.runs(), "cwd", first)
}

// filter is a seccomp program of one instruction.
func filter(verdict uint32) string {
	b := native.AppendUint16(nil, unix.BPF_RET|unix.BPF_K)
	b = append(b, 0, 0)
	return string(native.AppendUint32(b, verdict))
}

func TestSeccomp(t *testing.T) {
	nnp := Syscall("", "", unix.SYS_PRCTL, Num(unix.PR_SET_NO_NEW_PRIVS), Num(1), Num(0), Num(0), Num(0))
	t.Run("loaded", func(t *testing.T) {
		r := startStage(t)
		r.send(append([]Step{nnp, Simple(OpSeccomp, "", "", []uint64{0, uint64(AskSeccomp)}, filter(unix.SECCOMP_RET_ALLOW))}, program(t)...)...)
		all := r.runs()
		want(t, all, "seccomp", "2")
		want(t, all, "nnp", "1")
	})
	t.Run("empty", func(t *testing.T) {
		r := startStage(t)
		r.send(nnp, Simple(OpSeccomp, "", "", []uint64{0, 0}, ""))
		if got, want := r.refused(), (failure{1, unix.EINVAL, "seccomp", ""}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
	t.Run("with a listener", func(t *testing.T) {
		r := startStage(t)
		r.send(append([]Step{nnp, Simple(OpSeccomp, "", "", []uint64{unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uint64(AskSeccomp)}, filter(unix.SECCOMP_RET_ALLOW))}, program(t)...)...)
		m := r.hear(MsgAsk)
		if n := strings.TrimRight(string(m.Text), "\x00"); Question(m.Code) != AskSeccomp || m.Step != 1 || n == "" || strings.Trim(n, "0123456789") != "" {
			t.Errorf("asks %v at step %d with %q", Question(m.Code), m.Step, m.Text)
		}
		r.say(MsgContinue, 0, "")
		want(t, r.runs(), "fd", "0", "1", "2")
	})
}

// tryHook runs one hook with the given script, and returns its output and what the stage says then.
func tryHook(t *testing.T, script string, timeout uint64) (string, *running) {
	t.Helper()
	output, state := open(t, t.TempDir(), unix.O_TMPFILE|unix.O_RDWR), memfd(t, `{"id":"x"}`)
	r := startStage(t)
	hook := Simple(OpHook, "", "", []uint64{timeout}, "/bin/sh", List([]string{"sh", "-c", script, "name", "arg 1"}), List([]string{"A=1", "B=x y"}))
	r.send(append([]Step{Ask("", "", AskHookFile), hook, hook}, program(t)...)...)
	r.hear(MsgAsk)
	r.say(MsgContinue, 0, "", int(state.Fd()), int(output.Fd()))
	m, err := r.Receive()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, _ := output.ReadAt(b, 0)
	said := string(b[:n])
	if m.Type == MsgReady {
		return said, r
	}
	e := (&Plan{}).Failure(m).(*StepError)
	return said + "|" + e.Errno.Error() + "|" + e.Call + "|" + e.Object, r
}

func memfd(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := Memfd("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestHook(t *testing.T) {
	for _, test := range []struct{ script, want string }{
		{`cat; echo "$0 $1 $A $B" >&2`, strings.Repeat("{\"id\":\"x\"}name arg 1 1 x y\n", 2)},
		{`echo oops; exit 3`, "oops\n|operation canceled|run|exit status 3"},
		{`kill -9 $$`, "|operation canceled|run|signal 9"},
		{`ls /proc/self/fd | tr '\n' ' '; env | grep -c HOME; true`, strings.Repeat("0 1 2 3 0\n", 2)},
	} {
		if got, _ := tryHook(t, test.script, 5000); got != test.want {
			t.Errorf("%s: %q, want %q", test.script, got, test.want)
		}
	}
}

func TestHookTimeout(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	begin := time.Now()
	got, _ := tryHook(t, "sleep 30 & echo $! >"+pid+"; echo waiting; wait", 200)
	if want := "waiting\n|connection timed out|wait|timeout"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("a timeout of 200 ms took %s", took)
	}
	sleeper, err := os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(sleeper)) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			break
		}
		if time.Now().After(end) {
			t.Fatal("what the hook started goes on")
		}
	}
}

func TestHookWithoutFile(t *testing.T) {
	state, output := memfd(t, ""), open(t, t.TempDir(), unix.O_TMPFILE|unix.O_RDWR)
	r := startStage(t)
	r.send(Ask("", "", AskHookFile), Simple(OpHook, "", "", []uint64{0}, "/nonexistent/hook", List([]string{"hook"}), ""))
	r.hear(MsgAsk)
	r.say(MsgContinue, 0, "", int(state.Fd()), int(output.Fd()))
	if got, want := r.refused(), (failure{1, unix.ECANCELED, "run", "exit status 127"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b := make([]byte, 100)
	n, _ := output.ReadAt(b, 0)
	if got := string(b[:n]); got != "execve /nonexistent/hook: No such file or directory" {
		t.Errorf("its output says %q", got)
	}
}

// The files that hooks of start need come with its GO.
func TestGoBringsHookFiles(t *testing.T) {
	state, output := memfd(t, "state"), open(t, t.TempDir(), unix.O_TMPFILE|unix.O_RDWR)
	r := startStage(t)
	steps := program(t)
	r.send(steps[0], steps[1], Simple(OpHook, "", "", []uint64{0}, "/bin/cat", List([]string{"cat"}), ""), steps[2])
	r.hear(MsgReady)
	r.say(MsgGo, 0, "", int(state.Fd()), int(output.Fd()))
	want(t, r.printed(), "fd", "0", "1", "2")
	b := make([]byte, 100)
	n, _ := output.ReadAt(b, 0)
	if got := string(b[:n]); got != "state" {
		t.Errorf("the hook read %q", got)
	}
}

func TestAttachWritesItself(t *testing.T) {
	file := open(t, t.TempDir(), unix.O_TMPFILE|unix.O_RDWR)
	reader := open(t, "/dev/null", unix.O_RDONLY)
	r := startStage(t)
	r.send(Simple(OpAttach, "", "", nil, "/cg/tasks"), Simple(OpAttach, "", "", nil, "/cg/other"))
	r.feed(file, reader)
	if got, want := r.refused(), (failure{1, unix.EBADF, "write 0", "/cg/other"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	b := make([]byte, 8)
	if n, _ := file.ReadAt(b, 0); string(b[:n]) != "0" {
		t.Errorf("it wrote %q", b[:n])
	}
}

// Writes to procfs go through the procfs of the plan, follow no magic link and leave it nowhere.
func TestProcWrite(t *testing.T) {
	proc := Take(OpSlot, "", "", Source{}, uint64(SlotProc))
	dumpable := Syscall("", "", unix.SYS_PRCTL, Num(unix.PR_SET_DUMPABLE), Num(1)) // else its /proc is root's alone
	write := func(file, text string) Step { return Simple(OpProcWrite, "", "", nil, file, text) }
	for _, test := range []struct {
		step Step
		want failure
	}{
		{write("self/comm", "ok"), done(2)},
		{write("thread-self/comm", "ok"), done(2)},
		{write("self/nothing", "x"), failure{2, unix.ENOENT, "openat2", "self/nothing"}},
		{write("self/root/dev/null", "x"), failure{2, unix.ELOOP, "openat2", "self/root/dev/null"}},
		{write("../dev/null", "x"), failure{2, unix.EXDEV, "openat2", "../dev/null"}},
		{write("/dev/null", "x"), failure{2, unix.EXDEV, "openat2", "/dev/null"}},
		{write("self/oom_score_adj", "no number"), failure{2, unix.EINVAL, "write", "self/oom_score_adj"}},
	} {
		r := startStage(t)
		r.send(proc, dumpable, test.step, theEnd)
		r.feed(open(t, "/proc", unix.O_PATH))
		if got := r.refused(); got != test.want {
			t.Errorf("%q: %+v, want %+v", test.step.Text[0], got, test.want)
		}
	}
}

func TestCapabilitySteps(t *testing.T) {
	r := startStage(t)
	r.send(append([]Step{
		Simple(OpBounding, "", "", []uint64{^uint64(0), 63}), // drops nothing, so that anybody may
		Simple(OpAmbient, "", "", []uint64{0}),
		Simple(OpStdio, "", "", []uint64{uint64(os.Geteuid())}),
	}, program(t)...)...)
	want(t, r.runs(), "arg", "probe", "two words", "")
	r = startStage(t)
	r.send(Simple(OpAmbient, "", "", []uint64{1 << 63}))
	if got, want := r.refused(), (failure{0, unix.EINVAL, "prctl PR_CAP_AMBIENT_RAISE", ""}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestStepsWithoutTheirFiles(t *testing.T) {
	null := open(t, "/dev/null", unix.O_RDONLY)
	mount := unix.EBADF
	if os.Geteuid() != 0 {
		mount = unix.EPERM
	}
	for name, test := range map[string]struct {
		step Step
		want failure
	}{
		"setns":       {Take(OpSetns, "", "", Source{}, unix.CLONE_NEWNET), failure{0, unix.EINVAL, "setns", ""}},
		"own setns":   {Simple(OpSetns, "", "", []uint64{unix.CLONE_NEWTIME}, "/nonexistent"), failure{0, unix.ENOENT, "open", "/nonexistent"}},
		"pivot":       {Simple(OpPivot, "", "", []uint64{1}), failure{0, unix.EBADF, "fchdir", "root"}},
		"procwrite":   {Simple(OpProcWrite, "", "", nil, "self/comm", "x"), failure{0, unix.EBADF, "openat2", "self/comm"}},
		"reconfigure": {Reconfigure("", "", "/dev", nil, 1, 0), failure{0, unix.EBADF, "openat2", "/dev"}},
		"readonly":    {Simple(OpReadonly, "", "", nil, "/sys"), failure{0, unix.EBADF, "openat2", "/sys"}},
		"console":     {Simple(OpConsole, "", "", []uint64{0, 0}, ""), failure{0, unix.EBADF, "openat2", "/dev/pts/ptmx"}},
		"setattr":     {Setattr("", "", SlotLast, 1, 0, 0, false), failure{0, mount, "mount_setattr", ""}},
		"exec":        {Simple(OpExec, "", "", nil, List([]string{"x"}), ""), failure{0, unix.ENOENT, "execve", ""}},
	} {
		r := startStage(t)
		r.send(test.step)
		if test.step.Op == OpSetns && len(test.step.Text) == 0 {
			r.feed(null)
		}
		if got := r.refused(); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

func TestLongEnvironment(t *testing.T) {
	var env []string
	for i := range 2000 {
		env = append(env, strings.Repeat("E", 50)+string(rune('A'+i%26))+"="+strings.Repeat("v", 100))
	}
	r := startStage(t)
	r.send(program(t, env...)...)
	if got := lines(r.runs(), "env"); !slices.Equal(got, append(slices.Clone(sanitizerEnv), env...)) {
		t.Errorf("%d variables of %d", len(got), len(env)+len(sanitizerEnv))
	}
}
