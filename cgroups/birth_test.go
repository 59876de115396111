package cgroups

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Birth is how these tests enter a cgroup as the stage does: by what is open here.
type Birth struct {
	// Into is the cgroup2 directory for clone3 with CLONE_INTO_CGROUP; nil on pure v1.
	Into *os.File

	// Tasks are the "tasks" files of the v1 hierarchies, open for writing. A process with a single
	// thread writes "0" to each: that moves the thread without the global lock and the RCU grace period
	// that cgroup.procs takes.
	Tasks []*os.File
}

// Birth opens the doors of an existing cgroup. All descriptors are close-on-exec; the caller closes
// them. Without a cgroup there is nothing to open, and no error.
func (c *Cgroup) Birth() (Birth, error) {
	var b Birth
	if c.unified.path != "" {
		f, err := openFile(c.unified.path, unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return b, fmt.Errorf("enter cgroup: %w", err)
		}
		b.Into = f
	}
	b.Tasks = make([]*os.File, 0, len(c.v1))
	for _, h := range c.v1 {
		f, err := openFile(h.path+"/tasks", unix.O_WRONLY)
		if err != nil {
			b.Close()
			return Birth{}, fmt.Errorf("enter cgroup: %w", err)
		}
		b.Tasks = append(b.Tasks, f)
	}
	return b, nil
}

// Close closes all descriptors.
func (b *Birth) Close() {
	if b.Into != nil {
		_ = b.Into.Close()
	}
	for _, f := range b.Tasks {
		_ = f.Close()
	}
	*b = Birth{}
}

func openFile(path string, flags int) (*os.File, error) {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
