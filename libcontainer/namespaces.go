package libcontainer

import (
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// sortNamespaces splits linux.namespaces into those to make and those to join.
// The user namespace is joined last: before, we are root and may enter what
// belongs to the host or to somebody else; after, only what it owns.
func sortNamespaces(spec *specs.Spec) namespaces {
	var n namespaces
	var user []joinedNamespace
	if spec.Linux == nil {
		return n
	}
	for i, ns := range spec.Linux.Namespaces {
		flag := namespaceFlag(string(ns.Type))
		switch {
		case ns.Path == "":
			n.create |= flag
		case flag == unix.CLONE_NEWUSER:
			user = append(user, joinedNamespace{i, flag, string(ns.Type), ns.Path})
		default:
			n.join = append(n.join, joinedNamespace{i, flag, string(ns.Type), ns.Path})
		}
	}
	n.join = append(n.join, user...)
	return n
}

func (c *compiler) namespaceSteps() {
	p, n := c.plan, &c.plan.ns
	c.ownScoreSteps()
	for _, j := range n.join {
		src := nsenter.Source{Kind: nsenter.Namespace, Path: j.path, Type: j.flag}
		p.Add(nsenter.Take(nsenter.OpSetns, fmt.Sprintf("linux.namespaces[%d]", j.index), "join the "+j.name+" namespace "+j.path, src, j.flag))
	}
	if n.create&unix.CLONE_NEWTIME != 0 && n.create&unix.CLONE_NEWUSER == 0 {
		c.timeSteps()
	}
	c.cloneSteps()
	if n.has(unix.CLONE_NEWUSER) {
		c.userSteps()
	}
}

// A time namespace is entered by the next child only, and its offsets must be set before.
func (c *compiler) timeSteps() {
	c.plan.Add(nsenter.Unshare("linux.namespaces time", "make a time namespace", unix.CLONE_NEWTIME))
	if len(c.spec.Linux.TimeOffsets) > 0 {
		c.plan.Add(nsenter.Ask("linux.timeOffsets", "let rt write the clock offsets", nsenter.AskTime))
	}
}

// ownScoreSteps are for where rt may not write the score: the files of an undumpable process belong to the machine's
// root. So the stage does it itself, dumpable for a moment, while nobody else is in our namespaces; init inherits it.
func (c *compiler) ownScoreSteps() {
	if !c.opts.Rootless || c.spec.Process == nil || c.spec.Process.OOMScoreAdj == nil {
		return
	}
	const field = "process.oomScoreAdj"
	score := strconv.Itoa(*c.spec.Process.OOMScoreAdj)
	c.plan.Add(nsenter.Syscall(field, "be dumpable for the oom score", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(1)),
		nsenter.Simple(nsenter.OpProcWrite, field, "write "+score, []uint64{1}, "/proc/self/oom_score_adj", score),
		nsenter.Syscall(field, "stay undumpable", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(0)))
}

// ownTimeSteps make a time namespace that belongs to the container's user namespace: no other may an ordinary user make.
// There are no more children to come, so init moves in itself.
func (c *compiler) ownTimeSteps() {
	if c.plan.ns.create&unix.CLONE_NEWTIME == 0 {
		return
	}
	c.timeSteps()
	c.plan.Add(nsenter.Simple(nsenter.OpSetns, "linux.namespaces time", "enter the time namespace", []uint64{unix.CLONE_NEWTIME}, "/proc/self/ns/time_for_children"))
}

const (
	unsharedEarly = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	cloneTogether = unsharedEarly | unix.CLONE_NEWPID | unix.CLONE_NEWUSER
)

// early are the namespaces that are made ahead of the clone: a network
// namespace takes the kernel longer than all mounts, and it needs nothing that
// we have still to prepare. A user namespace must come before those it is to own.
func (n *namespaces) early() uint64 {
	if n.has(unix.CLONE_NEWUSER) {
		return 0
	}
	return n.create & unsharedEarly
}

// afterMaps are the namespaces that wait until the process has an id in its user namespace: who makes an IPC namespace
// owns the root of its mqueue file system.
func (n *namespaces) afterMaps() uint64 {
	if !n.has(unix.CLONE_NEWUSER) {
		return 0
	}
	return n.create & unix.CLONE_NEWIPC
}

// earlySteps depend on the config only, so they run while rt makes the cgroup and compiles the rest.
func earlySteps(spec *specs.Spec, n namespaces) []nsenter.Step {
	flags := n.early()
	what := "make namespaces" + namesOf(flags)
	if flags == 0 {
		what = "stay in rt's own namespaces"
	}
	return append([]nsenter.Step{nsenter.Simple(nsenter.OpUnshare, "linux.namespaces", what, []uint64{flags})}, utsSteps(spec, flags)...)
}

func namesOf(flags uint64) string {
	names := ""
	for _, name := range []string{"pid", "network", "mount", "ipc", "uts", "user"} {
		if flags&namespaceFlag(name) != 0 {
			names += ", new " + name
		}
	}
	return names
}

func (c *compiler) cloneSteps() {
	flags := c.plan.ns.create & cloneTogether &^ c.plan.ns.early() &^ c.plan.ns.afterMaps()
	what := "be born as the container's init" + namesOf(flags)
	s := nsenter.Simple(nsenter.OpClone, "linux.namespaces", what, []uint64{flags, 0})
	if c.bornInside() {
		s.Num[1], s.Feed = 1, nsenter.Source{Kind: nsenter.CgroupDir, Path: c.unifiedDir()}
		s.What += ", in its cgroup"
	}
	c.plan.Add(s)
}

// userSteps become root of the user namespace. Its creator has every
// capability in it but no id until the maps are written.
func (c *compiler) userSteps() {
	if c.plan.ns.create&unix.CLONE_NEWUSER != 0 {
		if c.opts.Rootless {
			// The maps of an undumpable process belong to root, which rt is not. Nobody else is in our namespaces yet.
			c.plan.Add(nsenter.Syscall("linux.uidMappings", "be dumpable for the id maps", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(1)))
		}
		c.plan.Add(nsenter.Ask("linux.uidMappings", "let rt write the id maps", nsenter.AskUserMap))
		c.ownTimeSteps()
	}
	c.plan.Add(becomeNamespaceRoot()...)
	if flags := c.plan.ns.afterMaps(); flags != 0 {
		c.plan.Add(nsenter.Unshare("linux.namespaces", "make namespaces"+namesOf(flags), flags))
	}
}

func becomeNamespaceRoot() []nsenter.Step {
	return []nsenter.Step{
		nsenter.Syscall("linux.namespaces user", "become the namespace's root group", unix.SYS_SETRESGID, nsenter.Num(0), nsenter.Num(0), nsenter.Num(0)),
		nsenter.Syscall("linux.namespaces user", "become the namespace's root", unix.SYS_SETRESUID, nsenter.Num(0), nsenter.Num(0), nsenter.Num(0)),
		// A change of ids may make a process dumpable again; the namespace's other processes must not trace us.
		nsenter.Syscall("linux.namespaces user", "stay undumpable", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(0)),
	}
}

// lateUTSSteps are for namespaces that were not made early: of a user namespace, or joined.
func (c *compiler) lateUTSSteps() {
	rest := uint64(unix.CLONE_NEWNET|unix.CLONE_NEWUTS) &^ c.plan.ns.early()
	if c.plan.ns.create&unix.CLONE_NEWNET == 0 {
		rest &^= unix.CLONE_NEWNET // only a new network has a loopback that is down
	}
	c.plan.Add(utsSteps(c.spec, rest)...)
}

// utsSteps bring up the loopback of a network namespace and name the machine of a uts namespace.
func utsSteps(spec *specs.Spec, flags uint64) (steps []nsenter.Step) {
	if flags&unix.CLONE_NEWNET != 0 {
		steps = append(steps, nsenter.Simple(nsenter.OpLoopback, "linux.namespaces network", "bring up lo", nil))
	}
	if flags&unix.CLONE_NEWUTS == 0 {
		return steps
	}
	if h := spec.Hostname; h != "" {
		steps = append(steps, nsenter.Syscall("hostname", "set the host name "+h, unix.SYS_SETHOSTNAME, nsenter.Text(h), nsenter.Num(len(h))))
	}
	if d := spec.Domainname; d != "" {
		steps = append(steps, nsenter.Syscall("domainname", "set the domain name "+d, unix.SYS_SETDOMAINNAME, nsenter.Text(d), nsenter.Num(len(d))))
	}
	return steps
}
