package libcontainer

import (
	"slices"

	"rt/cgroups"
)

// Processes lists the ids of all processes in the container's cgroup and below it, sorted, as numbers of
// our own pid namespace. Without a cgroup it is the pid namespace that tells, unless it is shared with
// others: cgroups.ErrDisabled.
func (c *Container) Processes() ([]int, error) {
	cg := cgroups.Load(c.record.Cgroup)
	if cg.Mode() != cgroups.Disabled || !c.record.OwnPidNS {
		return cg.Procs()
	}
	if !c.alive() {
		return nil, nil
	}
	members, err := inPIDNamespace(c.record.Pid)
	slices.Sort(members)
	return members, err
}
