package specconv

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var memoryPolicyModes = [...]constant[specs.MemoryPolicyModeType]{
	{specs.MpolDefault, unix.MPOL_DEFAULT},
	{specs.MpolBind, unix.MPOL_BIND},
	{specs.MpolInterleave, unix.MPOL_INTERLEAVE},
	{specs.MpolWeightedInterleave, unix.MPOL_WEIGHTED_INTERLEAVE},
	{specs.MpolPreferred, unix.MPOL_PREFERRED},
	{specs.MpolPreferredMany, unix.MPOL_PREFERRED_MANY},
	{specs.MpolLocal, unix.MPOL_LOCAL},
}

var memoryPolicyFlags = [...]constant[specs.MemoryPolicyFlagType]{
	{specs.MpolFNumaBalancing, unix.MPOL_F_NUMA_BALANCING},
	{specs.MpolFRelativeNodes, unix.MPOL_F_RELATIVE_NODES},
	{specs.MpolFStaticNodes, unix.MPOL_F_STATIC_NODES},
}

// MemoryPolicyMode is the mode of set_mempolicy(2) for linux.memoryPolicy.mode.
func MemoryPolicyMode(m specs.MemoryPolicyModeType) (int, bool) {
	return lookup(memoryPolicyModes[:], m)
}

// MemoryPolicyFlag is the mode flag of set_mempolicy(2) for one of linux.memoryPolicy.flags.
func MemoryPolicyFlag(f specs.MemoryPolicyFlagType) (int, bool) {
	return lookup(memoryPolicyFlags[:], f)
}

func (c *checker) memoryPolicy() {
	p := c.linux.MemoryPolicy
	if p == nil {
		return
	}
	const at = "linux.memoryPolicy"
	if _, ok := MemoryPolicyMode(p.Mode); !ok {
		unknown(&c.faults, at+".mode", p.Mode, names(memoryPolicyModes[:]))
	}
	c.list(at+".nodes", p.Nodes)
	c.policyNodes(at+".nodes", p)
	for i, f := range p.Flags {
		if _, ok := MemoryPolicyFlag(f); !ok {
			unknown(&c.faults, index(at+".flags", i), f, names(memoryPolicyFlags[:]))
		}
	}
	if slices.Contains(p.Flags, specs.MpolFStaticNodes) && slices.Contains(p.Flags, specs.MpolFRelativeNodes) {
		c.faults.add(at+".flags", "%s and %s exclude each other", specs.MpolFStaticNodes, specs.MpolFRelativeNodes)
	}
}

// policyNodes is about the modes that must and must not name nodes; with MPOL_PREFERRED it is free.
func (c *checker) policyNodes(field string, p *specs.LinuxMemoryPolicy) {
	none := strings.TrimSpace(p.Nodes) == ""
	switch p.Mode {
	case specs.MpolDefault, specs.MpolLocal:
		if !none {
			c.faults.add(field, "%q is given, and %s takes none", p.Nodes, p.Mode)
		}
	case specs.MpolBind, specs.MpolInterleave, specs.MpolWeightedInterleave, specs.MpolPreferredMany:
		if none {
			c.faults.add(field, "is missing, and %s needs it", p.Mode)
		}
	}
}
