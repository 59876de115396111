package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/internal/object"
	"rt/libcontainer/seccomp"
	"rt/nsenter"
)

// ExecOptions are the flags of exec that are not part of the process.
type ExecOptions struct {
	ConsoleSocket, PidfdSocket, PidFile string
	Detach, IgnorePaused, Rootless      bool
	PreserveFDs                         int
	Cgroups                             map[string]string // cgroups below the container's, by v1 controller; "" for all
	Trace                               func(TraceRow)
}

// Exec runs another process in a container that is created or running. It
// returns the status of the process, 0 when detached. describe is called, with
// the container's bundle, once it is known that the container takes processes.
//
// It is made like init, by a plan in two parts and a stage, but joins what is
// there: one setns(2) on a pidfd of init enters every namespace that is not ours,
// and on cgroup2 another one the cgroup namespace.
func (c *Container) Exec(describe func(bundle string) (*specs.Process, error), o ExecOptions) (status int, err error) {
	if err := c.mayExec(o.IgnorePaused); err != nil {
		return 0, err
	}
	process, err := describe(c.record.Bundle)
	if err != nil {
		return 0, err
	}
	b, err := c.newGuest(process, o)
	if err != nil {
		return 0, err
	}
	if o.Detach {
		err = b.runDetached()
	} else {
		f := &foreground{birth: b, opts: RunOptions{NoSubreaper: true, Keep: true}}
		status, err = f.run()
	}
	if err != nil && !c.alive() {
		err = fmt.Errorf("%w: its init ended meanwhile: %w", ErrNotRunning, err)
	}
	return status, err
}

func (c *Container) mayExec(ignorePaused bool) error {
	status, err := c.Status()
	switch {
	case err != nil:
		return err
	case status == Stopped:
		return errors.New("cannot exec in a stopped container")
	case status == Creating:
		return errors.New("cannot exec in a container that is still being created")
	case status == Paused && !ignorePaused:
		return errors.New("cannot exec in a paused container (use --ignore-paused to override)")
	}
	return nil
}

// newGuest is a birth in another's home: its record is a copy that is never
// written, and when it ends nothing but itself does.
func (c *Container) newGuest(process *specs.Process, o ExecOptions) (*birth, error) {
	filter, err := c.savedFilter()
	if err != nil {
		return nil, err
	}
	guest := *c
	guest.record.Hooks, guest.record.OwnPidNS, guest.record.Joined = nil, false, c.record.Pid
	b := &birth{Container: &guest, pidfd: -1, passwd: -1, cgroup: cgroups.Load(c.record.Cgroup),
		spec: c.record.Guests.apply(process),
		opts: CreateOptions{ID: c.record.ID, Bundle: c.record.Bundle, ConsoleSocket: o.ConsoleSocket, PidfdSocket: o.PidfdSocket,
			PidFile: o.PidFile, PreserveFDs: o.PreserveFDs, NoNewKeyring: c.record.Guests.NoNewKeyring, Rootless: o.Rootless, Trace: o.Trace}}
	b.guest = &guestOf{init: c.record.Pid, start: c.record.StartTime, subs: o.Cgroups, filter: filter}
	return b, nil
}

// guestDefaults is what a process that joins the container has of it, unless the process says otherwise.
// It is in the record: a process must not be less confined than init because a bundle was edited or an engine left a field out.
type guestDefaults struct {
	ApparmorProfile string                   `json:"apparmor,omitzero"`
	SelinuxLabel    string                   `json:"selinux,omitzero"`
	OOMScoreAdj     *int                     `json:"oom_score_adj,omitempty"`
	Scheduler       *specs.Scheduler         `json:"scheduler,omitempty"`
	IOPriority      *specs.LinuxIOPriority   `json:"io_priority,omitempty"`
	ExecCPUAffinity *specs.CPUAffinity       `json:"exec_cpu_affinity,omitempty"`
	Personality     *specs.LinuxPersonality  `json:"personality,omitempty"`
	MemoryPolicy    *specs.LinuxMemoryPolicy `json:"memory_policy,omitempty"`
	NoNewKeyring    bool                     `json:"no_new_keyring,omitzero"`
}

func (d *guestDefaults) write(w *object.Writer) {
	w.Text("apparmor", d.ApparmorProfile)
	w.Text("selinux", d.SelinuxLabel)
	object.Other(w, "oom_score_adj", d.OOMScoreAdj)
	object.Other(w, "scheduler", d.Scheduler)
	object.Other(w, "io_priority", d.IOPriority)
	object.Other(w, "exec_cpu_affinity", d.ExecCPUAffinity)
	object.Other(w, "personality", d.Personality)
	object.Other(w, "memory_policy", d.MemoryPolicy)
	w.Bool("no_new_keyring", d.NoNewKeyring)
}

