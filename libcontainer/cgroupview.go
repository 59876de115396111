package libcontainer

import (
	"strings"

	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/nsenter"
	"rt/rootfs"
)

// insideSteps enter the cgroup and what depends on it: the cgroup namespace,
// whose root is the cgroup that we are in when it is made, and the CPUs that the
// cpuset allows. They stand as late in the plan as they may: what comes before
// runs while rt makes the v1 hierarchies.
func (c *compiler) insideSteps() error {
	if err := c.attachSteps(); err != nil {
		return err
	}
	if c.plan.ns.create&unix.CLONE_NEWCGROUP != 0 {
		c.plan.Add(nsenter.Unshare("linux.namespaces cgroup", "make a cgroup namespace", unix.CLONE_NEWCGROUP))
	}
	c.plan.Add(anyCPU())
	return nil
}

// anyCPU: our caller's affinity is not the container's. The kernel cuts the mask down to the cpuset.
func anyCPU() nsenter.Step {
	all := strings.Repeat("\xff", 1024)
	return nsenter.Syscall("process", "use every CPU of the cpuset", unix.SYS_SCHED_SETAFFINITY,
		nsenter.Num(0), nsenter.Num(len(all)), nsenter.Text(all))
}

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
	for _, h := range sources.V1 {
		c.plan.Add(attachStep("linux.cgroupsPath", h.Path, false))
	}
	if sources.Unified != "" && !c.bornInside() {
		c.plan.Add(attachStep("linux.cgroupsPath", sources.Unified, true))
	}
	return nil
}

func attachStep(from, path string, unified bool) nsenter.Step {
	s := nsenter.Simple(nsenter.OpAttach, from, "enter cgroup "+path, nil, path)
	s.Feed = nsenter.Source{Kind: nsenter.CgroupTasks, Path: path, Unified: unified}
	return s
}

// bornInside: the clone itself enters a cgroup2 tree, unless it is made from
// inside a user namespace that was joined, where the kernel asks for rights
// that we have given up, or a cgroup namespace, which is a boundary to it; or
// the container's memory is too small for its own making.
func (c *compiler) bornInside() bool {
	if mode := c.cgroup.Mode(); mode != cgroups.V2 && mode != cgroups.Hybrid {
		return false
	}
	ns := &c.plan.ns
	return !ns.joins(unix.CLONE_NEWUSER) && !ns.joins(unix.CLONE_NEWCGROUP) && !c.littleMemory()
}

// littleMemory: on cgroup2 the kernel's own memory counts from the birth on, and each processor that touches the cgroup
// sets 256 KiB aside at first. So little is left then that now and then the making of the mounts ends in an OOM kill: below
// this limit init enters its cgroup after them, as on v1, at the price of the move.
func (c *compiler) littleMemory() bool {
	const enough = 1 << 20
	if c.cgroup.Mode() != cgroups.V2 || c.spec.Linux == nil || c.spec.Linux.Resources == nil {
		return false
	}
	m := c.spec.Linux.Resources.Memory
	return m != nil && m.Limit != nil && *m.Limit > 0 && *m.Limit < enough
}

// unifiedDir is the cgroup2 directory to be born in.
func (c *compiler) unifiedDir() string {
	sources, err := c.cgroup.MountSources()
	if err != nil {
		return ""
	}
	return sources.Unified
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
