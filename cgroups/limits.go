package cgroups

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// limit is one write into one control file.
type limit struct {
	field string // config field below linux.resources, for errors
	file  string
	value string

	// alt and altValue are tried when the kernel has no such file (blkio.weight, blkio.bfq.weight).
	alt, altValue string

	// soft: the value is what holds without the controller or the file, too ("max", burst 0).
	soft bool

	// advisory: the specification lets runtimes ignore the field; a refusal becomes a warning.
	advisory bool

	// amend makes the value from the file's current content, when the config gives only part of it.
	amend func(current string) string

	// usage names a file whose number must not be above value (checkBeforeUpdate).
	usage string

	// undo is what takes the write back (Update).
	undo []limit
}

// controller is one row of the table of controllers: its names, and the translation of its part of
// the config for either version.
type controller struct {
	v1, v2           string // "" where the version has no such controller
	limits1, limits2 func(*specs.LinuxResources) ([]limit, error)
}

// controllers in the order of their writes. cpuset first: nothing may run before it has a value.
var controllers = [...]controller{
	{"cpuset", "cpuset", cpusetV1, cpusetV2},
	{"memory", "memory", memoryV1, memoryV2},
	{"cpu", "cpu", cpuV1, cpuV2},
	{"pids", "pids", pidsV1, pidsV2},
	{"blkio", "io", blkioV1, blkioV2},
	{"hugetlb", "hugetlb", hugetlbV1, hugetlbV2},
	{"net_cls", "", netClsV1, netClsV2},
	{"net_prio", "", netPrioV1, netPrioV2},
	{"rdma", "rdma", rdmaLimits, rdmaLimits},
}

// share is what one directory gets: the limits of one controller.
type share struct {
	controller string
	at         hierarchy
	v2         bool
	limits     []limit
}

// divide decides where the limits of r go. A limit that no hierarchy can hold is an error; one that
// asks for nothing is dropped there.
func (c *Cgroup) divide(r *specs.LinuxResources) ([]share, error) {
	if r == nil {
		return nil, nil
	}
	var shares []share
	for i := range controllers {
		s, err := c.divideOne(&controllers[i], r)
		if err != nil {
			return nil, err
		}
		if len(s.limits) > 0 {
			shares = append(shares, s)
		}
	}
	extra, err := c.unifiedShares(r.Unified)
	return append(shares, extra...), err
}

func (c *Cgroup) divideOne(ctl *controller, r *specs.LinuxResources) (share, error) {
	if h, ok := c.find(ctl.v1); ok {
		limits, err := ctl.limits1(r)
		return share{controller: ctl.v1, at: h, limits: limits}, err
	}
	if c.unified.path != "" && (ctl.v2 != "" || c.mode == V2) {
		limits, err := ctl.limits2(r)
		return share{controller: ctl.v2, at: c.unified, v2: true, limits: limits}, err
	}
	limits, err := ctl.limits1(r)
	if err != nil {
		return share{}, err
	}
	if hard := firstHard(limits); hard != nil {
		return share{}, c.unavailable(hard.field, ctl.v1)
	}
	return share{}, nil
}

// firstHard returns a limit that really asks for something.
func firstHard(limits []limit) *limit {
	for i := range limits {
		if !limits[i].soft && !limits[i].advisory {
			return &limits[i]
		}
	}
	return nil
}

// unavailable words why there is no place for a limit.
func (c *Cgroup) unavailable(field, controller string) error {
	switch {
	case c.refused != nil:
		return fault(field, "%s %w: %w", controller, ErrUnavailable, c.refused)
	case c.mode == Disabled:
		return fault(field, "%s %w: cgroups are disabled", controller, ErrUnavailable)
	}
	return fault(field, "%s %w: no cgroup hierarchy below %s has it", controller, ErrUnavailable, c.mount)
}

// write performs the writes of all shares, one directory after the other.
func (c *Cgroup) write(shares []share) error {
	for _, s := range shares {
		d, err := openDir(s.at.path)
		if err != nil {
			return fmt.Errorf("%s cgroup: %w", s.controller, err)
		}
		err = inOrder(s.limits, func(l limit) error { return c.writeLimit(d, l) })
		d.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// inOrder writes the limits of one controller. Which of two values has to go first depends on the
// old ones (period and quota, memory and memory+swap): the kernel says EINVAL to the wrong order. So a
// refused value gets a second chance after the others.
func inOrder(limits []limit, write func(limit) error) error {
	var again []limit
	for _, l := range limits {
		err := write(l)
		if errors.Is(err, unix.EINVAL) && len(limits) > 1 {
			again = append(again, l)
		} else if err != nil {
			return err
		}
	}
	for _, l := range again {
		if err := write(l); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cgroup) writeLimit(d dir, l limit) error {
	if err := checkUsage(d, l); err != nil {
		return err
	}
	value := l.value
	if l.amend != nil {
		current, err := d.read(l.file)
		if err != nil {
			return writeError(l.field, l.file, value, err)
		}
		value = l.amend(current)
	}
	file := l.file
	err := d.write(file, value)
	if errors.Is(err, unix.ENOENT) && l.alt != "" {
		file, value = l.alt, l.altValue
		err = d.write(file, value)
	}
	return c.judge(l, file, value, err)
}

// judge turns the result of a write into an error, a warning or nothing.
func (c *Cgroup) judge(l limit, file, value string, err error) error {
	switch {
	case err == nil, l.soft && errors.Is(err, unix.ENOENT):
		return nil
	case l.advisory && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)):
		c.warnings = append(c.warnings, writeError(l.field, file, value, err).Error()+"; ignored")
		return nil
	}
	return writeError(l.field, file, value, err)
}

// checkUsage refuses a limit below the present use. On v1 the kernel does so itself; on v2 it would
// kill instead.
func checkUsage(d dir, l limit) error {
	if l.usage == "" {
		return nil
	}
	limit, err := strconv.ParseUint(l.value, 10, 64)
	if err != nil {
		return nil // "max" is never too low
	}
	text, err := d.read(l.usage)
	if l.soft && errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fault(l.field, "compare with the present use: %w", err)
	}
	used, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fault(l.field, "compare with the present use: %s/%s: %w", d.path, l.usage, err)
	}
	if used > limit {
		return fault(l.field, "%d is below the present use of %d (checkBeforeUpdate)", limit, used)
	}
	return nil
}

// number formats a limit for v1: 0 asks for nothing, -1 means no limit.
func number(n *int64) string {
	if n == nil || *n == 0 {
		return ""
	}
	return strconv.FormatInt(*n, 10)
}

// numberV2 is number for v2, where "no limit" is spelled "max".
func numberV2(n *int64) string {
	if n != nil && *n == -1 {
		return "max"
	}
	return number(n)
}

// asks reports whether an optional number asks for something; runc's callers send 0 for "unset".
func asks[T int64 | uint64 | uint32 | uint16](n *T) bool { return n != nil && *n != 0 }

// set appends a limit unless value is empty.
func set(limits []limit, field, file, value string) []limit {
	if value == "" {
		return limits
	}
	return append(limits, limit{field: field, file: file, value: value})
}