func defaultsForGuests(spec *specs.Spec, o CreateOptions) (d guestDefaults) {
	d.NoNewKeyring = o.NoNewKeyring
	if p := spec.Process; p != nil {
		d.ApparmorProfile, d.SelinuxLabel, d.OOMScoreAdj = p.ApparmorProfile, p.SelinuxLabel, p.OOMScoreAdj
		d.Scheduler, d.IOPriority, d.ExecCPUAffinity = p.Scheduler, p.IOPriority, p.ExecCPUAffinity
	}
	if l := spec.Linux; l != nil {
		d.Personality, d.MemoryPolicy = l.Personality, l.MemoryPolicy
	}
	return d
}

// apply makes the spec of a process that joins.
func (d guestDefaults) apply(process *specs.Process) *specs.Spec {
	p := *process
	if p.ApparmorProfile == "" {
		p.ApparmorProfile = d.ApparmorProfile
	}
	if p.SelinuxLabel == "" {
		p.SelinuxLabel = d.SelinuxLabel
	}
	if p.OOMScoreAdj == nil {
		p.OOMScoreAdj = d.OOMScoreAdj
	}
	if p.Scheduler == nil {
		p.Scheduler = d.Scheduler
	}
	if p.IOPriority == nil {
		p.IOPriority = d.IOPriority
	}
	if p.ExecCPUAffinity == nil {
		p.ExecCPUAffinity = d.ExecCPUAffinity
	}
	return &specs.Spec{Process: &p, Linux: &specs.Linux{Personality: d.Personality, MemoryPolicy: d.MemoryPolicy}}
}

// guestOf is whom an exec'd process joins.
type guestOf struct {
	init   int    // its pid
	start  uint64 // and its start time
	subs   map[string]string
	filter *seccomp.Filter
}

// makeGuest goes as far as a stage that waits inside, like make.
func (b *birth) makeGuest() error {
	var err error
	if b.stage, err = nsenter.Start(); err != nil {
		return fmt.Errorf("start the stage: %w", err)
	}
	place, err := b.cgroup.Beside(b.guest.init, b.guest.subs)
	if err == nil {
		err = b.cgroup.Attach(b.stage.Pid, place)
	}
	if err != nil {
		return fmt.Errorf("enter the container's cgroup: %w", err)
	}
	c := &compiler{spec: b.spec, opts: b.opts, filter: b.guest.filter, guest: true, plan: &Plan{spec: b.spec}}
	b.plan = c.plan
	if err := c.compileJoin(b.guest.init, place); err != nil {
		return err
	}
	joined := len(b.plan.Steps)
	if err := b.send(&b.plan.Plan); err != nil {
		return err
	}
	if err := b.supplyAll(b.plan.Steps); err != nil { // the stage joins while we go on
		return err
	}
	c.host = probeHost()
	if err := c.compileGuest(); err != nil {
		return err
	}
	b.warnOfDenied(c.denied)
	if err := b.send(&nsenter.Plan{Steps: b.plan.Steps[joined:], First: joined}); err != nil {
		return err
	}
	return b.serve(b.plan.Steps[joined:])
}

// compileJoin is the order in which a process joins a container, up to its root.
func (c *compiler) compileJoin(init int, place *cgroups.Place) error {
	c.plan.Add(earlySteps(c.spec, c.plan.ns)...) // our arguments may have looked like those of create
	if err := c.checkLabels(theLSMs()); err != nil {
		return err
	}
	if err := c.affinityStep("initial"); err != nil {
		return err
	}
	join, err := foreignNamespaces(init)
	if err != nil {
		return err
	}
	c.joinsUsers = join&unix.CLONE_NEWUSER != 0
	c.ownScoreSteps()
	c.joinSteps(init, join, place)
	return nil
}

// compileGuest is what a process does when it has joined, up to its program.
func (c *compiler) compileGuest() error {
	c.sessionSteps()
	// Where only initial is asked for, the kernel says what is left of it in the cgroup, by the specification.
	if a := c.spec.Process.ExecCPUAffinity; a == nil || a.Initial == "" {
		c.plan.Add(anyCPU())
	}
	if err := c.affinityStep("final"); err != nil {
		return err
	}
	c.consoleStep()
	return c.processSteps()
}

