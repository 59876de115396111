package cgroups

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// killRounds bounds how often Kill looks for processes that were forked meanwhile, where nothing can
// hold them still.
const killRounds = 64

// Kill sends a signal to every process in the cgroup and below it. SIGKILL on cgroup v2 is one write;
// else the processes are frozen meanwhile, so that none can fork its way out. A frozen cgroup stays
// frozen, except for SIGKILL: what is frozen by v1 cannot die. A cgroup that is gone needs no signal.
func (c *Cgroup) Kill(sig unix.Signal) error {
	if c.mode == Disabled {
		return ErrDisabled
	}
	err := c.kill(sig)
	if gone(err) {
		return nil
	}
	return err
}

func (c *Cgroup) kill(sig unix.Signal) error {
	if sig != unix.SIGKILL || c.unified.path == "" {
		return c.signalFrozen(sig)
	}
	err := writeFile(c.unified.path, "cgroup.kill", "1")
	switch {
	case errors.Is(err, unix.EOPNOTSUPP): // a threaded cgroup: only whole domains can be killed
		return c.signalFrozen(sig)
	case c.mode == V2:
		return err
	case err != nil && !gone(err):
		return err
	}
	return c.killStragglers()
}

// killStragglers kills what is only in v1 cgroups, and thaws what cgroup.kill reached but v1 holds.
func (c *Cgroup) killStragglers() error {
	err := c.signalRunning(unix.SIGKILL)
	if h, ok := c.find("freezer"); ok {
		if thaw := freezerOf(h).thaw(); err == nil {
			err = thaw
		}
	}
	return err
}

// signalFrozen signals processes that cannot fork or exit meanwhile.
func (c *Cgroup) signalFrozen(sig unix.Signal) error {
	f := c.freezer()
	if f.path == "" {
		return c.signalRunning(sig)
	}
	frozen, err := f.frozen()
	if err != nil {
		return err
	}
	if !frozen {
		if err := c.Freeze(); err != nil {
			return c.signalRunning(sig) // a process in D state: no reason to spare the others
		}
	}
	pids, err := c.Procs()
	if err == nil {
		err = signalEach(pids, sig)
	}
	if !frozen || sig == unix.SIGKILL {
		if thaw := f.thaw(); err == nil {
			err = thaw
		}
	}
	return err
}

// signalRunning signals processes until no new ones appear.
func (c *Cgroup) signalRunning(sig unix.Signal) error {
	seen := map[int]bool{}
	for range killRounds {
		pids, err := c.Procs()
		if err != nil {
			return err
		}
		var fresh []int
		for _, pid := range pids {
			if !seen[pid] {
				seen[pid] = true
				fresh = append(fresh, pid)
			}
		}
		if len(fresh) == 0 {
			return nil
		}
		if err := signalEach(fresh, sig); err != nil {
			return err
		}
	}
	return fmt.Errorf("signal processes: they fork faster than they can be signalled")
}

// signalEach signals processes; those that have ended are no fault. A pid of 0 is a process outside
// our pid namespace: kill(2) would take it for our own process group.
func signalEach(pids []int, sig unix.Signal) error {
	var first error
	for _, pid := range pids {
		if pid <= 0 {
			first = errors.Join(first, fmt.Errorf("signal: a process is outside our pid namespace"))
			continue
		}
		err := unix.Kill(pid, sig)
		if err != nil && !errors.Is(err, unix.ESRCH) && first == nil {
			first = fmt.Errorf("signal process %d: %w", pid, os.NewSyscallError("kill", err))
		}
	}
	return first
}
