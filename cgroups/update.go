package cgroups

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Update writes the limits that change mentions into an existing cgroup, and only those that differ from what holds.
// What it does not mention keeps its value; a limit that depends on another one that is not mentioned (memory and
// swap) is counted with what holds: the kernel's files are the record. Device rules are never touched: their owner
// is Create. When a write fails, what was written before is taken back.
//
// cpuShares are those of the config or of an earlier update, nil if none were given: a cgroup that was idle has
// forgotten them.
func (c *Cgroup) Update(change *specs.LinuxResources, cpuShares *uint64) error {
	r, err := c.complete(change)
	if err == nil {
		err = c.rememberShares(r, cpuShares)
	}
	if err != nil {
		return err
	}
	shares, err := c.divide(r)
	if err != nil {
		return err
	}
	if shares, err = c.compare(shares); err != nil {
		return err
	}
	undo, err := c.apply(shares)
	if err == nil {
		return nil
	}
	for _, s := range undo {
		if len(s.limits) == 0 {
			continue
		}
		if _, err2 := c.apply([]share{s}); err2 != nil {
			err = fmt.Errorf("%w (and not taken back: %w)", err, err2)
		}
	}
	return err
}

// apply writes limits into a cgroup that is in use. It returns what takes back the writes that were made, the last
// one first. systemd, where it has the cgroup, has written by then what it knows, all at once.
func (c *Cgroup) apply(shares []share) (undo []share, err error) {
	if c.unit != nil {
		if err := c.setUnit(shares); err != nil {
			return nil, err
		}
		if undo, err = c.applyFiles(shares); err != nil {
			undo = undoAll(shares)
		}
		return undo, err
	}
	return c.applyFiles(shares)
}

func undoAll(shares []share) []share {
	var undo []share
	for _, s := range shares {
		back := s
		back.limits = nil
		for _, l := range s.limits {
			back.limits = append(slices.Clone(l.undo), back.limits...)
		}
		undo = append([]share{back}, undo...)
	}
	return undo
}

func (c *Cgroup) applyFiles(shares []share) (undo []share, err error) {
	if err := c.enable(shares); err != nil {
		return nil, err
	}
	for _, s := range shares {
		d, err := openDir(s.at.path)
		if err != nil {
			return undo, fmt.Errorf("%s cgroup: %w", s.controller, err)
		}
		back := s
		back.limits = nil
		err = inOrder(s.limits, func(l limit) error {
			if err := c.writeLimit(d, l); err != nil {
				return err
			}
			back.limits = append(slices.Clone(l.undo), back.limits...)
			return nil
		})
		d.close()
		undo = append([]share{back}, undo...)
		if err != nil {
			return undo, err
		}
	}
	return undo, nil
}

// complete adds to a change what its limits have to be counted from.
func (c *Cgroup) complete(change *specs.LinuxResources) (*specs.LinuxResources, error) {
	r := *change
	r.Devices = nil
	if r.Memory == nil || !asks(r.Memory.Limit) && !asks(r.Memory.Swap) {
		return &r, nil
	}
	m := *r.Memory
	r.Memory = &m
	if h, ok := c.find("memory"); ok {
		return &r, checkSwapV1(h.path, &m)
	}
	if c.unified.path == "" {
		return &r, nil
	}
	return &r, completeSwapV2(c.unified.path, &m)
}

// rememberShares adds the shares to a change that ends idleness: the kernel begins with its default again.
func (c *Cgroup) rememberShares(r *specs.LinuxResources, shares *uint64) error {
	if r.CPU == nil || r.CPU.Idle == nil || *r.CPU.Idle != 0 || asks(r.CPU.Shares) || !asks(shares) {
		return nil
	}
	h, ok := c.find("cpu")
	if !ok {
		h = c.unified
	}
	now, err := readFile(h.path, "cpu.idle")
	if errors.Is(err, unix.ENOENT) || err == nil && now == "0" {
		return nil
	}
	if err != nil {
		return err
	}
	cpu := *r.CPU
	cpu.Shares = shares
	r.CPU = &cpu
	return nil
}

// checkSwapV1 finds what the kernel would only call invalid: the limit of memory and swap together must not be below
// that of memory alone.
func checkSwapV1(path string, m *specs.LinuxMemory) error {
	limit, err := presentOr(path, "memory.limit_in_bytes", m.Limit)
	if err != nil {
		return err
	}
	swap, err := presentOr(path, "memory.memsw.limit_in_bytes", m.Swap)
	switch {
	case err != nil:
		return err
	case limit <= swap:
		return nil
	case asks(m.Swap) && limit == unlimited:
		return swapFault("needs a memory limit to be counted from")
	case asks(m.Swap):
		return swapFault("counts memory and swap together and cannot be below the memory limit")
	case limit == unlimited: // then swap is set free, too
		return nil
	}
	return fault("memory.limit", "%d is above the present limit of memory and swap together, %d: raise that, too", limit, swap)
}

