package cgroups

import (
	"errors"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dir is one cgroup directory, held open so that its files cost one path component each.
type dir struct {
	fd   int
	path string // for messages
}

// openDir opens a cgroup directory as a starting point for openat.
func openDir(path string) (dir, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return dir{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return dir{fd: fd, path: path}, nil
}

func (d dir) close() { _ = unix.Close(d.fd) }

// open opens a file of the directory. cgroupfs has no symbolic links: one would be an attack.
func (d dir) open(name string, flags int) (int, error) {
	for {
		fd, err := unix.Openat(d.fd, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err == nil {
			return fd, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return -1, &os.PathError{Op: "open", Path: d.path + "/" + name, Err: err}
		}
	}
}

// write hands value to the kernel in a single write, as control files want it.
func (d dir) write(name, value string) error {
	fd, err := d.open(name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	if err := writeOnce(fd, value); err != nil {
		return &os.PathError{Op: "write", Path: d.path + "/" + name, Err: err}
	}
	return nil
}

// writeOnce writes value to a control file that is open already.
func writeOnce(fd int, value string) error {
	for {
		_, err := unix.Write(fd, []byte(value))
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// read returns the whole file without the trailing newline.
func (d dir) read(name string) (string, error) {
	fd, err := d.open(name, unix.O_RDONLY)
	if err != nil {
		return "", err
	}
	defer func() { _ = unix.Close(fd) }()
	text, err := readAll(fd)
	if err != nil {
		return "", &os.PathError{Op: "read", Path: d.path + "/" + name, Err: err}
	}
	return strings.TrimSuffix(text, "\n"), nil
}

// readAll reads from the current offset to the end.
func readAll(fd int) (string, error) {
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, cap(buf))...)[:len(buf)]
		}
		n, err := unix.Read(fd, buf[len(buf):cap(buf)])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return "", err
		}
		if n == 0 {
			return string(buf), nil
		}
		buf = buf[:len(buf)+n]
	}
}

// readFile reads one file of the cgroup directory at path.
func readFile(path, name string) (string, error) {
	d, err := openDir(path)
	if err != nil {
		return "", err
	}
	defer d.close()
	return d.read(name)
}

// writeFile writes one file of the cgroup directory at path.
func writeFile(path, name, value string) error {
	d, err := openDir(path)
	if err != nil {
		return err
	}
	defer d.close()
	return d.write(name, value)
}

// keyed finds "key value" in a flat keyed file such as memory.events. Absent keys are zero.
func keyed(text, key string) (uint64, error) {
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		if ok && k == key {
			return strconv.ParseUint(v, 10, 64)
		}
	}
	return 0, nil
}

// gone tells whether err means that the cgroup, or the file's cgroup, was removed meanwhile.
func gone(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
