package seccomp

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// The table in front must not change what libseccomp alone would make of a
// profile, but for the ENOSYS rule. Both are run for every number on every
// architecture.
func TestTableAgreesWithLibseccomp(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(configs, "*.json"))
	check(t, err)
	profiles := synthetic(t)
	seen := map[string]bool{} // most engines have one profile for all
	for _, file := range files {
		if s := profile(t, file); s != nil && !seen[mustKey(t, s).fileName()] {
			profiles[filepath.Base(file)] = s
			seen[mustKey(t, s).fileName()] = true
		}
	}
	for name, s := range profiles {
		t.Run(name, func(t *testing.T) { compare(t, s) })
	}
}

func compare(t *testing.T, s *specs.LinuxSeccomp) {
	t.Helper()
	list, err := profileArchs(s)
	check(t, err)
	p, err := parse(s)
	check(t, err)
	want, err := libProgram(p.def, p.rules, list)
	check(t, err)
	got := mustCompile(t, s).Prog
	if len(got) > len(want)+200*insnSize*len(list) {
		t.Errorf("%d instructions, libseccomp alone makes %d", len(got)/insnSize, len(want)/insnSize)
	}
	isNewer := newerCalls(s, list)
	wrong := 0
	for _, c := range everyCall(list) {
		expected := run(t, want, c)
		if isNewer(c) {
			expected = errno(unix.ENOSYS)
		}
		if is := run(t, got, c); is != expected {
			if wrong++; wrong < 10 {
				t.Errorf("arch %#x, call %#x%v returns %#x, want %#x", c.arch, c.nr, c.args, is, expected)
			}
		}
	}
}

// everyCall is every number on every architecture in list, with arguments that
// are interesting to the conditions of profiles and to socketcall and ipc; and
// a few numbers on all others.
func everyCall(list []arch) []call {
	args := [][6]uint64{{}}
	for _, v := range []uint64{1, 2, 3, 8, 9, 16, 17, 20, 21, 24, 38, 40, 0x20000, 0x20008, 0xffffffff, 0x7e020000, ^uint64(0)} {
		args = append(args, [6]uint64{v, v, v, v, v, v})
	}
	var calls []call
	for _, a := range list {
		for nr := a.first; nr < a.first+600; nr++ {
			for _, arg := range args {
				calls = append(calls, call{a.audit, nr, arg})
			}
		}
	}
	for _, a := range archs {
		for _, nr := range []uint32{0, 1, 3, 102, 439, 599, 4001, 0xeffff, 0xf0000, 0xf0005, x32Bit - 1, x32Bit, x32Bit + 1, x32Bit + 514,
			0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff} {
			calls = append(calls, call{a.audit, nr, [6]uint64{}}, call{a.audit + 1, nr, [6]uint64{}})
		}
	}
	return calls
}

// newerCalls restates the ENOSYS rule without spans.
func newerCalls(s *specs.LinuxSeccomp, list []arch) func(c call) bool {
	newest := map[specs.Arch]uint32{}
	for _, a := range list {
		if nr, ok := newestNamed(s, a); ok {
			newest[a.word] = nr
		}
	}
	lets := []specs.LinuxSeccompAction{specs.ActAllow, specs.ActLog, specs.ActTrace}
	return func(c call) bool {
		return !slices.Contains(lets, s.DefaultAction) && slices.ContainsFunc(list, func(a arch) bool {
			nr, ok := newest[a.word]
			return ok && a.audit == c.arch && c.nr >= a.first && c.nr <= a.last && c.nr > nr
		})
	}
}

// newestNamed is the highest ordinary number on a that has a name in s.
func newestNamed(s *specs.LinuxSeccomp, a arch) (newest uint32, ok bool) {
	for nr := a.first; nr <= min(a.last, a.first+600); nr++ {
		name, err := libseccomp.ScmpSyscall(nr).GetNameByArch(a.lib)
		if err == nil && slices.ContainsFunc(s.Syscalls, func(e specs.LinuxSyscall) bool { return slices.Contains(e.Names, name) }) {
			newest, ok = nr, true
		}
	}
	return newest, ok
}

