package libcontainer

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"rt/cgroups"
)

// Kill sends a signal to init, or with all to every process of the container.
// A killing signal goes to all of them anyway when no pid namespace of its own
// takes them along with init.
func (c *Container) Kill(sig unix.Signal, all bool) error {
	cg := cgroups.Load(c.record.Cgroup)
	if all {
		return c.killAll(cg, sig)
	}
	if c.record.Pid == 0 || !c.alive() {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.record.ID)
	}
	if sig == unix.SIGKILL && !c.record.OwnPidNS && cg.Mode() != cgroups.Disabled {
		return cg.Kill(sig)
	}
	if err := c.signalInit(sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL && cg.Mode() != cgroups.Disabled {
		return cg.Thaw() // a frozen process dies only when it runs again (v1)
	}
	return nil
}

// killAll reaches processes that outlived init in a shared pid namespace, so init's end is no error here.
// Without a cgroup it reaches those of the container's own pid namespace, or init alone in a shared one.
// Before init is born, the cgroup may turn out to be somebody else's: what is in it then is not ours.
func (c *Container) killAll(cg *cgroups.Cgroup, sig unix.Signal) error {
	if c.record.Pid == 0 {
		return nil
	}
	if cg.Mode() == cgroups.Disabled {
		switch {
		case !c.alive():
			return nil
		case c.record.OwnPidNS && sig != unix.SIGKILL: // with which init takes all along
			return signalMembers(c.record.Pid, sig)
		}
		return c.signalInit(sig)
	}
	return cg.Kill(sig)
}

// signalInit signals by pidfd, checked after opening: the pid can't have become somebody else's in between.
func (c *Container) signalInit(sig unix.Signal) error {
	pidfd, err := c.openInit()
	if err != nil {
		return err
	}
	defer unix.Close(pidfd)
	err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
	if err == unix.ESRCH {
		return fmt.Errorf("%w: %q", ErrNotRunning, c.record.ID)
	}
	return os.NewSyscallError("pidfd_send_signal", err)
}

// openInit opens a pidfd of the container's init and makes sure that it is the one of the record.
func (c *Container) openInit() (int, error) {
	if c.record.Pid == 0 {
		return -1, fmt.Errorf("%w: %q", ErrNotRunning, c.record.ID)
	}
	pidfd, err := unix.PidfdOpen(c.record.Pid, 0)
	if err != nil && err != unix.ESRCH {
		return -1, os.NewSyscallError("pidfd_open", err)
	}
	if err == nil && c.alive() {
		return pidfd, nil
	}
	if err == nil {
		unix.Close(pidfd)
	}
	return -1, fmt.Errorf("%w: %q", ErrNotRunning, c.record.ID)
}
