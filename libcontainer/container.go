package libcontainer

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/internal/sys"
	"rt/nsenter"
)

// Container is one container of a store.
type Container struct {
	store  *Store
	entry  *entry
	record record
}

// State is what `rt state` prints (runtime.md, "State").
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"` // 0 when stopped
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

// The statuses; paused is not of the specification but of every runtime.
const (
	Creating = string(specs.StateCreating)
	Created  = string(specs.StateCreated)
	Running  = string(specs.StateRunning)
	Stopped  = string(specs.StateStopped)
	Paused   = "paused"
)

// ID is the container's name.
func (c *Container) ID() string { return c.record.ID }

// State is computed now, from the kernel; only what cannot change is read from the record.
func (c *Container) State() (State, error) {
	s := State{OCIVersion: c.record.OCIVersion, ID: c.record.ID, Bundle: c.record.Bundle, Rootfs: c.record.Rootfs,
		Annotations: c.record.Annotations}
	var err error
	if s.Created, err = time.Parse(time.RFC3339Nano, c.record.Created); err != nil {
		return s, fmt.Errorf("the record of %q: %w", s.ID, err)
	}
	if s.Status, err = c.Status(); err != nil {
		return s, err
	}
	if s.Status != Stopped {
		s.Pid = c.record.Pid
	}
	s.Owner, err = c.owner()
	return s, err
}

// Status tells creating, created, running, paused or stopped.
func (c *Container) Status() (string, error) {
	if c.record.Creating {
		return Creating, nil
	}
	if !c.alive() {
		return Stopped, nil
	}
	frozen, err := cgroups.Load(c.record.Cgroup).Frozen()
	if err != nil {
		return "", err
	}
	if frozen {
		return Paused, nil
	}
	if c.waiting() {
		return Created, nil
	}
	return Running, nil
}

// alive: the process with init's pid is still init, and not a zombie that nobody has reaped.
func (c *Container) alive() bool {
	state, start, err := processStat(c.record.Pid)
	return err == nil && start == c.record.StartTime && state != 'Z' && state != 'X'
}

// waiting asks whether the stage still listens for start. The socket's file goes
// when start has succeeded; if start was killed before that, nobody answers.
func (c *Container) waiting() bool {
	if unix.Faccessat(int(c.entry.f.Fd()), socketName, unix.F_OK, 0) == unix.ENOENT {
		return false
	}
	ch, err := c.call()
	if err != nil {
		return false
	}
	ch.Close()
	return true
}

// call connects to the stage that waits in a created container.
func (c *Container) call() (*nsenter.Channel, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: c.entry.path(socketName)})
	if err != nil && err != unix.EAGAIN { // EAGAIN: it listens, but the queue of a frozen stage is full
		unix.Close(fd)
		return nil, os.NewSyscallError("connect", err)
	}
	return nsenter.NewChannel(fd), unix.SetNonblock(fd, false)
}

func (c *Container) owner() (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(c.entry.dir, &st); err != nil {
		if err == unix.ENOENT {
			return "", fmt.Errorf("%w: %q", ErrNotExist, c.record.ID)
		}
		return "", &os.PathError{Op: "stat", Path: c.entry.dir, Err: err}
	}
	if st.Uid == 0 {
		return "root", nil
	}
	if u, err := user.LookupId(strconv.Itoa(int(st.Uid))); err == nil {
		return u.Username, nil
	}
	return "#" + strconv.Itoa(int(st.Uid)), nil
}

// ociState is the state that hooks read on their stdin.
func (c *Container) ociState(status specs.ContainerState) specs.State {
	return specs.State{Version: c.record.OCIVersion, ID: c.record.ID, Status: status, Pid: c.record.Pid,
		Bundle: c.record.Bundle, Annotations: c.record.Annotations}
}

// processStat reads state and start time (clock ticks since boot) of a process (proc_pid_stat(5), fields 3 and 22).
func processStat(pid int) (state byte, start uint64, err error) {
	if pid <= 0 {
		return 0, 0, unix.ESRCH
	}
	b, err := sys.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, 0, err
	}
	// The name, in parentheses, may hold anything: count from the last one.
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(fields) < 20 {
		return 0, 0, fmt.Errorf("read /proc/%d/stat: %d fields", pid, len(fields))
	}
	start, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return fields[0][0], start, err
}
