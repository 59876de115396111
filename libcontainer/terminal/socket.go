package terminal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

var errNoName = errors.New("a descriptor cannot be sent without a name: a stream carries it beside at least one byte")

// SendFD connects to the AF_UNIX stream socket at socketPath and sends fd in
// one SCM_RIGHTS message whose payload is name. This is what --console-socket
// (fd is a pty master), --pidfd-socket and seccomp agents speak.
func SendFD(socketPath, name string, fd uintptr) error {
	if name == "" {
		return errNoName
	}
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(sock)
	if err := connect(sock, socketPath); err != nil {
		return err
	}
	if err := send(sock, []byte(name), unix.UnixRights(int(fd))); err != nil {
		return &os.PathError{Op: "sendmsg", Path: socketPath, Err: err}
	}
	return nil
}

// send sends all of data. The rights go with the first byte; the kernel may
// take the rest in pieces when a signal comes, because the state that a seccomp
// agent gets (it has no limit) need not fit the socket's buffer.
func send(sock int, data, rights []byte) error {
	for len(data) > 0 {
		n, err := unix.SendmsgN(sock, data, rights, nil, unix.MSG_NOSIGNAL)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		data, rights = data[n:], nil
	}
	return nil
}

// maxSunPath is the longest path in a struct sockaddr_un.
const maxSunPath = 107

// connect knows a way around the limit of socket addresses, which paths below
// an engine's state directory do reach.
func connect(sock int, path string) error {
	name := path
	if len(path) > maxSunPath {
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
		}
		defer unix.Close(dir)
		name = fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(path))
	}
	err := unix.Connect(sock, &unix.SockaddrUnix{Name: name})
	for err == unix.EINTR {
		err = unix.Connect(sock, &unix.SockaddrUnix{Name: name})
	}
	if err != nil {
		return &os.PathError{Op: "connect", Path: path, Err: err}
	}
	return nil
}
