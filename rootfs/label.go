package rootfs

import (
	"slices"
	"strings"

	"rt/nsenter"
)

// Filesystems differ in how linux.mountLabel reaches them. Most take a context=
// option. proc, sysfs and cgroups are labelled by the policy and take none; a
// bind shows files that have labels of their own (changing those is the
// engine's business). An mqueue's superblock belongs to the ipc namespace and
// is there before it is mounted, so only its root can be labelled.

// label gives a filesystem linux.mountLabel.
func (p *planner) label(fs *nsenter.Filesystem) {
	if fs.Type == "mqueue" {
		fs.Label = p.mountLabel()
		return
	}
	fs.Options = append(fs.Options, p.context(fs.Type, fs.Options)...)
}

// context is the option, in fsconfig(2) words, that a new filesystem gets beside the given ones.
func (p *planner) context(fstype string, given []string) []string {
	label := p.mountLabel()
	if label == "" || !takesContext(fstype) || slices.ContainsFunc(given, isContext) {
		return nil
	}
	return []string{"context=" + label}
}

// legacyLabel adds the option in the form of mount(2), where commas separate options and a label has some.
func (p *planner) legacyLabel(fstype string, given []string) []string {
	out := slices.Clone(given)
	for _, o := range p.context(fstype, given) {
		name, value, _ := strings.Cut(o, "=")
		out = append(out, name+`="`+value+`"`)
	}
	return out
}

func (p *planner) mountLabel() string {
	if p.spec.Linux == nil {
		return ""
	}
	return p.spec.Linux.MountLabel
}

func takesContext(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "cgroup", "cgroup2", "mqueue":
		return false
	}
	return true
}

// isContext: the config's own word on a mount's label counts.
func isContext(option string) bool {
	name, _, _ := strings.Cut(option, "=")
	switch name {
	case "context", "fscontext", "defcontext", "rootcontext":
		return true
	}
	return false
}
