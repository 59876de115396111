// Package sys is what several packages need of the system calls beyond
// golang.org/x/sys/unix. It is not for anything that knows of containers.
package sys

import (
	"os"

	"golang.org/x/sys/unix"
)

// ReadFile is os.ReadFile for files that never block. The first os.File that the
// Go runtime could poll makes it set up epoll, which takes a short command as
// long as reading its config. The error is an *os.PathError.
func ReadFile(name string) ([]byte, error) {
	fd, err := open(name)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	return ReadFD(fd, name)
}

// ReadFD reads an open file to its end; name is for the error, an *os.PathError.
func ReadFD(fd int, name string) ([]byte, error) {
	data := make([]byte, 0, sizeOf(fd))
	for {
		n, err := unix.Read(fd, data[len(data):cap(data)])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: name, Err: err}
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
	}
}

func open(name string) (int, error) {
	for {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// sizeOf leaves room for one byte more, so that the end is seen without growing; files of procfs say 0.
func sizeOf(fd int) int {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Size < 512 {
		return 1024
	}
	return int(min(st.Size, 64<<20)) + 1
}