func (c *compiler) joinSteps(init int, join uint64, place *cgroups.Place) {
	p, pid := c.plan, strconv.Itoa(init)
	if proc := c.spec.Process; proc.ApparmorProfile != "" || proc.SelinuxLabel != "" {
		// A user namespace with masks in its /proc may not have another one, so it is ours, from before we join.
		p.Add(nsenter.Take(nsenter.OpSlot, "process", "take our own procfs for labels",
			nsenter.Source{Kind: nsenter.Directory, Path: "/proc"}, uint64(nsenter.SlotProc)))
	}
	// Opened before we join: afterwards /proc is the container's.
	p.Add(nsenter.Take(nsenter.OpRoot, "", "take the root of init", nsenter.Source{Kind: nsenter.Directory, Path: "/proc/" + pid + "/root"}, 0))
	// The clone is from our own cgroup. Where a cgroup namespace is a boundary (cgroup2 with nsdelegate, as systemd mounts it)
	// nobody may do that from within one, so that the process enters it when it is in its cgroup.
	bornInside := place.Unified != "" && join&unix.CLONE_NEWUSER == 0
	late := uint64(0)
	if bornInside {
		late = join & unix.CLONE_NEWCGROUP
	}
	if first := join &^ late; first != 0 {
		p.Add(joinStep("join the namespaces of pid "+pid, first))
	}
	if join&unix.CLONE_NEWUSER != 0 {
		p.Add(nsenter.Syscall("", "stay undumpable", unix.SYS_PRCTL, nsenter.Num(unix.PR_SET_DUMPABLE), nsenter.Num(0)))
	}
	from := "linux.cgroupsPath"
	if place.Asked {
		from = "--cgroup"
	}
	clone := nsenter.Simple(nsenter.OpClone, from, "be born as a process of the container", []uint64{0, 0})
	if bornInside {
		clone.Num[1], clone.Feed = 1, nsenter.Source{Kind: nsenter.CgroupDir, Path: place.Unified}
		clone.What += ", in cgroup " + place.Unified
	}
	p.Add(clone)
	for _, path := range place.V1 {
		p.Add(attachStep(from, path, false))
	}
	if place.Unified != "" && !bornInside {
		p.Add(attachStep(from, place.Unified, true))
	}
	if late != 0 {
		p.Add(joinStep("join the cgroup namespace of pid "+pid, late))
	}
	if join&unix.CLONE_NEWUSER != 0 {
		p.Add(becomeNamespaceRoot()...)
	}
	p.Add(nsenter.Simple(nsenter.OpPivot, "", "go to the root of init", []uint64{1}))
}

func joinStep(what string, namespaces uint64) nsenter.Step {
	return nsenter.Take(nsenter.OpSetns, "", what, nsenter.Source{Kind: nsenter.InitPidfd}, namespaces)
}

// affinityStep is process.execCPUAffinity: initial holds while the process joins, final from then on.
func (c *compiler) affinityStep(which string) error {
	a := c.spec.Process.ExecCPUAffinity
	if a == nil {
		return nil
	}
	field, list := "process.execCPUAffinity."+which, a.Final
	if which == "initial" {
		list = a.Initial
	}
	if list == "" {
		return nil
	}
	mask, err := numberMask(field, list)
	if err != nil {
		return err
	}
	c.plan.Add(nsenter.Syscall(field, "run on CPUs "+list, unix.SYS_SCHED_SETAFFINITY, nsenter.Num(0), nsenter.Num(len(mask)), nsenter.Text(mask)))
	return nil
}

// foreignNamespaces are the types in which a process lives apart from us.
func foreignNamespaces(pid int) (flags uint64, err error) {
	for _, ns := range [...]struct {
		file string
		flag uint64
	}{{"user", unix.CLONE_NEWUSER}, {"pid", unix.CLONE_NEWPID}, {"net", unix.CLONE_NEWNET}, {"mnt", unix.CLONE_NEWNS}, {"ipc", unix.CLONE_NEWIPC},
		{"uts", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP}, {"time", unix.CLONE_NEWTIME}} {
		var theirs, ours unix.Stat_t
		name := "/proc/" + strconv.Itoa(pid) + "/ns/" + ns.file
		if err := unix.Stat(name, &theirs); err != nil {
			return 0, &os.PathError{Op: "stat", Path: name, Err: err}
		}
		if err := unix.Stat("/proc/self/ns/"+ns.file, &ours); err != nil {
			return 0, &os.PathError{Op: "stat", Path: "/proc/self/ns/" + ns.file, Err: err}
		}
		if theirs.Ino != ours.Ino || theirs.Dev != ours.Dev {
			flags |= ns.flag
		}
	}
	return flags, nil
}
