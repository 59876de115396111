package rttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// An FDSocket is a listening AF_UNIX socket that expects one connection with one descriptor, as --console-socket and
// --pidfd-socket want it.
type FDSocket struct {
	t    testing.TB
	Path string
	l    *net.UnixListener
}

// ListenFD makes the socket.
func ListenFD(t testing.TB) *FDSocket {
	t.Helper()
	path := filepath.Join(tempParent(), fmt.Sprintf("s%d", serial.Add(1)))
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &FDSocket{t, path, l}
}

// Receive returns the descriptor and the bytes that came with it.
func (s *FDSocket) Receive() (*os.File, string) {
	s.t.Helper()
	file, payload, err := s.receive()
	if err != nil {
		s.t.Fatalf("receive from %s: %v", s.Path, err)
	}
	s.t.Cleanup(func() { file.Close() })
	return file, payload
}

func (s *FDSocket) receive() (*os.File, string, error) {
	until := time.Now().Add(deadline())
	_ = s.l.SetDeadline(until)
	conn, err := s.l.AcceptUnix()
	if err != nil {
		return nil, "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(until)
	data, oob := make([]byte, 4096), make([]byte, 256)
	n, oobn, _, _, err := conn.ReadMsgUnix(data, oob)
	if err != nil {
		return nil, "", err
	}
	fds, err := rights(oob[:oobn])
	if err != nil {
		return nil, "", err
	}
	return os.NewFile(uintptr(fds[0]), "received"), string(data[:n]), nil
}

// rights takes the one descriptor out of a control message.
func rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	if len(msgs) != 1 {
		return nil, fmt.Errorf("%d control messages, want 1", len(msgs))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err == nil && len(fds) != 1 {
		err = fmt.Errorf("%d descriptors, want 1", len(fds))
	}
	return fds, err
}

// OpenPty makes a pseudo terminal on the machine.
func OpenPty(t testing.TB) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(os.NewSyscallError("ioctl TIOCSPTLCK", err))
	}
	peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(os.NewSyscallError("ioctl TIOCGPTPEER", errno))
	}
	slave = os.NewFile(peer, "pty")
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// ReadTerminal reads a pty master until every slave is closed (EIO), or the text has come if until is not empty.
func ReadTerminal(t testing.TB, master *os.File, until string) string {
	t.Helper()
	var got bytes.Buffer
	done := make(chan error, 1)
	go func() { done <- readUntil(&got, master, until) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf("read the terminal: %v, after %q", err, got.String())
		}
	case <-time.After(deadline()):
		t.Fatalf("the terminal did not end or say %q", until)
	}
	return got.String()
}

func readUntil(got *bytes.Buffer, r io.Reader, until string) error {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		got.Write(buf[:n])
		switch {
		case until != "" && bytes.Contains(got.Bytes(), []byte(until)):
			return nil
		case errors.Is(err, unix.EIO) || err == io.EOF:
			if until != "" {
				return fmt.Errorf("ended without %q", until)
			}
			return nil
		case err != nil:
			return err
		}
	}
}
