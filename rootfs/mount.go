package rootfs

import (
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// entry is one element of mounts, understood.
type entry struct {
	*specs.Mount
	Options
	from   string
	target string // below the root, clean and absolute
}

func (p *planner) mount(i int) error {
	m := &p.spec.Mounts[i]
	e := entry{Mount: m, from: fmt.Sprintf("mounts[%d] %q", i, m.Destination), target: path.Clean("/" + m.Destination)}
	var err error
	if e.Options, err = ParseOptions(m.Options); err != nil {
		return fmt.Errorf("mounts[%d].%w", i, err)
	}
	switch {
	case e.Remount:
		p.remount(&e)
	case e.Bind || m.Type == "bind":
		p.bind(&e)
	case m.Type == "cgroup" || m.Type == "cgroup2":
		p.cgroup(&e)
	default:
		p.filesystem(&e)
	}
	p.changePropagation(&e)
	return nil
}

// remount changes what is already mounted at the destination; with "bind" only the mount, else its filesystem too.
func (p *planner) remount(e *entry) {
	var options []string
	if !e.Bind {
		options = append(append(slices.Clone(e.SB), e.SBClear...), e.Data...)
	}
	p.add(nsenter.Reconfigure(e.from, "remount "+e.target+e.words(), e.target, options, e.Set, e.Clear))
}

func (p *planner) bind(e *entry) {
	src := nsenter.Source{
		Kind: nsenter.Tree, Path: p.hostPath(e.Source), Recursive: e.Options.Recursive,
		Set: e.Set, Clear: e.Clear, RecSet: e.RecSet, RecClear: e.RecClear,
		Propagation: p.bindPropagation(e), IDMap: e.idMap(),
	}
	p.add(nsenter.AttachTree(e.from, "bind "+src.Path+" on "+e.target+e.words(), e.target, procFlag(e.target), src))
	e.Options.Propagation, e.RecSet, e.RecClear = nil, 0, 0 // all of it is done on the detached tree
}

// bindPropagation: a tree fresh from the host is a peer of the host's mounts.
// It stays one only if both the mount and the root ask for shared, and never in
// a user namespace, whose root must not mount on the host. Otherwise it first
// becomes a slave, so that nothing mounted inside shows up outside, or private
// if neither it nor the root wants to see what is mounted there, and then what
// the options say.
func (p *planner) bindPropagation(e *entry) []nsenter.Propagation {
	root, _ := propagationType(p.rootfsPropagation())
	var all []nsenter.Propagation
	switch {
	case len(e.Options.Propagation) == 0:
		all = append(all, nsenter.Propagation{Type: p.defaultPropagation(), Recursive: true})
	case root != unix.MS_SHARED || p.facts.UserNS:
		all = append(all, nsenter.Propagation{Type: unix.MS_SLAVE, Recursive: true})
	}
	for _, w := range e.Options.Propagation {
		all = append(all, nsenter.Propagation(w))
	}
	return all
}

func (p *planner) hostPath(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(p.facts.Bundle, name)
}

func (e *entry) idMap() *nsenter.IDMap {
	if !e.IDMap && !e.RIDMap && len(e.UIDMappings) == 0 && len(e.GIDMappings) == 0 {
		return nil
	}
	return &nsenter.IDMap{UIDs: IDRanges(e.UIDMappings), GIDs: IDRanges(e.GIDMappings), Recursive: e.RIDMap}
}

// IDRanges are the mappings in the form of a plan.
func IDRanges(maps []specs.LinuxIDMapping) []nsenter.IDRange {
	var r []nsenter.IDRange
	for _, m := range maps {
		r = append(r, nsenter.IDRange{Inside: m.ContainerID, Outside: m.HostID, Size: m.Size})
	}
	return r
}

// ProcOvermounts are the only places of a procfs that a mount may cover: plain
// information that tools such as lxcfs virtualise. Anything else could fake
// what the runtime or the payload reads there (CVE-2019-16884).
func ProcOvermounts() []string {
	return []string{"/proc/cpuinfo", "/proc/diskstats", "/proc/meminfo", "/proc/stat", "/proc/swaps", "/proc/uptime",
		"/proc/loadavg", "/proc/slabinfo", "/proc/sys/kernel/ns_last_pid", "/proc/sys/crypto/fips_enabled"}
}

func procFlag(target string) uint64 {
	if strings.HasPrefix(target, "/proc/") && slices.Contains(ProcOvermounts(), target) {
		return nsenter.OnProc
	}
	return 0
}

func (p *planner) filesystem(e *entry) {
	fs := nsenter.Filesystem{
		Type: e.Type, Source: e.Source, UnsafeTarget: e.target, Attr: e.Set,
		Options: append(slices.Clone(e.fsWords()), e.Data...), Flags: procFlag(e.target),
	}
	switch e.Type {
	case "tmpfs":
		p.tmpfs(e, &fs)
	case "proc", "sysfs":
		fs.Flags |= nsenter.RealDirectory
	}
	p.label(&fs)
	// A tmpfs counts versions without being asked, or not at all.
	if slices.ContainsFunc(fs.Options, tooLong) || slices.Contains(e.SB, "iversion") && e.Type != "tmpfs" {
		fs.Flags |= nsenter.Legacy
		fs.MountFlags = legacyFlags(fs.Attr, e.SB)
		fs.Options = p.legacyLabel(e.Type, e.Data)
	}
	what := "mount " + e.Type + " on " + e.target + e.words()
	p.add(nsenter.Mount(e.from, what, fs))
}

// fsWords are the superblock words that fsconfig(2) has a name for. The others
// are those of mount(2) whose value a new superblock has anyway.
func (e *entry) fsWords() []string {
	var words []string
	for _, w := range e.SB {
		switch w {
		case "silent": // how much the kernel logs: nothing that the mount is
		case "iversion": // only mount(2) has a flag for it
		default:
			words = append(words, w)
		}
	}
	return words
}

// fsconfig(2) takes up to 255 bytes as a value; overlay's lowerdir often has more.
func tooLong(option string) bool {
	_, value, _ := strings.Cut(option, "=")
	return len(value) > 255
}

// A tmpfs takes the mode of the directory it covers when none is given. A
// read-only one becomes so only after everything below it is in place.
func (p *planner) tmpfs(e *entry, fs *nsenter.Filesystem) {
	if !slices.ContainsFunc(e.Data, func(o string) bool { return strings.HasPrefix(o, "mode=") }) {
		fs.Flags |= nsenter.InheritMode
	}
	if e.CopyUp {
		fs.Flags |= nsenter.CopyUp
		p.inside() // the copy is the container's memory
	}
	if e.Set&unix.MOUNT_ATTR_RDONLY == 0 {
		return
	}
	fs.Attr &^= unix.MOUNT_ATTR_RDONLY
	fs.Options = slices.DeleteFunc(fs.Options, func(o string) bool { return o == "ro" })
	p.last = append(p.last, p.readonly(e))
}

// readonly is for a mount that had to be filled first. The kernel changes no mount below a detached root, so there it gets a read-only cover.
func (p *planner) readonly(e *entry) nsenter.Step {
	what := "make " + e.target + " read-only"
	if !p.facts.OwnMounts {
		return nsenter.Simple(nsenter.OpReadonly, e.from, what, nil, e.target)
	}
	return nsenter.Reconfigure(e.from, what, e.target, nil, unix.MOUNT_ATTR_RDONLY, 0)
}

var legacyFlag = [...]struct{ attr, flag uint64 }{
	{unix.MOUNT_ATTR_RDONLY, unix.MS_RDONLY}, {unix.MOUNT_ATTR_NOSUID, unix.MS_NOSUID},
	{unix.MOUNT_ATTR_NODEV, unix.MS_NODEV}, {unix.MOUNT_ATTR_NOEXEC, unix.MS_NOEXEC},
	{unix.MOUNT_ATTR_NOATIME, unix.MS_NOATIME}, {unix.MOUNT_ATTR_STRICTATIME, unix.MS_STRICTATIME},
	{unix.MOUNT_ATTR_NODIRATIME, unix.MS_NODIRATIME}, {unix.MOUNT_ATTR_NOSYMFOLLOW, unix.MS_NOSYMFOLLOW},
}

func legacyFlags(attr uint64, superblock []string) uint64 {
	flags := uint64(0)
	for _, l := range legacyFlag {
		if attr&l.attr != 0 {
			flags |= l.flag
		}
	}
	for _, w := range superblock {
		switch w {
		case "sync":
			flags |= unix.MS_SYNCHRONOUS
		case "dirsync":
			flags |= unix.MS_DIRSYNC
		case "lazytime":
			flags |= unix.MS_LAZYTIME
		case "mand":
			flags |= unix.MS_MANDLOCK
		case "silent":
			flags |= unix.MS_SILENT
		case "iversion":
			flags |= unix.MS_I_VERSION
		}
	}
	return flags
}

// changePropagation and the recursive attributes come after the mount is in its place.
func (p *planner) changePropagation(e *entry) {
	for _, w := range e.Options.Propagation {
		p.add(nsenter.Setattr(e.from, "change the propagation of "+e.target, nsenter.SlotLast, 0, 0, w.Type, w.Recursive))
	}
	if e.RecSet|e.RecClear != 0 {
		p.add(nsenter.Setattr(e.from, "change flags of the tree at "+e.target, nsenter.SlotLast, e.RecSet, e.RecClear, 0, true))
	}
}

// words are the options as the plan prints them.
func (e *entry) words() string {
	if len(e.Mount.Options) == 0 {
		return ""
	}
	return " (" + strings.Join(e.Mount.Options, ",") + ")"
}
