package rootfs

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Options is one mounts[].options list, understood. Words are read in order and a later word
// undoes an earlier one that says the opposite, so ["ro", "rw"] is a writable mount.
type Options struct {
	// Set and Clear are MOUNT_ATTR_* bits for the mount itself. Clear holds what rw, dev, exec, suid …
	// asked for, which matters for bind mounts: a flag in neither is left as the source has it.
	// The two never share a bit, but for the access time modes: those are a field, not bits, and
	// any atime word puts all of MOUNT_ATTR__ATIME into Clear and its mode into Set, which is the
	// form that mount_setattr(2) demands.
	Set, Clear uint64
	// RecSet and RecClear are the same for the mount and everything below it (rro, rnosuid …).
	// They are meant to be applied after Set and Clear: with ["rro", "rw"] the tree is read-only.
	RecSet, RecClear uint64
	// SB and SBClear are superblock flags, as the words that fsconfig(2) knows or, where it has none
	// (silent, loud, iversion, noiversion), those of mount(8). "ro" and "rw" appear in Set or
	// Clear and here, since mount(8) means both the mount and the filesystem by them.
	SB, SBClear []string
	// Propagation holds the propagation changes in the order given.
	Propagation []Propagation
	// Bind is asked for by bind and rbind, Recursive by rbind only.
	Bind, Recursive bool
	// Remount changes the mount that is already at the destination.
	Remount bool
	// CopyUp fills a new tmpfs with what the image has at its mount point (tmpcopyup).
	CopyUp bool
	// IDMap and RIDMap ask for an id-mapped mount, RIDMap for a whole tree of them.
	IDMap, RIDMap bool
	// Data is every other word in order: options for the filesystem (size=64k, mode=755).
	Data []string
}

// Propagation is one change of a mount's propagation type.
type Propagation struct {
	Type      uint64 // MS_SHARED, MS_SLAVE, MS_PRIVATE or MS_UNBINDABLE
	Recursive bool   // the r form: the whole tree
}

// effect says what kind of thing an option word does.
type effect uint8

const (
	nothing     effect = iota
	attrSet            // set the attribute bits
	attrClear          // clear the attribute bits
	atimeSet           // choose the access time mode
	atimeUnset         // not that access time mode
	propagation        // bits is an MS_* propagation type
	bind
	remount
	copyUp
	idMap
)

// sbEffect says whether a word is a flag of the superblock (too), and which way it turns it.
type sbEffect uint8

const (
	raises sbEffect = iota + 1
	lowers
)

// word is one option name. recursive marks the r form; contrary is the superblock word that it undoes.
type word struct {
	name      string
	effect    effect
	recursive bool
	bits      uint64
	sb        sbEffect
	contrary  string
}

