package nsenter

import (
	"encoding/binary"
	"strings"

	"golang.org/x/sys/unix"
)

// Flags of Mount and TreeStep (n[1] in mount.c).
const (
	CopyUp        = 1 << iota // start a tmpfs with what it covers
	InheritMode               // a tmpfs keeps the mode of the directory it covers
	RealDirectory             // refuse a target that is a link
	OnProc                    // the target may lie on a procfs
	Legacy                    // use mount(2): a value is too long for fsconfig(2)
)

// Arg is an argument of a Syscall step: a number or a text.
type Arg struct {
	Num    uint64
	Text   string
	isText bool
}

// Num is a numeric argument.
func Num[T ~int | ~int32 | ~uint32 | ~int64 | ~uint64 | ~uintptr](n T) Arg {
	return Arg{Num: uint64(n)}
}

// Text is an argument passed by address.
func Text(s string) Arg { return Arg{Text: s, isText: true} }

// Syscall is one system call that needs no fd and no address but of its arguments.
func Syscall(from, what string, nr uintptr, args ...Arg) Step {
	s := Step{Op: OpSyscall, From: from, What: what, Num: make([]uint64, 2, 2+len(args))}
	s.Num[0] = uint64(nr)
	for i, a := range args {
		if !a.isText {
			s.Num = append(s.Num, a.Num)
			continue
		}
		s.Num[1] |= 1 << i
		s.Num = append(s.Num, uint64(len(s.Text)))
		s.Text = append(s.Text, a.Text)
	}
	return s
}

// MountAttr is struct mount_attr of mount_setattr(2).
func MountAttr(set, clear, propagation uint64) Arg {
	b := make([]byte, 0, 32)
	for _, n := range []uint64{set, clear, propagation, 0} {
		b = binary.NativeEndian.AppendUint64(b, n)
	}
	return Text(string(b))
}

// Filesystem is a new mount of a filesystem type.
type Filesystem struct {
	Type, Source string
	Options      []string // fsconfig(2) words: "ro", "size=64k"
	Attr         uint64   // MOUNT_ATTR_…
	Flags        uint64
	UnsafeTarget string // below the root
	MountFlags   uint64 // MS_…, for Legacy only
	Label        string // SELinux label of the root directory, for what takes no "context="
}

// Mount makes a filesystem and attaches it.
func Mount(from, what string, fs Filesystem) Step {
	return Step{Op: OpMount, From: from, What: what,
		Num:  []uint64{fs.Attr, fs.Flags, 0, fs.MountFlags},
		Text: []string{fs.Type, fs.Source, List(fs.Options), fs.UnsafeTarget, legacyData(fs), fs.Label}}
}

func legacyData(fs Filesystem) string {
	if fs.Flags&Legacy == 0 {
		return ""
	}
	return strings.Join(fs.Options, ",")
}

// MountDetached makes a filesystem and keeps it in slot, attached nowhere.
func MountDetached(from, what string, fs Filesystem, slot Slot) Step {
	s := Mount(from, what, fs)
	s.Num[2] = uint64(slot) + 1
	return s
}

// AttachTree attaches a tree that the parent opens.
func AttachTree(from, what, unsafeTarget string, flags uint64, src Source) Step {
	return Step{Op: OpTree, From: from, What: what, Num: []uint64{0, flags}, Text: []string{unsafeTarget}, Feed: src}
}

// Setattr changes the mount in slot (mount_setattr(2)).
func Setattr(from, what string, slot Slot, set, clear, propagation uint64, recursive bool) Step {
	rec := uint64(0)
	if recursive {
		rec = 1
	}
	return Step{Op: OpSetattr, From: from, What: what, Num: []uint64{set, clear, propagation, rec, uint64(slot)}}
}

// Reconfigure changes the mount that is at unsafeTarget ("remount").
func Reconfigure(from, what, unsafeTarget string, options []string, set, clear uint64) Step {
	return Step{Op: OpReconfigure, From: from, What: what, Num: []uint64{set, clear}, Text: []string{unsafeTarget, List(options)}}
}

// Simple is a step that needs numbers and texts only.
func Simple(op Op, from, what string, num []uint64, text ...string) Step {
	return Step{Op: op, From: from, What: what, Num: num, Text: text}
}

// Take is a step that uses one fd of the parent.
func Take(op Op, from, what string, src Source, num ...uint64) Step {
	return Step{Op: op, From: from, What: what, Num: num, Feed: src}
}

// Ask stops the stage until the parent has answered q.
func Ask(from, what string, q Question) Step {
	return Step{Op: OpAsk, From: from, What: what, Num: []uint64{uint64(q)}}
}

// Mknod makes a device, fifo or other node.
func Mknod(from, what, unsafePath string, mode uint32, dev uint64, uid, gid uint32) Step {
	return Step{Op: OpMknod, From: from, What: what,
		Num: []uint64{uint64(mode), dev, uint64(uid), uint64(gid)}, Text: []string{unsafePath}}
}

// Unshare leaves namespaces of the given CLONE_NEW… types.
func Unshare(from, what string, flags uint64) Step {
	return Syscall(from, what, unix.SYS_UNSHARE, Num(flags))
}
