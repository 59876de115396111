package seccomp

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// formatVersion is part of every key. Raise it when the file format changes or
// when compile makes another program of the same profile.
const formatVersion = 1

// key is everything that decides which program compile makes, in a form that
// only equal inputs share: strings and lists carry their lengths, optional
// values a byte that says whether they are there. Entries hold their whole key
// and are compared with it, so no two profiles can ever share a program, not
// even by a collision of hashes.
//
// The listener's path and metadata are left out: they may differ for every
// container and no program depends on them. So do the flags, which are not kept
// in the cache.
type key []byte

func keyOf(s *specs.LinuxSeccomp) (key, error) {
	k := make(key, 0, 8192)
	k = k.number(formatVersion).text(runtime.GOARCH)
	k, err := k.machine()
	if err != nil {
		return nil, err
	}
	k = k.text(string(s.DefaultAction)).optional(s.DefaultErrnoRet)
	k = k.number(uint64(len(s.Architectures)))
	for _, a := range s.Architectures {
		k = k.text(string(a))
	}
	k = k.number(uint64(len(s.Syscalls)))
	for i := range s.Syscalls {
		k = k.entry(&s.Syscalls[i])
	}
	return k, nil
}

// machine adds what libseccomp's output depends on besides the profile.
func (k key) machine() (key, error) {
	major, minor, micro := libseccomp.GetLibraryVersion()
	k = k.number(uint64(major)).number(uint64(minor)).number(uint64(micro))
	level, err := libseccomp.GetAPI()
	if err != nil {
		return nil, fmt.Errorf("ask libseccomp for its API level: %w", err)
	}
	k = k.number(uint64(level))
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, os.NewSyscallError("uname", err)
	}
	return k.text(unix.ByteSliceToString(uts.Release[:])).text(unix.ByteSliceToString(uts.Machine[:])), nil
}

func (k key) entry(e *specs.LinuxSyscall) key {
	k = k.text(string(e.Action)).optional(e.ErrnoRet)
	k = k.number(uint64(len(e.Names)))
	for _, name := range e.Names {
		k = k.text(name)
	}
	k = k.number(uint64(len(e.Args)))
	for i := range e.Args {
		a := &e.Args[i]
		k = k.number(uint64(a.Index)).number(a.Value).number(a.ValueTwo).text(string(a.Op))
	}
	return k
}

func (k key) number(n uint64) key { return binary.AppendUvarint(k, n) }

func (k key) text(s string) key { return append(k.number(uint64(len(s))), s...) }

func (k key) optional(n *uint) key {
	if n == nil {
		return append(k, 0)
	}
	return append(k, 1).number(uint64(*n))
}
