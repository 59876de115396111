package libcontainer

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Without a cgroup, who belongs to a container can be told by the pid namespace, if that is the container's own.

// inPIDNamespace lists the processes that live in the pid namespace of pid or in one below it, as numbers of ours.
func inPIDNamespace(pid int) (members []int, err error) {
	root, err := openPIDNamespace(pid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(root)
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if ns, err := openPIDNamespace(n); err == nil && below(ns, root) {
			members = append(members, n)
		}
	}
	return members, nil
}

func openPIDNamespace(pid int) (int, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/ns/pid"
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}

// below is true for the namespace root itself, too. It closes ns. The kernel shows no parents above our own namespace.
func below(ns, root int) bool {
	var want, st unix.Stat_t
	if unix.Fstat(root, &want) != nil {
		unix.Close(ns)
		return false
	}
	for ns >= 0 {
		same := unix.Fstat(ns, &st) == nil && st.Ino == want.Ino && st.Dev == want.Dev
		parent, err := unix.IoctlRetInt(ns, unix.NS_GET_PARENT)
		unix.Close(ns)
		if same && err == nil {
			unix.Close(parent)
		}
		if same || err != nil {
			return same
		}
		ns = parent
	}
	return false
}

// signalMembers signals every process of init's pid namespace. A pidfd opened first keeps a pid from becoming
// somebody else's in between.
func signalMembers(init int, sig unix.Signal) error {
	root, err := openPIDNamespace(init)
	if err != nil {
		return err
	}
	defer unix.Close(root)
	members, err := inPIDNamespace(init)
	if err != nil {
		return err
	}
	for _, pid := range members {
		pidfd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			continue // it has ended
		}
		ns, err := openPIDNamespace(pid)
		if err == nil && below(ns, root) {
			err = unix.PidfdSendSignal(pidfd, sig, nil, 0)
		}
		unix.Close(pidfd)
		if err != nil && err != unix.ESRCH {
			return fmt.Errorf("signal process %d: %w", pid, os.NewSyscallError("pidfd_send_signal", err))
		}
	}
	return nil
}

// holdsOut says why init has not ended after SIGKILL, as far as that shows. The last process of a pid namespace ends
// when all others have been reaped, and those that joined from outside are their parents' to reap.
func (c *Container) holdsOut() string {
	members := []int{c.record.Pid}
	if c.record.OwnPidNS {
		members, _ = inPIDNamespace(c.record.Pid)
	}
	zombies := ""
	for _, pid := range members {
		state, _, _ := processStat(pid)
		switch {
		case state == 'D':
			return fmt.Sprintf(": process %d is in uninterruptible sleep (state D), which no signal ends", pid)
		case state == 'Z' && pid != c.record.Pid:
			zombies = fmt.Sprintf(": process %d of it has ended, but its parent does not reap it", pid)
		}
	}
	return zombies
}
