package cgroups

import (
	"errors"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// memoryV1 translates linux.resources.memory into the files of the v1 memory controller.
func memoryV1(r *specs.LinuxResources) ([]limit, error) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	var limits []limit
	if m.UseHierarchy != nil && *m.UseHierarchy {
		// Before any limit: old kernels want it while the cgroup is still unused; since 5.11 it is
		// always on and the file accepts only 1.
		limits = set(limits, "memory.useHierarchy", "memory.use_hierarchy", "1")
	}
	limits = set(limits, "memory.limit", "memory.limit_in_bytes", number(m.Limit))
	limits = append(limits, swapV1(m)...)
	limits = set(limits, "memory.reservation", "memory.soft_limit_in_bytes", number(m.Reservation))
	if kernel := number(kernelMemory(m)); kernel != "" {
		limits = append(limits, limit{
			field: "memory.kernel", file: "memory.kmem.limit_in_bytes", value: kernel, advisory: true,
		})
	}
	limits = set(limits, "memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes", number(m.KernelTCP))
	if swappiness, ok := swappiness(m); ok {
		limits = set(limits, "memory.swappiness", "memory.swappiness", swappiness)
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		limits = set(limits, "memory.disableOOMKiller", "memory.oom_control", "1")
	}
	return limits, nil
}

// swapV1: the v1 limit counts memory and swap together, as the config does. Unlimited memory frees
// swap as well, unless something else was asked for; and without swap accounting it is free anyway.
func swapV1(m *specs.LinuxMemory) []limit {
	swap := number(m.Swap)
	if swap == "" && number(m.Limit) == "-1" {
		swap = "-1"
	}
	if swap == "" {
		return nil
	}
	return []limit{{
		field: "memory.swap", file: "memory.memsw.limit_in_bytes", value: swap, soft: swap == "-1",
	}}
}

// swappiness: -1 as an unsigned number is how old Docker clients say "default".
func swappiness(m *specs.LinuxMemory) (string, bool) {
	if m.Swappiness == nil || *m.Swappiness == 1<<64-1 {
		return "", false
	}
	return strconv.FormatUint(*m.Swappiness, 10), true
}

// memoryV2 translates linux.resources.memory into the v2 interface.
func memoryV2(r *specs.LinuxResources) ([]limit, error) {
	m := r.Memory
	if m == nil {
		return nil, nil
	}
	if err := memoryOnlyV1(m); err != nil {
		return nil, err
	}
	swap, err := swapV2(m)
	if err != nil {
		return nil, err
	}
	limits := []limit{
		{field: "memory.limit", file: "memory.max", value: numberV2(m.Limit)},
		// memory.swap.max does not exist without swap: then nothing can be swapped out anyway.
		{field: "memory.swap", file: "memory.swap.max", value: swap, soft: swap == "max" || swap == "0"},
		{field: "memory.reservation", file: "memory.low", value: numberV2(m.Reservation)},
	}
	limits[0].soft = limits[0].value == "max"
	if m.CheckBeforeUpdate != nil && *m.CheckBeforeUpdate {
		limits[0].usage = "memory.current"
		limits[1].usage = "memory.swap.current"
	}
	limits = withoutEmpty(limits)
	for _, old := range []struct {
		field string
		value *int64
	}{{"memory.kernel", kernelMemory(m)}, {"memory.kernelTCP", m.KernelTCP}} {
		if asks(old.value) && *old.value != -1 {
			limits = append(limits, limit{
				field: old.field, file: "memory.kmem.limit_in_bytes", value: number(old.value), advisory: true,
			})
		}
	}
	return limits, nil
}

// kernelMemory is deprecated, yet configs have it: on v1 it is given while the kernel takes it.
func kernelMemory(m *specs.LinuxMemory) *int64 {
	//lint:ignore SA1019 a config may still ask for it
	return m.Kernel
}

// memoryOnlyV1 refuses what v2 has no file for.
func memoryOnlyV1(m *specs.LinuxMemory) error {
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		return onV2("memory.disableOOMKiller")
	}
	if _, ok := swappiness(m); ok {
		return onV2("memory.swappiness")
	}
	return nil
}

