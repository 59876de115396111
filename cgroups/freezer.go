package cgroups

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// freezeTimeout is how long processes may take to stop. One in an uninterruptible sleep may never do.
const freezeTimeout = 5 * time.Second

// freezer is the way one hierarchy stops its processes.
type freezer struct {
	path string // empty: none
	v2   bool
}

// freezer returns the v1 freezer hierarchy where there is one: it reaches processes that are only in v1
// cgroups, too. Else the cgroup2 directory.
func (c *Cgroup) freezer() freezer {
	if h, ok := c.find("freezer"); ok {
		return freezerOf(h)
	}
	if c.unified.path != "" {
		return freezerOf(c.unified)
	}
	return freezer{}
}

// freezerOf returns the freezer of one hierarchy, if it has one.
func freezerOf(h hierarchy) freezer {
	if h.names == nil {
		return freezer{h.path, true}
	}
	for _, name := range h.names {
		if name == "freezer" {
			return freezer{h.path, false}
		}
	}
	return freezer{}
}

// Freeze stops every process in the cgroup and below, and returns when all of them stand still. If that
// takes too long, it thaws them again and reports so.
func (c *Cgroup) Freeze() error {
	f := c.freezer()
	if f.path == "" {
		return c.noFreezer()
	}
	err := f.freeze(time.Now().Add(freezeTimeout))
	if err != nil {
		_ = f.thaw()
		return fmt.Errorf("freeze cgroup: %w", err)
	}
	return nil
}

// Thaw lets the processes go on. What is not frozen, cannot be frozen, or is gone needs nothing.
func (c *Cgroup) Thaw() error {
	if c.mode == Disabled {
		return ErrDisabled
	}
	f := c.freezer()
	if f.path == "" {
		return nil
	}
	if err := f.thaw(); err != nil && !gone(err) {
		return fmt.Errorf("thaw cgroup: %w", err)
	}
	return nil
}

// Frozen tells whether the cgroup is frozen, or about to be. One that is gone is not.
func (c *Cgroup) Frozen() (bool, error) {
	return c.freezer().frozen()
}

func (c *Cgroup) noFreezer() error {
	if c.mode == Disabled {
		return ErrDisabled
	}
	return fmt.Errorf("freezer %w", ErrUnavailable)
}

func (f freezer) frozen() (bool, error) {
	file, idle := "freezer.state", "THAWED"
	if f.v2 {
		file, idle = "cgroup.freeze", "0"
	}
	if f.path == "" {
		return false, nil
	}
	state, err := readFile(f.path, file)
	if gone(err) {
		return false, nil
	}
	return err == nil && state != idle, err
}

// effective tells whether processes in the cgroup stand still, be it for an ancestor's sake.
func (f freezer) effective() (bool, error) {
	if !f.v2 {
		return f.frozen()
	}
	text, err := readFile(f.path, "cgroup.events")
	if err != nil {
		return false, err
	}
	n, err := keyed(text, "frozen")
	return n == 1, err
}

func (f freezer) thaw() error {
	if f.v2 {
		return writeFile(f.path, "cgroup.freeze", "0")
	}
	return writeFile(f.path, "freezer.state", "THAWED")
}

func (f freezer) freeze(deadline time.Time) error {
	if !f.v2 {
		return freezeV1(f.path, deadline)
	}
	if err := writeFile(f.path, "cgroup.freeze", "1"); err != nil {
		return err
	}
	return waitEvent(f.path, "frozen", 1, deadline)
}

// freezeV1 writes FROZEN and reads until the kernel says so of the whole subtree: children of the
// cgroup are frozen with it, whenever they are made. The state is brought up to date by reading it, and
// nothing can be waited for. A process that was being forked can hold it in FREEZING: thawing for a
// moment resolves that.
func freezeV1(path string, deadline time.Time) error {
	d, err := openDir(path)
	if err != nil {
		return err
	}
	defer d.close()
	pause := 20 * time.Microsecond
	for try := 0; ; try++ {
		if try%30 == 29 {
			_ = d.write("freezer.state", "THAWED")
		}
		if err := d.write("freezer.state", "FROZEN"); err != nil {
			return err
		}
		state, err := d.read("freezer.state")
		if err != nil || state == "FROZEN" {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: still %s after %v", path, state, freezeTimeout)
		}
		time.Sleep(pause)
		pause = min(pause*3/2, 5*time.Millisecond)
	}
}

// waitEvent waits until a key of a v2 cgroup's cgroup.events has the value. A cgroup that goes away
// meanwhile will not change any more.
func waitEvent(path, key string, want uint64, deadline time.Time) error {
	d, err := openDir(path)
	if err != nil {
		return err
	}
	defer d.close()
	fd, err := d.open("cgroup.events", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for {
		// The kernel takes a reading from the start as acknowledgement of the last event.
		if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
			return err
		}
		text, err := readAll(fd)
		if gone(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s/cgroup.events: %w", path, err)
		}
		got, err := keyed(text, key)
		if err != nil || got == want {
			return err
		}
		if err := pollUntil(fd, unix.POLLPRI, deadline); err != nil {
			return fmt.Errorf("%s: %s is %d, not %d: %w", path, key, got, want, err)
		}
	}
}

// pollUntil waits for an event on one descriptor. unix.ETIMEDOUT when there was none.
func pollUntil(fd int, events int16, deadline time.Time) error {
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return unix.ETIMEDOUT
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: events}}
		n, err := unix.Poll(fds, int(left/time.Millisecond)+1)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
}