// words is sorted by name, for findWord. "acl" is not in it on purpose: it is an option of some
// filesystems, not a flag of the kernel's.
var words = [...]word{
	{name: "async", sb: lowers, contrary: "sync"},
	{name: "atime", effect: atimeUnset, bits: unix.MOUNT_ATTR_NOATIME},
	{name: "bind", effect: bind},
	{name: "defaults", effect: nothing},
	{name: "dev", effect: attrClear, bits: unix.MOUNT_ATTR_NODEV},
	{name: "diratime", effect: attrClear, bits: unix.MOUNT_ATTR_NODIRATIME},
	{name: "dirsync", sb: raises},
	{name: "exec", effect: attrClear, bits: unix.MOUNT_ATTR_NOEXEC},
	{name: "idmap", effect: idMap},
	{name: "iversion", sb: raises, contrary: "noiversion"},
	{name: "lazytime", sb: raises, contrary: "nolazytime"},
	{name: "loud", sb: lowers, contrary: "silent"},
	{name: "mand", sb: raises, contrary: "nomand"},
	{name: "noatime", effect: atimeSet, bits: unix.MOUNT_ATTR_NOATIME},
	{name: "nodev", effect: attrSet, bits: unix.MOUNT_ATTR_NODEV},
	{name: "nodiratime", effect: attrSet, bits: unix.MOUNT_ATTR_NODIRATIME},
	{name: "noexec", effect: attrSet, bits: unix.MOUNT_ATTR_NOEXEC},
	{name: "noiversion", sb: lowers, contrary: "iversion"},
	{name: "nolazytime", sb: lowers, contrary: "lazytime"},
	{name: "nomand", sb: lowers, contrary: "mand"},
	{name: "norelatime", effect: atimeUnset, bits: unix.MOUNT_ATTR_RELATIME},
	{name: "nostrictatime", effect: atimeUnset, bits: unix.MOUNT_ATTR_STRICTATIME},
	{name: "nosuid", effect: attrSet, bits: unix.MOUNT_ATTR_NOSUID},
	{name: "nosymfollow", effect: attrSet, bits: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "private", effect: propagation, bits: unix.MS_PRIVATE},
	{name: "ratime", effect: atimeUnset, recursive: true, bits: unix.MOUNT_ATTR_NOATIME},
	{name: "rbind", effect: bind, recursive: true},
	{name: "rdev", effect: attrClear, recursive: true, bits: unix.MOUNT_ATTR_NODEV},
	{name: "rdiratime", effect: attrClear, recursive: true, bits: unix.MOUNT_ATTR_NODIRATIME},
	{name: "relatime", effect: atimeSet, bits: unix.MOUNT_ATTR_RELATIME},
	{name: "remount", effect: remount},
	{name: "rexec", effect: attrClear, recursive: true, bits: unix.MOUNT_ATTR_NOEXEC},
	{name: "ridmap", effect: idMap, recursive: true},
	{name: "rnoatime", effect: atimeSet, recursive: true, bits: unix.MOUNT_ATTR_NOATIME},
	{name: "rnodev", effect: attrSet, recursive: true, bits: unix.MOUNT_ATTR_NODEV},
	{name: "rnodiratime", effect: attrSet, recursive: true, bits: unix.MOUNT_ATTR_NODIRATIME},
	{name: "rnoexec", effect: attrSet, recursive: true, bits: unix.MOUNT_ATTR_NOEXEC},
	{name: "rnorelatime", effect: atimeUnset, recursive: true, bits: unix.MOUNT_ATTR_RELATIME},
	{name: "rnostrictatime", effect: atimeUnset, recursive: true, bits: unix.MOUNT_ATTR_STRICTATIME},
	{name: "rnosuid", effect: attrSet, recursive: true, bits: unix.MOUNT_ATTR_NOSUID},
	{name: "rnosymfollow", effect: attrSet, recursive: true, bits: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "ro", effect: attrSet, bits: unix.MOUNT_ATTR_RDONLY, sb: raises, contrary: "rw"},
	{name: "rprivate", effect: propagation, recursive: true, bits: unix.MS_PRIVATE},
	{name: "rrelatime", effect: atimeSet, recursive: true, bits: unix.MOUNT_ATTR_RELATIME},
	{name: "rro", effect: attrSet, recursive: true, bits: unix.MOUNT_ATTR_RDONLY},
	{name: "rrw", effect: attrClear, recursive: true, bits: unix.MOUNT_ATTR_RDONLY},
	{name: "rshared", effect: propagation, recursive: true, bits: unix.MS_SHARED},
	{name: "rslave", effect: propagation, recursive: true, bits: unix.MS_SLAVE},
	{name: "rstrictatime", effect: atimeSet, recursive: true, bits: unix.MOUNT_ATTR_STRICTATIME},
	{name: "rsuid", effect: attrClear, recursive: true, bits: unix.MOUNT_ATTR_NOSUID},
	{name: "rsymfollow", effect: attrClear, recursive: true, bits: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "runbindable", effect: propagation, recursive: true, bits: unix.MS_UNBINDABLE},
	{name: "rw", effect: attrClear, bits: unix.MOUNT_ATTR_RDONLY, sb: lowers, contrary: "ro"},
	{name: "shared", effect: propagation, bits: unix.MS_SHARED},
	{name: "silent", sb: raises, contrary: "loud"},
	{name: "slave", effect: propagation, bits: unix.MS_SLAVE},
	{name: "strictatime", effect: atimeSet, bits: unix.MOUNT_ATTR_STRICTATIME},
	{name: "suid", effect: attrClear, bits: unix.MOUNT_ATTR_NOSUID},
	{name: "symfollow", effect: attrClear, bits: unix.MOUNT_ATTR_NOSYMFOLLOW},
	{name: "sync", sb: raises, contrary: "async"},
	{name: "tmpcopyup", effect: copyUp},
	{name: "unbindable", effect: propagation, bits: unix.MS_UNBINDABLE},
}

