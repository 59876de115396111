// Package rootfs turns the filesystem part of a config.json into steps of a
// plan: the root, the mounts, /dev, masks, and the move into the new root.
//
// It is pure: it makes no system call and reads no file, so the same config and
// the same facts give the same steps everywhere. It is not for carrying them
// out (nsenter does) nor for judging the config (specconv does).
package rootfs

import (
	"fmt"
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// Facts is what the planner needs to know beyond the config.
type Facts struct {
	Bundle string // absolute; relative paths of the config start here
	Root   string // the absolute path of the root filesystem

	OwnMounts bool // a mount namespace of the container's own
	UserNS    bool // it has a user namespace: mknod is impossible there
	CgroupNS  bool // it has a cgroup namespace of its own
	NoPivot   bool // --no-pivot
	Hooks     bool // there are hooks that look for the root at its own path before the pivot
	Kcore     bool // the host has /proc/kcore

	// OldProcfs are the procfs and sysfs mounts of the host, needed with NoPivot only: without a pivot the
	// old root stays reachable for a process that may chroot, and those must not be.
	OldProcfs []string
	Cgroups   CgroupView
}

// CgroupView is what the cgroups of the container look like on the host.
type CgroupView struct {
	V2          bool
	Dir         string      // v2: the container's own directory
	Hierarchies []Hierarchy // v1
}

// Hierarchy is one v1 hierarchy: Name is its directory (cpu,cpuacct), Options
// what mounts it, Links its other names, Dir the container's cgroup in it.
type Hierarchy struct {
	Name    string
	Options []string
	Links   []string
	Dir     string
}

// Steps are the filesystem steps in the three places of the plan where they stand.
type Steps struct {
	Build []nsenter.Step // root, mounts, /dev: the old root is still there, for hooks
	// Outside is how many of them need not be done inside the container's cgroup: those before a cgroup
	// mount that shows it, and before anything that fills memory.
	Outside int
	Enter   []nsenter.Step // the move into the new root
	Seal    []nsenter.Step // what makes it smaller: masks, read-only paths, read-only root
}

// Plan compiles the filesystem part of spec. Errors name the field.
func Plan(spec *specs.Spec, f Facts) (*Steps, error) {
	p := &planner{spec: spec, facts: f}
	p.steps.Outside = -1
	if err := p.build(); err != nil {
		return nil, err
	}
	p.inside()
	p.enter()
	p.seal()
	return &p.steps, nil
}

type planner struct {
	spec  *specs.Spec
	facts Facts
	steps Steps
	last  []nsenter.Step // what must wait until everything is mounted: read-only tmpfs
}

// inside marks that what follows must be done in the cgroup.
func (p *planner) inside() {
	if p.steps.Outside < 0 {
		p.steps.Outside = len(p.steps.Build)
	}
}

func (p *planner) add(s ...nsenter.Step) { p.steps.Build = append(p.steps.Build, s...) }

func (p *planner) build() error {
	if p.plain() {
		p.plainRoot()
		return nil
	}
	p.root()
	p.shared()
	for i := range p.spec.Mounts {
		if err := p.mount(i); err != nil {
			return err
		}
	}
	if p.ownDev() {
		p.devices()
		p.devLinks()
	}
	p.cwd()
	return nil
}

// plain: there is nothing to mount, and no namespace to do it in.
func (p *planner) plain() bool { return !p.facts.OwnMounts && !Mounting(p.spec) }

// Mounting tells whether spec asks for anything that takes a root to mount on, as devices do in a user namespace.
func Mounting(spec *specs.Spec) bool {
	l := spec.Linux
	return len(spec.Mounts) > 0 || spec.Root != nil && spec.Root.Readonly ||
		l != nil && (l.RootfsPropagation != "" || len(l.MaskedPaths)+len(l.ReadonlyPaths)+len(l.Devices) > 0)
}

func (p *planner) plainRoot() {
	src := nsenter.Source{Kind: nsenter.Directory, Path: p.facts.Root}
	p.add(nsenter.Take(nsenter.OpRoot, "root.path", "use "+p.facts.Root+" as the root", src, 0))
}

// root makes the root a mount to mount on. Without a mount namespace of its own the
// container's mounts would be the host's, and outlive it, so there it is a copy that is
// attached nowhere: what is mounted on it is seen by who has it as the root, and goes with him.
func (p *planner) root() {
	src := nsenter.Source{Kind: nsenter.Tree, Path: p.facts.Root, Recursive: true, IsRoot: true, Propagation: p.rootPropagation()}
	if p.facts.OwnMounts {
		p.attachRoot(src)
		return
	}
	p.add(nsenter.Take(nsenter.OpRoot, "root.path", "use a detached copy of "+p.facts.Root+" as the root", src, 0))
}

// attachRoot stacks the root on "/". Nothing may travel back to the host, so the
// namespace becomes a slave first; what the payload is to see of later host
// mounts is decided on each tree.
func (p *planner) attachRoot(src nsenter.Source) {
	p.add(nsenter.Syscall("linux.namespaces mount", "make every mount a slave of the host's", unix.SYS_MOUNT_SETATTR,
		nsenter.Num(unix.AT_FDCWD), nsenter.Text("/"), nsenter.Num(unix.AT_RECURSIVE),
		nsenter.MountAttr(0, 0, unix.MS_SLAVE), nsenter.Num(32)))
	p.hideOldProcfs()
	p.add(nsenter.Syscall("root.path", "keep the mount below the root private", unix.SYS_MOUNT_SETATTR,
		nsenter.Num(unix.AT_FDCWD), nsenter.Text("/"), nsenter.Num(0), nsenter.MountAttr(0, 0, unix.MS_PRIVATE), nsenter.Num(32)))
	at := "/"
	if p.facts.Hooks {
		at = p.facts.Root
	}
	s := nsenter.Take(nsenter.OpRoot, "root.path", "attach "+p.facts.Root+" as the root, on "+at, src, 1)
	s.Text = []string{at}
	p.add(s)
}

// hideOldProcfs: what a user namespace got from the host it cannot unmount, only cover.
func (p *planner) hideOldProcfs() {
	for _, dir := range p.facts.OldProcfs {
		if p.facts.UserNS {
			p.add(nsenter.Syscall("--no-pivot", "cover the host's "+dir, unix.SYS_MOUNT,
				nsenter.Text("tmpfs"), nsenter.Text(dir), nsenter.Text("tmpfs"), nsenter.Num(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC), nsenter.Num(0)))
			continue
		}
		p.add(nsenter.Syscall("--no-pivot", "unmount the host's "+dir, unix.SYS_UMOUNT2,
			nsenter.Text(dir), nsenter.Num(unix.MNT_DETACH)))
	}
}

// The root is nobody's peer while it is built, else its mounts would appear on the host. As a slave, if that is asked for,
// it sees what the host mounts on it later.
func (p *planner) rootPropagation() []nsenter.Propagation {
	own := uint64(unix.MS_PRIVATE)
	if t, _ := propagationType(p.rootfsPropagation()); t == unix.MS_SLAVE {
		own = t
	}
	return []nsenter.Propagation{{Type: p.defaultPropagation(), Recursive: true}, {Type: own}}
}

// defaultPropagation is that of a mount whose options name none: the one of
// linux.rootfsPropagation, as if it had been bound from a root set that way.
func (p *planner) defaultPropagation() uint64 {
	if t, _ := propagationType(p.rootfsPropagation()); t == unix.MS_PRIVATE || t == unix.MS_UNBINDABLE {
		return unix.MS_PRIVATE
	}
	return unix.MS_SLAVE
}

func (p *planner) rootfsPropagation() string {
	if p.spec.Linux == nil {
		return ""
	}
	return p.spec.Linux.RootfsPropagation
}

func propagationType(word string) (t uint64, recursive bool) {
	switch strings.TrimPrefix(word, "r") {
	case "shared":
		t = unix.MS_SHARED
	case "slave":
		t = unix.MS_SLAVE
	case "private":
		t = unix.MS_PRIVATE
	case "unbindable":
		t = unix.MS_UNBINDABLE
	}
	return t, strings.HasPrefix(word, "r")
}

// shared prepares what masks and devices use: one empty directory and one
// /dev/null for all of them. One superblock per mask would be slow to tear down.
func (p *planner) shared() {
	paths := p.maskedPaths()
	if len(paths) == 0 {
		return
	}
	p.add(nsenter.MountDetached("linux.maskedPaths", "prepare an empty directory for masks", nsenter.Filesystem{
		Type: "tmpfs", Source: "tmpfs", Options: append([]string{"ro", "mode=755", "nr_inodes=1"}, p.context("tmpfs", nil)...),
		Attr: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
	}, nsenter.SlotEmpty))
	p.add(nsenter.Take(nsenter.OpSlot, "linux.maskedPaths", "prepare /dev/null for masks",
		nsenter.Source{Kind: nsenter.NullDevice, Set: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC}, uint64(nsenter.SlotNull)))
}

func (p *planner) maskedPaths() []string {
	if p.spec.Linux == nil {
		return nil
	}
	return p.spec.Linux.MaskedPaths
}

// cwd is made if the image lacks it, as users of `docker run -w` expect.
func (p *planner) cwd() {
	if p.spec.Process != nil && p.spec.Process.Cwd != "" && p.spec.Process.Cwd != "/" {
		p.add(nsenter.Simple(nsenter.OpMkdir, "process.cwd", "make "+p.spec.Process.Cwd+" if it is missing", nil, path.Clean(p.spec.Process.Cwd)))
	}
}

func (p *planner) enter() {
	what, chroot := "pivot_root into the root, detach the old one", uint64(0)
	if p.facts.NoPivot || !p.facts.OwnMounts {
		what, chroot = "chroot into the root", 1
	}
	p.steps.Enter = append(p.steps.Enter, nsenter.Simple(nsenter.OpPivot, "root.path", what, []uint64{chroot}))
}

func (p *planner) seal() {
	s := &p.steps.Seal
	*s = append(*s, p.last...)
	if l := p.spec.Linux; l != nil {
		for i, dir := range l.ReadonlyPaths {
			*s = append(*s, nsenter.Simple(nsenter.OpReadonly, fmt.Sprintf("linux.readonlyPaths[%d]", i), "make "+dir+" read-only", nil, dir))
		}
		for i, dir := range l.MaskedPaths {
			*s = append(*s, nsenter.Simple(nsenter.OpMask, fmt.Sprintf("linux.maskedPaths[%d]", i), "mask "+dir, nil, dir))
		}
	}
	if p.spec.Root != nil && p.spec.Root.Readonly {
		*s = append(*s, nsenter.Setattr("root.readonly", "make the root read-only", nsenter.SlotRoot, unix.MOUNT_ATTR_RDONLY, 0, 0, false))
	}
	if t, recursive := propagationType(p.rootfsPropagation()); t != 0 && !p.plain() {
		// What is mounted has it already (defaultPropagation), or what its own options say: "rshared" under an
		// "rslave" root stays so. Only sharing is left to do for all, as the root was nobody's peer until now.
		recursive = recursive && t == unix.MS_SHARED
		*s = append(*s, nsenter.Setattr("linux.rootfsPropagation", "make the root "+p.rootfsPropagation(), nsenter.SlotRoot, 0, 0, t, recursive))
	}
}
