package cgroups

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Mode says where a container's cgroup lives.
type Mode string

// The modes.
const (
	V1       Mode = "v1"       // one directory in each mounted v1 hierarchy
	Hybrid   Mode = "hybrid"   // v1, and a directory in a cgroup2 tree mounted beside the hierarchies
	V2       Mode = "v2"       // one directory in the cgroup2 tree
	Disabled Mode = "disabled" // no cgroup of its own
)

// Options says which cgroup is wanted. Zero values mean the defaults.
type Options struct {
	ID      string // container id: the cgroup's name when Path is empty
	Path    string // linux.cgroupsPath
	Manager string // "cgroupfs" (default), "systemd" or "disabled"
	Mount   string // where the cgroup filesystems are, default /sys/fs/cgroup
	Proc    string // procfs of the host, default /proc

	// Rootless allows to go without a cgroup where we have no access, as long as neither a path nor
	// a limit was asked for.
	Rootless bool

	// Annotations of the config: systemd is told of those that name properties (org.systemd.property.X).
	Annotations map[string]string
}

// Cgroup is the cgroup of one container. It holds no file descriptors. Not safe for concurrent use.
type Cgroup struct {
	mode     Mode
	mount    string // e.g. /sys/fs/cgroup
	proc     string // e.g. /proc
	v1       []hierarchy
	unified  hierarchy // path is empty when there is no cgroup2 tree
	rootless bool
	given    bool  // cgroupsPath was given
	refused  error // why we go without some hierarchies (rootless)
	unit     *unit // the systemd unit that the cgroup belongs to; nil with cgroupfs
	fallback error // why it is cgroupfs though systemd was asked for
	warnings []string

	early        bool     // CreateUnified has made the cgroup2 directory
	earlyExisted []string // … or found it
}

// Open decides the mode and the paths of a cgroup; it makes nothing. The paths are those runc makes:
// an absolute cgroupsPath lies below the root of each hierarchy, a relative one (or the id) below our
// own cgroup on v1 and beside it on v2. With systemd it is slice:prefix:name.
func Open(o Options) (*Cgroup, error) {
	c := &Cgroup{mode: Disabled, mount: o.Mount, proc: o.Proc, rootless: o.Rootless, given: o.Path != ""}
	c.setDefaults()
	switch o.Manager {
	case "disabled":
		return c, nil
	case "", "cgroupfs":
	case "systemd":
		return c.openUnit(o)
	default:
		return nil, &ManagerError{Name: o.Manager}
	}
	name, err := cgroupName(o)
	if err != nil {
		return nil, err
	}
	if err := c.locate(name); err != nil {
		return nil, err
	}
	return c, nil
}

// locate decides the mode and the directories of the cgroup called name.
func (c *Cgroup) locate(name string) error {
	if c.onlyV2() {
		return c.openV2(name)
	}
	return c.openV1(name)
}

// onlyV2 tells whether this machine has the cgroup2 tree alone.
func (c *Cgroup) onlyV2() bool { return fsType(c.mount) == unix.CGROUP2_SUPER_MAGIC }

func (c *Cgroup) setDefaults() {
	if c.mount == "" {
		c.mount = "/sys/fs/cgroup"
	}
	if c.proc == "" {
		c.proc = "/proc"
	}
}

// cgroupName returns the cleaned path of the cgroup: absolute, or relative to our own.
// ".." is refused instead of resolved: no caller needs it, and it leads out of the delegated subtree.
func cgroupName(o Options) (string, error) {
	name := o.Path
	if name == "" {
		name = o.ID
	}
	abs := strings.HasPrefix(name, "/")
	var parts []string
	for part := range strings.SplitSeq(name, "/") {
		switch part {
		case "", ".":
		case "..":
			return "", fmt.Errorf(`linux.cgroupsPath: %q contains ".."`, name)
		default:
			parts = append(parts, part)
		}
	}
	if len(parts) == 0 {
		return "", fmt.Errorf("linux.cgroupsPath: %q is no cgroup of its own", name)
	}
	name = strings.Join(parts, "/")
	if abs {
		name = "/" + name
	}
	return name, nil
}

func (c *Cgroup) openV2(name string) error {
	c.mode = V2
	c.unified.root = c.mount
	if name[0] == '/' {
		c.unified.path = c.mount + name
		return nil
	}
	own, err := readOwn(c.proc)
	if err != nil {
		return err
	}
	// Our own cgroup holds processes, so it cannot pass controllers on: the parent is the place.
	c.unified.path = join(ownDir(c.mount, parentOf(own.unified)), name)
	return nil
}

func (c *Cgroup) openV1(name string) error {
	own, err := readOwn(c.proc)
	if err != nil {
		return err
	}
	for _, line := range own.v1 {
		if h, ok := findHierarchy(c.mount, line, name); ok {
			c.v1 = append(c.v1, h)
		}
	}
	unified := c.mount + "/unified"
	if own.hasUnified && fsType(unified) == unix.CGROUP2_SUPER_MAGIC {
		c.unified = hierarchy{root: unified, path: place(unified, own.unified, name)}
	}
	switch {
	case len(c.v1) > 0 && c.unified.path != "":
		c.mode = Hybrid
	case len(c.v1) > 0:
		c.mode = V1
	default:
		return c.without()
	}
	return nil
}

// without handles a machine (or an outer container) that shows no cgroup filesystem at all.
func (c *Cgroup) without() error {
	c.mode, c.unified = Disabled, hierarchy{}
	err := fmt.Errorf("no cgroup hierarchy is mounted below %s", c.mount)
	if c.rootless && !c.given {
		c.refused = err
		return nil
	}
	return fmt.Errorf("%w (--cgroup-manager=disabled goes without)", err)
}

// readOwn reads which cgroups we are in ourselves.
func readOwn(proc string) (ownCgroups, error) { return readCgroup(proc, "self") }

// readCgroup reads which cgroups a process is in.
func readCgroup(proc, pid string) (ownCgroups, error) {
	path := proc + "/" + pid + "/cgroup"
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ownCgroups{}, &os.PathError{Op: "open", Path: path, Err: err}
	}
	defer func() { _ = unix.Close(fd) }()
	text, err := readAll(fd)
	if err != nil {
		return ownCgroups{}, &os.PathError{Op: "read", Path: path, Err: err}
	}
	return parseOwn(text)
}

// fsType returns the statfs magic of path, 0 when there is nothing.
func fsType(path string) int64 {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == nil {
			return int64(st.Type)
		}
		if !errors.Is(err, unix.EINTR) {
			return 0
		}
	}
}
