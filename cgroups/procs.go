package cgroups

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Procs returns the ids of all processes in the cgroup and below it, sorted, each once. A cgroup that
// is gone has none.
func (c *Cgroup) Procs() ([]int, error) {
	if c.mode == Disabled {
		return nil, ErrDisabled
	}
	var all []int
	for _, path := range c.memberPaths() {
		pids, err := listProcs(path)
		if err != nil && !gone(err) {
			return nil, err
		}
		all = append(all, pids...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// memberPaths returns the directories that together list every process: a process that is being born
// is in the cgroup2 tree before it enters the v1 hierarchies; one that an engine put into v1 cgroups is
// only there. One v1 hierarchy stands for all of them.
func (c *Cgroup) memberPaths() []string {
	var paths []string
	if c.unified.path != "" {
		paths = append(paths, c.unified.path)
	}
	for _, name := range []string{"freezer", "devices", "pids", "memory"} {
		if h, ok := c.find(name); ok {
			return append(paths, h.path)
		}
	}
	if len(c.v1) > 0 {
		paths = append(paths, c.v1[0].path)
	}
	return paths
}

// listProcs returns the processes of the cgroup at path and below, in no order.
func listProcs(path string) ([]int, error) {
	var pids []int
	err := walk(path, func(d dir) error {
		some, err := procsOf(d)
		pids = append(pids, some...)
		return err
	}, nil)
	return pids, err
}

// procsOf reads one cgroup. A threaded v2 cgroup has no process list (EOPNOTSUPP): its processes are
// listed by the domain above it, unless that lies outside the container; the threads are theirs.
func procsOf(d dir) ([]int, error) {
	text, err := d.read("cgroup.procs")
	if errors.Is(err, unix.EOPNOTSUPP) {
		text, err = d.read("cgroup.threads")
	}
	if err != nil {
		return nil, err
	}
	var pids []int
	for line := range strings.Lines(text) {
		pid, err := strconv.Atoi(strings.TrimSuffix(line, "\n"))
		if err != nil {
			return nil, err
		}
		pids = append(pids, pid)
	}
	return pids, nil
}
