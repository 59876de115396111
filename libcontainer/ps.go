package libcontainer

import "rt/cgroups"

// Processes lists the ids of all processes in the container's cgroup and below it, sorted, as numbers of
// our own pid namespace. There is no list without a cgroup: cgroups.ErrDisabled.
func (c *Container) Processes() ([]int, error) {
	return cgroups.Load(c.record.Cgroup).Procs()
}
