package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

// verdict is what the table says of a system call number: the value to return,
// or ask.
type verdict int64

// ask leaves a call to libseccomp's program: it looks at arguments, comes in
// disguise (socketcall), or is of an architecture not in the profile.
const ask verdict = -1

// span is a run of numbers with one verdict, up to the start of the next span.
type span struct {
	start uint32
	verdict
}

// spans are sorted and cover all numbers; neighbours differ.
type spans []span

// from says that the verdict for start and all numbers above it is v. Calls are
// in the order of start.
func (list spans) from(start uint32, v verdict) spans {
	if n := len(list); n > 0 && list[n-1].start == start {
		list = list[:n-1]
	}
	if n := len(list); n > 0 && list[n-1].verdict == v {
		return list
	}
	return append(list, span{start, v})
}

// verdicts says for each name that has rules what the table can say of it. A
// call that looks at its arguments is for libseccomp, and so is one whose rules
// contradict each other.
func verdicts(rules []rule) map[string]verdict {
	of := make(map[string]verdict, len(rules))
	for _, r := range rules {
		v := verdict(r.outcome.ret)
		if have, ok := of[r.name]; len(r.conds) > 0 || ok && have != v {
			v = ask
		}
		of[r.name] = v
	}
	return of
}

// table is the front of the program. It decides all calls that it can decide by
// their number, on every architecture in list. This includes the ENOSYS rule:
//
// System calls newer than the newest one that the profile names return ENOSYS
// and not what the default says. The author of the profile cannot have had an
// opinion on them, and a C library that tries a new call falls back to the old
// one on ENOSYS only; any other errno, or a signal, breaks the program.
func table(s *specs.LinuxSeccomp, p *policy, list []arch) ([]byte, error) {
	of := verdicts(p.rules)
	var sections []section
	for _, a := range inNumberOrder(list) {
		i := slices.IndexFunc(sections, func(have section) bool { return have.audit == a.audit })
		if i < 0 {
			i = len(sections)
			sections = append(sections, section{a.audit, spans{{0, ask}}})
		}
		calls, err := numbers(s, a, p.def, of)
		if err != nil {
			return nil, err
		}
		sections[i].spans = sections[i].add(a, calls, verdict(p.def.ret), newer(s, p.def))
	}
	return assemble(sections), nil
}

// inNumberOrder puts x32 behind x86_64, with whom it shares a section.
func inNumberOrder(list []arch) []arch {
	return slices.SortedStableFunc(slices.Values(list), func(x, y arch) int { return cmp.Compare(x.first, y.first) })
}

// newer is the verdict for calls that the profile's author did not know.
func newer(s *specs.LinuxSeccomp, def outcome) verdict {
	switch s.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace: // a tracer decides for itself
		return verdict(def.ret)
	}
	return verdict(unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS))
}

// named is a system call that the profile names.
type named struct {
	nr uint32
	verdict
	name string
}

// numbers lists the calls of a that s names, in the order of their numbers.
func numbers(s *specs.LinuxSeccomp, a arch, def outcome, of map[string]verdict) ([]named, error) {
	hidden := multiplexing(a)
	var calls []named
	for i := range s.Syscalls {
		for _, name := range s.Syscalls[i].Names {
			if list, ok := hidden[name]; ok {
				calls = append(calls, list...)
				continue
			}
			nr, err := libseccomp.GetSyscallFromNameByArch(name, a.lib)
			if err != nil || nr < 0 { // negative: a does not have it
				continue
			}
			v, ok := of[name]
			if !ok {
				v = verdict(def.ret)
			}
			calls = append(calls, named{uint32(nr), v, name})
		}
	}
	return distinct(calls, a)
}

// distinct sorts calls by number and drops repetitions.
func distinct(calls []named, a arch) ([]named, error) {
	slices.SortStableFunc(calls, func(x, y named) int { return cmp.Compare(x.nr, y.nr) })
	for i := 1; i < len(calls); i++ {
		if x, y := calls[i-1], calls[i]; x.nr == y.nr && x.verdict != y.verdict {
			return nil, fmt.Errorf("linux.seccomp.syscalls: %s and %s are one system call of %s and have different actions", x.name, y.name, a.word)
		}
	}
	return slices.CompactFunc(calls, func(x, y named) bool { return x.nr == y.nr }), nil
}

// add puts the distinct calls of a over the end of list.
func (list spans) add(a arch, calls []named, def, beyond verdict) spans {
	n := len(calls)
	for n > 0 && calls[n-1].nr > a.last {
		n--
	}
	if n > 0 { // else nothing tells what is new
		list = list.from(a.first, def)
		for _, c := range calls[:n] {
			list = list.from(c.nr, c.verdict).from(c.nr+1, def)
		}
		list = list.from(calls[n-1].nr+1, beyond).from(a.last+1, ask)
	}
	for _, c := range calls[n:] {
		list = list.from(c.nr, c.verdict).from(c.nr+1, ask)
	}
	return list
}

// multiplexes is true for architectures on which one call stands for many, with
// the real one in an argument.
func multiplexes(a arch) bool {
	return len(multiplexers(a)) > 0
}

// multiplexers are the calls of a that stand for many.
func multiplexers(a arch) []named {
	var calls []named
	for _, name := range []string{"socketcall", "ipc"} {
		if nr, err := libseccomp.GetSyscallFromNameByArch(name, a.lib); err == nil && nr >= 0 {
			calls = append(calls, named{uint32(nr), ask, name})
		}
	}
	return calls
}

// multiplexing says, for the names that need it on a, by which numbers they can
// come: those of the multiplexers and, for some, their own. Asked for these
// names, libseccomp gives negative numbers of its own making, but the numbers
// have names all right. All are from before Linux 5.2: calls added since then
// are nowhere multiplexed.
func multiplexing(a arch) map[string][]named {
	through := multiplexers(a)
	if len(through) == 0 {
		return nil
	}
	const ends = 403
	ways := make(map[string][]named, len(multiplexed))
	for _, name := range multiplexed {
		ways[name] = through
	}
	for nr := a.first; nr < a.first+ends; nr++ {
		name, err := libseccomp.ScmpSyscall(nr).GetNameByArch(a.lib)
		if list, ok := ways[name]; ok && err == nil {
			ways[name] = append(list[:len(list):len(list)], named{nr, ask, name})
		}
	}
	return ways
}

// multiplexed are the calls that may come through socketcall or ipc, and these
// two. libseccomp adds the rules for both ways.
var multiplexed = [...]string{
	"socketcall", "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername",
	"socketpair", "send", "recv", "sendto", "recvfrom", "shutdown", "setsockopt", "getsockopt",
	"sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
	"ipc", "semop", "semget", "semctl", "semtimedop", "msgsnd", "msgrcv", "msgget", "msgctl",
	"shmat", "shmdt", "shmget", "shmctl",
}