// completeSwapV2 adds limit to swap and swap to limit: v2 limits swap alone, so both are needed. Memory without a limit
// frees swap as well.
func completeSwapV2(path string, m *specs.LinuxMemory) error {
	limit, err := presentOr(path, "memory.max", nil)
	if err != nil {
		return err
	}
	swap, err := presentOr(path, "memory.swap.max", nil)
	if err != nil {
		return err
	}
	switch {
	case !asks(m.Limit) && limit != unlimited:
		m.Limit = signed(limit)
	case asks(m.Limit) && *m.Limit != -1 && !asks(m.Swap) && limit != unlimited && swap != unlimited:
		m.Swap = signed(limit + swap)
	}
	return nil
}

func signed(n uint64) *int64 {
	s := int64(n)
	return &s
}

// presentOr is a limit as the config has it, or as it holds when the config does not mention it: unlimited where there
// is no such file.
func presentOr(path, file string, wanted *int64) (uint64, error) {
	if asks(wanted) {
		return uint64(*wanted), nil // -1 is unlimited
	}
	text, err := readFile(path, file)
	if errors.Is(err, unix.ENOENT) || text == "max" {
		return unlimited, nil
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s/%s: %w", path, file, err)
	}
	if n >= 1<<62 { // how v1 shows that there is none: the highest number of whole pages
		n = unlimited
	}
	return n, nil
}

// compare reads the files of limits. It drops limits that hold already, and finds out what restores the others.
// systemd is told of all: it may not know what holds, and would write what it knows at its next reload.
func (c *Cgroup) compare(shares []share) ([]share, error) {
	var changed []share
	for _, s := range shares {
		d, err := openDir(s.at.path)
		if err != nil {
			return nil, fmt.Errorf("%s cgroup: %w", s.controller, err)
		}
		s.limits = compareLimits(d, s.limits, c.unit != nil)
		d.close()
		if len(s.limits) > 0 {
			changed = append(changed, s)
		}
	}
	return changed, nil
}

// compareLimits: what cannot be read cannot be restored, nor told to hold already. The kernel says why when it is
// written.
func compareLimits(d dir, limits []limit, all bool) []limit {
	var changed []limit
	for _, l := range orderSwap(d, limits) {
		old := l
		now, err := d.read(l.file)
		if errors.Is(err, unix.ENOENT) && l.alt != "" {
			old.file, old.value = l.alt, l.altValue
			now, err = d.read(l.alt)
		}
		if err == nil && l.amend == nil && now == old.value && !all {
			continue
		}
		if old.value = restoring(old.file, old.value, now); err == nil && old.value != "" {
			l.undo = []limit{{field: l.field, file: old.file, value: old.value, soft: l.soft, advisory: l.advisory}}
		}
		if l.file == "cpu.idle" && now == "0" {
			l.undo = append(l.undo, presentShares(d)...)
		}
		changed = append(changed, l)
	}
	return changed
}

// presentShares: an idle cgroup forgets them.
func presentShares(d dir) []limit {
	for _, file := range []string{"cpu.shares", "cpu.weight"} {
		if now, err := d.read(file); err == nil {
			return []limit{{field: "cpu.shares", file: file, value: now}}
		}
	}
	return nil
}

// orderSwap lets more swap come before less memory: what has to leave memory finds a place then. The other way
// round is the order anyway. (v2; on v1 the kernel accepts one order only.)
func orderSwap(d dir, limits []limit) []limit {
	const file = "memory.swap.max"
	at := slices.IndexFunc(limits, func(l limit) bool { return l.file == file })
	if at < 0 {
		return limits
	}
	now, err := presentOr(d.path, file, nil)
	if err != nil {
		return limits
	}
	wanted, err := strconv.ParseUint(limits[at].value, 10, 64)
	if err != nil {
		wanted = unlimited
	}
	if wanted <= now {
		return limits
	}
	first := []limit{limits[at]}
	return append(append(first, limits[:at]...), limits[at+1:]...)
}

// restoring is what to write into a file, which holds now, to take value back; "" if nothing does.
func restoring(file, value, now string) string {
	key, _, keyed := strings.Cut(value, " ")
	switch {
	case file == "cpu.max":
		return now
	case file == "memory.oom_control": // "oom_kill_disable 0", and more lines
		first, _, _ := strings.Cut(now, "\n")
		return strings.TrimPrefix(first, "oom_kill_disable ")
	case keyed:
		return restoringLine(file, key, value, now)
	case now == "":
		return "\n" // an empty set of processors: writing nothing would not reach the kernel
	}
	first, _, _ := strings.Cut(now, "\n") // "default 100" before the lines of devices
	return first
}

// restoringLine: a file with a line for each device (interface, …) that has a value of its own.
func restoringLine(file, key, value, now string) string {
	for line := range strings.Lines(now) {
		if strings.HasPrefix(line, key+" ") {
			return strings.TrimSuffix(line, "\n")
		}
	}
	switch {
	case strings.HasPrefix(file, "blkio."):
		return key + " 0"
	case file == "io.weight", file == "io.bfq.weight":
		return key + " default"
	}
	fields := strings.Fields(value)[1:] // "rbps=1048576"
	for _, field := range fields {
		name, _, ok := strings.Cut(field, "=")
		if !ok {
			return ""
		}
		key += " " + name + "=max"
	}
	return key
}
