// Package seccomp turns a linux.seccomp profile into the BPF program that the
// kernel runs, and remembers the result.
//
// The names, numbers and argument checks come from libseccomp. Compiling takes a
// millisecond or more, on every create and every exec, so [Load] keeps compiled
// programs in a directory. The package never installs a filter: that is the stage's work,
// inside the container, with [Filter.Prog] and [Filter.Flags] as they are.
package seccomp

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// Filter is what seccomp(SECCOMP_SET_MODE_FILTER) needs to know.
type Filter struct {
	// Prog is an array of struct sock_filter in native byte order.
	Prog []byte
	// Flags are SECCOMP_FILTER_FLAG_* bits. SECCOMP_FILTER_FLAG_NEW_LISTENER is
	// among them when Notify is set, so the call then returns a file descriptor.
	Flags uint64
	// Notify says that a rule uses SCMP_ACT_NOTIFY: the listener must be sent
	// to linux.seccomp.listenerPath.
	Notify bool
}

// Compile translates s for the running kernel. The filter is nil
// when s asks for nothing (it is nil, or has neither default action nor rules).
// An error names the field of the configuration that is at fault.
func Compile(s *specs.LinuxSeccomp) (*Filter, error) {
	return build(s, compile)
}

// Load is [Compile] with a memory: programs are kept in cacheDir, which is made
// (mode 0700) if its parent exists. A directory or an entry that is damaged,
// belongs to somebody else or cannot be written costs the time to compile and
// nothing more, so it is not an error.
func Load(s *specs.LinuxSeccomp, cacheDir string) (*Filter, error) {
	return build(s, func(s *specs.LinuxSeccomp) ([]byte, error) {
		return cached(s, cacheDir)
	})
}

// LibVersion is the version of the libseccomp in use, such as "2.5.4".
func LibVersion() string {
	major, minor, micro := libseccomp.GetLibraryVersion()
	return fmt.Sprintf("%d.%d.%d", major, minor, micro)
}

func build(s *specs.LinuxSeccomp, program func(*specs.LinuxSeccomp) ([]byte, error)) (*Filter, error) {
	if absent(s) {
		return nil, nil
	}
	f := &Filter{Notify: notifies(s)}
	var err error
	if f.Flags, err = filterFlags(s, f.Notify); err != nil {
		return nil, err
	}
	if f.Prog, err = program(s); err != nil {
		return nil, err
	}
	return f, nil
}

// absent is true for profiles that engines write when they mean "no seccomp".
func absent(s *specs.LinuxSeccomp) bool {
	return s == nil || s.DefaultAction == "" && len(s.Syscalls) == 0
}

func notifies(s *specs.LinuxSeccomp) bool {
	for i := range s.Syscalls {
		if s.Syscalls[i].Action == specs.ActNotify {
			return true
		}
	}
	return false
}
