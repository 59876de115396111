package cgroups

import (
	"os"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// bpf(2), as far as device programs need it. The structures are the members of union bpf_attr
// (include/uapi/linux/bpf.h); the kernel takes any prefix of the union.

// bpfProgLoad is the argument of BPF_PROG_LOAD.
type bpfProgLoad struct {
	progType     uint32
	insnCount    uint32
	insns        uint64
	license      uint64
	logLevel     uint32
	logSize      uint32
	logBuf       uint64
	kernVersion  uint32
	flags        uint32
	name         [16]byte
	ifindex      uint32
	expectedType uint32
}

// bpfProgAttach is the argument of BPF_PROG_ATTACH and BPF_PROG_DETACH.
type bpfProgAttach struct {
	target  uint32
	prog    uint32
	kind    uint32
	flags   uint32
	replace uint32
}

// bpfProgQuery is the argument of BPF_PROG_QUERY.
type bpfProgQuery struct {
	target      uint32
	kind        uint32
	queryFlags  uint32
	attachFlags uint32
	ids         uint64
	count       uint32
	_           uint32
}

// bpfGetFd is the argument of BPF_PROG_GET_FD_BY_ID.
type bpfGetFd struct {
	id    uint32
	next  uint32
	flags uint32
}

func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		r, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		switch errno {
		case 0:
			return int(r), nil
		case unix.EINTR, unix.EAGAIN: // EAGAIN: the verifier was interrupted by a signal
		default:
			return -1, os.NewSyscallError("bpf", errno)
		}
	}
}

// bpfLoad gives a device program to the kernel and returns its descriptor.
func bpfLoad(prog []insn) (int, error) {
	license := []byte("Apache-2.0\x00")
	var pins runtime.Pinner
	defer pins.Unpin()
	attr := bpfProgLoad{
		progType:     unix.BPF_PROG_TYPE_CGROUP_DEVICE,
		insnCount:    uint32(len(prog)),
		insns:        address(&pins, &prog[0]),
		license:      address(&pins, &license[0]),
		expectedType: unix.BPF_CGROUP_DEVICE,
	}
	copy(attr.name[:], "rt_devices")
	return bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
}

// bpfAttach attaches a program beside those of parents and children, or in the place of replace.
func bpfAttach(cgroup, prog, replace int) error {
	attr := bpfProgAttach{
		target: uint32(cgroup), prog: uint32(prog), kind: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI,
	}
	if replace != 0 {
		attr.flags |= unix.BPF_F_REPLACE
		attr.replace = uint32(replace)
	}
	_, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

func bpfDetach(cgroup, prog int) error {
	attr := bpfProgAttach{target: uint32(cgroup), prog: uint32(prog), kind: unix.BPF_CGROUP_DEVICE}
	_, err := bpf(unix.BPF_PROG_DETACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	return err
}

// bpfAttached returns descriptors of the device programs of a cgroup: 64, the kernel's own limit, at most.
func bpfAttached(cgroup int) ([]int, error) {
	var ids [64]uint32
	var pins runtime.Pinner
	defer pins.Unpin()
	attr := bpfProgQuery{
		target: uint32(cgroup), kind: unix.BPF_CGROUP_DEVICE,
		ids: address(&pins, &ids[0]), count: uint32(len(ids)),
	}
	_, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, err
	}
	var fds []int
	for _, id := range ids[:attr.count] {
		get := bpfGetFd{id: id}
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&get), unsafe.Sizeof(get))
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		fds = append(fds, fd)
	}
	return fds, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

// address is a pointer as bpf_attr holds it: a number, so what it points to is pinned, lest a growing
// stack moves it away.
func address[T any](pins *runtime.Pinner, p *T) uint64 {
	pins.Pin(p)
	return uint64(uintptr(unsafe.Pointer(p)))
}
