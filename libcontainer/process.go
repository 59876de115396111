package libcontainer

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
	"rt/specconv"
)

// sessionSteps give the payload a session, a keyring and a scheduler state of its own.
func (c *compiler) sessionSteps() {
	p := c.plan
	p.Add(nsenter.Syscall("process", "lead a new session", unix.SYS_SETSID))
	if c.host.keyring && !c.opts.NoNewKeyring {
		c.keyLabelStep()
		name := "_ses." + c.opts.ID
		p.Add(nsenter.Syscall("session keyring", "join a new session keyring "+name, unix.SYS_KEYCTL,
			nsenter.Num(unix.KEYCTL_JOIN_SESSION_KEYRING), nsenter.Text(name)))
		// The default permissions and, for the owner, search: a payload that changes its uid keeps finding its keys.
		p.Add(nsenter.Syscall("session keyring", "let its owner search the keyring", unix.SYS_KEYCTL,
			nsenter.Num(unix.KEYCTL_SETPERM), nsenter.Num(unix.KEY_SPEC_SESSION_KEYRING), nsenter.Num(0x3f1b0000)))
	}
	if pers := c.personality(); pers != nil {
		p.Add(*pers)
	}
}

func (c *compiler) personality() *nsenter.Step {
	if c.spec.Linux == nil || c.spec.Linux.Personality == nil {
		return nil
	}
	persona, _ := specconv.Personality(c.spec.Linux.Personality.Domain) // known: Validate has seen it
	s := nsenter.Syscall("linux.personality", "be a "+string(c.spec.Linux.Personality.Domain)+" process", unix.SYS_PERSONALITY, nsenter.Num(persona))
	return &s
}

// processSteps turn the stage into the user's process. What matters in the
// order: groups before uid before capabilities; no-new-privileges before the
// filter; the wait before anything that the user's limits could break.
func (c *compiler) processSteps() error {
	proc := c.spec.Process
	if proc == nil {
		proc = &specs.Process{Cwd: "/"}
	}
	p := c.plan
	if !hasHome(proc.Env) {
		p.Add(nsenter.Simple(nsenter.OpPasswd, "process.env", "look for HOME in /etc/passwd", nil))
	}
	p.Add(nsenter.Syscall("process.user.umask", fmt.Sprintf("set the umask %#o", umask(proc)), unix.SYS_UMASK, nsenter.Num(umask(proc))))
	if !proc.Terminal {
		p.Add(nsenter.Simple(nsenter.OpStdio, "process.user.uid", "give pipes on stdio to the user", []uint64{uint64(proc.User.UID)}))
	}
	if err := c.schedulingSteps(proc); err != nil {
		return err
	}
	c.labelSteps(proc)
	c.chdirStep(proc, true)
	c.credentialSteps(proc)
	c.chdirStep(proc, false)
	if len(proc.Args) > 0 {
		p.Add(nsenter.Simple(nsenter.OpLookup, "process.args[0]", "find "+proc.Args[0], nil, proc.Args[0], envValue(proc.Env, "PATH")))
	}
	if c.parked {
		p.Add(nsenter.Take(nsenter.OpSlot, "", "take the socket on which start will call", nsenter.Source{Kind: nsenter.StartSocket}, uint64(nsenter.SlotListen)))
	}
	p.Add(nsenter.Simple(nsenter.OpWait, "", "wait for start", nil))
	c.startHookSteps()
	if err := c.rlimitSteps(proc); err != nil {
		return err
	}
	c.filterSteps(proc)
	p.Add(nsenter.Simple(nsenter.OpExec, "process.args", "execute "+strings.Join(proc.Args, " "), nil,
		nsenter.List(proc.Args), nsenter.List(c.environment(proc))))
	return nil
}

func umask(proc *specs.Process) uint32 {
	if proc.User.Umask != nil {
		return *proc.User.Umask
	}
	return 0o022
}

func (c *compiler) chdirStep(proc *specs.Process, lenient bool) {
	cwd := proc.Cwd
	if cwd == "" {
		cwd = "/"
	}
	n, as := uint64(0), "as the user"
	if lenient {
		n, as = 1, "as root"
	}
	c.plan.Add(nsenter.Simple(nsenter.OpChdir, "process.cwd", "go to "+cwd+" "+as, []uint64{n}, cwd))
}

