package cgroups

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// RemoveTimeout is how long Remove waits for processes that are still dying.
const RemoveTimeout = 10 * time.Second

// BusyError reports a cgroup that cannot be removed since processes are left in it.
type BusyError struct {
	Path string
	Pids []int // survivors; may be empty when the kernel hides them
	Wait time.Duration
}

// Error implements error.
func (e *BusyError) Error() string {
	return fmt.Sprintf("remove cgroup %s: still in use after %v by processes %v", e.Path, e.Wait, e.Pids)
}

// Unwrap gives the kernel's word.
func (e *BusyError) Unwrap() error { return unix.EBUSY }

// Remove removes the cgroup from every hierarchy, sub-cgroups first. It does not kill; processes that
// are dying are waited for, RemoveTimeout at most. Removing what is gone is fine. A systemd unit is
// stopped, which ends whoever is left in it.
func (c *Cgroup) Remove() error {
	remove := func() error { return c.removeWithin(RemoveTimeout) }
	if c.unit != nil {
		return c.endUnit(remove)
	}
	return remove()
}

// RemoveEmpty removes the cgroup's own directories if nothing is in them, retrying for wait at most. A
// directory that others use is left to them: with a wait that is no error, without it is EBUSY.
func (c *Cgroup) RemoveEmpty(wait time.Duration) error {
	deadline := time.Now().Add(wait)
	for {
		err := c.rmdirs()
		if !busy(err) || wait == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return nil
		}
		time.Sleep(time.Millisecond)
	}
}

// rmdirs removes the directories, if nothing is in them.
func (c *Cgroup) rmdirs() error {
	if c.unit == nil {
		return c.rmdirAll()
	}
	pids, err := c.Procs()
	if err != nil && !errors.Is(err, ErrDisabled) {
		return err
	}
	if len(pids) > 0 {
		return &BusyError{Path: c.unit.Name, Pids: pids}
	}
	return c.endUnit(c.rmdirAll)
}

func (c *Cgroup) rmdirAll() error {
	var first error
	for _, h := range append([]hierarchy{c.unified}, c.v1...) {
		if h.path == "" {
			continue
		}
		if err := rmdir(h.path); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (c *Cgroup) removeWithin(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	var first error
	for _, h := range append([]hierarchy{c.unified}, c.v1...) {
		if h.path == "" {
			continue
		}
		err := removeTree(h, deadline)
		if errors.Is(err, unix.EBUSY) {
			pids, _ := listProcs(h.path)
			err = &BusyError{Path: h.path, Pids: pids, Wait: limit}
		}
		if first == nil {
			first = err
		}
	}
	return first
}

// removeTree removes one directory. The usual case is one system call.
func removeTree(h hierarchy, deadline time.Time) error {
	pause := 50 * time.Microsecond
	for {
		err := rmdir(h.path)
		if err == nil || !busy(err) {
			return err
		}
		if err := removeChildren(h.path); err != nil && !busy(err) && !gone(err) {
			return err
		}
		if err = rmdir(h.path); err == nil || !busy(err) {
			return err
		}
		waitEmpty(h, deadline)
		if time.Now().After(deadline) {
			return err
		}
		if err = rmdir(h.path); err == nil || !busy(err) {
			return err
		}
		// The last process has only just gone, or something cannot be waited for.
		time.Sleep(pause)
		pause = min(pause*2, 20*time.Millisecond)
	}
}

// removeChildren removes all cgroups below path, deepest first, as far as they are empty.
func removeChildren(path string) error {
	var first error
	err := walk(path, nil, func(parent dir, name string) error {
		err := unix.Unlinkat(parent.fd, name, unix.AT_REMOVEDIR)
		if err != nil && !gone(err) && first == nil {
			first = &os.PathError{Op: "rmdir", Path: path + "/…/" + name, Err: err}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return first
}

func rmdir(path string) error {
	err := unix.Rmdir(path)
	if err == nil || gone(err) {
		return nil
	}
	return &os.PathError{Op: "rmdir", Path: path, Err: err}
}

func busy(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOTEMPTY) }

// waitEmpty waits until the processes of a cgroup have ended, or at least those that were there when it
// looked.
func waitEmpty(h hierarchy, deadline time.Time) {
	if h.names == nil {
		_ = waitEvent(h.path, "populated", 0, deadline)
		return
	}
	pids, _ := listProcs(h.path)
	for _, pid := range pids {
		if pid <= 0 {
			continue // outside our pid namespace
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // gone since
		}
		_ = pollUntil(fd, unix.POLLIN, deadline)
		_ = unix.Close(fd)
	}
}
