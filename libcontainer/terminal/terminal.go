// Package terminal is the runtime's side of a container's terminal: it readies
// a new pty, hands it to an engine, or, for a foreground run, relays between
// the container and our own stdio and passes signals on.
//
// It does not make the pty: that happens inside the container, in its own
// devpts. The file descriptors that we inherited are shared with whoever
// started us, so their O_NONBLOCK flag is never touched; they are passed as
// plain numbers, because an *os.File may change it.
package terminal

import (
	"errors"
	"fmt"
	"math"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Prepare readies a new pty through its master: lines end in a bare newline
// (ONLCR off), as callers of runc expect, and the window has the given size in
// characters, if any (process.consoleSize).
func Prepare(master *os.File, size *specs.Box) error {
	return control(master, func(fd int) error {
		if err := clearONLCR(fd, master.Name()); err != nil {
			return err
		}
		if size == nil {
			return nil
		}
		return setSize(fd, master.Name(), size)
	})
}

func clearONLCR(fd int, name string) error {
	mode, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return &os.PathError{Op: "TCGETS", Path: name, Err: err}
	}
	mode.Oflag &^= unix.ONLCR
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, mode); err != nil {
		return &os.PathError{Op: "TCSETS", Path: name, Err: err}
	}
	return nil
}

var errSize = errors.New("a terminal has at most 65535 rows and columns")

func setSize(fd int, name string, size *specs.Box) error {
	if size.Height > math.MaxUint16 || size.Width > math.MaxUint16 {
		return fmt.Errorf("process.consoleSize: %d x %d: %w", size.Height, size.Width, errSize)
	}
	window := unix.Winsize{Row: uint16(size.Height), Col: uint16(size.Width)}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &window); err != nil {
		return &os.PathError{Op: "TIOCSWINSZ", Path: name, Err: err}
	}
	return nil
}

// control calls fn with the descriptor of file, which stays open meanwhile.
func control(file *os.File, fn func(fd int) error) error {
	conn, err := file.SyscallConn()
	if err != nil {
		return err
	}
	if failed := conn.Control(func(fd uintptr) { err = fn(int(fd)) }); failed != nil {
		return failed
	}
	return err
}
