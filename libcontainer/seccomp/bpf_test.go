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

// data is c as struct seccomp_data.
func (c call) data() (buf [64]byte) {
	binary.NativeEndian.PutUint32(buf[offNr:], c.nr)
	binary.NativeEndian.PutUint32(buf[offArch:], c.arch)
	for i, a := range c.args {
		binary.NativeEndian.PutUint64(buf[16+8*i:], a)
	}
	return buf
}

// run executes a filter as the kernel would: the subset of classic BPF that
// libseccomp and the stub emit. Everything else fails the test.
func run(t *testing.T, prog []byte, c call) uint32 {
	t.Helper()
	var a uint32
	data := c.data()
	for pc := 0; ; pc++ {
		if pc*insnSize >= len(prog) {
			t.Fatalf("ran off the end of the program at %d", pc)
		}
		raw := prog[pc*insnSize:]
		code, jt, jf := binary.NativeEndian.Uint16(raw), raw[2], raw[3]
		k := binary.NativeEndian.Uint32(raw[4:])
		switch code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			a = binary.NativeEndian.Uint32(data[k:])
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= k
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(k)
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			pc += branch(a == k, jt, jf)
		case unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K:
			pc += branch(a > k, jt, jf)
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			pc += branch(a >= k, jt, jf)
		case unix.BPF_RET | unix.BPF_K:
			return k
		default:
			t.Fatalf("instruction %d: unexpected code %#x", pc, code)
		}
	}
}

func branch(cond bool, jt, jf uint8) int {
	if cond {
		return int(jt)
	}
	return int(jf)
}