// credentialSteps: the bounding set goes while CAP_SETPCAP is there, groups
// before the gid before the uid, and the capabilities that survive
// (PR_SET_KEEPCAPS) are cut to size last.
func (c *compiler) credentialSteps(proc *specs.Process) {
	caps := c.capabilities(proc)
	p := c.plan
	p.Add(nsenter.Simple(nsenter.OpBounding, "process.capabilities.bounding", "limit the bounding set to "+capNames(caps.bounding),
		[]uint64{caps.bounding, uint64(c.host.lastCap)}))
	p.Add(nsenter.Syscall("process.capabilities", "keep capabilities over the change of user", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_KEEPCAPS), nsenter.Num(1)))
	if c.mayCallSetgroups(proc) {
		p.Add(nsenter.Syscall("process.user.additionalGids", fmt.Sprintf("set the groups %v", proc.User.AdditionalGids), unix.SYS_SETGROUPS,
			nsenter.Num(len(proc.User.AdditionalGids)), nsenter.Text(packIDs(proc.User.AdditionalGids))))
	}
	id := nsenter.Num(proc.User.GID)
	p.Add(nsenter.Syscall("process.user.gid", fmt.Sprintf("become gid %d", proc.User.GID), unix.SYS_SETRESGID, id, id, id))
	id = nsenter.Num(proc.User.UID)
	p.Add(nsenter.Syscall("process.user.uid", fmt.Sprintf("become uid %d", proc.User.UID), unix.SYS_SETRESUID, id, id, id))
	if proc.User.UID != 0 || proc.User.GID != 0 {
		p.Add(nsenter.Syscall("process.user.uid", "stay undumpable until the execve", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(0)))
	}
	waiting := caps
	if c.filterNeedsAdmin(proc) {
		waiting.permitted |= 1 << unix.CAP_SYS_ADMIN
		waiting.effective |= 1 << unix.CAP_SYS_ADMIN
	}
	p.Add(capset("process.capabilities", waiting))
	p.Add(nsenter.Simple(nsenter.OpAmbient, "process.capabilities.ambient", "set the ambient capabilities "+capNames(caps.ambient), []uint64{caps.ambient}))
	if proc.NoNewPrivileges {
		p.Add(nsenter.Syscall("process.noNewPrivileges", "gain no new privileges", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_NO_NEW_PRIVS), nsenter.Num(1), nsenter.Num(0), nsenter.Num(0), nsenter.Num(0)))
	}
}

// A user namespace whose maps an ordinary user wrote denies setgroups(2); no groups are asked for then (Validate).
func (c *compiler) mayCallSetgroups(proc *specs.Process) bool {
	return !c.opts.Rootless || len(proc.User.AdditionalGids) > 0
}

func packIDs(ids []uint32) string {
	b := make([]byte, 0, 4*len(ids))
	for _, id := range ids {
		b = binary.NativeEndian.AppendUint32(b, id)
	}
	return string(b)
}

// Without no-new-privileges a filter needs CAP_SYS_ADMIN, and is still loaded as late as can be: it must not hinder us.
func (c *compiler) filterNeedsAdmin(proc *specs.Process) bool {
	return c.filter != nil && !proc.NoNewPrivileges
}

func (c *compiler) filterSteps(proc *specs.Process) {
	if c.filter == nil {
		return
	}
	c.plan.Add(nsenter.Simple(nsenter.OpSeccomp, "linux.seccomp", fmt.Sprintf("load the filter (%d instructions)", len(c.filter.Prog)/8),
		[]uint64{c.filter.Flags, uint64(nsenter.AskSeccomp)}, string(c.filter.Prog)))
	if c.filterNeedsAdmin(proc) {
		c.plan.Add(capset("process.capabilities", c.capabilities(proc)))
	}
}

// capSets are the five sets of process.capabilities as bit masks.
type capSets struct{ bounding, effective, permitted, inheritable, ambient uint64 }

func (s capSets) within(all uint64) capSets {
	return capSets{s.bounding & all, s.effective & all, s.permitted & all, s.inheritable & all, s.ambient & all}
}

