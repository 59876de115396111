package cgroups

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// enable makes the v2 controllers that the limits need available in our directory: each parent, from
// the root down, has to pass them on in cgroup.subtree_control.
func (c *Cgroup) enable(shares []share) error {
	var need []share
	for _, s := range shares {
		if s.v2 && s.controller != "" && firstHard(s.limits) != nil {
			need = append(need, s)
		}
	}
	if len(need) == 0 {
		return nil
	}
	parent := parentOf(c.unified.path)
	missing, err := missingIn(parent, need)
	if err != nil || len(missing) == 0 {
		return err
	}
	return c.downTo(parent, func(path string) error {
		missing, err := missingIn(path, missing) // what is passed on up there may be nobody's to write here
		if err != nil || len(missing) == 0 {
			return err
		}
		return passOn(path, missing)
	})
}

// downTo calls a function with each cgroup from the root of the tree down to path.
func (c *Cgroup) downTo(path string, do func(string) error) error {
	rest := strings.TrimPrefix(path, c.unified.root)
	for at := c.unified.root; ; {
		if err := do(at); err != nil || rest == "" {
			return err
		}
		end := 1 + strings.IndexByte(rest[1:]+"/", '/')
		at, rest = at+rest[:end], rest[end:]
	}
}

// mayPassOn refuses a cgroup with processes of its own ("No Internal Process Constraint" in cgroup-v2.rst). To memory and
// io the kernel says EBUSY there; but cpu and pids make it a threaded domain, in which no cgroup of ours could be used.
func mayPassOn(d dir) error {
	kind, err := d.read("cgroup.type")
	if errors.Is(err, unix.ENOENT) { // the root may
		return nil
	}
	if err != nil || kind != "domain" {
		return err
	}
	pids, err := procsOf(d)
	if err == nil && len(pids) > 0 {
		err = fmt.Errorf("%s passes no controllers on while it has processes of its own, such as %d: %w", d.path, pids[0], unix.EBUSY)
	}
	return err
}

// measured are the controllers whose files engines read of every container (docker stats, the kubelet), and without which
// containers would not share the processors evenly.
var measured = [...]string{"cpu", "io", "memory", "pids"}

// enableMeasured passes on, where that is possible, what engines measure. Nobody asked for it, so a refusal is none: cpu
// is impossible while there are real-time processes in some kernels, all are below a cgroup with processes of its own.
// In a unit, systemd has done so and owns the parents. Nothing else is switched on: it costs every process below.
func (c *Cgroup) enableMeasured() {
	if c.mode != V2 || c.unit != nil {
		return
	}
	parent := parentOf(c.unified.path)
	text, err := readFile(parent, "cgroup.subtree_control")
	have := strings.Fields(text)
	missing := slices.DeleteFunc(slices.Clone(measured[:]), func(name string) bool { return slices.Contains(have, name) })
	if err != nil || len(missing) == 0 {
		return
	}
	_ = c.downTo(parent, func(path string) error {
		d, err := openDir(path)
		if err != nil {
			return err
		}
		defer d.close()
		if err := mayPassOn(d); err != nil {
			return err
		}
		for _, name := range missing {
			_ = d.write("cgroup.subtree_control", "+"+name)
		}
		return nil
	})
}

// missingIn returns the shares whose controller path does not pass on yet.
func missingIn(path string, need []share) ([]share, error) {
	text, err := readFile(path, "cgroup.subtree_control")
	if err != nil {
		return nil, err
	}
	have := strings.Fields(text)
	return slices.DeleteFunc(slices.Clone(need), func(s share) bool {
		return slices.Contains(have, s.controller)
	}), nil
}

// passOn enables controllers one at a time, so that an error can name the limit that needed it.
// Enabling what is enabled does nothing.
func passOn(path string, need []share) error {
	d, err := openDir(path)
	if err != nil {
		return err
	}
	defer d.close()
	if err := mayPassOn(d); err != nil {
		return fault(firstHard(need[0].limits).field, "%w", err)
	}
	for _, s := range need {
		err := d.write("cgroup.subtree_control", "+"+s.controller)
		// ENOENT: the parent does not have it. EINVAL: the kernel does not know it.
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
			return fault(firstHard(s.limits).field, "%s %w in %s", s.controller, ErrUnavailable, path)
		}
		if err != nil {
			return writeError(firstHard(s.limits).field, "cgroup.subtree_control", "+"+s.controller, err)
		}
	}
	return nil
}
