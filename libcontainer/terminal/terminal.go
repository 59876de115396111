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

// SetSize gives the pty's window a size in characters (process.consoleSize), through its master. Without one it stays
// what the kernel makes it.
func SetSize(master *os.File, size *specs.Box) error {
	if size == nil {
		return nil
	}
	return control(master, func(fd int) error { return setSize(fd, master.Name(), size) })
}

// BareNewlines switches off that the pty turns a newline into carriage return and newline (ONLCR), through its master.
// It is for a terminal that we relay ourselves, whose lines then come out as they were written. Engines that are sent
// the master get the kernel's default, which they count on: `docker logs` of a terminal shows the carriage returns.
func BareNewlines(master *os.File) error {
	return control(master, func(fd int) error { return clearONLCR(fd, master.Name()) })
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
