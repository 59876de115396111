package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// flagTsync has no constant in the Go types, though the specification lists it.
const flagTsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"

// filterFlags translates linux.seccomp.flags. No list at all means
// SPEC_ALLOW where the kernel has it, as in runc: without it every container
// would pay for the speculative store bypass mitigation. An empty list means no
// flags.
func filterFlags(s *specs.LinuxSeccomp, notify bool) (uint64, error) {
	var flags uint64
	if notify {
		flags = unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	}
	if s.Flags == nil {
		if kernelKnows(unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW) {
			flags |= unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW
		}
		return flags, nil
	}
	for i, word := range s.Flags {
		bit, err := flagBit(word, notify)
		if err != nil {
			return 0, fmt.Errorf("linux.seccomp.flags[%d]: %w", i, err)
		}
		flags |= bit
	}
	return flags, nil
}

func flagBit(word specs.LinuxSeccompFlag, notify bool) (uint64, error) {
	switch word {
	case flagTsync:
		// The stage has one thread when it installs the filter: all threads are
		// in step already. With a listener the kernel even refuses the flag.
		return 0, nil
	case specs.LinuxSeccompFlagLog:
		return unix.SECCOMP_FILTER_FLAG_LOG, require(word, unix.SECCOMP_FILTER_FLAG_LOG)
	case specs.LinuxSeccompFlagSpecAllow:
		return unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, require(word, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW)
	case specs.LinuxSeccompFlagWaitKillableRecv:
		if !notify {
			return 0, fmt.Errorf("%s needs a rule with %s", word, specs.ActNotify)
		}
		return unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, require(word,
			unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV|unix.SECCOMP_FILTER_FLAG_NEW_LISTENER)
	}
	return 0, fmt.Errorf("unknown flag %q", word)
}

func require(word specs.LinuxSeccompFlag, flags uintptr) error {
	if !kernelKnows(flags) {
		return fmt.Errorf("%s is unknown to this kernel: %w", word, unix.ENOTSUP)
	}
	return nil
}

// SupportedFlags lists the filter flags that this kernel accepts, for the
// features document.
func SupportedFlags() []string {
	words := []string{string(flagTsync)}
	for _, f := range []struct {
		word specs.LinuxSeccompFlag
		bits uintptr
	}{
		{specs.LinuxSeccompFlagSpecAllow, unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW},
		{specs.LinuxSeccompFlagLog, unix.SECCOMP_FILTER_FLAG_LOG},
		{specs.LinuxSeccompFlagWaitKillableRecv,
			unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | unix.SECCOMP_FILTER_FLAG_NEW_LISTENER},
	} {
		if kernelKnows(f.bits) {
			words = append(words, string(f.word))
		}
	}
	return words
}

// kernelKnows asks the kernel about filter flags by offering it a program at
// address 0: it looks at the flags first (EINVAL) and at the program after
// (EFAULT), so nothing can ever be installed.
func kernelKnows(flags uintptr) bool {
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, 0)
	return errno == unix.EFAULT
}
