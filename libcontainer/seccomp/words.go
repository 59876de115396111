package seccomp

import (
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// Limits of SECCOMP_RET_DATA: the kernel silently cuts an errno at MAX_ERRNO,
// 4095, which libseccomp wants it to be below, and hands a tracer 16 bits.
const (
	maxErrno = 4094
	maxTrace = 0xffff
)

// arch is one architecture of a profile. Its ordinary system call numbers are
// first to last; above are numbers with a history of their own, which say
// nothing about age.
type arch struct {
	word        specs.Arch
	lib         libseccomp.ScmpArch
	audit       uint32
	first, last uint32
}

const (
	x32Bit = 0x40000000
	anyNr  = 0x7fffffff // -1 is not a system call: a tracer writes it to skip one
)

// archs is plain data for the linker, so that it costs nothing at start-up.
var archs = [...]arch{
	{specs.ArchX86, libseccomp.ArchX86, unix.AUDIT_ARCH_I386, 0, anyNr},
	{specs.ArchX86_64, libseccomp.ArchAMD64, unix.AUDIT_ARCH_X86_64, 0, x32Bit - 1},
	// x32 reports itself as x86_64 with a bit in the number. From 512 on are
	// calls that were doubled for x32 in 2012, older than 335 and up.
	{specs.ArchX32, libseccomp.ArchX32, unix.AUDIT_ARCH_X86_64, x32Bit, x32Bit | 511},
	// From 0xf0000 on are the private calls of ARM (set_tls, cacheflush …).
	{specs.ArchARM, libseccomp.ArchARM, unix.AUDIT_ARCH_ARM, 0, 0xeffff},
	{specs.ArchAARCH64, libseccomp.ArchARM64, unix.AUDIT_ARCH_AARCH64, 0, anyNr},
	{specs.ArchMIPS, libseccomp.ArchMIPS, unix.AUDIT_ARCH_MIPS, 4000, anyNr},
	{specs.ArchMIPS64, libseccomp.ArchMIPS64, unix.AUDIT_ARCH_MIPS64, 5000, anyNr},
	{specs.ArchMIPS64N32, libseccomp.ArchMIPS64N32, unix.AUDIT_ARCH_MIPS64N32, 6000, anyNr},
	{specs.ArchMIPSEL, libseccomp.ArchMIPSEL, unix.AUDIT_ARCH_MIPSEL, 4000, anyNr},
	{specs.ArchMIPSEL64, libseccomp.ArchMIPSEL64, unix.AUDIT_ARCH_MIPSEL64, 5000, anyNr},
	{specs.ArchMIPSEL64N32, libseccomp.ArchMIPSEL64N32, unix.AUDIT_ARCH_MIPSEL64N32, 6000, anyNr},
	{specs.ArchPPC, libseccomp.ArchPPC, unix.AUDIT_ARCH_PPC, 0, anyNr},
	{specs.ArchPPC64, libseccomp.ArchPPC64, unix.AUDIT_ARCH_PPC64, 0, anyNr},
	{specs.ArchPPC64LE, libseccomp.ArchPPC64LE, unix.AUDIT_ARCH_PPC64LE, 0, anyNr},
	{specs.ArchS390, libseccomp.ArchS390, unix.AUDIT_ARCH_S390, 0, anyNr},
	{specs.ArchS390X, libseccomp.ArchS390X, unix.AUDIT_ARCH_S390X, 0, anyNr},
	{specs.ArchPARISC, libseccomp.ArchPARISC, unix.AUDIT_ARCH_PARISC, 0, anyNr},
	{specs.ArchPARISC64, libseccomp.ArchPARISC64, unix.AUDIT_ARCH_PARISC64, 0, anyNr},
	{specs.ArchRISCV64, libseccomp.ArchRISCV64, unix.AUDIT_ARCH_RISCV64, 0, anyNr},
	{specs.ArchLOONGARCH64, libseccomp.ArchLOONGARCH64, unix.AUDIT_ARCH_LOONGARCH64, 0, anyNr},
	{specs.ArchM68K, libseccomp.ArchM68K, unix.AUDIT_ARCH_M68K, 0, anyNr},
	{specs.ArchSH, libseccomp.ArchSH, unix.AUDIT_ARCH_SHEL, 0, anyNr},
	{specs.ArchSHEB, libseccomp.ArchSHEB, unix.AUDIT_ARCH_SH, 0, anyNr},
}

// profileArchs lists the architectures that a filter for s covers, each once:
// the native one always, then those named.
func profileArchs(s *specs.LinuxSeccomp) ([]arch, error) {
	native, err := libseccomp.GetNativeArch()
	if err != nil {
		return nil, fmt.Errorf("ask libseccomp for the native architecture: %w", err)
	}
	var list []arch
	for _, a := range archs {
		if a.lib == native {
			list = append(list, a)
		}
	}
	for i, word := range s.Architectures {
		a, err := archOf(word)
		if err != nil {
			return nil, fmt.Errorf("linux.seccomp.architectures[%d]: %w", i, err)
		}
		if !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list, nil
}

func archOf(word specs.Arch) (arch, error) {
	for _, a := range archs {
		if a.word == word {
			return a, nil
		}
	}
	return arch{}, fmt.Errorf("unknown architecture %q", word)
}

// outcome is an action with the errno or message it carries.
type outcome struct {
	lib libseccomp.ScmpAction
	ret uint32 // SECCOMP_RET_*, as a filter returns it
}

// action translates an action word and the errnoRet beside it. Error texts
// start with the name of the field at fault.
func action(word specs.LinuxSeccompAction, ret *uint, field, retField string) (outcome, error) {
	var o outcome
	limit := uint(0)
	switch word {
	case specs.ActKill, specs.ActKillThread:
		o = outcome{libseccomp.ActKillThread, unix.SECCOMP_RET_KILL_THREAD}
	case specs.ActKillProcess:
		o = outcome{libseccomp.ActKillProcess, unix.SECCOMP_RET_KILL_PROCESS}
	case specs.ActTrap:
		o = outcome{libseccomp.ActTrap, unix.SECCOMP_RET_TRAP}
	case specs.ActErrno:
		o, limit = outcome{libseccomp.ActErrno, unix.SECCOMP_RET_ERRNO}, maxErrno
	case specs.ActTrace:
		o, limit = outcome{libseccomp.ActTrace, unix.SECCOMP_RET_TRACE}, maxTrace
	case specs.ActAllow:
		o = outcome{libseccomp.ActAllow, unix.SECCOMP_RET_ALLOW}
	case specs.ActLog:
		o = outcome{libseccomp.ActLog, unix.SECCOMP_RET_LOG}
	case specs.ActNotify:
		o = outcome{libseccomp.ActNotify, unix.SECCOMP_RET_USER_NOTIF}
	default:
		return outcome{}, fmt.Errorf("%s: unknown action %q", field, word)
	}
	if err := checkRet(word, ret, limit); err != nil {
		return outcome{}, fmt.Errorf("%s: %w", retField, err)
	}
	if limit == 0 {
		return o, nil
	}
	return o.carry(ret), nil
}

// carry adds the number that ERRNO and TRACE hand over, by default EPERM.
func (o outcome) carry(ret *uint) outcome {
	code := uint(unix.EPERM)
	if ret != nil {
		code = *ret
	}
	return outcome{o.lib.SetReturnCode(int16(code)), o.ret | uint32(code)}
}

// checkRet holds the specification's rule that an errno beside an action that
// cannot carry one is an error.
func checkRet(word specs.LinuxSeccompAction, ret *uint, limit uint) error {
	switch {
	case ret == nil:
		return nil
	case limit == 0:
		return fmt.Errorf("%s takes no errno", word)
	case *ret > limit:
		return fmt.Errorf("%d is more than %d", *ret, limit)
	}
	return nil
}

func operator(word specs.LinuxSeccompOperator) (libseccomp.ScmpCompareOp, error) {
	switch word {
	case specs.OpNotEqual:
		return libseccomp.CompareNotEqual, nil
	case specs.OpLessThan:
		return libseccomp.CompareLess, nil
	case specs.OpLessEqual:
		return libseccomp.CompareLessOrEqual, nil
	case specs.OpEqualTo:
		return libseccomp.CompareEqual, nil
	case specs.OpGreaterEqual:
		return libseccomp.CompareGreaterEqual, nil
	case specs.OpGreaterThan:
		return libseccomp.CompareGreater, nil
	case specs.OpMaskedEqual:
		return libseccomp.CompareMaskedEqual, nil
	}
	return 0, fmt.Errorf("unknown operator %q", word)
}

// conditions translates args. Error texts start with args[i] and its field.
func conditions(args []specs.LinuxSeccompArg) ([]libseccomp.ScmpCondition, error) {
	var conds []libseccomp.ScmpCondition
	for i, a := range args {
		op, err := operator(a.Op)
		if err != nil {
			return nil, fmt.Errorf("args[%d].op: %w", i, err)
		}
		if a.Index > 5 {
			return nil, fmt.Errorf("args[%d].index: %w", i, errIndex)
		}
		conds = append(conds, libseccomp.ScmpCondition{
			Argument: a.Index, Op: op, Operand1: a.Value, Operand2: a.ValueTwo,
		})
	}
	return conds, nil
}

var errIndex = errors.New("a system call has arguments 0 to 5")
