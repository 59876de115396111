package cgroups

import "golang.org/x/sys/unix"

// MayWait tells whether Create can come after init is born, while it mounts its
// root: where the process itself enters v1 hierarchies, whenever they are there.
// A rootless caller has to see first which of them it may use.
func (c *Cgroup) MayWait() bool {
	return len(c.v1) > 0 && c.unit == nil && !c.rootless
}

// CreateUnified makes the cgroup2 directory of a hybrid ahead of Create, to be
// born in. Undo it with RemoveUnified unless Create has succeeded.
func (c *Cgroup) CreateUnified() error {
	if c.unified.path == "" {
		return nil
	}
	var made creation
	if _, err := c.makeOne(c.unified, &made); err != nil {
		made.undo()
		return err
	}
	c.early = true
	c.earlyExisted = made.existed
	return nil
}

// RemoveUnified undoes CreateUnified; nobody may be in the directory any more.
func (c *Cgroup) RemoveUnified() {
	if c.early {
		_ = unix.Rmdir(c.unified.path)
	}
}
