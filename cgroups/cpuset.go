package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cpusetV1 translates linux.resources.cpu.cpus and mems into the v1 files.
func cpusetV1(r *specs.LinuxResources) ([]limit, error) {
	if r.CPU == nil {
		return nil, nil
	}
	var limits []limit
	limits = set(limits, "cpu.cpus", "cpuset.cpus", r.CPU.Cpus)
	return set(limits, "cpu.mems", "cpuset.mems", r.CPU.Mems), nil
}

// cpusetV2 writes the same files: only the inheritance differs.
func cpusetV2(r *specs.LinuxResources) ([]limit, error) { return cpusetV1(r) }

// isCpuset tells for which files the kernel compares with the parent.
func isCpuset(file string) bool { return file == "cpuset.cpus" || file == "cpuset.mems" }

// inheritCpuset gives a v1 cpuset cgroup the values of its parent where it has none: without them no
// process can enter. The parents may be new, too. On v2 the kernel does this by itself.
func inheritCpuset(h hierarchy) error {
	if _, err := cpusetValues(h, h.path); err != nil {
		return fmt.Errorf("take over the cpuset of the parent cgroup: %w", err)
	}
	return nil
}

// cpusetValues returns cpus and mems of the cgroup at path, filled in from above first where empty.
//
// A parent that was empty, and so of no use to anybody before, is told to hand its values down itself from now on: the
// kernel then looks at the siblings once, and not at each of our writes, which also rebuild its scheduling domains.
func cpusetValues(h hierarchy, path string) (values [2]string, err error) {
	d, err := openDir(path)
	if err != nil {
		return values, err
	}
	defer d.close()
	files := [2]string{"cpuset.cpus", "cpuset.mems"}
	for i, file := range files {
		if values[i], err = d.read(file); err != nil {
			return values, err
		}
	}
	if path == h.root || values[0] != "" && values[1] != "" {
		return values, nil
	}
	above, err := cpusetValues(h, parentOf(path))
	if err != nil {
		return values, err
	}
	for i, file := range files {
		if values[i] != "" || above[i] == "" {
			continue
		}
		values[i] = above[i]
		if err := d.write(file, values[i]); err != nil {
			return values, err
		}
	}
	if path != h.path {
		_ = d.write("cgroup.clone_children", "1") // without it all is the same, but slower
	}
	return values, nil
}

// CPUSetStats is which processors and memory nodes may be used, and the flags of v1.
type CPUSetStats struct {
	CPUs                  []uint16 `json:"cpus,omitempty"`
	CPUExclusive          uint64   `json:"cpu_exclusive"`
	Mems                  []uint16 `json:"mems,omitempty"`
	MemHardwall           uint64   `json:"mem_hardwall"`
	MemExclusive          uint64   `json:"mem_exclusive"`
	MemoryMigrate         uint64   `json:"memory_migrate"`
	MemorySpreadPage      uint64   `json:"memory_spread_page"`
	MemorySpreadSlab      uint64   `json:"memory_spread_slab"`
	MemoryPressure        uint64   `json:"memory_pressure"`
	SchedLoadBalance      uint64   `json:"sched_load_balance"`
	SchedRelaxDomainLevel int64    `json:"sched_relax_domain_level"`
}

func cpusetStatsV1(r *reader, s *Stats) {
	s.CPUSet = CPUSetStats{
		CPUs: r.ranges("cpuset.cpus"), CPUExclusive: r.number("cpuset.cpu_exclusive"),
		Mems: r.ranges("cpuset.mems"), MemHardwall: r.number("cpuset.mem_hardwall"),
		MemExclusive: r.number("cpuset.mem_exclusive"), MemoryMigrate: r.number("cpuset.memory_migrate"),
		MemorySpreadPage: r.number("cpuset.memory_spread_page"), MemorySpreadSlab: r.number("cpuset.memory_spread_slab"),
		MemoryPressure: r.number("cpuset.memory_pressure"), SchedLoadBalance: r.number("cpuset.sched_load_balance"),
	}
	const level = "cpuset.sched_relax_domain_level" // -1 is usual
	if text := r.text(level); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			r.fail(level, err)
		}
		s.CPUSet.SchedRelaxDomainLevel = n
	}
}

// cpusetStatsV2: what was not set is taken over from above, so only the effective sets say what holds.
func cpusetStatsV2(r *reader, s *Stats) {
	s.CPUSet.CPUs, s.CPUSet.Mems = r.ranges("cpuset.cpus.effective"), r.ranges("cpuset.mems.effective")
}

// ranges is a file such as "0-2,5".
func (r *reader) ranges(name string) []uint16 {
	text := r.text(name)
	if text == "" {
		return nil
	}
	var list []uint16
	for part := range strings.SplitSeq(text, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.ParseUint(from, 10, 16)
		last, err2 := strconv.ParseUint(to, 10, 16)
		if err != nil || err2 != nil {
			r.fail(name, fmt.Errorf("%q is no list of numbers", text))
			return nil
		}
		for n := first; n <= last; n++ {
			list = append(list, uint16(n))
		}
	}
	return list
}
