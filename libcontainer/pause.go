package libcontainer

import (
	"fmt"

	"rt/cgroups"
)

// Pause stops every process of a created or running container where it stands, by the freezer of its
// cgroup. It returns when all of them do.
func (c *Container) Pause() error {
	status, err := c.lockedStatus()
	if err != nil {
		return err
	}
	if status != Running && status != Created {
		return fmt.Errorf("%w: %q is %s", ErrNotRunning, c.record.ID, status)
	}
	return cgroups.Load(c.record.Cgroup).Freeze()
}

// Resume lets the processes of a paused container go on.
func (c *Container) Resume() error {
	status, err := c.lockedStatus()
	if err != nil {
		return err
	}
	if status != Paused {
		return fmt.Errorf("%w: %q is %s", ErrNotPaused, c.record.ID, status)
	}
	return cgroups.Load(c.record.Cgroup).Thaw()
}

// lockedStatus takes the container's lock first: no other command then changes what it tells. A create
// that finishes meanwhile is seen.
func (c *Container) lockedStatus() (string, error) {
	if err := c.entry.lock(lockWait); err != nil {
		return "", err
	}
	r, err := c.entry.read()
	if err != nil {
		return "", err
	}
	c.record = *r
	return c.Status()
}
