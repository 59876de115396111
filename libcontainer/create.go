package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/netdev"
	"rt/libcontainer/terminal"
	"rt/nsenter"
)

// birth is a container that is being made: everything between the first side
// effect and the stage that waits to execute the program.
type birth struct {
	*Container
	spec   *specs.Spec
	opts   CreateOptions
	plan   *Plan
	cgroup *cgroups.Cgroup
	stage  *nsenter.Stage
	pidfd  int // of init; -1 before it is born
	master *os.File
	passwd int   // the image's /etc/passwd, -1 for none
	stdio  []int // in place of our own 0, 1 and 2, if not nil
	undo   []func()
	parked bool

	batch    []int            // opened for the stage, not yet sent
	early    *nsenter.Message // heard before it was its turn
	inCgroup bool             // the cgroup has been made
	settled  bool             // init is in the record
	guest    *guestOf         // an exec: not init, but a process that joins it

	hookOutput *os.File      // what the container's own hooks print
	netDevices *netdev.Mover // nil without linux.netDevices
	notify     *notifier     // nil without NOTIFY_SOCKET
}

// Create makes the container and leaves its stage waiting for Start. On error nothing is left of it.
func (s *Store) Create(spec *specs.Spec, o CreateOptions) (*Container, error) {
	b := s.newBirth(spec, o)
	b.parked = true
	if err := b.make(); err != nil {
		b.abandon()
		return nil, err
	}
	if err := b.finish(); err != nil {
		b.abandon()
		return nil, err
	}
	return b.Container, nil
}

// Dismiss ends what was started in advance for a container that was never made.
// A program that links this package calls it before it exits.
func Dismiss() { nsenter.Dismiss() }

func (s *Store) newBirth(spec *specs.Spec, o CreateOptions) *birth {
	return &birth{Container: &Container{store: s}, spec: spec, opts: o, pidfd: -1, passwd: -1}
}

// make goes as far as a stage that waits with everything in place.
func (b *birth) make() error {
	if err := checkKernel(); err != nil {
		return err
	}
	if err := b.checkPreserved(); err != nil {
		return err
	}
	if b.guest != nil {
		return b.makeGuest()
	}
	var err error
	if b.stage, err = nsenter.Start(); err != nil {
		return fmt.Errorf("start the stage: %w", err)
	}
	early := earlySteps(b.spec, sortNamespaces(b.spec))
	b.plan = &Plan{Plan: nsenter.Plan{Steps: early}}
	if err := b.send(&b.plan.Plan); err != nil {
		return err
	}
	if err := b.prepare(); err != nil {
		return err
	}
	if err := b.send(&nsenter.Plan{Steps: b.plan.Steps[len(early):], First: len(early)}); err != nil {
		return err
	}
	return b.serve(b.plan.Steps)
}

// prepare leaves a record before anything else, so that delete finds what a killed create leaves behind.
func (b *birth) prepare() error {
	var err error
	if b.cgroup, err = openCgroup(b.spec, b.opts); err != nil {
		return err
	}
	if b.entry, err = b.store.make(b.opts.ID); err != nil {
		return err
	}
	b.undo = append(b.undo, func() { b.entry.remove(); b.entry.close() })
	b.fillRecord()
	if err = b.entry.announce(&b.record); err != nil {
		return err
	}
	if err = b.shareNotify(); err != nil {
		return err
	}
	if err = b.makeCgroupEarly(); err != nil {
		return err
	}
	if err = b.makeIntelRdt(); err != nil {
		return err
	}
	c := &compiler{spec: b.spec, opts: b.opts, host: probeHost(), cgroup: b.cgroup, parked: b.parked,
		seccompCache: filepath.Join(b.store.Root, cacheName)}
	if b.plan, err = c.compile(); err != nil {
		return err
	}
	b.warnOfDenied(c.denied)
	b.record.Filtered = c.filter != nil
	return b.entry.saveFilter(c.filter)
}

