package seccomp

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

const (
	allow = uint32(unix.SECCOMP_RET_ALLOW)
	kill  = uint32(unix.SECCOMP_RET_KILL_THREAD)
)

func errno(e unix.Errno) uint32 { return unix.SECCOMP_RET_ERRNO | uint32(e) }

func ret(n uint) *uint { return &n }

// native is the architecture of this machine.
func native(t *testing.T) arch {
	t.Helper()
	list, err := profileArchs(&specs.LinuxSeccomp{})
	if err != nil || len(list) != 1 {
		t.Fatalf("native architecture: %v, %v", list, err)
	}
	return list[0]
}

func number(t *testing.T, name string, a arch) uint32 {
	t.Helper()
	nr, err := libseccomp.GetSyscallFromNameByArch(name, a.lib)
	if err != nil || nr < 0 {
		t.Fatalf("%s on %s: number %d, %v", name, a.word, nr, err)
	}
	return uint32(nr)
}

func mustCompile(t *testing.T, s *specs.LinuxSeccomp) *Filter {
	t.Helper()
	f, err := Compile(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// profile is the linux.seccomp of one of the configs that engines wrote.
func profile(t testing.TB, file string) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var spec specs.Spec
	if err := json.Unmarshal(data, &spec); err != nil {
		t.Fatal(err)
	}
	if spec.Linux == nil {
		return nil
	}
	return spec.Linux.Seccomp
}

const configs = "../../tests/testdata/configs"

func TestActions(t *testing.T) {
	for _, tt := range []struct {
		action specs.LinuxSeccompAction
		ret    *uint
		want   uint32
	}{
		{specs.ActKill, nil, unix.SECCOMP_RET_KILL_THREAD},
		{specs.ActKillThread, nil, unix.SECCOMP_RET_KILL_THREAD},
		{specs.ActKillProcess, nil, unix.SECCOMP_RET_KILL_PROCESS},
		{specs.ActTrap, nil, unix.SECCOMP_RET_TRAP},
		{specs.ActErrno, nil, errno(unix.EPERM)},
		{specs.ActErrno, ret(0), errno(0)},
		{specs.ActErrno, ret(4094), errno(4094)},
		{specs.ActTrace, nil, unix.SECCOMP_RET_TRACE | uint32(unix.EPERM)},
		{specs.ActTrace, ret(0xffff), unix.SECCOMP_RET_TRACE | 0xffff},
		{specs.ActLog, nil, unix.SECCOMP_RET_LOG},
		{specs.ActNotify, nil, unix.SECCOMP_RET_USER_NOTIF},
	} {
		t.Run(string(tt.action), func(t *testing.T) {
			a := native(t)
			f := mustCompile(t, &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow,
				Syscalls:      []specs.LinuxSyscall{{Names: []string{"getcwd"}, Action: tt.action, ErrnoRet: tt.ret}},
			})
			if got := run(t, f.Prog, call{arch: a.audit, nr: number(t, "getcwd", a)}); got != tt.want {
				t.Errorf("getcwd returns %#x, want %#x", got, tt.want)
			}
			if got := run(t, f.Prog, call{arch: a.audit, nr: number(t, "read", a)}); got != allow {
				t.Errorf("read returns %#x, want allow", got)
			}
			if f.Notify != (tt.action == specs.ActNotify) {
				t.Errorf("Notify is %v", f.Notify)
			}
		})
	}
}

