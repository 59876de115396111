package cgroups

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// walk visits the cgroup at path and all below it: enter is called for each one before its children,
// leave for each but the first after them, with the directory that contains it. The payload makes
// sub-cgroups as it likes, thousands deep if it wants to hurt: so walk holds one descriptor, whatever
// the depth, and never builds a path. What vanishes meanwhile is skipped.
func walk(path string, enter func(d dir) error, leave func(parent dir, name string) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	w := walker{at: dir{fd, path}, enter: enter, leave: leave}
	defer func() { w.at.close() }()
	if err := w.arrive(""); err != nil {
		return err
	}
	for {
		top := &w.stack[len(w.stack)-1]
		if n := len(top.children); n > 0 {
			child := top.children[n-1]
			top.children = top.children[:n-1]
			err = w.down(child)
		} else if len(w.stack) > 1 {
			err = w.up()
		} else {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

type walker struct {
	at    dir
	stack []level
	enter func(dir) error
	leave func(dir, string) error
}

// level is one directory on the way down from the first.
type level struct {
	name     string
	children []string // not visited yet
}

// arrive handles the directory just entered.
func (w *walker) arrive(name string) error {
	if w.enter != nil {
		if err := w.enter(w.at); err != nil && !gone(err) {
			return err
		}
	}
	children, err := subdirs(w.at)
	if err != nil && !gone(err) {
		return err
	}
	w.stack = append(w.stack, level{name, children})
	return nil
}

func (w *walker) down(child string) error {
	fd, err := unix.Openat(w.at.fd, child, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if gone(err) {
		return nil
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: w.at.path + "/" + child, Err: err}
	}
	w.at.close()
	w.at.fd = fd
	return w.arrive(child)
}

// up goes back by "..": cgroups never move to another parent.
func (w *walker) up() error {
	fd, err := unix.Openat(w.at.fd, "..", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: w.at.path + "/..", Err: err}
	}
	w.at.close()
	w.at.fd = fd
	name := w.stack[len(w.stack)-1].name
	w.stack = w.stack[:len(w.stack)-1]
	if w.leave == nil {
		return nil
	}
	return w.leave(w.at, name)
}

// subdirs lists the child cgroups of a directory. The link count tells without reading when there are
// none: 2, "." and the entry in the parent.
func subdirs(d dir) ([]string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil {
		return nil, os.NewSyscallError("fstat", err)
	}
	if st.Nlink == 2 {
		return nil, nil
	}
	fd, err := unix.Openat(d.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: d.path, Err: err}
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer func() { _ = f.Close() }()
	entries, err := f.ReadDir(-1)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
