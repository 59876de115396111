// Package libcontainer is the life of a container: create, start, kill, delete.
//
// It compiles a config into a plan, keeps the record on disk, makes the cgroup,
// serves the stage that executes the plan, and afterwards acts on the container
// by its pidfd and its cgroup. It holds no process of its own between commands.
//
// It is not for reading config.json (specconv), for flags or printing
// (internal/cli), or for what a single mount or limit means (rootfs, cgroups).
package libcontainer

import (
	"errors"

	"golang.org/x/sys/unix"
)

// What callers branch on. The texts are matched by containerd, Podman and CRI-O.
var (
	ErrNotExist   = errors.New("container does not exist")
	ErrExist      = errors.New("container with given ID already exists")
	ErrNotRunning = errors.New("container not running")
	ErrNotPaused  = errors.New("container not paused")
	ErrStopped    = errors.New("cannot start a container that has stopped")
	ErrStarted    = errors.New("cannot start an already running container")
)

// CreateOptions are the flags of create; paths are absolute or relative to the current directory.
type CreateOptions struct {
	ID, Bundle    string
	ConsoleSocket string // where the terminal's master is sent
	PidfdSocket   string // where a pidfd of init is sent
	PidFile       string
	CgroupManager string // cgroupfs, systemd or disabled
	NoPivot       bool
	NoNewKeyring  bool
	Rootless      bool
	PreserveFDs   int            // fds 3 … 2+PreserveFDs go to the payload
	Trace         func(TraceRow) // called for each step with its time, if set
}

// RunOptions are the flags of run.
type RunOptions struct {
	CreateOptions
	Detach, Keep, NoSubreaper bool
}

// namespaces are linux.namespaces, sorted out.
type namespaces struct {
	create uint64            // CLONE_NEW… flags
	join   []joinedNamespace // in the order of joining, the user namespace last
}

type joinedNamespace struct {
	index int // in linux.namespaces
	flag  uint64
	name  string // as in the config
	path  string
}

func (n *namespaces) has(flag uint64) bool { return n.create&flag != 0 || n.joins(flag) }

func (n *namespaces) joins(flag uint64) bool {
	for _, j := range n.join {
		if j.flag == flag {
			return true
		}
	}
	return false
}

// namespaceFlag is the CLONE_NEW… flag of a type of linux.namespaces, 0 if there is none.
func namespaceFlag(name string) uint64 {
	switch name {
	case "pid":
		return unix.CLONE_NEWPID
	case "network":
		return unix.CLONE_NEWNET
	case "mount":
		return unix.CLONE_NEWNS
	case "ipc":
		return unix.CLONE_NEWIPC
	case "uts":
		return unix.CLONE_NEWUTS
	case "user":
		return unix.CLONE_NEWUSER
	case "cgroup":
		return unix.CLONE_NEWCGROUP
	case "time":
		return unix.CLONE_NEWTIME
	}
	return 0
}