func TestDefaultAction(t *testing.T) {
	for _, tt := range []struct {
		action specs.LinuxSeccompAction
		ret    *uint
		want   uint32 // of a call that is older than the newest named
		newer  uint32 // of a call that did not exist yet
	}{
		{specs.ActErrno, nil, errno(unix.EPERM), errno(unix.ENOSYS)},
		{specs.ActErrno, ret(uint(unix.EACCES)), errno(unix.EACCES), errno(unix.ENOSYS)},
		{specs.ActErrno, ret(uint(unix.ENOSYS)), errno(unix.ENOSYS), errno(unix.ENOSYS)},
		{specs.ActKill, nil, kill, errno(unix.ENOSYS)},
		{specs.ActKillProcess, nil, unix.SECCOMP_RET_KILL_PROCESS, errno(unix.ENOSYS)},
		{specs.ActTrap, nil, unix.SECCOMP_RET_TRAP, errno(unix.ENOSYS)},
		{specs.ActTrace, ret(7), unix.SECCOMP_RET_TRACE | 7, unix.SECCOMP_RET_TRACE | 7},
		{specs.ActLog, nil, unix.SECCOMP_RET_LOG, unix.SECCOMP_RET_LOG},
	} {
		t.Run(string(tt.action), func(t *testing.T) {
			a := native(t)
			f := mustCompile(t, &specs.LinuxSeccomp{
				DefaultAction: tt.action, DefaultErrnoRet: tt.ret,
				Syscalls: []specs.LinuxSyscall{{Names: []string{"openat2"}, Action: specs.ActAllow}},
			})
			newest := number(t, "openat2", a)
			for nr, want := range map[uint32]uint32{
				newest: allow, newest - 1: tt.want, newest + 1: tt.newer, 5000: tt.newer,
				// A tracer's "skip this call" is not a system call of the future.
				0xffffffff: tt.want,
			} {
				if got := run(t, f.Prog, call{arch: a.audit, nr: nr}); got != want {
					t.Errorf("call %d returns %#x, want %#x", nr, got, want)
				}
			}
		})
	}
}

func TestDefaultWithoutRules(t *testing.T) {
	a := native(t)
	f := mustCompile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: ret(5)})
	for _, nr := range []uint32{0, 1, 600} {
		if got := run(t, f.Prog, call{arch: a.audit, nr: nr}); got != errno(5) {
			t.Errorf("call %d returns %#x: nothing is named, so nothing is newer", nr, got)
		}
	}
}

func TestAbsent(t *testing.T) {
	for _, s := range []*specs.LinuxSeccomp{nil, {}, {Architectures: []specs.Arch{specs.ArchX86}}} {
		if f, err := Compile(s); f != nil || err != nil {
			t.Errorf("Compile(%+v) = %v, %v; want no filter", s, f, err)
		}
	}
}

func TestOperators(t *testing.T) {
	const v = 0x1_0000_0005
	for _, tt := range []struct {
		op    specs.LinuxSeccompOperator
		value uint64
		two   uint64
		hit   []uint64
		miss  []uint64
	}{
		{specs.OpEqualTo, v, 0, []uint64{v}, []uint64{5, v - 1, v + 1, 0x2_0000_0005}},
		{specs.OpNotEqual, v, 0, []uint64{5, v - 1, v + 1, 0x2_0000_0005}, []uint64{v}},
		{specs.OpLessThan, v, 0, []uint64{0, 6, v - 1}, []uint64{v, v + 1, 0x2_0000_0000}},
		{specs.OpLessEqual, v, 0, []uint64{0, 6, v}, []uint64{v + 1, 0x2_0000_0000}},
		{specs.OpGreaterThan, v, 0, []uint64{v + 1, 0x2_0000_0000}, []uint64{v, 0, 0xffffffff}},
		{specs.OpGreaterEqual, v, 0, []uint64{v, v + 1, 0x2_0000_0000}, []uint64{v - 1, 0xffffffff}},
		// value is the mask, valueTwo what is left of the argument under it.
		{specs.OpMaskedEqual, 0xff00, 0x1200, []uint64{0x1200, 0x34_1255}, []uint64{0x1300, 0, 0x55}},
	} {
		t.Run(string(tt.op), func(t *testing.T) {
			a := native(t)
			f := mustCompile(t, &specs.LinuxSeccomp{
				DefaultAction: specs.ActAllow,
				Syscalls: []specs.LinuxSyscall{{
					Names: []string{"ioctl"}, Action: specs.ActErrno,
					Args: []specs.LinuxSeccompArg{{Index: 1, Op: tt.op, Value: tt.value, ValueTwo: tt.two}},
				}},
			})
			check := func(values []uint64, want uint32) {
				for _, value := range values {
					c := call{arch: a.audit, nr: number(t, "ioctl", a), args: [6]uint64{1: value}}
					if got := run(t, f.Prog, c); got != want {
						t.Errorf("argument %#x returns %#x, want %#x", value, got, want)
					}
				}
			}
			check(tt.hit, errno(unix.EPERM))
			check(tt.miss, allow)
		})
	}
}