// ParseOptions reads a mounts[].options list. A word that it does not know is data for the
// filesystem, so an error is only what can never be right: a NUL byte, which no system call could
// carry, or idmap together with ridmap. The error is an *OptionError.
func ParseOptions(opts []string) (Options, error) {
	var o Options
	for i, name := range opts {
		if strings.IndexByte(name, 0) >= 0 {
			return Options{}, &OptionError{i, fmt.Sprintf("%q holds a NUL byte", name)}
		}
		w := findWord(name)
		if w == nil {
			o.addData(name)
			continue
		}
		o.apply(w)
		if o.IDMap && o.RIDMap {
			return Options{}, &OptionError{i, "idmap and ridmap exclude each other"}
		}
	}
	return o, nil
}

// OptionError is a fault in one word of a mounts[].options list.
type OptionError struct {
	Index int    // which word
	Msg   string // what is wrong with it
}

func (e *OptionError) Error() string { return fmt.Sprintf("options[%d]: %s", e.Index, e.Msg) }

// OptionNames is every option word that ParseOptions gives a meaning, sorted.
func OptionNames() []string {
	names := make([]string, len(words))
	for i := range words {
		names[i] = words[i].name
	}
	return names
}

func findWord(name string) *word {
	i, found := slices.BinarySearchFunc(words[:], name, func(w word, name string) int {
		return strings.Compare(w.name, name)
	})
	if !found {
		return nil
	}
	return &words[i]
}

// addData skips the empty word, as the kernel does between two commas.
func (o *Options) addData(name string) {
	if name != "" {
		o.Data = append(o.Data, name)
	}
}

func (o *Options) apply(w *word) {
	set, clr := &o.Set, &o.Clear
	if w.recursive {
		set, clr = &o.RecSet, &o.RecClear
	}
	switch w.effect {
	case attrSet:
		*set, *clr = *set|w.bits, *clr&^w.bits
	case attrClear:
		*set, *clr = *set&^w.bits, *clr|w.bits
	case atimeSet:
		chooseAtime(set, clr, w.bits)
	case atimeUnset:
		leaveAtime(set, clr, w.bits)
	case propagation:
		o.Propagation = append(o.Propagation, Propagation{w.bits, w.recursive})
	case bind:
		// A plain bind after rbind does not take the recursion back: engines write both.
		o.Bind, o.Recursive = true, o.Recursive || w.recursive
	case remount:
		o.Remount = true
	case copyUp:
		o.CopyUp = true
	case idMap:
		o.IDMap, o.RIDMap = o.IDMap || !w.recursive, o.RIDMap || w.recursive
	}
	if w.sb != 0 {
		o.superblock(w)
	}
}

func chooseAtime(set, clr *uint64, mode uint64) {
	*set = *set&^unix.MOUNT_ATTR__ATIME | mode
	*clr |= unix.MOUNT_ATTR__ATIME
}

// leaveAtime undoes one mode and leaves another one alone. What is left is the kernel's default,
// relatime; and since that is a mode like the others, norelatime can only forget an earlier relatime.
func leaveAtime(set, clr *uint64, mode uint64) {
	chosen := *clr&unix.MOUNT_ATTR__ATIME != 0
	if chosen && *set&unix.MOUNT_ATTR__ATIME != mode {
		return
	}
	if mode == unix.MOUNT_ATTR_RELATIME {
		*clr &^= unix.MOUNT_ATTR__ATIME
		return
	}
	chooseAtime(set, clr, unix.MOUNT_ATTR_RELATIME)
}

// superblock adds a superblock word once, to the list it belongs to, and drops its contrary.
func (o *Options) superblock(w *word) {
	to, from := &o.SB, &o.SBClear
	if w.sb == lowers {
		to, from = from, to
	}
	*from = slices.DeleteFunc(*from, func(s string) bool { return s == w.contrary })
	if !slices.Contains(*to, w.name) {
		*to = append(*to, w.name)
	}
}
