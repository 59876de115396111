package cgroups

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Delegate makes uid and gid (ids of the host) owners of the cgroup, so that the container may divide
// it: the directory and the files that the kernel lists as safe to delegate. Only v2 was made for that;
// on v1 and hybrid, and without a cgroup, Delegate does nothing.
func (c *Cgroup) Delegate(uid, gid int) error {
	if c.mode != V2 {
		return nil
	}
	files, err := delegable("/sys/kernel/cgroup/delegate")
	if err != nil {
		return fmt.Errorf("delegate cgroup: %w", err)
	}
	return delegate(c.unified.path, files, uid, gid)
}

// delegable reads the kernel's list; where there is none, the specification has one.
func delegable(list string) ([]string, error) {
	text, err := os.ReadFile(list)
	if errors.Is(err, os.ErrNotExist) {
		return []string{"cgroup.procs", "cgroup.subtree_control", "cgroup.threads"}, nil
	}
	return strings.Fields(string(text)), err
}

func delegate(path string, files []string, uid, gid int) error {
	d, err := openDir(path)
	if err != nil {
		return fmt.Errorf("delegate cgroup: %w", err)
	}
	defer d.close()
	// The kernel lists files of all controllers; those not enabled here have none.
	for _, file := range files {
		err := unix.Fchownat(d.fd, file, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("delegate cgroup: %w", &os.PathError{Op: "chown", Path: path + "/" + file, Err: err})
		}
	}
	if err := unix.Fchownat(d.fd, "", uid, gid, unix.AT_EMPTY_PATH); err != nil {
		return fmt.Errorf("delegate cgroup: %w", &os.PathError{Op: "chown", Path: path, Err: err})
	}
	return nil
}
