package cgroups

import (
	"fmt"

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
	if _, err := cpusetValues(h.root, h.path); err != nil {
		return fmt.Errorf("take over the cpuset of the parent cgroup: %w", err)
	}
	return nil
}

// cpusetValues returns cpus and mems of the cgroup at path, filled in from above first where empty.
func cpusetValues(root, path string) (values [2]string, err error) {
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
	if path == root || values[0] != "" && values[1] != "" {
		return values, nil
	}
	above, err := cpusetValues(root, parentOf(path))
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
	return values, nil
}
