// Package intelrdt puts a container into a class of service of Intel RDT and
// its kin, by the resctrl filesystem (config-linux.md, "IntelRdt"; the kernel's
// Documentation/filesystems/resctrl.rst).
//
// It is not for mounting resctrl, nor for knowing what the hardware can do: the
// kernel refuses what it cannot, and its words are passed on.
package intelrdt

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Mount is where resctrl is mounted; the kernel has one instance of it.
const Mount = "/sys/fs/resctrl"

// superMagic is RDTGROUP_SUPER_MAGIC of linux/magic.h.
const superMagic = 0x7655821

// Group is the resctrl group of a container as a record keeps it: what there
// will be, known before any of it is made.
type Group struct {
	Mount   string `json:"mount"`
	Dir     string `json:"dir"`              // the CTRL_MON group
	Own     bool   `json:"own,omitzero"`     // it is the container's own, and goes with it
	Monitor string `json:"monitor,omitzero"` // the MON group, which always goes with the container
}

// New says where the group of container id is, below mount. It makes nothing.
func New(mount, id string, r *specs.LinuxIntelRdt) *Group {
	g := &Group{Mount: mount, Dir: filepath.Join(mount, r.ClosID)}
	if r.ClosID == "" {
		g.Dir, g.Own = filepath.Join(mount, id), true
	}
	if r.EnableMonitoring {
		g.Monitor = filepath.Join(g.Dir, "mon_groups", id)
	}
	return g
}

// CheckMounted returns an error unless resctrl is mounted at mount.
func CheckMounted(mount string) error {
	var fs unix.Statfs_t
	err := unix.Statfs(mount, &fs)
	switch {
	case err == nil && fs.Type == superMagic:
		return nil
	case err == nil || err == unix.ENOENT:
		return fmt.Errorf("%s is not mounted (mount -t resctrl resctrl %[1]s, on a machine that has resource control)", mount)
	}
	return &os.PathError{Op: "statfs", Path: mount, Err: err}
}

// Create makes the group, unless it must be there already, and gives it its
// schemata. Errors name the field; what it has made is then gone again.
func (g *Group) Create(r *specs.LinuxIntelRdt) error {
	made, err := g.makeGroup(r)
	if err != nil {
		return fmt.Errorf("linux.intelRdt.closID: %w", err)
	}
	if err = g.configure(r, made); err == nil {
		err = g.makeMonitor()
	}
	if err != nil && made {
		unix.Rmdir(g.Dir)
	}
	return err
}

// makeGroup: an own group must be new, or it would be somebody else's that we
// change and remove. A named one is shared; without schemata it must be there,
// configured by its owner.
func (g *Group) makeGroup(r *specs.LinuxIntelRdt) (made bool, err error) {
	if !g.Own && len(lines(r)) == 0 || g.Dir == g.Mount {
		if _, err := os.Stat(g.Dir); err != nil {
			return false, err
		}
		return false, nil
	}
	err = unix.Mkdir(g.Dir, 0o755)
	if err == unix.EEXIST && !g.Own {
		return false, nil
	}
	if err != nil {
		return false, g.explain(&os.PathError{Op: "mkdir", Path: g.Dir, Err: err})
	}
	return true, nil
}

// line is one line for a schemata file and the field it comes from.
type line struct {
	field, text string
	mustMatch   bool // in a group that is there already: compare, and refuse another value
}

// lines are in the order in which the specification wants them written.
func lines(r *specs.LinuxIntelRdt) []line {
	var list []line
	if r.L3CacheSchema != "" {
		list = append(list, line{"linux.intelRdt.l3CacheSchema", r.L3CacheSchema, true})
	}
	if r.MemBwSchema != "" {
		list = append(list, line{"linux.intelRdt.memBwSchema", r.MemBwSchema, true})
	}
	for i, s := range r.Schemata {
		list = append(list, line{"linux.intelRdt.schemata[" + strconv.Itoa(i) + "]", s, false})
	}
	return list
}

func (g *Group) configure(r *specs.LinuxIntelRdt, made bool) error {
	list := lines(r)
	if len(list) == 0 {
		return nil
	}
	name := filepath.Join(g.Dir, "schemata")
	if !made {
		if err := compare(name, list); err != nil {
			return err
		}
	}
	for _, l := range list {
		// The kernel takes a write as a whole, which ends with a newline; one each tells which line it refuses.
		if err := writeFile(name, l.text+"\n"); err != nil {
			return fmt.Errorf("%s: write %q: %w", l.field, l.text, g.explain(err))
		}
	}
	return nil
}

func (g *Group) makeMonitor() error {
	if g.Monitor == "" {
		return nil
	}
	if err := unix.Mkdir(g.Monitor, 0o755); err != nil {
		return fmt.Errorf("linux.intelRdt.enableMonitoring: %w", g.explain(&os.PathError{Op: "mkdir", Path: g.Monitor, Err: err}))
	}
	return nil
}

// Add moves a process, by its pid in our namespace, into the group; what it
// forks from now on is born there. The kernel takes a task into a MON group
// only from the CTRL_MON group above it.
func (g *Group) Add(pid int) error {
	for _, dir := range []string{g.Dir, g.Monitor} {
		if dir == "" {
			continue
		}
		if err := writeFile(filepath.Join(dir, "tasks"), strconv.Itoa(pid)+"\n"); err != nil {
			return fmt.Errorf("linux.intelRdt: put process %d into its group: %w", pid, g.explain(err))
		}
	}
	return nil
}

// Remove removes what of the group is the container's own. It is fine if that
// has gone already, and on nil.
func (g *Group) Remove() error {
	if g == nil {
		return nil
	}
	var errs []error
	for _, d := range []struct {
		path string
		own  bool
	}{{g.Monitor, g.Monitor != ""}, {g.Dir, g.Own}} {
		if !d.own {
			continue
		}
		if err := unix.Rmdir(d.path); err != nil && err != unix.ENOENT {
			errs = append(errs, fmt.Errorf("linux.intelRdt: %w", &os.PathError{Op: "rmdir", Path: d.path, Err: err}))
		}
	}
	return errors.Join(errs...)
}

// explain adds the kernel's own words on the last thing it refused: a bare EINVAL stands for a dozen faults.
func (g *Group) explain(err error) error {
	status, readErr := os.ReadFile(filepath.Join(g.Mount, "info", "last_cmd_status"))
	text := strings.TrimSpace(string(bytes.TrimRight(status, "\x00")))
	if readErr != nil || text == "" || text == "ok" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, text)
}

// writeFile makes one write(2). O_CREAT finds the kernel's files and, in a directory that is no resctrl, makes plain ones.
func writeFile(name, text string) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}
