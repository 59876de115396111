package nsenter

import (
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Stage is a started stage that waits for its plan.
type Stage struct {
	*Channel
	Pid int // of the first process, which ends once the container's init is born
}

// Start starts a stage with the given stdio and, from fd 3 on, preserve fds of
// ours under their own numbers. It waits, in our namespaces, for its plan; if
// we end or close the channel, so does it. flags are CLONE_NEW… for a stage
// that is only a holder of namespaces, else 0.
func Start(stdio [3]uintptr, preserve int, attr *syscall.SysProcAttr) (*Stage, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	files := append(make([]uintptr, 0, 4+preserve), stdio[:]...)
	for fd := 3; fd < 3+preserve; fd++ {
		files = append(files, uintptr(fd))
	}
	files = append(files, uintptr(pair[1]))
	pid, err := execSealed(files, attr)
	if err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	return &Stage{Channel: NewChannel(pair[0]), Pid: pid}, nil
}

// execSealed executes the sealed binary as `rt init FD`, FD being the last of files.
func execSealed(files []uintptr, attr *syscall.SysProcAttr) (int, error) {
	exe, err := openSealed()
	if err != nil {
		return 0, err
	}
	defer unix.Close(exe)
	if exe < len(files) { // the child's own fds would be laid over it before the execve
		high, err := unix.FcntlInt(uintptr(exe), unix.F_DUPFD_CLOEXEC, len(files))
		if err != nil {
			return 0, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
		}
		defer unix.Close(high)
		exe = high
	}
	argv := []string{"rt", "init", strconv.Itoa(len(files) - 1)}
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(exe), argv,
		&syscall.ProcAttr{Files: files, Env: []string{}, Sys: attr})
	return pid, os.NewSyscallError("fork/exec rt init", err)
}
