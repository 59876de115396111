package libcontainer

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rt/nsenter"
)

func stepError(op nsenter.Op, errno unix.Errno, texts ...string) *nsenter.StepError {
	return &nsenter.StepError{Errno: errno, Step: nsenter.Step{Op: op, From: "the.field", What: "do it", Text: texts, Num: []uint64{2000}}}
}

// Docker, Podman and Kubernetes look for some of these words.
func TestExplainProgram(t *testing.T) {
	list := nsenter.List
	for _, test := range []struct {
		err  *nsenter.StepError
		want string
	}{
		{stepError(nsenter.OpLookup, unix.ENOENT, "prog", "/bin"), `process.args[0]: exec "prog": executable file not found in $PATH`},
		{stepError(nsenter.OpLookup, unix.ENOENT, "/bin/prog", ""), `process.args[0]: exec "/bin/prog": no such file or directory`},
		{stepError(nsenter.OpLookup, unix.ENOENT, "./prog", "/bin"), `process.args[0]: exec "./prog": no such file or directory`},
		{stepError(nsenter.OpLookup, unix.EACCES, "/etc/passwd", ""), `process.args[0]: exec "/etc/passwd": permission denied`},
		{stepError(nsenter.OpLookup, unix.EISDIR, "/etc", ""), `process.args[0]: exec "/etc": is a directory`},
		{stepError(nsenter.OpExec, unix.EACCES, list([]string{"/etc/passwd", "arg"})), `process.args[0]: exec "/etc/passwd": permission denied`},
		{stepError(nsenter.OpExec, unix.ENOEXEC, list([]string{"prog", "arg"})), `process.args[0]: exec "prog": exec format error (not a program of this machine, or a script without #!)`},
		{stepError(nsenter.OpExec, unix.ENOENT, list([]string{"/bin/prog"})), `process.args[0]: exec "/bin/prog": no such file or directory (the file is there: its interpreter (#! line or ELF loader) is missing)`},
		{stepError(nsenter.OpExec, unix.ENOENT, ""), "process: is not in the config, so there is nothing to start"},
	} {
		err := explainStep(test.err, nil)
		if err.Error() != test.want {
			t.Errorf("%q, want %q", err, test.want)
		}
		if len(test.err.Step.Text[0]) > 0 && !errors.Is(err, test.err.Errno) {
			t.Errorf("%v: the errno is lost", err)
		}
	}
}

func outputFile(t *testing.T, text string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestExplainHook(t *testing.T) {
	failed := stepError(nsenter.OpHook, unix.ECANCELED, "/bin/hook")
	failed.Call, failed.Object = "run", "exit status 3"
	late := stepError(nsenter.OpHook, unix.ETIMEDOUT, "/bin/hook")
	fork := stepError(nsenter.OpHook, unix.EAGAIN, "/bin/hook")
	for _, test := range []struct {
		err    *nsenter.StepError
		output string
		want   string
	}{
		{failed, "", "the.field: /bin/hook: exit status 3"},
		{failed, "\n oops \n\n", "the.field: /bin/hook: exit status 3: oops"},
		{late, "waiting", "the.field: /bin/hook: not finished after its timeout of 2 s, killed: waiting"},
		{fork, "", "the.field: do it: resource temporarily unavailable"},
	} {
		if got := explainStep(test.err, outputFile(t, test.output)).Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	if got := explainStep(failed, nil).Error(); got != "the.field: /bin/hook: exit status 3" {
		t.Errorf("without output: %q", got)
	}
}

// A hook may print without end; only the end of it is shown.
func TestTail(t *testing.T) {
	got := tail(outputFile(t, "begin"+strings.Repeat("x", 10000)+"end"))
	if len(got) != 4096 || !strings.HasSuffix(got, "xend") {
		t.Errorf("%d bytes that end with %q", len(got), got[len(got)-5:])
	}
}

func TestExplainHints(t *testing.T) {
	procfs := stepError(nsenter.OpTree, unix.EPERM)
	procfs.Call, procfs.Object = "mount on procfs", "/proc/x"
	capset := stepError(nsenter.OpSyscall, unix.EPERM)
	capset.Step.From = "process.capabilities"
	for want, err := range map[string]*nsenter.StepError{
		"the.field: do it: mount on procfs /proc/x: operation not permitted (only a few files of /proc may be covered: a mount there could forge what is read from it)": procfs,
		"process.capabilities: do it: operation not permitted (a capability that we do not have ourselves cannot be given)":                                             capset,
		"the.field: do it: no space left on device (a limit of /proc/sys/user/max_*_namespaces is reached)":                                                             stepError(nsenter.OpClone, unix.ENOSPC),
		"the.field: do it: operation not permitted": stepError(nsenter.OpMount, unix.EPERM),
		"the.field: do it: invalid argument":        stepError(nsenter.OpSyscall, unix.EINVAL),
	} {
		got := explainStep(err, nil)
		if got.Error() != want {
			t.Errorf("%q, want %q", got, want)
		}
		if !errors.Is(got, err.Errno) {
			t.Errorf("%v: the errno is lost", got)
		}
	}
}

// What fails after start is worded from the record: it must read as it would have from the plan.
func TestLateFailuresReadTheSame(t *testing.T) {
	for name, in := range inputs(t) {
		plan := in.compile(t)
		first, late := lateSteps(plan)
		kept := (&record{FirstLate: first, Late: late}).latePlan()
		if len(kept.Steps) != len(plan.Steps) || first == len(plan.Steps) {
			t.Errorf("%s: the record has steps %d to %d, the plan %d", name, first, len(kept.Steps), len(plan.Steps))
			continue
		}
		for i := first; i < len(plan.Steps); i++ {
			m := &nsenter.Message{Type: nsenter.MsgError, Step: i, Code: int32(unix.EACCES), Text: []byte("call\x00object\x00")}
			want, got := explained(plan.Failure(m)), explained(kept.Failure(m))
			if got != want {
				t.Errorf("%s: step %d reads %q, want %q", name, i, got, want)
			}
		}
	}
}

func explained(err error) string {
	var step *nsenter.StepError
	if errors.As(err, &step) {
		err = explainStep(step, nil)
	}
	return err.Error()
}
