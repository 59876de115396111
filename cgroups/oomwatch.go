package cgroups

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// OOMWatch tells of processes that the kernel kills for want of memory, each once: it goes by the counters of
// kills. What wakes it up on the way only says when to look, since v1 signals an eventfd before it kills, for
// other reasons too, and not for the limits of sub-cgroups.
type OOMWatch struct {
	path   string // of the memory controller; empty: there is none
	v2     bool
	fd     int               // memory.events (v2) or an eventfd (v1); -1: nothing to wait for
	counts map[uint64]uint64 // by inode number of the cgroup: on v1, each counts for itself
	pause  time.Duration     // until the next look
}

// The pauses between looks that nothing woke us up for: short ones after a signal of v1, since the kill follows.
const (
	shortPause = 5 * time.Millisecond
	longPause  = time.Second
)

// WatchOOM begins to watch the cgroup; what was killed before is not told. Close ends it.
func (c *Cgroup) WatchOOM() (*OOMWatch, error) {
	if c.mode == Disabled {
		return nil, ErrDisabled
	}
	w := &OOMWatch{fd: -1, pause: longPause}
	if h, ok := c.find("memory"); ok {
		w.path = h.path
	} else if c.unified.path != "" {
		w.path, w.v2 = c.unified.path, true
	} else {
		return w, nil
	}
	if err := w.listen(); err != nil {
		return nil, fmt.Errorf("watch for out-of-memory kills: %w", err)
	}
	if _, err := w.Kills(); err != nil {
		w.Close()
		return nil, err
	}
	return w, nil
}

// PollFd is what to wait for, and Pause for how long at most, before the next call of Kills.
func (w *OOMWatch) PollFd() unix.PollFd {
	if w.v2 {
		return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLPRI}
	}
	return unix.PollFd{Fd: int32(w.fd), Events: unix.POLLIN}
}

// Pause grows while nothing happens. On v2 every kill wakes us up, so there is no need to look.
func (w *OOMWatch) Pause() time.Duration {
	if w.path == "" || w.v2 && w.fd >= 0 {
		return time.Hour
	}
	return w.pause
}

// Close ends the watch.
func (w *OOMWatch) Close() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
	}
	w.fd = -1
}

// Kills returns how many processes were killed since the last call, or since the begin. A cgroup that is gone
// tells nothing any more.
func (w *OOMWatch) Kills() (uint64, error) {
	if w.path == "" {
		return 0, nil
	}
	w.acknowledge()
	now, err := w.count()
	if gone(err) {
		w.Close() // its end would wake us up for ever
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("count out-of-memory kills: %w", err)
	}
	var fresh uint64
	for cgroup, n := range now {
		if before := w.counts[cgroup]; n > before && w.counts != nil {
			fresh += n - before
		}
	}
	w.counts = now
	return fresh, nil
}

// listen opens what wakes us up. Where the v2 controller is not enabled, it may be later: an update does so.
func (w *OOMWatch) listen() error {
	d, err := openDir(w.path)
	if err != nil {
		return err
	}
	defer d.close()
	if w.v2 {
		w.fd, err = d.open("memory.events", unix.O_RDONLY)
		if errors.Is(err, unix.ENOENT) {
			return nil
		}
		return err
	}
	return w.register(d)
}

// register asks for the eventfd of v1 (Documentation/admin-guide/cgroup-v1/memory.rst, "OOM Control"). A kernel
// that has given that up leaves us with the pauses.
func (w *OOMWatch) register(d dir) error {
	control, err := d.open("memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(control) }()
	w.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return os.NewSyscallError("eventfd", err)
	}
	err = d.write("cgroup.event_control", strconv.Itoa(w.fd)+" "+strconv.Itoa(control))
	if err != nil {
		w.Close()
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// acknowledge takes a signal of v1, and settles how soon to look again.
func (w *OOMWatch) acknowledge() {
	w.pause = min(2*w.pause, longPause)
	if w.v2 || w.fd < 0 {
		return
	}
	var signals [8]byte
	if n, _ := unix.Read(w.fd, signals[:]); n > 0 {
		w.pause = shortPause
	}
}

// count reads all counters. A v2 cgroup counts for those below it, and for those that were.
func (w *OOMWatch) count() (map[uint64]uint64, error) {
	if !w.v2 {
		return countBelow(w.path)
	}
	if w.fd < 0 {
		if err := w.listen(); err != nil || w.fd < 0 {
			return map[uint64]uint64{}, err
		}
	}
	// The kernel takes a reading from the start as acknowledgement of the last event.
	if _, err := unix.Seek(w.fd, 0, unix.SEEK_SET); err != nil {
		return nil, err
	}
	text, err := readAll(w.fd)
	if err != nil {
		return nil, &os.PathError{Op: "read", Path: w.path + "/memory.events", Err: err}
	}
	n, err := keyed(text, "oom_kill")
	return map[uint64]uint64{0: n}, err
}

// countBelow reads the counters of a v1 cgroup and all below it.
func countBelow(path string) (map[uint64]uint64, error) {
	counts := map[uint64]uint64{}
	err := walk(path, func(d dir) error {
		var st unix.Stat_t
		if err := unix.Fstat(d.fd, &st); err != nil {
			return os.NewSyscallError("fstat", err)
		}
		text, err := d.read("memory.oom_control")
		if err != nil {
			return err
		}
		counts[st.Ino], err = keyed(text, "oom_kill")
		return err
	}, nil)
	return counts, err
}
