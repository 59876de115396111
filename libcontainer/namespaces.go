package libcontainer

import (
	"fmt"

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

func (c *compiler) namespaceSteps() error {
	p, n := c.plan, &c.plan.ns
	for _, j := range n.join {
		src := nsenter.Source{Kind: nsenter.Namespace, Path: j.path, Type: j.flag}
		p.Add(nsenter.Take(nsenter.OpSetns, fmt.Sprintf("linux.namespaces[%d]", j.index), "join the "+j.name+" namespace "+j.path, src, j.flag))
	}
	if n.create&unix.CLONE_NEWTIME != 0 {
		c.timeSteps()
	}
	c.cloneSteps()
	if n.has(unix.CLONE_NEWUSER) {
		c.userSteps()
	}
	if err := c.attachSteps(); err != nil {
		return err
	}
	if n.create&unix.CLONE_NEWCGROUP != 0 {
		// Only now: its root is the cgroup that we are in.
		p.Add(nsenter.Unshare("linux.namespaces cgroup", "make a cgroup namespace", unix.CLONE_NEWCGROUP))
	}
	return nil
}

// A time namespace is entered by the next child only, and its offsets must be set before.
func (c *compiler) timeSteps() {
	c.plan.Add(nsenter.Unshare("linux.namespaces time", "make a time namespace", unix.CLONE_NEWTIME))
	if len(c.spec.Linux.TimeOffsets) > 0 {
		c.plan.Add(nsenter.Ask("linux.timeOffsets", "let rt write the clock offsets", nsenter.AskTime))
	}
}

const cloneTogether = unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWUSER

func (c *compiler) cloneSteps() {
	flags := c.plan.ns.create & cloneTogether
	what := "be born as the container's init"
	for _, name := range []string{"pid", "network", "mount", "ipc", "uts", "user"} {
		if flags&namespaceFlag(name) != 0 {
			what += ", new " + name
		}
	}
	s := nsenter.Simple(nsenter.OpClone, "linux.namespaces", what, []uint64{flags, 0})
	if c.bornInside() {
		s.Num[1], s.Feed = 1, nsenter.Source{Kind: nsenter.CgroupDir}
		s.What += ", in its cgroup"
	}
	c.plan.Add(s)
}

// userSteps become root of the user namespace. Its creator has every
// capability in it but no id until the maps are written.
func (c *compiler) userSteps() {
	if c.plan.ns.create&unix.CLONE_NEWUSER != 0 {
		c.plan.Add(nsenter.Ask("linux.uidMappings", "let rt write the id maps", nsenter.AskUserMap))
	}
	c.plan.Add(
		nsenter.Syscall("linux.namespaces user", "become the namespace's root group", unix.SYS_SETRESGID, nsenter.Num(0), nsenter.Num(0), nsenter.Num(0)),
		nsenter.Syscall("linux.namespaces user", "become the namespace's root", unix.SYS_SETRESUID, nsenter.Num(0), nsenter.Num(0), nsenter.Num(0)),
		// A change of ids may make a process dumpable again; the namespace's other processes must not trace us.
		nsenter.Syscall("linux.namespaces user", "stay undumpable", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(0)))
}

// utsSteps name the machine and bring up its loopback, if they are the container's own.
func (c *compiler) utsSteps() {
	if c.plan.ns.create&unix.CLONE_NEWNET != 0 {
		c.plan.Add(nsenter.Simple(nsenter.OpLoopback, "linux.namespaces network", "bring up lo", nil))
	}
	if h := c.spec.Hostname; h != "" {
		c.plan.Add(nsenter.Syscall("hostname", "set the host name "+h, unix.SYS_SETHOSTNAME, nsenter.Text(h), nsenter.Num(len(h))))
	}
	if d := c.spec.Domainname; d != "" {
		c.plan.Add(nsenter.Syscall("domainname", "set the domain name "+d, unix.SYS_SETDOMAINNAME, nsenter.Text(d), nsenter.Num(len(d))))
	}
}
