package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/libcontainer/terminal"
)

// Run makes a container and starts it. In the foreground it relays the
// terminal, forwards signals, waits, deletes the container unless told to keep
// it, and returns the status of its process (128+N after signal N).
func (s *Store) Run(spec *specs.Spec, o RunOptions) (status int, err error) {
	b := s.newBirth(spec, o.CreateOptions)
	if o.Detach {
		return 0, b.runDetached()
	}
	f := &foreground{birth: b, opts: o}
	return f.run()
}

func (b *birth) runDetached() error {
	defer func() { b.notify.close() }()
	err := b.make()
	if err == nil {
		err = b.publish()
	}
	if err == nil {
		err = b.launch()
	}
	if err != nil {
		b.abandon()
		return err
	}
	b.awaitReady(b.notify)
	return nil
}

// launch starts the program of a container that we have just made ourselves: no socket, no second command.
func (b *birth) launch() (err error) {
	if b.guest == nil {
		if b.notify, err = b.listenNotify(); err != nil {
			return err
		}
	}
	if err := b.Container.release(b.stage.Channel, b.homeVariable(), b.trace); err != nil {
		return err
	}
	b.release()
	return b.poststart()
}

// foreground is a container that runs as long as its `rt run`.
type foreground struct {
	*birth
	opts    RunOptions
	signals *terminal.Signals
	relay   *terminal.Relay
	theirs  [3]*os.File // the container's ends of pipes that stand for our terminal
}

func (f *foreground) run() (status int, err error) {
	tty := f.spec.Process != nil && f.spec.Process.Terminal
	if err := f.adopt(); err != nil {
		return 0, err
	}
	if f.guest == nil { // an exec that waits, perhaps for resume, just ends by a signal, and its stage with it
		if err := f.catchSignals(tty); err != nil {
			return 0, err
		}
	}
	defer f.stopSignals()
	if err := f.connect(tty); err != nil {
		return 0, err
	}
	err = f.start(tty)
	if err != nil {
		f.abandon()
		return 0, errors.Join(err, f.disconnect())
	}
	return f.wait()
}

// adopt makes us the reaper of what the container leaves behind in a shared pid namespace.
func (f *foreground) adopt() error {
	if f.opts.NoSubreaper {
		return nil
	}
	return os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

func (f *foreground) catchSignals(tty bool) (err error) {
	if f.signals == nil {
		f.signals, err = terminal.CatchSignals(tty)
	}
	return err
}

func (f *foreground) stopSignals() {
	if f.signals != nil {
		f.signals.Stop()
	}
}

// connect puts pipes between the container and those of our stdio that are a terminal.
func (f *foreground) connect(tty bool) error {
	if tty || !stdioHasTerminal() {
		return nil
	}
	var err error
	f.relay, f.theirs, err = terminal.Pipes(0, 1, 2)
	f.stdio = []int{0, 1, 2}
	for i, file := range f.theirs {
		if file != nil {
			f.stdio[i] = int(file.Fd())
		}
	}
	return err
}

func stdioHasTerminal() bool {
	for fd := range 3 {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			return true
		}
	}
	return false
}

func (f *foreground) start(tty bool) error {
	err := f.make()
	for _, file := range f.theirs {
		if file != nil {
			file.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := f.catchSignals(tty); err != nil {
		return err
	}
	if err := f.publish(); err != nil {
		return err
	}
	if tty {
		if f.relay, err = terminal.Terminal(f.master, 0, 1); err != nil {
			return err
		}
		f.master = nil
	}
	return f.launch()
}

func (f *foreground) disconnect() error {
	if f.relay == nil {
		return nil
	}
	if f.signals == nil {
		return f.relay.Close()
	}
	return f.signals.Drain(f.pidfd, f.relay)
}

// wait returns the status of init and deletes what is left of the container.
func (f *foreground) wait() (int, error) {
	endNotify := f.follow(f.notify, f.pidfd)
	err := f.signals.Forward(f.pidfd, f.relay)
	endNotify()
	status := reap(f.record.Pid)
	err = errors.Join(err, f.disconnect())
	if f.guest == nil {
		f.warnOfOOM(status)
	}
	if !f.opts.Keep {
		err = errors.Join(err, f.destroy())
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), err
	}
	return status.ExitStatus(), err
}

// warnOfOOM says why a process was killed: "exit status 137" tells nobody.
func (f *foreground) warnOfOOM(status unix.WaitStatus) {
	n, err := f.cgroup.OOMKills()
	if err != nil || n == 0 {
		return
	}
	who := "container " + f.record.ID + " was killed"
	if !status.Signaled() || status.Signal() != unix.SIGKILL {
		who = strconv.FormatUint(n, 10) + " process(es) of container " + f.record.ID + " were killed"
	}
	f.store.warn(fmt.Sprintf("%s by the kernel's out-of-memory killer%s", who, f.memoryLimit()))
}

func (f *foreground) memoryLimit() string {
	if f.spec.Linux == nil || f.spec.Linux.Resources == nil || f.spec.Linux.Resources.Memory == nil || f.spec.Linux.Resources.Memory.Limit == nil {
		return ""
	}
	return fmt.Sprintf(" (linux.resources.memory.limit is %d bytes)", *f.spec.Linux.Resources.Memory.Limit)
}