// swapV2 converts memory+swap, as the config has it, to swap alone, as v2 has it.
func swapV2(m *specs.LinuxMemory) (string, error) {
	if !asks(m.Swap) {
		if m.Limit != nil && *m.Limit == -1 {
			return "max", nil
		}
		return "", nil
	}
	switch {
	case *m.Swap == -1:
		return "max", nil
	case !asks(m.Limit), *m.Limit == -1:
		return "", swapFault("needs a memory limit to be counted from")
	case *m.Swap < *m.Limit:
		return "", swapFault("counts memory and swap together and cannot be below the memory limit")
	}
	return strconv.FormatInt(*m.Swap-*m.Limit, 10), nil
}

func swapFault(why string) error { return fault("memory.swap", "%w", errors.New(why)) }

// withoutEmpty drops limits that have nothing to write.
func withoutEmpty(limits []limit) []limit {
	kept := limits[:0]
	for _, l := range limits {
		if l.value != "" {
			kept = append(kept, l)
		}
	}
	return kept
}

// isMemoryLimit tells for which files EBUSY means that the limit is below the present use.
func isMemoryLimit(file string) bool {
	return file == "memory.limit_in_bytes" || file == "memory.memsw.limit_in_bytes"
}

// MemoryStats is memory in bytes.
type MemoryStats struct {
	Cache     uint64            `json:"cache"`
	Usage     MemoryEntry       `json:"usage"`
	Swap      MemoryEntry       `json:"swap"` // memory and swap together, as v1 counts and the config limits
	Kernel    MemoryEntry       `json:"kernel"`
	KernelTCP MemoryEntry       `json:"kernelTCP"`
	Raw       map[string]uint64 `json:"raw,omitempty"` // memory.stat
	PSI       *PSI              `json:"psi,omitempty"`
}

// MemoryEntry is one kind of memory: its use now and at most, and how often the limit was hit.
type MemoryEntry struct {
	Limit   uint64 `json:"limit"`
	Usage   uint64 `json:"usage"`
	Max     uint64 `json:"max"`
	Failcnt uint64 `json:"failcnt"`
}

func memoryStatsV1(r *reader, s *Stats) {
	m := &s.Memory
	m.Raw = r.keyed("memory.stat")
	m.Cache = m.Raw["cache"]
	m.Usage = r.memoryV1("memory")
	m.Swap = r.memoryV1("memory.memsw")
	m.Kernel = r.memoryV1("memory.kmem")
	m.KernelTCP = r.memoryV1("memory.kmem.tcp")
}

func (r *reader) memoryV1(prefix string) MemoryEntry {
	return MemoryEntry{
		Limit: r.number(prefix + ".limit_in_bytes"), Usage: r.number(prefix + ".usage_in_bytes"),
		Max: r.number(prefix + ".max_usage_in_bytes"), Failcnt: r.number(prefix + ".failcnt"),
	}
}

// memoryStatsV2 leaves all at 0 where the controller is not enabled.
func memoryStatsV2(r *reader, s *Stats) {
	m := &s.Memory
	if m.Raw = r.keyed("memory.stat"); len(m.Raw) == 0 {
		return
	}
	m.Cache = m.Raw["file"]
	m.Usage = r.memoryV2("memory")
	m.Swap = together(m.Usage, r.memoryV2("memory.swap"))
	m.Kernel = MemoryEntry{Limit: unlimited, Usage: m.Raw["kernel"]} // counted in memory.current, without a limit of its own
	m.KernelTCP = MemoryEntry{Limit: unlimited, Usage: m.Raw["sock"]}
}

// memoryV2: the peak is there since Linux 5.19, that of swap since 6.5.
func (r *reader) memoryV2(prefix string) MemoryEntry {
	return MemoryEntry{
		Limit: r.number(prefix + ".max"), Usage: r.number(prefix + ".current"),
		Max: r.number(prefix + ".peak"), Failcnt: r.keyed(prefix + ".events")["max"],
	}
}

// together adds swap to memory. The peaks need not have been at the same time: their sum says nothing.
func together(memory, swap MemoryEntry) MemoryEntry {
	sum := MemoryEntry{Limit: unlimited, Usage: memory.Usage + swap.Usage, Failcnt: swap.Failcnt}
	if memory.Limit != unlimited && swap.Limit != unlimited {
		sum.Limit = memory.Limit + swap.Limit
	}
	return sum
}
