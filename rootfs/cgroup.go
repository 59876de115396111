package rootfs

import (
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// cgroup shows the container's cgroups: the one tree of v2, or a tmpfs with one
// mount for each v1 hierarchy.
func (p *planner) cgroup(e *entry) {
	if !p.facts.CgroupNS {
		// Without a namespace of its own the payload sees the host's tree. A writable one is the host's own
		// only when the config says so and no user namespace is there to make it somebody else's (CVE-2023-25809).
		if p.facts.UserNS {
			e.Set |= unix.MOUNT_ATTR_RDONLY
		}
	}
	if p.facts.CgroupNS {
		p.inside() // a new mount shows the hierarchy from the namespace's root on
	}
	if p.facts.Cgroups.V2 {
		p.cgroup2(e)
		return
	}
	flags := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC)
	p.add(nsenter.Mount(e.from, "mount tmpfs on "+e.target+" for the cgroup hierarchies", nsenter.Filesystem{
		Type: "tmpfs", Source: "tmpfs", Options: append([]string{"mode=755"}, p.context("tmpfs", nil)...), Attr: flags | e.Set&^unix.MOUNT_ATTR_RDONLY, UnsafeTarget: e.target,
	}))
	for _, h := range p.facts.Cgroups.Hierarchies {
		p.hierarchy(e, h)
	}
	if e.Set&unix.MOUNT_ATTR_RDONLY != 0 {
		p.add(p.readonly(e))
	}
}

func (p *planner) hierarchy(e *entry, h Hierarchy) {
	target := path.Join(e.target, h.Name)
	what := "show cgroup hierarchy " + h.Name + " on " + target
	if p.facts.CgroupNS {
		p.add(nsenter.Mount(e.from, what, nsenter.Filesystem{
			Type: "cgroup", Source: "cgroup", Options: h.Options, Attr: e.Set, UnsafeTarget: target}))
	} else {
		p.add(nsenter.AttachTree(e.from, what, target, 0, nsenter.Source{Kind: nsenter.Tree, Path: h.Dir, InCgroup: true, Set: e.Set, Clear: e.Clear,
			Propagation: []nsenter.Propagation{{Type: p.defaultPropagation()}}}))
	}
	for _, link := range h.Links {
		p.add(nsenter.Simple(nsenter.OpSymlink, e.from, "link "+link+" to "+h.Name, []uint64{0}, h.Name, path.Join(e.target, link)))
	}
}

func (p *planner) cgroup2(e *entry) {
	what := "mount cgroup2 on " + e.target + e.words()
	if p.facts.UserNS && !p.facts.CgroupNS {
		// A new cgroup2 mount belongs to the initial cgroup namespace's owner; the host's own may be bound.
		p.add(nsenter.AttachTree(e.from, what, e.target, 0, nsenter.Source{Kind: nsenter.Tree, Path: "/sys/fs/cgroup",
			Recursive: true, Set: e.Set, Clear: e.Clear, Propagation: []nsenter.Propagation{{Type: p.defaultPropagation(), Recursive: true}}}))
		return
	}
	var data []string
	for _, o := range e.Data {
		if !strings.HasPrefix(o, "name=") {
			data = append(data, o)
		}
	}
	p.add(nsenter.Mount(e.from, what, nsenter.Filesystem{Type: "cgroup2", Source: "cgroup", Options: data, Attr: e.Set, UnsafeTarget: e.target}))
}
