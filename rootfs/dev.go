package rootfs

import (
	"fmt"
	"path"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// ownDev is false when the config binds a whole /dev: then it is somebody else's to fill.
func (p *planner) ownDev() bool {
	for _, m := range p.spec.Mounts {
		if path.Clean("/"+m.Destination) != "/dev" {
			continue
		}
		if o, err := ParseOptions(m.Options); err == nil && (o.Bind || m.Type == "bind") {
			return false
		}
	}
	return true
}

// DefaultDevices are the devices that every Linux container has (config-linux.md, "Default Devices").
func DefaultDevices() []specs.LinuxDevice {
	device := func(name string, major, minor int64) specs.LinuxDevice {
		return specs.LinuxDevice{Path: "/dev/" + name, Type: "c", Major: major, Minor: minor}
	}
	return []specs.LinuxDevice{device("null", 1, 3), device("zero", 1, 5), device("full", 1, 7),
		device("random", 1, 8), device("urandom", 1, 9), device("tty", 5, 0)}
}

func (p *planner) devices() {
	given := map[string]bool{}
	if p.spec.Linux != nil {
		for i, d := range p.spec.Linux.Devices {
			given[path.Clean(d.Path)] = true
			p.device(fmt.Sprintf("linux.devices[%d]", i), d)
		}
	}
	for _, d := range DefaultDevices() {
		if !given[d.Path] {
			p.device("default devices", d)
		}
	}
}

func (p *planner) device(from string, d specs.LinuxDevice) {
	name := path.Clean("/" + d.Path)
	if p.facts.UserNS && d.Type != "p" {
		src := nsenter.Source{Kind: nsenter.Tree, Path: d.Path, Set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC,
			Propagation: []nsenter.Propagation{{Type: unix.MS_PRIVATE}}}
		p.add(nsenter.AttachTree(from, "bind the host's "+d.Path, name, 0, src))
		return
	}
	mode, uid, gid := deviceMode(d), uint32(0), uint32(0)
	if d.UID != nil {
		uid = *d.UID
	}
	if d.GID != nil {
		gid = *d.GID
	}
	what := fmt.Sprintf("make device %s (%s %d:%d %#o)", name, d.Type, d.Major, d.Minor, mode&0o7777)
	p.add(nsenter.Mknod(from, what, name, mode, unix.Mkdev(uint32(d.Major), uint32(d.Minor)), uid, gid))
}

func deviceMode(d specs.LinuxDevice) uint32 {
	mode := uint32(0o666)
	if d.FileMode != nil {
		mode = uint32(*d.FileMode) & 0o7777
	}
	switch d.Type {
	case "b":
		return mode | unix.S_IFBLK
	case "p":
		return mode | unix.S_IFIFO
	}
	return mode | unix.S_IFCHR
}

// devLinks: /dev/ptmx must be the container's own devpts, whatever the image has there.
func (p *planner) devLinks() {
	p.link("pts/ptmx", "/dev/ptmx", 1)
	p.link("/proc/self/fd", "/dev/fd", 0)
	p.link("/proc/self/fd/0", "/dev/stdin", 0)
	p.link("/proc/self/fd/1", "/dev/stdout", 0)
	p.link("/proc/self/fd/2", "/dev/stderr", 0)
	if p.facts.Kcore {
		p.link("/proc/kcore", "/dev/core", 0)
	}
}

func (p *planner) link(to, name string, replace uint64) {
	p.add(nsenter.Simple(nsenter.OpSymlink, "default links", "link "+name+" to "+to, []uint64{replace}, to, name))
}
