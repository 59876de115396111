package terminal

import (
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// isTerminal is true if fd is one.
func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// makeRaw has the terminal pass every key on as it is, and returns the mode to
// restore. Output processing stays as it was: the container's terminal does not
// turn newlines into CR LF, so ours has to.
func makeRaw(fd int) (saved *unix.Termios, err error) {
	saved, err = unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, os.NewSyscallError("ioctl TCGETS", err)
	}
	raw := *saved
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, os.NewSyscallError("ioctl TCSETS", err)
	}
	return saved, nil
}

// restore sets the terminal's mode even if we run in the background by now. The
// kernel would stop us for that, at a time when nobody is left to continue us.
func restore(fd int, saved *unix.Termios) error {
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	return os.NewSyscallError("ioctl TCSETS", unix.IoctlSetTermios(fd, unix.TCSETS, saved))
}

// firstTerminal is the first of fds that is a terminal, or -1.
func firstTerminal(fds ...int) int {
	for _, fd := range fds {
		if isTerminal(fd) {
			return fd
		}
	}
	return -1
}

// openSlave opens the other side of a pty. It works wherever its devpts is
// mounted, and does not make it our controlling terminal.
func openSlave(master int) (*os.File, error) {
	fd, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		return nil, os.NewSyscallError("ioctl TIOCGPTPEER", errno)
	}
	return os.NewFile(fd, "slave"), nil
}
