package cgroups

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rt/internal/sys"
)

// Place is the cgroups that a running process is in.
type Place struct {
	Unified string   // the cgroup2 directory, if any
	V1      []string // the directory in each v1 hierarchy
	Asked   bool     // for one below the container's
}

// Beside finds where process pid is now. That may be below the container's own cgroup:
// an init such as systemd moves itself there, and on v2 the cgroup above it then takes no processes.
// subs names cgroups below the container's to enter instead, by controller; "" stands for all.
// Without a cgroup there is no place, and no error.
func (c *Cgroup) Beside(pid int, subs map[string]string) (*Place, error) {
	d := &Place{Asked: len(subs) > 0}
	if c.mode == Disabled && len(subs) > 0 {
		return nil, errors.New("the container has no cgroup, so there are none below it")
	}
	if c.mode == Disabled {
		return d, nil
	}
	name := c.proc + "/" + strconv.Itoa(pid) + "/cgroup"
	text, err := sys.ReadFile(name)
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
			d.V1 = append(d.V1, besidePath(h, line.path, subs))
		}
	}
	return d, nil
}

func besidePath(h hierarchy, now string, subs map[string]string) string {
	for _, name := range append([]string{""}, h.names...) {
		if sub, ok := subs[name]; ok {
			return h.path + "/" + strings.Trim(sub, "/")
		}
	}
	if h.root+now == h.path { // where it usually is, and no need to look
		return h.path
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