// capabilities: what the config does not name is dropped, so none given means none at all.
// Names that this kernel does not know cannot be given; Validate has warned of them. What we do not have ourselves is
// left out, too, and warned of: the specification does not want that to fail. A user namespace has all.
func (c *compiler) capabilities(proc *specs.Process) capSets {
	if proc.Capabilities == nil {
		return capSets{}
	}
	set := func(names []string) (bits uint64) {
		for _, name := range names {
			if n, ok := specconv.CapabilityBit(name); ok && n <= c.host.lastCap {
				bits |= 1 << n
			}
		}
		return bits
	}
	p := proc.Capabilities
	s := capSets{set(p.Bounding), set(p.Effective), set(p.Permitted), set(p.Inheritable), set(p.Ambient)}
	if !c.joinsUsers && !c.plan.ns.has(unix.CLONE_NEWUSER) {
		c.denied = (s.bounding | s.permitted | s.inheritable) &^ c.host.caps
		s = s.within(c.host.caps)
	}
	s.ambient &= s.permitted & s.inheritable // the kernel raises no other (capabilities(7))
	return s
}

func (b *birth) warnOfDenied(caps uint64) {
	if caps != 0 {
		b.store.warn("process.capabilities: " + capNames(caps) + " cannot be granted, since rt does not have it itself")
	}
}

// capset is capset(2) with version 3 of its header: two words a set.
func capset(from string, s capSets) nsenter.Step {
	head := binary.NativeEndian.AppendUint32(nil, unix.LINUX_CAPABILITY_VERSION_3)
	head = binary.NativeEndian.AppendUint32(head, 0)
	var data []byte
	for shift := 0; shift <= 32; shift += 32 {
		for _, set := range []uint64{s.effective, s.permitted, s.inheritable} {
			data = binary.NativeEndian.AppendUint32(data, uint32(set>>shift))
		}
	}
	return nsenter.Syscall(from, "set the capabilities "+capNames(s.permitted), unix.SYS_CAPSET, nsenter.Text(string(head)), nsenter.Text(string(data)))
}

func capNames(set uint64) string {
	if set == 0 {
		return "none"
	}
	var names []string
	for n := range 64 {
		if set>>n&1 != 0 {
			names = append(names, specconv.CapabilityName(n))
		}
	}
	return strings.Join(names, ",")
}

// rlimitSteps come after the wait: a payload's limit of three open files must not stop the stage from taking the call.
func (c *compiler) rlimitSteps(proc *specs.Process) error {
	for i, l := range proc.Rlimits {
		n, ok := specconv.RlimitNumber(l.Type)
		if !ok {
			return fmt.Errorf("process.rlimits[%d].type: unknown limit %q", i, l.Type)
		}
		b := binary.NativeEndian.AppendUint64(nil, l.Soft)
		b = binary.NativeEndian.AppendUint64(b, l.Hard)
		c.plan.Add(nsenter.Syscall(fmt.Sprintf("process.rlimits[%d]", i), fmt.Sprintf("set %s to %d:%d", l.Type, l.Soft, l.Hard),
			unix.SYS_PRLIMIT64, nsenter.Num(0), nsenter.Num(n), nsenter.Text(string(b)), nsenter.Num(0)))
	}
	return nil
}

func hasHome(env []string) bool { return envValue(env, "HOME") != "" }

// envValue is the value that the payload will see: the last one given.
func envValue(env []string, name string) string {
	for _, e := range slices.Backward(env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// environment is process.env with the last of each name only, without an empty
// HOME (the stage adds a true one), and what LISTEN_FDS hands on.
func (c *compiler) environment(proc *specs.Process) []string {
	env := make([]string, 0, len(proc.Env)+2)
	seen := make(map[string]int, len(proc.Env))
	for _, e := range proc.Env {
		name, _, ok := strings.Cut(e, "=")
		if !ok || (name == "HOME" && !hasHome(proc.Env)) {
			continue
		}
		if i, dup := seen[name]; dup {
			env[i] = e
			continue
		}
		seen[name] = len(env)
		env = append(env, e)
	}
	if n := listenFDs(); n > 0 && !c.guest {
		env = append(env, "LISTEN_FDS="+strconv.Itoa(n), "LISTEN_PID=1")
	}
	return env
}
