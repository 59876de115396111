package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/intelrdt"
)

// Event is what `rt events` prints: a sample, or that the kernel killed a process for want of memory.
type Event struct {
	Type string `json:"type"` // EventStats or EventOOM
	ID   string `json:"id"`
	Data *Stats `json:"data,omitempty"`
}

// The types of events.
const (
	EventStats = "stats"
	EventOOM   = "oom"
)

// Stats is one sample of a container.
type Stats struct {
	cgroups.Stats
	IntelRdt   intelrdt.Stats     `json:"intel_rdt"`
	Interfaces []NetworkInterface `json:"network_interfaces"`
}

// Stats measures a container that has not stopped.
func (c *Container) Stats() (*Event, error) {
	if !c.alive() {
		return nil, fmt.Errorf("%w: %q", ErrNotRunning, c.record.ID)
	}
	s, err := cgroups.Load(c.record.Cgroup).Stats()
	if err != nil {
		return nil, err
	}
	e := &Event{Type: EventStats, ID: c.record.ID, Data: &Stats{Stats: *s}}
	if e.Data.IntelRdt, err = c.record.IntelRdt.Stats(); err != nil {
		return nil, err
	}
	if e.Data.Interfaces, err = interfaces(c.record.Pid); err != nil && !hasLeft(err) && c.alive() {
		return nil, err
	}
	return e, nil
}

// hasLeft: a process that ends leaves its namespaces some moments before it counts as ended.
func hasLeft(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL)
}

// Events tells a sample now and after every interval, and each process that the kernel kills for want of
// memory, until the container stops or tell returns an error.
func (c *Container) Events(interval time.Duration, tell func(*Event) error) error {
	pidfd, err := c.openInit()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	watch, err := cgroups.Load(c.record.Cgroup).WatchOOM()
	if err != nil {
		return err
	}
	defer watch.Close()
	for next := time.Now(); ; {
		if now := time.Now(); !now.Before(next) {
			if err := c.tellSample(tell); err != nil {
				return err
			}
			next = now.Add(interval)
		}
		ended, err := awaitEvent(pidfd, watch, next)
		if err != nil {
			return err
		}
		if err := c.tellKills(watch, tell); err != nil || ended {
			return err
		}
	}
}

// tellSample tells nothing of a container that stops meanwhile: its end is about to be seen.
func (c *Container) tellSample(tell func(*Event) error) error {
	e, err := c.Stats()
	if err != nil && !c.alive() {
		return nil
	}
	if err != nil {
		return err
	}
	return tell(e)
}

func (c *Container) tellKills(watch *cgroups.OOMWatch, tell func(*Event) error) error {
	n, err := watch.Kills()
	for ; err == nil && n > 0; n-- {
		err = tell(&Event{Type: EventOOM, ID: c.record.ID})
	}
	return err
}

// awaitEvent waits for the end of init, for a hint of an out-of-memory kill, or for the next sample to be due.
func awaitEvent(pidfd int, watch *cgroups.OOMWatch, next time.Time) (ended bool, err error) {
	wait := max(min(time.Until(next), watch.Pause()), 0)
	fds := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}, watch.PollFd()}
	_, err = unix.Poll(fds, int((wait+time.Millisecond-1)/time.Millisecond))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return false, os.NewSyscallError("poll", err)
	}
	return err == nil && fds[0].Revents != 0, nil
}
