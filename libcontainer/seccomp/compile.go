package seccomp

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
	"golang.org/x/sys/unix"
)

const (
	insnSize = 8    // sizeof(struct sock_filter)
	maxInsns = 4096 // BPF_MAXINSNS
)

// treeFrom is the number of rules from which the filter is laid out as a tree
// over system call numbers and not as a list. Besides each filtered call it
// makes installing faster, because the kernel runs the filter once for every
// number to learn which are always allowed. libseccomp 2.5.4 and older go wrong
// with a tree of no rules.
const treeFrom = 16

// compile makes the program: the ENOSYS prologue, then libseccomp's filter.
func compile(s *specs.LinuxSeccomp) ([]byte, error) {
	list, err := profileArchs(s)
	if err != nil {
		return nil, err
	}
	filter, err := ruleSet(s, list)
	if err != nil {
		return nil, err
	}
	defer filter.Release()
	main, err := export(filter)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp: export the filter: %w", err)
	}
	prog := append(enosysStub(s, list), main...)
	if n := len(prog) / insnSize; n > maxInsns {
		return nil, fmt.Errorf("linux.seccomp.syscalls: compiles to %d instructions, the kernel takes %d: %w", n, maxInsns, unix.E2BIG)
	}
	return prog, nil
}

// ruleSet feeds the profile to libseccomp. The caller releases the filter.
func ruleSet(s *specs.LinuxSeccomp, list []arch) (_ *libseccomp.ScmpFilter, err error) {
	def, err := defaultAction(s)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.%w", err)
	}
	filter, err := libseccomp.NewFilter(def)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.defaultAction: %w", err)
	}
	defer func() {
		if err != nil {
			filter.Release()
		}
	}()
	for _, a := range list {
		if err := filter.AddArch(a.lib); err != nil {
			return nil, fmt.Errorf("linux.seccomp.architectures: add %s: %w", a.word, err)
		}
	}
	rules := 0
	for i := range s.Syscalls {
		n, err := addEntry(filter, &s.Syscalls[i], def)
		if err != nil {
			return nil, fmt.Errorf("linux.seccomp.syscalls[%d].%w", i, err)
		}
		rules += n
	}
	return filter, layOut(filter, rules)
}

func layOut(filter *libseccomp.ScmpFilter, rules int) error {
	if rules < treeFrom {
		return nil
	}
	if err := filter.SetOptimize(2); err != nil {
		return fmt.Errorf("linux.seccomp: lay the filter out as a tree: %w", err)
	}
	return nil
}

func defaultAction(s *specs.LinuxSeccomp) (libseccomp.ScmpAction, error) {
	if s.DefaultAction == specs.ActNotify {
		// The stage itself would then wait for the listener that it has to send.
		return 0, fmt.Errorf("defaultAction: %s cannot be the default", specs.ActNotify)
	}
	return action(s.DefaultAction, s.DefaultErrnoRet, "defaultAction", "defaultErrnoRet")
}

// addEntry adds the rules of one entry and counts them.
func addEntry(filter *libseccomp.ScmpFilter, entry *specs.LinuxSyscall, def libseccomp.ScmpAction) (int, error) {
	act, err := action(entry.Action, entry.ErrnoRet, "action", "errnoRet")
	if err != nil {
		return 0, err
	}
	conds, err := conditions(entry.Args)
	if err != nil {
		return 0, err
	}
	if len(entry.Names) == 0 {
		return 0, errors.New("names: must have at least one entry")
	}
	alternatives := split(conds)
	rules := 0
	for i, name := range entry.Names {
		if err := checkName(name, entry.Action); err != nil {
			return 0, fmt.Errorf("names[%d]: %w", i, err)
		}
		n, err := addRules(filter, name, act, def, alternatives)
		if err != nil {
			return 0, fmt.Errorf("names[%d] %q: %w", i, name, err)
		}
		rules += n
	}
	return rules, nil
}

func checkName(name string, act specs.LinuxSeccompAction) error {
	if name == "" {
		return errors.New("a name must not be empty")
	}
	if name == "write" && act == specs.ActNotify {
		// Between installing the filter and sending its listener the runtime has
		// to write; nobody could answer.
		return fmt.Errorf("%s cannot be used for write", specs.ActNotify)
	}
	return nil
}

// split makes rules of conditions. All conditions of a rule must hold, but
// libseccomp takes one condition per argument: profiles that look at one
// argument twice have always meant "any of these", and mean it for the whole
// entry.
func split(conds []libseccomp.ScmpCondition) [][]libseccomp.ScmpCondition {
	seen, twice := uint(0), false
	for _, c := range conds {
		twice = twice || seen&(1<<c.Argument) != 0
		seen |= 1 << c.Argument
	}
	if !twice {
		return [][]libseccomp.ScmpCondition{conds}
	}
	var rules [][]libseccomp.ScmpCondition
	for i := range conds {
		rules = append(rules, conds[i:i+1])
	}
	return rules
}

// addRules adds one rule per alternative. A name that libseccomp does not know
// adds none: profiles are written for many kernels. Nor does a rule that says
// what the default says, which libseccomp refuses.
func addRules(filter *libseccomp.ScmpFilter, name string, act, def libseccomp.ScmpAction, alternatives [][]libseccomp.ScmpCondition) (int, error) {
	nr, err := libseccomp.GetSyscallFromName(name)
	if err != nil || act == def {
		return 0, nil
	}
	for _, conds := range alternatives {
		if err := filter.AddRuleConditional(nr, act, conds); err != nil {
			return 0, err
		}
	}
	return len(alternatives), nil
}

// export reads the program through a memfd: libseccomp before 2.6 writes it to
// files only.
func export(filter *libseccomp.ScmpFilter) ([]byte, error) {
	fd, err := unix.MemfdCreate("seccomp", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	file := os.NewFile(uintptr(fd), "memfd:seccomp")
	defer file.Close()
	if err := filter.ExportBPF(file); err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	prog := make([]byte, info.Size())
	_, err = file.ReadAt(prog, 0)
	return prog, err
}
