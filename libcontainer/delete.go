package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/hooks"
)

// killWait is how long delete --force waits for processes to end: more means
// that something holds one which no signal ends.
const killWait = 10 * time.Second

// Delete removes a container that has stopped, or was never started. With
// force it kills whatever is there, is content if nothing is, and cleans up
// after a create that was killed at any point.
func (s *Store) Delete(id string, force bool) error {
	e, err := s.open(id)
	if errors.Is(err, ErrNotExist) && force {
		return nil
	}
	if err != nil {
		return err
	}
	defer e.close()
	c := &Container{store: s, entry: e}
	if r, err := e.read(); err == nil {
		c.record = *r
	} else if !errors.Is(err, fs.ErrNotExist) && !force {
		return err
	}
	err = c.delete(force)
	if errors.Is(err, ErrNotExist) && force {
		return nil
	}
	return err
}

func (c *Container) delete(force bool) error {
	if force {
		// Before the lock: a create that is under way ends with its init, and gives the lock up.
		c.killInit()
	}
	if err := c.entry.lock(lockWait); err != nil {
		return err
	}
	if r, err := c.entry.read(); err == nil {
		c.record = *r // a create may have got further meanwhile
	}
	if err := c.mayDelete(force); err != nil {
		return err
	}
	return c.destroy()
}

// mayDelete refuses what runs, unless forced. What only waits for start has run nothing yet.
func (c *Container) mayDelete(force bool) error {
	if force || c.record.Pid == 0 {
		return nil
	}
	status, err := c.Status()
	if err != nil {
		return err
	}
	if status == Running || status == Paused {
		return fmt.Errorf("cannot delete container %s that is not stopped: %s", c.entry.id, status)
	}
	return nil
}

// destroy ends what is left of the container and forgets it.
func (c *Container) destroy() error {
	c.killInit()
	if err := c.awaitInit(); err != nil {
		return err
	}
	if err := c.removeCgroup(); err != nil {
		return err
	}
	if err := c.record.IntelRdt.Remove(); err != nil {
		return err
	}
	if err := c.entry.remove(); err != nil {
		return err
	}
	c.poststop()
	return nil
}

// removeCgroup usually finds it empty: what had init in its pid namespace died
// with it. Else what is left is killed first, but only in a cgroup that became
// ours: a create that was killed early may have had no time to see that others
// live there.
func (c *Container) removeCgroup() error {
	cg := cgroups.Load(c.record.Cgroup)
	if c.record.Pid == 0 {
		return cg.RemoveEmpty(time.Second)
	}
	if cg.RemoveEmpty(0) == nil {
		return nil
	}
	if err := cg.Kill(unix.SIGKILL); err != nil {
		return err
	}
	return cg.Remove()
}

// killInit kills init if it is there, thawing it so that it can die.
func (c *Container) killInit() {
	if c.record.Pid == 0 || !c.alive() {
		return
	}
	if cg := cgroups.Load(c.record.Cgroup); c.signalInit(unix.SIGKILL) == nil && cg.Mode() != cgroups.Disabled {
		cg.Thaw()
	}
}

// awaitInit waits until init has ended, by its pidfd.
func (c *Container) awaitInit() error {
	pidfd, err := c.openInit()
	if err != nil {
		return nil // there is none
	}
	defer unix.Close(pidfd)
	end := time.Now().Add(killWait)
	for {
		left := time.Until(end)
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds()))
		switch {
		case err == unix.EINTR:
		case err != nil || n == 0:
			return fmt.Errorf("init (pid %d) of container %s does not end after SIGKILL%s", c.record.Pid, c.entry.id, c.holdsOut())
		default:
			return nil
		}
	}
}

// poststop hooks run when all is gone; a failing one is a warning (runtime.md, "Lifecycle", step 13).
func (c *Container) poststop() {
	if c.record.Hooks == nil {
		return
	}
	err := hooks.Run("poststop", hookList(c.record.Hooks.Poststop), specs.State{Version: c.record.OCIVersion, ID: c.record.ID,
		Status: specs.StateStopped, Bundle: c.record.Bundle, Annotations: c.record.Annotations})
	if err != nil {
		c.store.warn(err.Error())
	}
}
