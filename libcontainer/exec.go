package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/seccomp"
	"rt/nsenter"
)

// ExecOptions are the flags of exec that are not part of the process.
type ExecOptions struct {
	ConsoleSocket, PidfdSocket, PidFile string
	Detach, IgnorePaused                bool
	PreserveFDs                         int
	Cgroups                             map[string]string // cgroups below the container's, by v1 controller; "" for all
	Trace                               func(TraceRow)
}

// Exec runs another process in a container that is created or running. It
// returns the status of the process, 0 when detached.
//
// It is made like init, by a plan and a stage, but joins what is there: one
// setns(2) on a pidfd of init enters every namespace that is not ours.
func (c *Container) Exec(process *specs.Process, o ExecOptions) (status int, err error) {
	if err := c.mayExec(o.IgnorePaused); err != nil {
		return 0, err
	}
	b, err := c.newGuest(process, o)
	if err != nil {
		return 0, err
	}
	if o.Detach {
		return 0, b.runDetached()
	}
	f := &foreground{birth: b, opts: RunOptions{NoSubreaper: true, Keep: true}}
	return f.run()
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
	guest.record.Hooks, guest.record.OwnPidNS = nil, false
	b := &birth{Container: &guest, pidfd: -1, passwd: -1, cgroup: cgroups.Load(c.record.Cgroup),
		spec: &specs.Spec{Process: process, Linux: &specs.Linux{}},
		opts: CreateOptions{ID: c.record.ID, Bundle: c.record.Bundle, ConsoleSocket: o.ConsoleSocket, PidfdSocket: o.PidfdSocket,
			PidFile: o.PidFile, PreserveFDs: o.PreserveFDs, Trace: o.Trace}}
	b.guest = &guestOf{init: c.record.Pid, start: c.record.StartTime, subs: o.Cgroups, filter: filter}
	return b, nil
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
	if err != nil {
		return fmt.Errorf("enter the container's cgroup: %w", err)
	}
	c := &compiler{spec: b.spec, opts: b.opts, host: probeHost(), filter: b.guest.filter}
	if b.plan, err = c.compileGuest(b.guest.init, place); err != nil {
		return err
	}
	if err := b.send(&b.plan.Plan); err != nil {
		return err
	}
	return b.serve()
}

// compileGuest is the order in which a process joins a container.
func (c *compiler) compileGuest(init int, place *cgroups.Place) (*Plan, error) {
	c.plan = &Plan{spec: c.spec}
	if err := c.affinityStep("initial"); err != nil {
		return nil, err
	}
	join, err := foreignNamespaces(init)
	if err != nil {
		return nil, err
	}
	c.joinSteps(init, join, place)
	c.sessionSteps()
	c.plan.Add(anyCPU())
	if err := c.affinityStep("final"); err != nil {
		return nil, err
	}
	c.consoleStep()
	return c.plan, c.processSteps()
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
	if join != 0 {
		p.Add(nsenter.Take(nsenter.OpSetns, "", "join the namespaces of pid "+pid, nsenter.Source{Kind: nsenter.InitPidfd}, join))
	}
	clone := nsenter.Simple(nsenter.OpClone, "", "be born as a process of the container", []uint64{0, 0})
	if place.Unified != "" && join&unix.CLONE_NEWUSER == 0 {
		clone.Num[1], clone.Feed = 1, nsenter.Source{Kind: nsenter.CgroupDir, Path: place.Unified}
		clone.What += ", in init's cgroup " + place.Unified
	}
	p.Add(clone)
	for _, path := range place.V1 {
		p.Add(attachStep(path, false))
	}
	if place.Unified != "" && join&unix.CLONE_NEWUSER != 0 {
		p.Add(attachStep(place.Unified, true))
	}
	if join&unix.CLONE_NEWUSER != 0 {
		p.Add(becomeNamespaceRoot()...)
	}
	p.Add(nsenter.Simple(nsenter.OpPivot, "", "go to the root of init", []uint64{1}))
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
