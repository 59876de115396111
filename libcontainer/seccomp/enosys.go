package seccomp

import (
	"encoding/binary"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	offNr   = 0
	offArch = 4
)

// enosysStub is the prologue that answers ENOSYS to system calls newer than the
// newest one the profile names: its author cannot have had an opinion on them,
// and a C library that tries a new call falls back to the old one on ENOSYS
// only (any other errno, or a signal, breaks the program). It is empty for
// profiles that let unknown calls through, or say ENOSYS already.
//
// The program behind it loads what it looks at itself, so falling through needs
// no preparation.
func enosysStub(s *specs.LinuxSeccomp, list []arch) []byte {
	if !refusesByDefault(s) {
		return nil
	}
	var prog []byte
	for _, a := range list {
		if newest, ok := newestNamed(s, a); ok {
			prog = append(prog, enosysAbove(a, newest)...)
		}
	}
	return prog
}

func refusesByDefault(s *specs.LinuxSeccomp) bool {
	switch s.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		return false // a tracer decides for itself
	case specs.ActErrno:
		return s.DefaultErrnoRet == nil || *s.DefaultErrnoRet != uint(unix.ENOSYS)
	}
	return true
}

// newestNamed is the highest ordinary number on a among the names in s, if any.
func newestNamed(s *specs.LinuxSeccomp, a arch) (newest uint32, ok bool) {
	for i := range s.Syscalls {
		for _, name := range s.Syscalls[i].Names {
			nr, err := libseccomp.GetSyscallFromNameByArch(name, a.lib)
			// Negative numbers stand for calls that a does not have.
			if err != nil || nr < 0 || uint32(nr) > a.last {
				continue
			}
			newest, ok = max(newest, uint32(nr)), true
		}
	}
	return newest, ok
}

// enosysAbove is one section of the stub: on architecture a, numbers above
// newest and up to a.last return ENOSYS; all else goes on behind it.
func enosysAbove(a arch, newest uint32) []byte {
	return assemble(
		insn{code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, k: offArch},
		insn{code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, k: a.audit, jf: 4},
		insn{code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, k: offNr},
		insn{code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, k: a.last, jt: 2},
		insn{code: unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K, k: newest, jf: 1},
		insn{code: unix.BPF_RET | unix.BPF_K, k: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)},
	)
}

// insn is struct sock_filter.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

func assemble(list ...insn) []byte {
	var prog []byte
	for _, i := range list {
		prog = binary.NativeEndian.AppendUint16(prog, i.code)
		prog = append(prog, i.jt, i.jf)
		prog = binary.NativeEndian.AppendUint32(prog, i.k)
	}
	return prog
}
