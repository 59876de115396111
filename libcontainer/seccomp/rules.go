package seccomp

import (
	"errors"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// rule is one system call and what shall become of it if all conditions hold.
type rule struct {
	entry, index int // linux.seccomp.syscalls[entry].names[index]
	name         string
	outcome      outcome
	conds        []libseccomp.ScmpCondition
}

// policy is a profile, checked and taken apart.
type policy struct {
	def   outcome
	rules []rule
}

func parse(s *specs.LinuxSeccomp) (*policy, error) {
	def, err := defaultAction(s)
	if err != nil {
		return nil, fmt.Errorf("linux.seccomp.%w", err)
	}
	p := &policy{def: def}
	for i := range s.Syscalls {
		if err := p.addEntry(i, &s.Syscalls[i]); err != nil {
			return nil, fmt.Errorf("linux.seccomp.syscalls[%d].%w", i, err)
		}
	}
	return p, nil
}

func defaultAction(s *specs.LinuxSeccomp) (outcome, error) {
	if s.DefaultAction == specs.ActNotify {
		// The stage itself would then wait for the listener that it has to send.
		return outcome{}, fmt.Errorf("defaultAction: %s cannot be the default", specs.ActNotify)
	}
	return action(s.DefaultAction, s.DefaultErrnoRet, "defaultAction", "defaultErrnoRet")
}

// addEntry adds the rules of one entry, but for those that say what the default
// says: they change nothing, and libseccomp refuses them.
func (p *policy) addEntry(i int, entry *specs.LinuxSyscall) error {
	o, err := action(entry.Action, entry.ErrnoRet, "action", "errnoRet")
	if err != nil {
		return err
	}
	conds, err := conditions(entry.Args)
	if err != nil {
		return err
	}
	if len(entry.Names) == 0 {
		return errors.New("names: must have at least one entry")
	}
	alternatives := split(conds)
	for j, name := range entry.Names {
		if err := checkName(name, entry.Action); err != nil {
			return fmt.Errorf("names[%d]: %w", j, err)
		}
		if o == p.def {
			continue
		}
		for _, conds := range alternatives {
			p.rules = append(p.rules, rule{i, j, name, o, conds})
		}
	}
	return nil
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
