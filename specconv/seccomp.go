package specconv

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The seccomp tables are sorted, for Features.
var (
	seccompActions = [...]specs.LinuxSeccompAction{
		specs.ActAllow,
		specs.ActErrno,
		specs.ActKill,
		specs.ActKillProcess,
		specs.ActKillThread,
		specs.ActLog,
		specs.ActNotify,
		specs.ActTrace,
		specs.ActTrap,
	}
	seccompOperators = [...]specs.LinuxSeccompOperator{
		specs.OpEqualTo,
		specs.OpGreaterEqual,
		specs.OpGreaterThan,
		specs.OpLessEqual,
		specs.OpLessThan,
		specs.OpMaskedEqual,
		specs.OpNotEqual,
	}
	seccompArchs = [...]specs.Arch{
		specs.ArchAARCH64,
		specs.ArchARM,
		specs.ArchLOONGARCH64,
		specs.ArchM68K,
		specs.ArchMIPS,
		specs.ArchMIPS64,
		specs.ArchMIPS64N32,
		specs.ArchMIPSEL,
		specs.ArchMIPSEL64,
		specs.ArchMIPSEL64N32,
		specs.ArchPARISC,
		specs.ArchPARISC64,
		specs.ArchPPC,
		specs.ArchPPC64,
		specs.ArchPPC64LE,
		specs.ArchRISCV64,
		specs.ArchS390,
		specs.ArchS390X,
		specs.ArchSH,
		specs.ArchSHEB,
		specs.ArchX32,
		specs.ArchX86,
		specs.ArchX86_64,
	}
	seccompFlags = [...]specs.LinuxSeccompFlag{
		specs.LinuxSeccompFlagLog,
		specs.LinuxSeccompFlagSpecAllow,
		"SECCOMP_FILTER_FLAG_TSYNC", // has no constant; of no use to a process with one thread
		specs.LinuxSeccompFlagWaitKillableRecv,
	}
)

const (
	maxErrno       = 4095  // the kernel's MAX_ERRNO: more is cut down to it
	maxTraceData   = 65535 // SECCOMP_RET_DATA, which a tracer is given
	maxSyscallArgs = 6
)

func (c *checker) seccomp() {
	s := c.linux.Seccomp
	if s == nil {
		return
	}
	const at = "linux.seccomp"
	c.action(at+".defaultAction", s.DefaultAction)
	if s.DefaultAction == specs.ActNotify {
		c.faults.add(at+".defaultAction", "%s would hold the very calls by which the listener is handed over", s.DefaultAction)
	}
	c.errnoRet(at+".defaultErrnoRet", s.DefaultErrnoRet, s.DefaultAction)
	for i, arch := range s.Architectures {
		if !slices.Contains(seccompArchs[:], arch) {
			unknown(&c.faults, index(at+".architectures", i), arch, seccompArchs[:])
		}
	}
	for i, flag := range s.Flags {
		if !slices.Contains(seccompFlags[:], flag) {
			unknown(&c.faults, index(at+".flags", i), flag, seccompFlags[:])
		}
	}
	notify := false
	for i := range s.Syscalls {
		c.syscalls(i, &s.Syscalls[i])
		notify = notify || s.Syscalls[i].Action == specs.ActNotify
	}
	c.listener(at, s, notify)
}

func (c *checker) listener(at string, s *specs.LinuxSeccomp, notify bool) {
	switch {
	case s.ListenerPath != "":
		if notify { // else it is ignored, by the specification
			c.absolute(at+".listenerPath", s.ListenerPath)
		}
	case notify:
		c.faults.add(at+".listenerPath", "is missing, and %s needs it", specs.ActNotify)
	case s.ListenerMetadata != "":
		c.faults.add(at+".listenerMetadata", "is given without listenerPath")
	}
}

// syscalls checks one rule; an unknown name of a system call is none of a runtime's faults, since a
// profile is written for many kernels.
func (c *checker) syscalls(i int, r *specs.LinuxSyscall) {
	at := "linux.seccomp.syscalls"
	if len(r.Names) == 0 {
		c.faults.add(index(at, i)+".names", "is missing")
	}
	if !slices.Contains(seccompActions[:], r.Action) {
		c.action(index(at, i)+".action", r.Action)
	}
	if r.ErrnoRet != nil {
		c.errnoRet(index(at, i)+".errnoRet", r.ErrnoRet, r.Action)
	}
	if r.Action == specs.ActNotify && slices.Contains(r.Names, "write") {
		c.faults.add(index(at, i), "%s on write would hold the call by which the listener is handed over", r.Action)
	}
	for j := range r.Args {
		c.syscallArg(index(at, i)+".args", j, &r.Args[j])
	}
}

func (c *checker) syscallArg(at string, i int, a *specs.LinuxSeccompArg) {
	if a.Index >= maxSyscallArgs {
		c.faults.add(index(at, i)+".index", "%d is not one of the %d arguments, 0 to 5", a.Index, maxSyscallArgs)
	}
	if !slices.Contains(seccompOperators[:], a.Op) {
		unknown(&c.faults, index(at, i)+".op", a.Op, seccompOperators[:])
	}
}

func (c *checker) action(field string, a specs.LinuxSeccompAction) {
	if !slices.Contains(seccompActions[:], a) {
		unknown(&c.faults, field, a, seccompActions[:])
	}
}

// errnoRet is refused where it means nothing, as the specification says.
func (c *checker) errnoRet(field string, ret *uint, a specs.LinuxSeccompAction) {
	if ret == nil {
		return
	}
	last := uint(maxErrno)
	switch a {
	case specs.ActErrno:
	case specs.ActTrace:
		last = maxTraceData
	default:
		c.faults.add(field, "means nothing with %s", a)
		return
	}
	if *ret > last {
		c.faults.add(field, "%d is above %d", *ret, last)
	}
}