// makeCgroupEarly makes what the clone needs. The v1 hierarchies, some twenty
// system calls, can wait until init mounts its root.
func (b *birth) makeCgroupEarly() error {
	if !b.cgroup.MayWait() {
		return b.makeCgroup()
	}
	if err := b.cgroup.CreateUnified(); err != nil {
		return fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	b.undo = append(b.undo, b.cgroup.RemoveUnified)
	return nil
}

func resources(spec *specs.Spec) *specs.LinuxResources {
	if spec.Linux == nil {
		return nil
	}
	return spec.Linux.Resources
}

// makeCgroup makes the cgroup with its limits, once.
func (b *birth) makeCgroup() error {
	if b.inCgroup || b.guest != nil {
		return nil
	}
	b.cgroup.Adopt(b.stage.Pid)
	if err := b.cgroup.Create(resources(b.spec)); err != nil {
		var limit *cgroups.LimitError // it names its own field
		if errors.As(err, &limit) {
			return err
		}
		return fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	b.undo = append(b.undo, func() { b.cgroup.Remove() })
	for _, w := range b.cgroup.Warnings() {
		b.store.warn(w)
	}
	if err := b.delegate(); err != nil {
		return fmt.Errorf("linux.cgroupsPath: delegate: %w", err)
	}
	b.inCgroup = true
	return nil
}

// delegate gives a container that sees its cgroup alone, and may write to it, the files that the kernel
// says are a delegatee's. Without the one it would see others', without the other it has no use for them.
func (b *birth) delegate() error {
	if ns := sortNamespaces(b.spec); ns.create&unix.CLONE_NEWCGROUP == 0 {
		return nil
	}
	for _, m := range b.spec.Mounts {
		if (m.Type == "cgroup" || m.Type == "cgroup2") && !slices.Contains(m.Options, "ro") {
			return b.cgroup.Delegate(hostRoot(b.spec))
		}
	}
	return nil
}

func (b *birth) fillRecord() {
	b.record = record{Version: recordVersion, OCIVersion: b.spec.Version, ID: b.opts.ID, Bundle: b.opts.Bundle,
		Rootfs: rootPath(b.spec, b.opts.Bundle), Created: time.Now().UTC().Format(time.RFC3339Nano), Creating: true, Annotations: b.spec.Annotations,
		Cgroup: b.cgroup.State()}
	b.record.CgroupPaths = b.record.Cgroup.Paths
	ns := sortNamespaces(b.spec)
	b.record.OwnPidNS = ns.create&unix.CLONE_NEWPID != 0
	if l := b.spec.Linux; l != nil && l.Seccomp != nil && l.Seccomp.ListenerPath != "" {
		b.record.Listener = &listener{Path: l.Seccomp.ListenerPath, Metadata: l.Seccomp.ListenerMetadata}
	}
	b.record.IntelRdt = intelRdtGroup(b.spec, b.opts.ID)
	b.record.Guests = defaultsForGuests(b.spec, b.opts)
	if b.spec.Linux != nil {
		b.record.CPUShares = configuredShares(b.spec.Linux.Resources)
	}
	b.record.Hooks = saveHooks(b.spec.Hooks)
}

// checkPreserved: a gap in the preserved fds would be filled by one of ours.
func (b *birth) checkPreserved() error {
	for fd := 3; fd < 3+b.preserved(); fd++ {
		if !nsenter.Inherited(fd) {
			return fmt.Errorf("--preserve-fds (and LISTEN_FDS) name fd %d, which is not open: %w", fd, unix.EBADF)
		}
	}
	return nil
}

// preserved is how many fds of our caller go to the payload. LISTEN_FDS is meant for a service, so for init only.
func (b *birth) preserved() int {
	if b.guest != nil {
		return b.opts.PreserveFDs
	}
	return b.opts.PreserveFDs + listenFDs()
}

// send hands the stage a part of the plan.
func (b *birth) send(p *nsenter.Plan) error {
	data, err := p.Encode()
	if err != nil {
		return err
	}
	f, err := nsenter.Memfd("rt:plan", data)
	if err != nil {
		return err
	}
	defer f.Close()
	code := int32(b.preserved()) << 1
	if b.opts.Trace != nil {
		code |= 1
	}
	return b.lastWord(b.stage.Send(nsenter.MsgPlan, code, "", append([]int{int(f.Fd())}, b.stdio...)...))
}

// finish publishes a container that waits for start: record, pid file, sockets; then the stage is let go.
func (b *birth) finish() error {
	if err := b.publish(); err != nil {
		return err
	}
	if err := b.stage.Send(nsenter.MsgPark, 0, b.homeVariable()); err != nil {
		return err
	}
	b.release()
	return nil
}

func (b *birth) publish() error {
	if b.guest == nil {
		if err := b.entry.settle(); err != nil {
			return err
		}
		b.record.Creating = false
	}
	if b.opts.PidfdSocket != "" {
		if err := terminal.SendFD(b.opts.PidfdSocket, "init", uintptr(b.pidfd)); err != nil {
			return fmt.Errorf("--pidfd-socket: %w", err)
		}
	}
	return b.writePidFile()
}

// writePidFile is atomic: who watches for the file never reads half a number.
func (b *birth) writePidFile() error {
	name := b.opts.PidFile
	if name == "" {
		return nil
	}
	tmp := filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%d", filepath.Base(name), os.Getpid()))
	if err := os.WriteFile(tmp, fmt.Append(nil, b.record.Pid), 0o644); err != nil {
		return fmt.Errorf("--pid-file: %w", err)
	}
	if err := os.Rename(tmp, name); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("--pid-file: %w", err)
	}
	b.undo = append(b.undo, func() { os.Remove(name) })
	return nil
}

// release lets go of what only the making needed.
func (b *birth) release() {
	b.stage.Close()
	b.netDevices.Close()
	if b.passwd >= 0 {
		unix.Close(b.passwd)
		b.passwd = -1
	}
	if b.master != nil && b.opts.ConsoleSocket != "" {
		b.master.Close()
		b.master = nil
	}
	reap(b.stage.Pid)
}

// abandon undoes a birth that failed, the latest first: the processes, the cgroup, the record.
func (b *birth) abandon() {
	if b.stage != nil {
		b.returnNetDevices()
		b.endInit()
		b.release()
	}
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
}

// endInit kills init and what it may have started, and waits for it: it is our
// child. It may have been born and we not have heard of it yet.
func (b *birth) endInit() {
	b.stage.HangUp()
	if b.pidfd < 0 {
		b.listenForBirth()
	}
	if b.pidfd < 0 {
		return
	}
	unix.PidfdSendSignal(b.pidfd, unix.SIGKILL, nil, 0)
	if b.inCgroup { // else others may live there
		b.cgroup.Kill(unix.SIGKILL)
	}
	reap(b.record.Pid)
	unix.Close(b.pidfd)
	b.pidfd = -1
}

// listenForBirth hears out a stage that gets no more answers, until it has ended or told of init.
func (b *birth) listenForBirth() {
	for {
		m, err := b.stage.Receive()
		if err != nil {
			return
		}
		if m.Type == nsenter.MsgBorn && m.FD >= 0 {
			b.pidfd, b.record.Pid = m.FD, int(m.Code)
			return
		}
	}
}
