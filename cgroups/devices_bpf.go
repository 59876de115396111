package cgroups

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Numbers of the BPF instruction set (Documentation/bpf/standardization/instruction-set.rst) that a
// device program needs. The compiler below is small enough to do without a BPF library, whose package
// initialisation would cost every command 80 µs.
const (
	opLoadWord = 0x61 // dst = *(u32 *)(src + off)
	opMove     = 0xb4 // dst = imm (32 bit)
	opMoveReg  = 0xbc // dst = src (32 bit)
	opAnd      = 0x54 // dst &= imm (32 bit)
	opShift    = 0x74 // dst >>= imm (32 bit)
	opJumpEq   = 0x16 // if dst == imm (32 bit) skip off
	opJumpNe   = 0x56 // if dst != imm (32 bit) skip off
	opExit     = 0x95
)

// Registers, by their use here.
const (
	regResult  = 0
	regContext = 1
	regKind    = 2
	regAccess  = 3
	regMajor   = 4
	regMinor   = 5
	regScratch = 6
)

// insn is struct bpf_insn.
type insn struct {
	op   uint8
	regs uint8 // dst in the low half, src in the high one (little endian layout)
	off  int16
	imm  int32
}

// deviceProgram compiles a set to a program of type BPF_PROG_TYPE_CGROUP_DEVICE, which gets a
// struct bpf_cgroup_dev_ctx and answers 1 (go on) or 0 (EPERM). It decides as the v1 controller does:
// an exception from "deny" has to allow all that is asked for, one from "allow" denies by a part.
func deviceProgram(s deviceSet) []insn {
	prog := []insn{
		{op: opLoadWord, regs: regs(regKind, regContext), off: 0},
		{op: opMoveReg, regs: regs(regAccess, regKind)},
		{op: opAnd, regs: regKind, imm: 0xffff},
		{op: opShift, regs: regAccess, imm: 16},
		{op: opLoadWord, regs: regs(regMajor, regContext), off: 4},
		{op: opLoadWord, regs: regs(regMinor, regContext), off: 8},
	}
	for _, e := range s.exceptions {
		prog = append(prog, exceptionBlock(e, !s.allow)...)
	}
	return append(prog, verdict(s.allow)...)
}

// exceptionBlock answers allow if the exception matches, and falls through to the next block if not.
func exceptionBlock(e deviceException, allow bool) []insn {
	kind := int32(unix.BPF_DEVCG_DEV_CHAR)
	if e.node.kind == 'b' {
		kind = unix.BPF_DEVCG_DEV_BLOCK
	}
	block := []insn{{op: opJumpNe, regs: regKind, imm: kind}}
	if e.node.major != wildcard {
		block = append(block, insn{op: opJumpNe, regs: regMajor, imm: int32(e.node.major)})
	}
	if e.node.minor != wildcard {
		block = append(block, insn{op: opJumpNe, regs: regMinor, imm: int32(e.node.minor)})
	}
	if e.acc != accAll {
		mask, miss := int32(e.acc), uint8(opJumpEq)
		if allow {
			mask, miss = int32(accAll&^e.acc), opJumpNe
		}
		block = append(block,
			insn{op: opMoveReg, regs: regs(regScratch, regAccess)},
			insn{op: opAnd, regs: regScratch, imm: mask},
			insn{op: miss, regs: regScratch, imm: 0})
	}
	block = append(block, verdict(allow)...)
	return aimJumps(block)
}

// aimJumps makes every jump of a block lead right behind it.
func aimJumps(block []insn) []insn {
	for i := range block {
		if block[i].op == opJumpNe || block[i].op == opJumpEq {
			block[i].off = int16(len(block) - i - 1)
		}
	}
	return block
}

func verdict(allow bool) []insn {
	var answer int32
	if allow {
		answer = 1
	}
	return []insn{{op: opMove, regs: regResult, imm: answer}, {op: opExit}}
}

func regs(dst, src uint8) uint8 { return dst | src<<4 }

// devicesV2 puts the device rules of a v2 cgroup in force. Programs of a cgroup that was there before
// us are replaced, in one step where there is one: at no time is every device open.
func devicesV2(path string, s deviceSet, existed bool) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	prog, err := bpfLoad(deviceProgram(s))
	if err != nil {
		return fault("devices", "load the device program: %w", err)
	}
	defer func() { _ = unix.Close(prog) }()
	if !existed {
		err = bpfAttach(fd, prog, 0)
	} else {
		err = replaceProgram(fd, prog)
	}
	if err != nil {
		return fault("devices", "attach the device program to %s: %w", path, err)
	}
	return nil
}

// replaceProgram attaches prog and takes off what was there.
func replaceProgram(cgroup, prog int) error {
	old, err := bpfAttached(cgroup)
	if err != nil {
		return err
	}
	defer closeAll(old)
	if len(old) == 1 {
		return bpfAttach(cgroup, prog, old[0])
	}
	if err := bpfAttach(cgroup, prog, 0); err != nil {
		return err
	}
	for _, fd := range old {
		if err := bpfDetach(cgroup, fd); err != nil {
			return fmt.Errorf("detach an older one: %w", err)
		}
	}
	return nil
}
