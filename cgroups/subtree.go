package cgroups

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// enable makes the v2 controllers that the limits need available in our directory: each parent, from
// the root down, has to pass them on in cgroup.subtree_control. Nothing else is switched on: a
// controller nobody asked for can be impossible (cpu, while real-time processes exist) and costs
// every process below.
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
	rest := strings.TrimPrefix(parent, c.unified.root)
	for at := c.unified.root; ; {
		if err := passOn(at, missing); err != nil {
			return err
		}
		if rest == "" {
			return nil
		}
		end := 1 + strings.IndexByte(rest[1:]+"/", '/')
		at, rest = at+rest[:end], rest[end:]
	}
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
