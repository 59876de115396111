package terminal

import (
	"bytes"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY makes a pty. Both files are blocking. The slave is closed after the
// test; the master is not, because a relay owns it, which may live on.
func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	check(t, err)
	master = os.NewFile(uintptr(fd), "master")
	check(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	slave = os.NewFile(n, "slave")
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// within fails the test if fn takes longer than any machine needs.
func within(t *testing.T, what string, fn func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not end", what)
	}
}

// pipeFDs are plain descriptors, blocking, as a shell would give us.
func pipeFDs(t *testing.T) (r, w int) {
	t.Helper()
	var fds [2]int
	check(t, unix.Pipe2(fds[:], unix.O_CLOEXEC))
	return fds[0], fds[1]
}

// collect reads fd to its end.
func collect(fd int) <-chan []byte {
	out := make(chan []byte, 1)
	go func() {
		file := os.NewFile(uintptr(fd), "collected")
		defer file.Close()
		var buf bytes.Buffer
		io.Copy(&buf, file)
		out <- buf.Bytes()
	}()
	return out
}

// readExactly reads len(want) bytes, or fails.
func readExactly(t *testing.T, file *os.File, want string) {
	t.Helper()
	buf := make([]byte, len(want))
	within(t, "reading "+file.Name(), func() {
		if _, err := io.ReadFull(file, buf); err != nil {
			t.Error(err)
		}
	})
	if string(buf) != want {
		t.Errorf("read %q, want %q", buf, want)
	}
}

func devNull(t *testing.T, flags int) int {
	t.Helper()
	fd, err := unix.Open("/dev/null", flags|unix.O_CLOEXEC, 0)
	check(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func termios(t *testing.T, file *os.File) unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	check(t, err)
	return *mode
}

func status(t *testing.T, fd int) int {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	check(t, err)
	return flags
}
