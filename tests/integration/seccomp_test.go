package integration

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// x86-64 numbers that the probe is asked to call.
const (
	sysGetpid  = unix.SYS_GETPID
	sysMkdir   = unix.SYS_MKDIR
	sysKexec   = unix.SYS_KEXEC_LOAD
	sysListns  = 470 // newer than any profile below names
	sysUnnamed = 600 // not in any kernel
)

func profile(action specs.LinuxSeccompAction, rules ...specs.LinuxSyscall) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{DefaultAction: action, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86}, Syscalls: rules}
}

func rule(action specs.LinuxSeccompAction, names ...string) specs.LinuxSyscall {
	return specs.LinuxSyscall{Names: names, Action: action}
}

func errno(n uint) *uint { return &n }

// probeSyscall runs one system call under the profile and returns "RESULT ERRNO".
func probeSyscall(t *testing.T, p *specs.LinuxSeccomp, call ...any) *rttest.Result {
	t.Helper()
	b := rttest.New(t).AddProbe()
	b.Spec.Linux.Seccomp = p
	args := []string{"probe", "syscall"}
	for _, a := range call {
		args = append(args, fmt.Sprint(a))
	}
	return b.Args(args...).Run()
}

func TestSeccompErrno(t *testing.T) {
	t.Parallel()
	withErrno := rule(specs.ActErrno, "getpid")
	withErrno.ErrnoRet = errno(uint(unix.EXDEV))
	for name, c := range map[string]struct {
		rule specs.LinuxSyscall
		want string
	}{
		"EPERM by default":          {rule(specs.ActErrno, "getpid"), fmt.Sprintf("-1 %d", unix.EPERM)},
		"its own errno":             {withErrno, fmt.Sprintf("-1 %d", unix.EXDEV)},
		"allowed":                   {rule(specs.ActErrno, "mkdir"), "1 0"},
		"logged":                    {rule(specs.ActLog, "getpid"), "1 0"},
		"unknown names are ignored": {rule(specs.ActErrno, "getpid", "no_such_call"), fmt.Sprintf("-1 %d", unix.EPERM)},
	} {
		t.Run(name, func(t *testing.T) {
			probeSyscall(t, profile(specs.ActAllow, c.rule), sysGetpid).OK().Prints(c.want)
		})
	}
}

func TestSeccompKill(t *testing.T) {
	t.Parallel()
	for _, action := range []specs.LinuxSeccompAction{specs.ActKill, specs.ActKillProcess, specs.ActKillThread} {
		t.Run(string(action), func(t *testing.T) {
			probeSyscall(t, profile(specs.ActAllow, rule(action, "getpid")), sysGetpid).Exits(128 + int(unix.SIGSYS))
		})
	}
	t.Run(string(specs.ActTrap), func(t *testing.T) {
		probeSyscall(t, profile(specs.ActAllow, rule(specs.ActTrap, "getpid")), sysGetpid).Exits(128 + int(unix.SIGSYS))
	})
}

func TestSeccompArguments(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		arg   specs.LinuxSeccompArg
		match []uint64
		other []uint64
	}{
		"EQ":        {specs.LinuxSeccompArg{Value: 7, Op: specs.OpEqualTo}, []uint64{7}, []uint64{6, 8}},
		"NE":        {specs.LinuxSeccompArg{Value: 7, Op: specs.OpNotEqual}, []uint64{6, 8}, []uint64{7}},
		"LT":        {specs.LinuxSeccompArg{Value: 7, Op: specs.OpLessThan}, []uint64{6}, []uint64{7, 8}},
		"LE":        {specs.LinuxSeccompArg{Value: 7, Op: specs.OpLessEqual}, []uint64{6, 7}, []uint64{8}},
		"GT":        {specs.LinuxSeccompArg{Value: 7, Op: specs.OpGreaterThan}, []uint64{8}, []uint64{6, 7}},
		"GE":        {specs.LinuxSeccompArg{Value: 7, Op: specs.OpGreaterEqual}, []uint64{7, 8}, []uint64{6}},
		"MASKED_EQ": {specs.LinuxSeccompArg{Value: 6, ValueTwo: 2, Op: specs.OpMaskedEqual}, []uint64{2, 3}, []uint64{4, 6}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rule(specs.ActErrno, "getpid") // takes no arguments, so any will do
			r.Args = []specs.LinuxSeccompArg{c.arg}
			p := profile(specs.ActAllow, r)
			for _, v := range c.match {
				probeSyscall(t, p, sysGetpid, v).OK().Prints("-1 1")
			}
			for _, v := range c.other {
				probeSyscall(t, p, sysGetpid, v).OK().Prints("1 0")
			}
		})
	}
	t.Run("two conditions on one argument are two rules", func(t *testing.T) {
		r := rule(specs.ActErrno, "getpid")
		r.Args = []specs.LinuxSeccompArg{{Index: 0, Value: 3, Op: specs.OpEqualTo}, {Index: 0, Value: 5, Op: specs.OpEqualTo}}
		p := profile(specs.ActAllow, r)
		for value, want := range map[int]string{3: "-1 1", 4: "1 0", 5: "-1 1"} {
			probeSyscall(t, p, sysGetpid, value).OK().Prints(want)
		}
	})
}

