package cgroups

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Create makes the cgroup in every hierarchy and writes the limits and device rules of r (nil: no
// limits, the default devices). It refuses a cgroup that holds processes or is frozen. Every error
// about a limit is a *LimitError naming its field. What an unsuccessful Create made, it removes.
func (c *Cgroup) Create(r *specs.LinuxResources) error {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	devices, err := deviceRules(r.Devices)
	if err != nil {
		return err
	}
	if c.unit != nil {
		if err := c.startUnit(r, devices); err != nil {
			return err
		}
	}
	made, err := c.makeAll()
	if err == nil {
		err = c.fill(r, devices, made)
	}
	if err != nil {
		made.undo()
		if c.unit != nil {
			err = errors.Join(err, c.endUnit(c.rmdirAll))
		}
	}
	return err
}

// fill writes everything into the directories made.
func (c *Cgroup) fill(r *specs.LinuxResources, devices deviceSet, made creation) error {
	shares, err := c.divide(r)
	if err != nil {
		return err
	}
	c.makeRoom(shares)
	if h, ok := c.find("cpuset"); ok {
		if err := inheritCpuset(h); err != nil {
			return err
		}
	}
	if err := c.enable(shares); err != nil {
		return err
	}
	c.enableMeasured()
	if err := c.write(shares); err != nil {
		return err
	}
	if c.mode == Disabled {
		return nil
	}
	return c.writeDevices(devices, made.existed)
}

// creation remembers which directories a Create made.
type creation struct {
	dirs    []string // in the order of making
	existed []string // cgroups that were there before and may have device programs of others
}

// undo removes the directories again, children before parents. Those that others use meanwhile stay.
func (m *creation) undo() {
	for _, path := range slices.Backward(m.dirs) {
		_ = unix.Rmdir(path)
	}
}

// makeAll makes the directory in each hierarchy. A rootless caller goes without those it has no access
// to, as long as it asked for no particular path.
func (c *Cgroup) makeAll() (creation, error) {
	made := creation{dirs: make([]string, 0, len(c.v1)+1)}
	kept := make([]hierarchy, 0, len(c.v1))
	for _, h := range c.v1 {
		ok, err := c.makeOne(h, &made)
		if err != nil {
			return made, err
		}
		if ok {
			kept = append(kept, h)
		}
	}
	c.v1 = kept
	made.existed = c.earlyExisted
	if c.unified.path != "" && !c.early {
		ok, err := c.makeOne(c.unified, &made)
		if err != nil {
			return made, err
		}
		if !ok {
			c.unified = hierarchy{}
		}
	}
	c.settleMode()
	return made, nil
}

// settleMode follows from what is left after hierarchies were dropped.
func (c *Cgroup) settleMode() {
	switch {
	case c.unified.path == "" && len(c.v1) == 0:
		c.mode = Disabled
	case c.mode == Hybrid && c.unified.path == "":
		c.mode = V1
	}
}

// makeOne makes one directory, or checks the one that is there. False means no access, and no need.
func (c *Cgroup) makeOne(h hierarchy, made *creation) (bool, error) {
	existed, err := made.mkdirAll(h.root, h.path)
	if err == nil && existed {
		err = c.checkEmpty(h.path)
		if c.unit == nil {
			made.existed = append(made.existed, h.path)
		}
	}
	if err == nil && (existed || parentOf(h.path) != h.root) {
		err = checkUsable(h)
	}
	if denied(err) && c.rootless && !c.given {
		c.refused = err
		if c.fallback != nil {
			c.refused = fmt.Errorf("%w; and %w", c.fallback, err)
		}
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("make cgroup: %w", err)
	}
	return true, nil
}

// mkdirAll makes path and its missing parents below root. The usual case is one system call. A parent
// may vanish between the two steps, since it is removed when the last cgroup in it fails: once more then.
func (m *creation) mkdirAll(root, path string) (existed bool, err error) {
	for range 3 {
		err = unix.Mkdir(path, 0o755)
		switch {
		case err == nil:
			m.dirs = append(m.dirs, path)
			return false, nil
		case errors.Is(err, unix.EEXIST):
			return true, nil
		case !errors.Is(err, unix.ENOENT) || len(path) <= len(root):
			return false, &os.PathError{Op: "mkdir", Path: path, Err: err}
		}
		if _, err := m.mkdirAll(root, parentOf(path)); err != nil {
			return false, err
		}
	}
	return false, &os.PathError{Op: "mkdir", Path: path, Err: err}
}

// checkEmpty refuses a cgroup that somebody else uses: its limits would be overwritten, and deleting
// the container would kill what is in it. In a scope is the process that it was started around.
func (c *Cgroup) checkEmpty(path string) error {
	pids, err := listProcs(path)
	if err != nil {
		return err
	}
	if c.unit != nil {
		pids = slices.DeleteFunc(pids, func(pid int) bool { return pid == c.unit.member })
	}
	if len(pids) > 0 {
		return fmt.Errorf("%s: %w: %d process(es), the first is %d", path, ErrNotEmpty, len(pids), pids[0])
	}
	return nil
}

// checkUsable refuses a cgroup in which the container would stand still for ever. A frozen parent
// freezes new cgroups, too; those right below the root need no check.
func checkUsable(h hierarchy) error {
	frozen, err := freezerOf(h).effective()
	if err != nil {
		return err
	}
	if frozen {
		return fmt.Errorf("%s: %w", h.path, ErrFrozen)
	}
	if h.names == nil {
		return checkDomain(h.path)
	}
	return nil
}

// checkDomain makes a v2 cgroup usable whose parent is a threaded domain: the kernel makes such a child
// invalid until it is threaded as well.
func checkDomain(path string) error {
	kind, err := readFile(path, "cgroup.type")
	if err != nil {
		return err
	}
	if strings.TrimSpace(kind) != "domain invalid" {
		return nil
	}
	return writeFile(path, "cgroup.type", "threaded")
}

// Set writes the limits of r into an existing cgroup. What r does not mention keeps its value; device
// rules are never touched: their owner is Create. It does not take anything back when a later write
// fails: Update does.
func (c *Cgroup) Set(r *specs.LinuxResources) error {
	shares, err := c.divide(r)
	if err != nil {
		return err
	}
	_, err = c.apply(shares)
	return err
}
