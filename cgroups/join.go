package cgroups

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Doors are the ways into the cgroups that a running process is in.
type Doors struct {
	Birth
	Unified string   // the cgroup2 directory behind Into, if any
	Paths   []string // the v1 directories behind Tasks
}

// Beside opens the doors to where process pid is now. That may be below the container's own cgroup:
// an init such as systemd moves itself there, and on v2 the cgroup above it then takes no processes.
// subs names cgroups below the container's to enter instead, by controller; "" stands for all.
// The caller closes the doors. Without a cgroup there are none, and no error.
func (c *Cgroup) Beside(pid int, subs map[string]string) (*Doors, error) {
	d := &Doors{}
	if c.mode == Disabled {
		return d, nil
	}
	name := c.proc + "/" + strconv.Itoa(pid) + "/cgroup"
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	now, err := parseOwn(string(text))
	if err != nil {
		return nil, err
	}
	if err := c.checkSubs(subs); err != nil {
		return nil, err
	}
	if c.unified.path != "" && now.hasUnified {
		d.Unified = besidePath(c.unified, now.unified, subs)
	}
	for _, line := range now.v1 {
		if h, ok := c.find(line.names[0]); ok {
			d.Paths = append(d.Paths, besidePath(h, line.path, subs))
		}
	}
	if err := d.open(); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func besidePath(h hierarchy, now string, subs map[string]string) string {
	for _, name := range append([]string{""}, h.names...) {
		if sub, ok := subs[name]; ok {
			return h.path + "/" + strings.Trim(sub, "/")
		}
	}
	return ownDir(h.root, now)
}

// checkSubs refuses a way out of the container's cgroup and a controller that is nowhere.
func (c *Cgroup) checkSubs(subs map[string]string) error {
	for controller, sub := range subs {
		for part := range strings.SplitSeq(sub, "/") {
			if part == ".." {
				return fmt.Errorf(`cgroup %q contains ".."`, sub)
			}
		}
		if controller == "" {
			continue
		}
		if _, ok := c.find(controller); !ok {
			return fmt.Errorf("cgroup controller %q has no v1 hierarchy here", controller)
		}
	}
	return nil
}

func (d *Doors) open() error {
	b, err := (&Cgroup{mode: Hybrid, unified: hierarchy{path: d.Unified}, v1: placesOf(d.Paths)}).Birth()
	d.Birth = b
	return err
}

func placesOf(paths []string) []hierarchy {
	v1 := make([]hierarchy, len(paths))
	for i, path := range paths {
		v1[i].path = path
	}
	return v1
}
