package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// Offsets in struct seccomp_data.
const (
	offNr   = 0
	offArch = 4
)

// insn is struct sock_filter.
type insn struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// section is the table of the architectures with one audit number.
type section struct {
	audit uint32
	spans
}

// assembler writes a program from its end to its start, because jumps only go
// forward: the place to jump to is always known. A place is the number of
// instructions from there to the end; place 0, behind the end, is where
// libseccomp's program starts.
type assembler struct {
	reversed []insn
	leaves   map[verdict]int // where to return which verdict
}

// far is a distance that conditional jumps, with their 8 bits, do reach, even
// after some instructions more were put in between.
const far = 250

// assemble writes the search for a number in the section of its architecture.
// It is a binary search, so it takes 6 to 8 steps.
func assemble(sections []section) []byte {
	a := &assembler{leaves: map[verdict]int{}}
	bodies := make([]int, len(sections))
	for i, s := range slices.Backward(sections) {
		a.search(s.spans)
		bodies[i] = a.emit(insn{code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, k: offNr})
	}
	next := a.leaf(ask)
	for i, s := range slices.Backward(sections) {
		next = a.branch(unix.BPF_JEQ, s.audit, bodies[i], next)
	}
	a.emit(insn{code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, k: offArch})
	return a.bytes()
}

func (a *assembler) emit(i insn) (place int) {
	a.reversed = append(a.reversed, i)
	return len(a.reversed)
}

// search writes the search for a number in list, which is not empty.
func (a *assembler) search(list spans) (place int) {
	if len(list) == 1 {
		return a.leaf(list[0].verdict)
	}
	middle := len(list) / 2
	above := a.search(list[middle:])
	below := a.search(list[:middle])
	return a.branch(unix.BPF_JGE, list[middle].start, above, below)
}

// leaf is a place near by that returns v.
func (a *assembler) leaf(v verdict) (place int) {
	place, ok := a.leaves[v]
	switch {
	case ok && len(a.reversed)-place < far/2:
		return place
	case v == ask:
		place = a.jump(0)
	default:
		place = a.emit(insn{code: unix.BPF_RET | unix.BPF_K, k: uint32(v)})
	}
	a.leaves[v] = place
	return place
}

// branch compares the accumulator with k and goes on at yes or no.
func (a *assembler) branch(compare uint16, k uint32, yes, no int) (place int) {
	yes, no = a.near(yes), a.near(no)
	here := len(a.reversed)
	return a.emit(insn{code: unix.BPF_JMP | compare | unix.BPF_K, k: k, jt: uint8(here - yes), jf: uint8(here - no)})
}

// near is a place that a branch reaches and that leads to place.
func (a *assembler) near(place int) int {
	if len(a.reversed)-place < far {
		return place
	}
	return a.jump(place)
}

func (a *assembler) jump(place int) int {
	return a.emit(insn{code: unix.BPF_JMP | unix.BPF_JA, k: uint32(len(a.reversed) - place)})
}

func (a *assembler) bytes() []byte {
	prog := make([]byte, 0, len(a.reversed)*insnSize)
	for _, i := range slices.Backward(a.reversed) {
		prog = binary.NativeEndian.AppendUint16(prog, i.code)
		prog = append(prog, i.jt, i.jf)
		prog = binary.NativeEndian.AppendUint32(prog, i.k)
	}
	return prog
}