func TestConditions(t *testing.T) {
	equal := func(index uint, value uint64) specs.LinuxSeccompArg {
		return specs.LinuxSeccompArg{Index: index, Value: value, Op: specs.OpEqualTo}
	}
	for _, tt := range []struct {
		name string
		args []specs.LinuxSeccompArg
		hit  [][6]uint64
		miss [][6]uint64
	}{
		{"two arguments must both match", []specs.LinuxSeccompArg{equal(0, 1), equal(5, 2)},
			[][6]uint64{{1, 9, 9, 9, 9, 2}}, [][6]uint64{{1}, {0, 0, 0, 0, 0, 2}}},
		{"one argument twice is any of them", []specs.LinuxSeccompArg{equal(0, 1), equal(0, 2)},
			[][6]uint64{{1}, {2}}, [][6]uint64{{0}, {3}}},
		{"and then so are the others", []specs.LinuxSeccompArg{equal(0, 1), equal(0, 2), equal(3, 7)},
			[][6]uint64{{1}, {2}, {9, 0, 0, 7}}, [][6]uint64{{0}, {7}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := native(t)
			f := mustCompile(t, &specs.LinuxSeccomp{
				DefaultAction: specs.ActErrno,
				Syscalls:      []specs.LinuxSyscall{{Names: []string{"prctl"}, Action: specs.ActAllow, Args: tt.args}},
			})
			for _, args := range tt.hit {
				if got := run(t, f.Prog, call{a.audit, number(t, "prctl", a), args}); got != allow {
					t.Errorf("%v returns %#x, want allow", args, got)
				}
			}
			for _, args := range tt.miss {
				if got := run(t, f.Prog, call{a.audit, number(t, "prctl", a), args}); got != errno(unix.EPERM) {
					t.Errorf("%v returns %#x, want EPERM", args, got)
				}
			}
		})
	}
}

func TestUnknownNamesAreIgnored(t *testing.T) {
	a := native(t)
	f := mustCompile(t, &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"from_the_future", "read"}, Action: specs.ActAllow}},
	})
	if got := run(t, f.Prog, call{arch: a.audit, nr: number(t, "read", a)}); got != allow {
		t.Errorf("read returns %#x", got)
	}
}

// A rule may say what the default says, and one name may come twice.
func TestRedundantRules(t *testing.T) {
	a := native(t)
	f := mustCompile(t, &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: ret(1),
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ptrace", "read", "read"}, Action: specs.ActErrno},
			{Names: []string{"write", "write"}, Action: specs.ActAllow},
			{Names: []string{"write"}, Action: specs.ActAllow},
			{Names: []string{"bpf"}, Action: specs.ActErrno, ErrnoRet: ret(uint(unix.ENOSYS))},
		},
	})
	for name, want := range map[string]uint32{
		"ptrace": errno(unix.EPERM), "read": errno(unix.EPERM), "write": allow, "bpf": errno(unix.ENOSYS),
	} {
		if got := run(t, f.Prog, call{arch: a.audit, nr: number(t, name, a)}); got != want {
			t.Errorf("%s returns %#x, want %#x", name, got, want)
		}
	}
}

