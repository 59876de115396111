package seccomp

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// childEnv makes the test binary a child that installs a filter and tries the
// system calls of one case below.
const childEnv = "SECCOMP_TEST_CHILD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childEnv); name != "" {
		os.Exit(child(name))
	}
	os.Exit(m.Run())
}

// kernelCases are profiles and what a process under them sees.
func kernelCases() map[string]struct {
	profile *specs.LinuxSeccomp
	want    string // what the child prints
	signal  syscall.Signal
} {
	deny := func(e uint, names ...string) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: names, Action: specs.ActErrno, ErrnoRet: &e}
	}
	type c = struct {
		profile *specs.LinuxSeccomp
		want    string
		signal  syscall.Signal
	}
	return map[string]c{
		"errno": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{deny(95, "getppid")}},
			"getppid: operation not supported\npersonality(8): errno 0\nnewest: function not implemented\n", 0},
		"argument": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"personality"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 0, Value: 8, Op: specs.OpEqualTo}}}}},
			"getppid: errno 0\npersonality(8): operation not permitted\nnewest: function not implemented\n", 0},
		"kill": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"personality"}, Action: specs.ActKillProcess}}},
			"getppid: errno 0\n", syscall.SIGSYS},
		// With nobody listening any more the kernel answers for the listener.
		"notify": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"getppid"}, Action: specs.ActNotify}},
			Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}},
			"getppid: function not implemented\npersonality(8): errno 0\nnewest: function not implemented\n", 0},
		"log": {&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{
			Names: []string{"getppid"}, Action: specs.ActLog}}, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}},
			"getppid: errno 0\npersonality(8): errno 0\nnewest: function not implemented\n", 0},
	}
}

func TestKernel(t *testing.T) {
	for name, tt := range kernelCases() {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe")
			cmd.Env = append(os.Environ(), childEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if string(out) != tt.want {
				t.Errorf("the child printed\n%s\nwant\n%s", out, tt.want)
			}
			var exit *exec.ExitError
			var signal syscall.Signal
			if errors.As(err, &exit) {
				signal = exit.Sys().(syscall.WaitStatus).Signal()
			}
			if signal != tt.signal {
				t.Errorf("the child ended with %v, want signal %d", err, tt.signal)
			}
		})
	}
}

// Docker's whole profile holds a Go program, and does what docker says.
func TestKernelDocker(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=docker")
	out, err := cmd.CombinedOutput()
	want := "getppid: errno 0\npersonality(8): errno 0\nnewest: function not implemented\n"
	if string(out) != want || err != nil {
		t.Errorf("the child printed\n%s(%v), want\n%s", out, err, want)
	}
}

func child(name string) int {
	s := kernelCases()[name].profile
	if name == "docker" {
		var t testing.T
		s = profile(&t, filepath.Join(configs, "docker-default.json"))
	}
	f, err := Compile(s)
	if err == nil {
		err = install(f)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, try := range []struct {
		name string
		nr   uintptr
		arg  uintptr
	}{
		{"getppid", unix.SYS_GETPPID, 0},
		{"personality(8)", unix.SYS_PERSONALITY, 8},
		{"newest", 1022, 0},
	} {
		_, _, errno := unix.RawSyscall(try.nr, try.arg, 0, 0)
		fmt.Printf("%s: %s\n", try.name, strings.TrimSpace(errno.Error()))
	}
	return 0
}

// install puts the filter on the calling thread, as the stage does.
func install(f *Filter) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return os.NewSyscallError("prctl", err)
	}
	prog := unix.SockFprog{
		Len:    uint16(len(f.Prog) / insnSize),
		Filter: (*unix.SockFilter)(unsafe.Pointer(&f.Prog[0])),
	}
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, uintptr(f.Flags), uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return os.NewSyscallError("seccomp", errno)
	}
	if f.Notify {
		return unix.Close(int(fd))
	}
	return nil
}
