package cgroups

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// MountSources is what a mount of type "cgroup" in a container can be made from.
type MountSources struct {
	Mode Mode

	// Unified is the container's cgroup2 directory on the host (v2 and hybrid), else empty.
	Unified string

	// V1 lists the v1 hierarchies. Each becomes a directory below the mount point.
	V1 []MountSource
}

// MountSource is one v1 hierarchy.
type MountSource struct {
	Name        string   // directory name, as on the host: "cpu,cpuacct", "systemd"
	Controllers []string // mount options of the hierarchy: "cpu", "cpuacct", or "name=systemd"
	Aliases     []string // symbolic links to Name beside it: "cpu", "cpuacct"
	Path        string   // the container's directory on the host, to bind without a cgroup namespace
}

// MountSources returns what the container's /sys/fs/cgroup has to show. A container without a cgroup
// of its own sees the caller's.
func (c *Cgroup) MountSources() (MountSources, error) {
	if c.mode == Disabled {
		return callersSources(c.mount, c.proc)
	}
	s := MountSources{Mode: c.mode, Unified: c.unified.path}
	for _, h := range c.v1 {
		s.V1 = append(s.V1, mountSource(h))
	}
	return s, nil
}

// callersSources describes the cgroups we are in ourselves.
func callersSources(mount, proc string) (MountSources, error) {
	own, err := readOwn(proc)
	if err != nil {
		return MountSources{}, err
	}
	if fsType(mount) == unix.CGROUP2_SUPER_MAGIC {
		return MountSources{Mode: V2, Unified: ownDir(mount, own.unified)}, nil
	}
	s := MountSources{Mode: Disabled}
	for _, line := range own.v1 {
		if h, ok := findHierarchy(mount, line, "."); ok {
			h.path = ownDir(h.root, line.path)
			s.Mode, s.V1 = V1, append(s.V1, mountSource(h))
		}
	}
	if unified := mount + "/unified"; own.hasUnified && fsType(unified) == unix.CGROUP2_SUPER_MAGIC {
		s.Unified = ownDir(unified, own.unified)
		if s.Mode == V1 {
			s.Mode = Hybrid
		}
	}
	return s, nil
}

func mountSource(h hierarchy) MountSource {
	m := MountSource{Controllers: h.names, Path: h.path}
	m.Name = h.root[strings.LastIndexByte(h.root, '/')+1:]
	if len(h.names) > 1 {
		m.Aliases = slices.Clone(h.names)
		m.Aliases = slices.DeleteFunc(m.Aliases, func(name string) bool { return name == m.Name })
	}
	return m
}