func TestArchitectures(t *testing.T) {
	if native(t).word != specs.ArchX86_64 {
		t.Skip("the table is about x86_64 and its two companions")
	}
	s := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86, specs.ArchX32},
		// 437 on all three; io_submit is also 544 on x32.
		Syscalls: []specs.LinuxSyscall{{Names: []string{"openat2", "io_submit"}, Action: specs.ActAllow}},
	}
	const x86_64, x86 = unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386
	all := mustCompile(t, s)
	s.Architectures = nil
	alone := mustCompile(t, s)
	for _, tt := range []struct {
		name       string
		arch, nr   uint32
		want, solo uint32
	}{
		{"openat2", x86_64, 437, allow, allow},
		{"older", x86_64, 436, errno(unix.EPERM), errno(unix.EPERM)},
		{"newer", x86_64, 438, errno(unix.ENOSYS), errno(unix.ENOSYS)},
		{"openat2, 32 bits", x86, 437, allow, kill},
		{"older, 32 bits", x86, 436, errno(unix.EPERM), kill},
		{"newer, 32 bits", x86, 438, errno(unix.ENOSYS), kill},
		{"openat2, x32", x86_64, x32Bit | 437, allow, kill},
		{"older, x32", x86_64, x32Bit | 436, errno(unix.EPERM), kill},
		{"newer, x32", x86_64, x32Bit | 438, errno(unix.ENOSYS), kill},
		{"x32's own io_submit", x86_64, x32Bit | 544, allow, kill},
		{"x32's own preadv", x86_64, x32Bit | 534, errno(unix.EPERM), kill},
		{"arm64", unix.AUDIT_ARCH_AARCH64, 63, kill, kill},
	} {
		if got := run(t, all.Prog, call{arch: tt.arch, nr: tt.nr}); got != tt.want {
			t.Errorf("%s: three architectures: %#x, want %#x", tt.name, got, tt.want)
		}
		if got := run(t, alone.Prog, call{arch: tt.arch, nr: tt.nr}); got != tt.solo {
			t.Errorf("%s: x86_64 alone: %#x, want %#x", tt.name, got, tt.solo)
		}
	}
}

// Every architecture word of the specification is either compiled or refused by
// libseccomp for being of another family; none is unknown.
func TestArchitectureWords(t *testing.T) {
	for i, a := range archs {
		_, err := Compile(&specs.LinuxSeccomp{
			DefaultAction: specs.ActErrno, Architectures: []specs.Arch{a.word},
			Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}},
		})
		if err != nil && !strings.Contains(err.Error(), "linux.seccomp.architectures: add "+string(a.word)) {
			t.Errorf("%s: %v", a.word, err)
		}
		for _, b := range archs[:i] {
			if a.word == b.word || a.lib == b.lib || a.audit == b.audit && a.last == b.last {
				t.Errorf("%s and %s share a value", a.word, b.word)
			}
		}
	}
}

func TestDockerProfile(t *testing.T) {
	if native(t).word != specs.ArchX86_64 {
		t.Skip("the profile was written on x86_64")
	}
	f := mustCompile(t, profile(t, filepath.Join(configs, "docker-default.json")))
	const x86_64, x86 = unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386
	for _, tt := range []struct {
		name string
		call call
		want uint32
	}{
		{"read", call{arch: x86_64, nr: unix.SYS_READ}, allow},
		{"execve", call{arch: x86_64, nr: unix.SYS_EXECVE}, allow},
		{"futex_waitv", call{arch: x86_64, nr: unix.SYS_FUTEX_WAITV}, allow},
		{"personality(0)", call{arch: x86_64, nr: unix.SYS_PERSONALITY}, allow},
		{"personality(PER_LINUX32)", call{x86_64, unix.SYS_PERSONALITY, [6]uint64{8}}, allow},
		{"personality(ADDR_NO_RANDOMIZE)", call{x86_64, unix.SYS_PERSONALITY, [6]uint64{0x40000}}, errno(unix.EPERM)},
		{"personality(0xffffffff)", call{x86_64, unix.SYS_PERSONALITY, [6]uint64{0xffffffff}}, allow},
		{"clone(SIGCHLD)", call{x86_64, unix.SYS_CLONE, [6]uint64{17}}, allow},
		{"clone(CLONE_NEWUSER)", call{x86_64, unix.SYS_CLONE, [6]uint64{unix.CLONE_NEWUSER}}, errno(unix.EPERM)},
		{"clone3", call{arch: x86_64, nr: unix.SYS_CLONE3}, errno(unix.ENOSYS)},
		{"socket(AF_INET)", call{x86_64, unix.SYS_SOCKET, [6]uint64{unix.AF_INET}}, allow},
		{"socket(AF_VSOCK)", call{x86_64, unix.SYS_SOCKET, [6]uint64{unix.AF_VSOCK}}, errno(unix.EPERM)},
		{"keyctl", call{arch: x86_64, nr: unix.SYS_KEYCTL}, errno(unix.EPERM)},
		{"bpf", call{arch: x86_64, nr: unix.SYS_BPF}, errno(unix.EPERM)},
		{"no such call", call{arch: x86_64, nr: 1023}, errno(unix.ENOSYS)},
		{"read, 32 bits", call{arch: x86, nr: 3}, allow},
		{"mount, 32 bits", call{arch: x86, nr: 21}, errno(unix.EPERM)},
		{"no such call, 32 bits", call{arch: x86, nr: 1023}, errno(unix.ENOSYS)},
		{"read, x32", call{arch: x86_64, nr: x32Bit}, allow},
		{"no such call, x32", call{arch: x86_64, nr: x32Bit | 511}, errno(unix.ENOSYS)},
		{"arm64", call{arch: unix.AUDIT_ARCH_AARCH64, nr: 63}, kill},
	} {
		if got := run(t, f.Prog, tt.call); got != tt.want {
			t.Errorf("%s returns %#x, want %#x", tt.name, got, tt.want)
		}
	}
}

