package seccomp

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// call is struct seccomp_data without the instruction pointer.
type call struct {
	arch uint32
	nr   uint32
	args [6]uint64
}

func (c call) word(offset uint32) uint32 {
	buf := binary.NativeEndian.AppendUint32(nil, c.nr)
	buf = binary.NativeEndian.AppendUint32(buf, c.arch)
	buf = binary.NativeEndian.AppendUint64(buf, 0)
	for _, a := range c.args {
		buf = binary.NativeEndian.AppendUint64(buf, a)
	}
	return binary.NativeEndian.Uint32(buf[offset:])
}

// run executes a filter as the kernel would: the subset of classic BPF that
// libseccomp and the stub emit. Everything else fails the test.
func run(t *testing.T, prog []byte, c call) uint32 {
	t.Helper()
	var a uint32
	for pc := 0; ; pc++ {
		if pc*insnSize >= len(prog) {
			t.Fatalf("ran off the end of the program at %d", pc)
		}
		raw := prog[pc*insnSize:]
		code, jt, jf := binary.NativeEndian.Uint16(raw), raw[2], raw[3]
		k := binary.NativeEndian.Uint32(raw[4:])
		branch := func(cond bool) {
			if cond {
				pc += int(jt)
			} else {
				pc += int(jf)
			}
		}
		switch code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = c.word(k)
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= k
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(k)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			branch(a == k)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			branch(a > k)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			branch(a >= k)
		case unix.BPF_RET | unix.BPF_K:
			return k
		default:
			t.Fatalf("instruction %d: unexpected code %#x", pc, code)
		}
	}
}
