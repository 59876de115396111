package sys

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// usualSlack is the kernel's own timer slack, in nanoseconds.
const usualSlack = 50_000

// AsCaller makes the calling thread one from which a child can be started that
// is as our caller's would be: rt's own threads may have a raised timer slack and
// run on one processor only (nsenter/early.c), and a child inherits both from the
// thread that starts it. The first thread has our caller's processors.
//
//	defer sys.AsCaller()()
func AsCaller() (restore func()) {
	runtime.LockOSThread()
	var cpus unix.CPUSet
	if unix.SchedGetaffinity(os.Getpid(), &cpus) == nil {
		_ = unix.SchedSetaffinity(0, &cpus)
	}
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil {
		return runtime.UnlockOSThread
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, usualSlack, 0, 0, 0)
	return func() {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
		runtime.UnlockOSThread()
	}
}