// The profiles of all engines say of every system call what a plain reading of
// their entries says.
func TestProfilesOfEngines(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(configs, "*.json"))
	if err != nil || len(files) == 0 {
		t.Fatalf("configs: %v, %v", files, err)
	}
	for _, file := range files {
		s := profile(t, file)
		if s == nil {
			continue
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			f := mustCompile(t, s)
			list, err := profileArchs(s)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range list {
				checkByReading(t, s, f.Prog, a)
			}
		})
	}
}

func checkByReading(t *testing.T, s *specs.LinuxSeccomp, prog []byte, a arch) {
	t.Helper()
	newest, _ := newestNamed(s, a)
	base := uint32(0)
	if a.word == specs.ArchX32 {
		base = x32Bit
	}
	for nr := base; nr <= base+600; nr++ {
		name, err := libseccomp.ScmpSyscall(nr).GetNameByArch(a.lib)
		want, ok := read(s, name)
		switch {
		case nr > newest && nr <= a.last:
			want, ok = errno(unix.ENOSYS), true
		case err != nil:
			want, ok = defaultOf(s), true
		}
		if !ok {
			continue // depends on arguments
		}
		if got := run(t, prog, call{arch: a.audit, nr: nr, args: [6]uint64{^uint64(0)}}); got != want {
			t.Errorf("%s: %s (%d) returns %#x, want %#x", a.word, name, nr, got, want)
		}
	}
}

func defaultOf(s *specs.LinuxSeccomp) uint32 {
	if s.DefaultErrnoRet != nil {
		return errno(unix.Errno(*s.DefaultErrnoRet))
	}
	return errno(unix.EPERM)
}

// read says what the entries with the given name ask for, if they agree and do
// not look at arguments.
func read(s *specs.LinuxSeccomp, name string) (uint32, bool) {
	want, found := defaultOf(s), false
	for _, e := range s.Syscalls {
		if !slices.Contains(e.Names, name) {
			continue
		}
		this := allow
		if e.Action == specs.ActErrno {
			this = errno(unix.EPERM)
			if e.ErrnoRet != nil {
				this = errno(unix.Errno(*e.ErrnoRet))
			}
		}
		if len(e.Args) > 0 || found && this != want {
			return 0, false
		}
		want, found = this, true
	}
	return want, true
}

