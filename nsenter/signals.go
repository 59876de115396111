package nsenter

// #include "signals.h"
import "C"

import (
	"os"

	"golang.org/x/sys/unix"
)

// CatchSignals has the number of every signal of mask (bit n-1 for signal n)
// written to fd, a byte each, until ReleaseSignals. The Go runtime does not see
// them meanwhile; SIGURG and those of the C library must not be among them.
func CatchSignals(mask uint64, fd int) error {
	if e := C.catch_signals(C.uint64_t(mask), C.int(fd)); e < 0 {
		return os.NewSyscallError("sigaction", unix.Errno(-e))
	}
	return nil
}

// ReleaseSignals gives the signals back.
func ReleaseSignals(mask uint64) { C.release_signals(C.uint64_t(mask)) }
