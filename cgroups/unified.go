package cgroups

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// unifiedShares translates linux.resources.unified: files of the v2 interface and what to write there,
// one write a line. They are written last, so they override the translated values. On a hybrid machine
// the files of those controllers exist that live in the cgroup2 tree.
func (c *Cgroup) unifiedShares(unified map[string]string) ([]share, error) {
	var shares []share
	for _, file := range slices.Sorted(maps.Keys(unified)) {
		s, err := c.unifiedShare(file, unified[file])
		if err != nil {
			return nil, err
		}
		if len(s.limits) > 0 {
			shares = append(shares, s)
		}
	}
	return shares, nil
}

func (c *Cgroup) unifiedShare(file, text string) (share, error) {
	field := "unified[" + strconv.Quote(file) + "]"
	if file == "" || file == "." || file == ".." || strings.Contains(file, "/") {
		return share{}, fault(field, "not the name of a file")
	}
	var limits []limit
	for line := range strings.SplitSeq(text, "\n") {
		limits = set(limits, field, file, line)
	}
	if len(limits) == 0 {
		return share{}, nil
	}
	name, _, _ := strings.Cut(file, ".")
	if c.unified.path == "" || c.inV1(name) {
		return share{}, fault(field, "%w on cgroup v1", ErrUnsupported)
	}
	if name == "cgroup" {
		name = "" // core files: no controller to enable
	}
	return share{controller: name, at: c.unified, v2: true, limits: limits}, nil
}

// inV1 tells whether the v2 controller of that name is bound to a v1 hierarchy.
func (c *Cgroup) inV1(name string) bool {
	if name == "io" {
		name = "blkio"
	}
	_, ok := c.find(name)
	return ok
}