func TestFaults(t *testing.T) {
	entry := func(e specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{
			DefaultAction: specs.ActAllow,
			Syscalls:      []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActErrno}, e},
		}
	}
	arg := func(a specs.LinuxSeccompArg) *specs.LinuxSeccomp {
		good := specs.LinuxSeccompArg{Index: 0, Op: specs.OpEqualTo}
		return entry(specs.LinuxSyscall{Names: []string{"ioctl"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{good, a}})
	}
	read := []string{"read"}
	for _, tt := range []struct {
		s    *specs.LinuxSeccomp
		want string
	}{
		{&specs.LinuxSeccomp{DefaultAction: "ALLOW"}, `linux.seccomp.defaultAction: unknown action "ALLOW"`},
		{&specs.LinuxSeccomp{Syscalls: []specs.LinuxSyscall{{Names: read, Action: specs.ActErrno}}}, `linux.seccomp.defaultAction: unknown action ""`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActNotify}, `linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, DefaultErrnoRet: ret(1)}, `linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no errno`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActErrno, DefaultErrnoRet: ret(4095)}, `linux.seccomp.defaultErrnoRet: 4095 is more than 4094`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActTrace, DefaultErrnoRet: ret(65536)}, `linux.seccomp.defaultErrnoRet: 65536 is more than 65535`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.ArchX86_64, "amd64"}}, `linux.seccomp.architectures[1]: unknown architecture "amd64"`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{flagTsync, "TSYNC"}}, `linux.seccomp.flags[1]: unknown flag "TSYNC"`},
		{&specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}}, `linux.seccomp.flags[0]: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY`},
		{entry(specs.LinuxSyscall{Names: read, Action: "DENY"}), `linux.seccomp.syscalls[1].action: unknown action "DENY"`},
		{entry(specs.LinuxSyscall{Names: read, Action: specs.ActKill, ErrnoRet: ret(1)}), `linux.seccomp.syscalls[1].errnoRet: SCMP_ACT_KILL takes no errno`},
		{entry(specs.LinuxSyscall{Action: specs.ActErrno}), `linux.seccomp.syscalls[1].names: must have at least one entry`},
		{entry(specs.LinuxSyscall{Names: []string{"read", ""}, Action: specs.ActErrno}), `linux.seccomp.syscalls[1].names[1]: a name must not be empty`},
		{entry(specs.LinuxSyscall{Names: []string{"open", "write"}, Action: specs.ActNotify}), `linux.seccomp.syscalls[1].names[1]: SCMP_ACT_NOTIFY cannot be used for write`},
		{arg(specs.LinuxSeccompArg{Index: 6, Op: specs.OpEqualTo}), `linux.seccomp.syscalls[1].args[1].index: a system call has arguments 0 to 5`},
		{arg(specs.LinuxSeccompArg{Index: 1, Op: "=="}), `linux.seccomp.syscalls[1].args[1].op: unknown operator "=="`},
	} {
		f, err := Compile(tt.s)
		if f != nil || err == nil || err.Error() != tt.want {
			t.Errorf("got %v, %v; want the error\n%s", f, err, tt.want)
		}
	}
}

func TestProgramTooLong(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	for v := range uint64(3000) {
		s.Syscalls = append(s.Syscalls, specs.LinuxSyscall{
			Names: []string{"ioctl"}, Action: specs.ActErrno,
			Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: v << 32}},
		})
	}
	_, err := Compile(s)
	if err == nil || !strings.HasPrefix(err.Error(), "linux.seccomp") {
		t.Errorf("got %v, want an error that names linux.seccomp", err)
	}
}

func TestFlags(t *testing.T) {
	const spec, log, listener = unix.SECCOMP_FILTER_FLAG_SPEC_ALLOW, unix.SECCOMP_FILTER_FLAG_LOG, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER
	notify := []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}
	for _, tt := range []struct {
		name  string
		flags []specs.LinuxSeccompFlag
		calls []specs.LinuxSyscall
		want  uint64
	}{
		{"no list", nil, nil, spec},
		{"empty list", []specs.LinuxSeccompFlag{}, nil, 0},
		{"tsync", []specs.LinuxSeccompFlag{flagTsync}, nil, 0},
		{"log", []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}, nil, log},
		{"both", []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, nil, log | spec},
		{"notify", nil, notify, spec | listener},
		{"killable", []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}, notify, listener | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
	} {
		f := mustCompile(t, &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: tt.flags, Syscalls: tt.calls})
		if f.Flags != tt.want {
			t.Errorf("%s: flags %#x, want %#x", tt.name, f.Flags, tt.want)
		}
	}
}

func TestKernelKnows(t *testing.T) {
	if !kernelKnows(0) || kernelKnows(1<<31) {
		t.Errorf("no flags: %v, bit 31: %v", kernelKnows(0), kernelKnows(1<<31))
	}
}
