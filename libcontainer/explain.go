package libcontainer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// hinted is an error with a word of help where the errno misleads.
type hinted struct {
	error
	hint string
}

func (h *hinted) Unwrap() error { return h.error }
func (h *hinted) Error() string { return h.error.Error() + " (" + h.hint + ")" }

func hint(err error, text string) error { return &hinted{err, text} }

// explain words a step that failed. The texts of a program that can't be
// executed are those that Docker and Podman look for.
func (b *birth) explain(m *nsenter.Message) error {
	err := b.plan.Failure(m)
	var step *nsenter.StepError
	if !errors.As(err, &step) {
		return err
	}
	return explainStep(step, b.hookOutput)
}

func explainStep(e *nsenter.StepError, output *os.File) error {
	switch e.Step.Op {
	case nsenter.OpLookup, nsenter.OpExec:
		return explainProgram(e)
	case nsenter.OpHook:
		return explainHook(e, output)
	}
	if missing := missingCaps(e); missing != 0 {
		return hint(fmt.Errorf("%s: give %s: %w", e.Step.From, capNames(missing), e.Errno), "rt can give only the capabilities that it has itself")
	}
	if h := stepHint(e); h != "" {
		return hint(e, h)
	}
	return e
}

// missingCaps are those of a refused capset(2) that we lack ourselves.
func missingCaps(e *nsenter.StepError) uint64 {
	s := e.Step
	if e.Errno != unix.EPERM || s.Op != nsenter.OpSyscall || len(s.Num) == 0 || s.Num[0] != unix.SYS_CAPSET {
		return 0
	}
	permitted := func(word int) uint64 { return uint64(binary.NativeEndian.Uint32([]byte(s.Text[1][12*word+4:]))) }
	return (permitted(0) | permitted(1)<<32) &^ ownCapabilities()
}

func explainProgram(e *nsenter.StepError) error {
	name := e.Step.Text[0]
	if e.Step.Op == nsenter.OpExec {
		name, _, _ = strings.Cut(name, "\x00")
	}
	if name == "" {
		return errors.New("process: is not in the config, so there is nothing to start")
	}
	if e.Errno == unix.ENOENT && !strings.Contains(name, "/") {
		return fmt.Errorf("process.args[0]: exec %q: executable file not found in $PATH%w", name, silent{e.Errno})
	}
	err := fmt.Errorf("process.args[0]: exec %q: %w", name, e.Errno)
	if e.Step.Op != nsenter.OpExec {
		return err
	}
	switch e.Errno {
	case unix.ENOEXEC:
		return hint(err, "not a program of this machine, or a script without #!")
	case unix.ENOENT:
		return hint(err, "the file is there: its interpreter (#! line or ELF loader) is missing")
	}
	return err
}

// silent keeps the errno for errors.Is without printing it.
type silent struct{ unix.Errno }

func (silent) Error() string   { return "" }
func (s silent) Unwrap() error { return s.Errno }

func explainHook(e *nsenter.StepError, output *os.File) error {
	said := tail(output)
	if said != "" {
		said = ": " + said
	}
	switch {
	case e.Errno == unix.ETIMEDOUT:
		return fmt.Errorf("%s: %s: not finished after its timeout of %d s, killed%s", e.Step.From, e.Step.Text[0], e.Step.Num[0]/1000, said)
	case e.Errno == unix.ECANCELED:
		return fmt.Errorf("%s: %s: %s%s", e.Step.From, e.Step.Text[0], e.Object, said)
	}
	return e
}

// tail is the end of what a hook printed.
func tail(f *os.File) string {
	if f == nil {
		return ""
	}
	const most = 4096
	st, err := f.Stat()
	if err != nil {
		return ""
	}
	from := max(0, st.Size()-most)
	b := make([]byte, st.Size()-from)
	n, _ := f.ReadAt(b, from)
	return strings.TrimSpace(string(b[:n]))
}

// stepHint says what the errno of some steps means; mount(2) and its kin reuse few of them for a lot.
func stepHint(e *nsenter.StepError) string {
	key := e.Step.Op.String() + " " + unix.ErrnoName(e.Errno)
	switch key {
	case "tree ENOTDIR", "mount ENOTDIR":
		return "a directory goes on a directory only and a file on a file; or a part of the target's path is no directory, or a link where a real directory must be"
	case "tree EPERM", "mount EPERM":
		if e.Call == "mount on procfs" {
			return "only a few files of /proc may be covered: a mount there could forge what is read from it"
		}
	case "clone ENOSPC":
		return "a limit of /proc/sys/user/max_*_namespaces is reached"
	case "clone EAGAIN":
		return "pids.max of a parent cgroup or RLIMIT_NPROC is reached"
	case "setns EINVAL":
		return "the namespace is of another type, or one that we are already in"
	case "procwrite ENOENT":
		return "this kernel, or this namespace, has no such file"
	case "procwrite EACCES":
		if e.Step.From == "process.oomScoreAdj" {
			return "lowering it takes CAP_SYS_RESOURCE"
		}
	case "ambient EPERM":
		return "an ambient capability must be permitted and inheritable too"
	case "syscall EPERM":
		if e.Step.From == "process.capabilities" {
			return "a capability that we do not have ourselves cannot be given"
		}
	}
	return ""
}

func (b *birth) outOfMemory() bool {
	if b.cgroup == nil {
		return false
	}
	n, err := b.cgroup.OOMKills()
	return err == nil && n > 0
}

// explainEnd: the stage is gone without a word. How it ended is then all there is to say.
func (b *birth) explainEnd(err error) error {
	if !errors.Is(err, nsenter.ErrGone) {
		return err
	}
	pid := b.stage.Pid
	if b.pidfd >= 0 {
		pid = b.record.Pid
	}
	if status := reap(pid); status.Signaled() {
		who := "the container's init"
		if b.guest != nil {
			who = "the process"
		}
		end := fmt.Errorf("%s was killed by %s while it was being made", who, unix.SignalName(status.Signal()))
		if b.outOfMemory() {
			return hint(end, "out of memory: linux.resources.memory.limit is too small even for its making")
		}
		return end
	}
	return fmt.Errorf("make the process: %w", err)
}