// synthetic are profiles made to be awkward.
func synthetic(t *testing.T) map[string]*specs.LinuxSeccomp {
	family := []specs.Arch{}
	if native(t).word == specs.ArchX86_64 {
		family = []specs.Arch{specs.ArchX32, specs.ArchX86, specs.ArchARM, specs.ArchMIPSEL, specs.ArchPPC64LE}
	}
	all := allNames()
	every := func(def specs.LinuxSeccompAction, name func(i int) specs.LinuxSyscall) *specs.LinuxSeccomp {
		s := &specs.LinuxSeccomp{DefaultAction: def, Architectures: family}
		for i, n := range all {
			e := name(i)
			e.Names = []string{n}
			s.Syscalls = append(s.Syscalls, e)
		}
		return s
	}
	return map[string]*specs.LinuxSeccomp{
		// As many spans as there are calls: jumps get long. Without the other
		// architectures, or libseccomp alone makes more than a program may have.
		"a different errno for each": native1(every(specs.ActAllow, func(i int) specs.LinuxSyscall {
			return specs.LinuxSyscall{Action: specs.ActErrno, ErrnoRet: ret(uint(i + 1))}
		})),
		"every other call": every(specs.ActKillProcess, func(i int) specs.LinuxSyscall {
			return specs.LinuxSyscall{Action: []specs.LinuxSeccompAction{specs.ActAllow, specs.ActKillProcess}[i%2]}
		}),
		"one condition in ten": native1(every(specs.ActTrap, func(i int) specs.LinuxSyscall {
			e := specs.LinuxSyscall{Action: specs.ActAllow}
			if i%10 == 0 {
				e.Args = []specs.LinuxSeccompArg{{Index: uint(i/10) % 6, Value: 2, Op: specs.OpGreaterThan}}
			}
			return e
		})),
		"nothing":      {DefaultAction: specs.ActErrno, Architectures: family},
		"one call":     {DefaultAction: specs.ActErrno, Architectures: family, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}}},
		"no rule left": {DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActErrno}}},
		"only a condition": {DefaultAction: specs.ActTrace, Architectures: family, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"socket", "clone"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 2, Op: specs.OpEqualTo}}}}},
		"with and without condition": {DefaultAction: specs.ActErrno, Architectures: family, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ioctl"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{{Index: 1, Value: 2, Op: specs.OpEqualTo}}},
			{Names: []string{"ioctl", "read"}, Action: specs.ActLog}}},
		"calls through one": {DefaultAction: specs.ActAllow, Architectures: family, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"socket", "shmget"}, Action: specs.ActErrno}, {Names: []string{"ipc"}, Action: specs.ActLog}}},
		"x32's own calls": {DefaultAction: specs.ActErrno, Architectures: family, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"ioctl", "set_tls"}, Action: specs.ActAllow}}},
		"architectures twice": {DefaultAction: specs.ActErrno, Architectures: slices.Concat(family, family), Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "read", "ioctl"}, Action: specs.ActAllow}}},
		"no listed architecture": {DefaultAction: specs.ActKill, Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "socket", "shmget"}, Action: specs.ActAllow}}},
	}
}

func native1(s *specs.LinuxSeccomp) *specs.LinuxSeccomp {
	s.Architectures = nil
	return s
}

// allNames are all system calls that libseccomp knows, but for one that
// libseccomp 2.5 confuses with switch_endian when another architecture asks.
func allNames() []string {
	var names []string
	for _, a := range archs {
		for nr := range libseccomp.ScmpSyscall(700) {
			if name, err := (nr + libseccomp.ScmpSyscall(a.first)).GetNameByArch(a.lib); err == nil && name != "sys_debug_setcontext" && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// Rules that contradict each other are libseccomp's to judge.
func TestContradiction(t *testing.T) {
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Syscalls: []specs.LinuxSyscall{
		{Names: []string{"read"}, Action: specs.ActAllow}, {Names: []string{"read"}, Action: specs.ActLog}}}
	p, err := parse(s)
	check(t, err)
	list, err := profileArchs(s)
	check(t, err)
	alone, want := libProgram(p.def, p.rules, list)
	f, got := Compile(s)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("Compile: %v, libseccomp alone: %v", got, want)
	}
	if want == nil {
		c := call{arch: list[0].audit, nr: number(t, "read", list[0])}
		if x, y := run(t, f.Prog, c), run(t, alone, c); x != y {
			t.Errorf("read returns %#x, libseccomp alone says %#x", x, y)
		}
	}
}

// Spans must be in strict order for the binary search.
func TestSpansAreSorted(t *testing.T) {
	for name, s := range synthetic(t) {
		p, err := parse(s)
		check(t, err)
		list, err := profileArchs(s)
		check(t, err)
		for _, a := range list {
			calls, err := numbers(s, a, p.def, verdicts(p.rules))
			check(t, err)
			got := spans{{0, ask}}.add(a, calls, verdict(p.def.ret), newer(s, p.def))
			for i := 1; i < len(got); i++ {
				if got[i].start <= got[i-1].start || got[i].verdict == got[i-1].verdict {
					t.Errorf("%s on %s: %v is followed by %v", name, a.word, got[i-1], got[i])
				}
			}
		}
	}
}

func TestSpans(t *testing.T) {
	list := spans{{0, ask}}.from(5, 1).from(6, 2).from(6, 3).from(7, 3).from(9, 4).from(9, 3).from(12, ask)
	if want := (spans{{0, ask}, {5, 1}, {6, 3}, {12, ask}}); !slices.Equal(list, want) {
		t.Errorf("got %v, want %v", list, want)
	}
}
