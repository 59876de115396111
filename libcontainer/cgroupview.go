package libcontainer

import (
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/nsenter"
	"rt/rootfs"
)

// attachSteps enter the cgroup by the stage itself: on v1 always, on cgroup2
// only when the clone can't do it.
func (c *compiler) attachSteps() error {
	if c.cgroup.Mode() == cgroups.Disabled {
		return nil
	}
	sources, err := c.cgroup.MountSources()
	if err != nil {
		return err
	}
	for i, h := range sources.V1 {
		c.plan.Add(attachStep(h.Path, i))
	}
	if sources.Unified != "" && !c.bornInside() {
		c.plan.Add(attachStep(sources.Unified, -1))
	}
	return nil
}

func attachStep(path string, index int) nsenter.Step {
	s := nsenter.Simple(nsenter.OpAttach, "linux.cgroupsPath", "enter cgroup "+path, nil, path)
	s.Feed = nsenter.Source{Kind: nsenter.CgroupTasks, Path: path, Index: index}
	return s
}

// bornInside: the clone itself enters a cgroup2 tree, unless it is made from
// inside a user namespace that was joined: there the kernel asks for rights
// that we have given up.
func (c *compiler) bornInside() bool {
	mode := c.cgroup.Mode()
	return (mode == cgroups.V2 || mode == cgroups.Hybrid) && !c.plan.ns.joins(unix.CLONE_NEWUSER)
}

func (c *compiler) cgroupView() (rootfs.CgroupView, error) {
	sources, err := c.cgroup.MountSources()
	if err != nil {
		return rootfs.CgroupView{}, err
	}
	v := rootfs.CgroupView{V2: sources.Mode == cgroups.V2, Dir: sources.Unified}
	for _, h := range sources.V1 {
		v.Hierarchies = append(v.Hierarchies, rootfs.Hierarchy{Name: h.Name, Options: h.Controllers, Links: h.Aliases, Dir: h.Path})
	}
	return v, nil
}