// A profile names what it allows; a call newer than all of them is unknown to its author, so programs are told ENOSYS
// and fall back, while a call that was left out on purpose gets the profile's errno (runc 2151, 2750; moby#42681).
func TestSeccompENOSYSForNewSyscalls(t *testing.T) {
	t.Parallel()
	// Everything the probe and the runtime's last steps need, openat2 (437) the newest.
	p := profile(specs.ActErrno, rule(specs.ActAllow, allowedByName...))
	p.DefaultErrnoRet = errno(uint(unix.EACCES))
	probeSyscall(t, p, sysKexec).OK().Prints(fmt.Sprintf("-1 %d", unix.EACCES))
	probeSyscall(t, p, sysListns).OK().Prints(fmt.Sprintf("-1 %d", unix.ENOSYS))
	probeSyscall(t, p, sysUnnamed).OK().Prints(fmt.Sprintf("-1 %d", unix.ENOSYS))
}

var allowedByName = strings.Fields(`read write close fstat newfstatat lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask
	rt_sigreturn ioctl pread64 readv writev access pipe select sched_yield dup dup2 nanosleep getpid socket sendto recvfrom sendmsg
	recvmsg clone fork vfork execve exit wait4 kill uname fcntl getdents64 getcwd chdir fchdir readlink umask gettimeofday getrlimit
	getuid getgid setuid setgid geteuid getegid setresuid setresgid setgroups capget capset sigaltstack prctl arch_prctl gettid
	futex sched_getaffinity set_tid_address exit_group epoll_wait epoll_ctl tgkill openat readlinkat faccessat set_robust_list
	epoll_pwait eventfd2 epoll_create1 dup3 pipe2 prlimit64 getrandom execveat statx rseq close_range openat2 faccessat2
	statfs fstatfs fsopen fsconfig fsmount stat lstat clone3 poll ppoll keyctl madvise sched_setaffinity clock_nanosleep seccomp getppid`)

// The runtime asks no call of its own from a profile but the execve: one older than close_range starts all the same.
func TestSeccompOldProfile(t *testing.T) {
	t.Parallel()
	old := slices.DeleteFunc(slices.Clone(allowedByName), func(name string) bool { return name == "close_range" })
	b := rttest.New(t).Sh("ls /proc/self/fd")
	b.Spec.Linux.Seccomp = profile(specs.ActErrno, rule(specs.ActAllow, old...))
	b.Run().OK().Prints("0\n1\n2\n3") // 3 is the directory that ls reads
}

func TestSeccompWithNoNewPrivilegesOff(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("grep -E '^(Seccomp|NoNewPrivs):' /proc/self/status")
	b.Spec.Process.NoNewPrivileges = false
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "kexec_load"))
	b.Run().OK().Prints("NoNewPrivs:\t0\nSeccomp:\t2")
}

// Two profiles that differ in one errno must not share a compiled filter.
func TestSeccompProfilesAreNotConfused(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("probe", "syscall", fmt.Sprint(sysGetpid))
	for round := range 2 {
		for _, want := range []uint{uint(unix.EXDEV), uint(unix.EIO)} {
			r := rule(specs.ActErrno, "getpid")
			r.ErrnoRet = errno(want)
			b.Spec.Linux.Seccomp = profile(specs.ActAllow, r)
			res := b.Run().OK()
			if got := strings.TrimSpace(res.Stdout); got != fmt.Sprintf("-1 %d", want) {
				t.Errorf("round %d: got %q, want errno %d", round, got, want)
			}
		}
	}
}

func TestSeccompOn32BitCalls(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Command("gcc"))
	// The i386 number of getpid, called through int 0x80 by a 64-bit program: an architecture the profile must know.
	b := rttest.New(t)
	src := b.WriteFile("int80.c", `#include <stdio.h>
int main(void) { long r; __asm__ volatile("int $0x80" : "=a"(r) : "a"(20)); printf("%ld\n", r); return 0; }`)
	rttest.Exec(t, nil, "gcc", "-static", "-o", b.InRootfs("bin/int80"), src).OK()
	b.Args("int80").Run().OK().Prints("1")
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "getpid"))
	b.Run().OK().Prints("-1")
}

func TestSeccompNotify(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("probe", "syscall", fmt.Sprint(sysMkdir), "0")
	socket := rttest.ListenFD(t)
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActNotify, "mkdir"))
	b.Spec.Linux.Seccomp.ListenerPath = socket.Path
	b.Spec.Linux.Seccomp.ListenerMetadata = "meta"
	b.Create().OK()
	pid := b.Pid()
	started := rttest.Async(b.Start) // the filter may be loaded by create or as late as this
	listener, payload := socket.Receive()
	for _, word := range []string{`"seccompFd"`, `"meta"`, b.ID, fmt.Sprintf(`"pid":%d`, pid)} {
		if !strings.Contains(strings.ReplaceAll(payload, " ", ""), word) {
			t.Errorf("no %s in %s", word, payload)
		}
	}
	started().OK()
	listener.Close() // nobody answers any more: ENOSYS
	if status := b.Wait(pid); status != 0 || strings.TrimSpace(b.Output()) != fmt.Sprintf("-1 %d", unix.ENOSYS) {
		t.Errorf("status %d, output %q", status, b.Output())
	}
}

// A damaged entry of the cache is compiled anew, never run and never fatal.
func TestSeccompCacheSurvivesDamage(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a cache of compiled filters below the state root")
	b := rttest.New(t).AddProbe().Args("probe", "syscall", fmt.Sprint(sysGetpid))
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "getpid"))
	b.Run().OK().Prints("-1 1")
	damage := fmt.Sprintf("find %s -type f -size +0 -exec sh -c 'echo broken > \"$1\"' sh {} \\;", b.Root)
	if out, err := exec.Command("sh", "-c", damage).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.Run().OK().Prints("-1 1")
}
