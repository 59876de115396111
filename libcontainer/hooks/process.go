package hooks

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/internal/sys"
)

// StatusError says how a hook that did run ended.
type StatusError syscall.WaitStatus

func (e StatusError) Error() string {
	status := syscall.WaitStatus(e)
	if status.Signaled() {
		return fmt.Sprintf("killed by %s", unix.SignalName(status.Signal()))
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// execute runs a hook to its end and returns the tail of its output.
func execute(hook *specs.Hook, dir string, input []byte, limit time.Duration) (string, error) {
	p, err := start(hook, dir, input)
	if err != nil {
		return "", err
	}
	defer p.close()
	gaveUp := p.serve(limit)
	if gaveUp != nil {
		// The group is named by the hook's pid, which cannot be reused before
		// the wait below.
		_ = unix.Kill(-p.proc.Pid, unix.SIGKILL)
	}
	end, err := p.proc.Wait()
	p.readOutput()
	switch {
	case gaveUp != nil:
		return p.tail.String(), gaveUp
	case err != nil:
		return p.tail.String(), err
	case !end.Success():
		return p.tail.String(), StatusError(end.Sys().(syscall.WaitStatus))
	}
	return "", nil
}

// process is a running hook and our ends of its pipes. They do not block, and
// nobody waits for their end of file: a hook may leave a daemon behind that
// holds them open for ever.
type process struct {
	proc   *os.Process
	pidfd  int
	stdin  int    // -1 when everything is written, or the hook closed it
	input  []byte // what is still to be written
	stdout int    // stderr goes there too
	tail   tail
}

func start(hook *specs.Hook, dir string, input []byte) (_ *process, err error) {
	p := &process{pidfd: -1, stdin: -1, stdout: -1, input: input}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	theirIn, err := p.openStdin()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	theirOut, err := p.openStdout()
	if err != nil {
		return nil, err
	}
	defer theirOut.Close()
	defer sys.AsCaller()()
	p.proc, err = os.StartProcess(hook.Path, arguments(hook), &os.ProcAttr{
		Dir:   dir,
		Env:   hook.Env, // nil means ours, empty means none
		Files: []*os.File{theirIn, theirOut, theirOut},
		// A group of its own, so that a timeout ends its children too.
		Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &p.pidfd},
	})
	return p, err
}

// arguments are passed on as they are: the first one is the name the hook sees
// itself called by and need not be its path.
func arguments(hook *specs.Hook) []string {
	if len(hook.Args) == 0 {
		return []string{hook.Path}
	}
	return hook.Args
}

func (p *process) openStdin() (theirs *os.File, err error) {
	fds, err := pipe()
	if err != nil {
		return nil, err
	}
	p.stdin = fds[1]
	theirs = os.NewFile(uintptr(fds[0]), "stdin of hook")
	return theirs, setNonblock(p.stdin)
}

func (p *process) openStdout() (theirs *os.File, err error) {
	fds, err := pipe()
	if err != nil {
		return nil, err
	}
	p.stdout = fds[0]
	theirs = os.NewFile(uintptr(fds[1]), "stdout of hook")
	return theirs, setNonblock(p.stdout)
}

func pipe() (fds [2]int, err error) {
	return fds, os.NewSyscallError("pipe2", unix.Pipe2(fds[:], unix.O_CLOEXEC))
}

// setNonblock is for our ends only: the other end of a pipe is another open
// file and stays as hooks expect it.
func setNonblock(fd int) error {
	return os.NewSyscallError("fcntl", unix.SetNonblock(fd, true))
}

func (p *process) close() {
	p.closeStdin()
	for _, fd := range []int{p.pidfd, p.stdout} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func (p *process) closeStdin() {
	if p.stdin >= 0 {
		unix.Close(p.stdin)
	}
	p.stdin = -1
}

// serve feeds and reads the hook until it ends, for at most limit (0: for
// ever).
func (p *process) serve(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		fds := []unix.PollFd{
			{Fd: int32(p.pidfd), Events: unix.POLLIN},
			{Fd: int32(p.stdout), Events: unix.POLLIN},
			{Fd: int32(p.stdin), Events: unix.POLLOUT},
		}
		wait := -1
		if limit > 0 {
			wait = int(max(0, time.Until(deadline)+time.Millisecond-1) / time.Millisecond)
		}
		n, err := unix.Poll(fds, wait)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return os.NewSyscallError("poll", err)
		case n == 0:
			return fmt.Errorf("%w after %s", ErrTimeout, limit)
		}
		if p.exchange(fds[1].Revents != 0, fds[2].Revents != 0); fds[0].Revents != 0 {
			return nil
		}
	}
}

// exchange does what poll says can be done without waiting.
func (p *process) exchange(canRead, canWrite bool) {
	if canRead && !p.readOutput() {
		unix.Close(p.stdout)
		p.stdout = -1
	}
	if canWrite {
		p.writeInput()
	}
}

// writeInput writes what the pipe takes. A hook that closes its stdin or never
// reads it does not fail for that.
func (p *process) writeInput() {
	n, err := unix.Write(p.stdin, p.input)
	if n > 0 {
		p.input = p.input[n:]
	}
	if len(p.input) == 0 || err != nil && err != unix.EAGAIN && err != unix.EINTR {
		p.closeStdin()
	}
}

// readOutput reads what the pipe holds, and is false at its end. It reads a
// pipe's worth at most, so that a chatty daemon cannot keep us here.
func (p *process) readOutput() (more bool) {
	var buf [4096]byte
	for range 16 {
		n, err := unix.Read(p.stdout, buf[:])
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err == unix.EAGAIN
		case n == 0:
			return false
		}
		p.tail.add(buf[:n])
	}
	return true
}

// tail keeps the last bytes of what is written to it.
type tail struct {
	data []byte
	cut  bool
}

const maxTail = 4096

func (t *tail) add(data []byte) {
	t.data = append(t.data, data...)
	if extra := len(t.data) - maxTail; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
		t.cut = true
	}
}

func (t *tail) String() string {
	if t.cut {
		return "…" + string(t.data)
	}
	return string(t.data)
}
