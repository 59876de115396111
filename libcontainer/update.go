package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/intelrdt"
)

// Update is a change of a container's limits; what it does not mention stays.
type Update struct {
	Resources *specs.LinuxResources // its device rules are not looked at: only create makes those

	// L3CacheSchema and MemBwSchema are lines for the container's resctrl group; empty ones change nothing.
	L3CacheSchema, MemBwSchema string
}

// Update changes the limits of a container that has not stopped: all of them, or none.
func (c *Container) Update(u Update) error {
	status, err := c.lockedStatus()
	if err != nil {
		return err
	}
	if status == Stopped || status == Creating {
		return fmt.Errorf("%w: %q is %s", ErrNotRunning, c.record.ID, status)
	}
	undo, err := c.updateIntelRdt(&specs.LinuxIntelRdt{L3CacheSchema: u.L3CacheSchema, MemBwSchema: u.MemBwSchema})
	if err != nil {
		return err
	}
	cg := cgroups.Load(c.record.Cgroup)
	if err := cg.Update(u.Resources, c.record.CPUShares); err != nil {
		return errors.Join(err, undo())
	}
	for _, w := range cg.Warnings() {
		c.store.warn(w)
	}
	return c.recordShares(u.Resources)
}

// configuredShares are linux.resources.cpu.shares, which the kernel forgets while a cgroup is idle. All other limits
// can be read where they hold, so no record needs to keep them.
func configuredShares(r *specs.LinuxResources) *uint64 {
	if r == nil || r.CPU == nil || r.CPU.Shares == nil || *r.CPU.Shares == 0 {
		return nil
	}
	return r.CPU.Shares
}

func (c *Container) recordShares(r *specs.LinuxResources) error {
	shares := configuredShares(r)
	if shares == nil || c.record.CPUShares != nil && *c.record.CPUShares == *shares {
		return nil
	}
	c.record.CPUShares = shares
	return c.entry.write(&c.record)
}

// updateIntelRdt changes the container's resctrl group. A container without one gets one of its own.
func (c *Container) updateIntelRdt(r *specs.LinuxIntelRdt) (undo func() error, err error) {
	nothing := func() error { return nil }
	if r.L3CacheSchema == "" && r.MemBwSchema == "" {
		return nothing, nil
	}
	if err := intelrdt.CheckMounted(intelrdt.Mount); err != nil {
		return nil, fmt.Errorf("linux.intelRdt: %w", err)
	}
	if c.record.IntelRdt != nil {
		return c.record.IntelRdt.Update(r)
	}
	g := intelrdt.New(intelrdt.Mount, c.record.ID, r)
	if err := g.Create(r); err != nil {
		return nil, err
	}
	undo = func() error {
		c.record.IntelRdt = nil
		return errors.Join(g.Remove(), c.entry.write(&c.record))
	}
	c.record.IntelRdt = g // before anybody is in it: delete has to find it
	if err := c.entry.write(&c.record); err != nil {
		return nil, errors.Join(err, g.Remove())
	}
	if err := c.moveTo(g); err != nil {
		return nil, errors.Join(err, undo())
	}
	return undo, nil
}

// moveTo puts every thread of the container into a resctrl group. What they fork is born in it, so the second round
// finds those that were forked during the first.
func (c *Container) moveTo(g *intelrdt.Group) error {
	for range 2 {
		pids, err := c.Processes()
		if errors.Is(err, cgroups.ErrDisabled) {
			pids, err = []int{c.record.Pid}, nil
		}
		if err != nil {
			return err
		}
		for _, tid := range threads(pids) {
			if err := g.Add(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
	}
	return nil
}

// threads lists the threads of processes; those of one that has ended are none.
func threads(pids []int) []int {
	var tids []int
	for _, pid := range pids {
		entries, err := os.ReadDir("/proc/" + strconv.Itoa(pid) + "/task")
		if err != nil {
			continue
		}
		for _, e := range entries {
			if tid, err := strconv.Atoi(e.Name()); err == nil {
				tids = append(tids, tid)
			}
		}
	}
	slices.Sort(tids)
	return tids
}
