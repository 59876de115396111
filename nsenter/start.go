package nsenter

// #include "stage.h"
import "C"

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

// Start gives a stage with our stdio and our inherited fds. It waits, in our
// namespaces, for its plan; if we end or close the channel, so does it.
//
// A command that makes containers has one already, started before Go.
func Start() (*Stage, error) {
	if s := takeEarly(); s != nil {
		return s, nil
	}
	return start([]string{"seal"}, nil)
}

// init gives back what was hidden from Go while it started (early.c). The processors go to the process's first
// thread, and what rt starts takes its affinity from there (sys.AsCaller). Package syscall has remembered a limit
// of no files, to give it to our children: it forgets that when it sets another.
func init() {
	C.give_back()
	var files syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files) == nil {
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files)
	}
}

// Hold starts a process that does nothing but keep the namespaces that attr
// makes; it ends with its channel. It is not sealed: nobody but us sees it.
func Hold(attr *syscall.SysProcAttr) (*Stage, error) { return start(nil, attr) }

func takeEarly() *Stage {
	fd := int(C.early_channel)
	if fd < 0 {
		return nil
	}
	C.early_channel = -1
	return &Stage{Channel: NewChannel(fd), Pid: int(C.early_pid)}
}

// Dismiss ends a stage that was started early and is not needed after all.
func Dismiss() {
	s := takeEarly()
	if s == nil {
		return
	}
	s.Close()
	var status unix.WaitStatus
	for {
		if _, err := unix.Wait4(s.Pid, &status, 0, nil); err != unix.EINTR {
			return
		}
	}
}

func start(args []string, attr *syscall.SysProcAttr) (*Stage, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[1])
	// A copy that stays open over the execve, on the lowest free number like one started early.
	theirs, err := unix.FcntlInt(uintptr(pair[1]), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		unix.Close(pair[0])
		return nil, os.NewSyscallError("fcntl F_DUPFD_CLOEXEC", err)
	}
	defer unix.Close(theirs)
	files := []uintptr{0, 1, 2}
	for fd := 3; fd < theirs; fd++ {
		files = append(files, inherited(fd))
	}
	files = append(files, uintptr(theirs))
	argv := append([]string{"rt", "init", strconv.Itoa(theirs)}, args...)
	pid, err := syscall.ForkExec("/proc/self/exe", argv, &syscall.ProcAttr{Files: files, Env: []string{}, Sys: attr})
	if err != nil {
		unix.Close(pair[0])
		return nil, os.NewSyscallError("fork/exec rt init", err)
	}
	return &Stage{Channel: NewChannel(pair[0]), Pid: pid}, nil
}

// inherited is fd if our caller gave it to us: all that we open ourselves is close-on-exec.
func inherited(fd int) uintptr {
	if Inherited(fd) {
		return uintptr(fd)
	}
	return ^uintptr(0)
}

// Inherited tells whether our caller gave us fd.
func Inherited(fd int) bool {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil && flags&unix.FD_CLOEXEC == 0
}
