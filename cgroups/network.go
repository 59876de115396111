package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// netClsV1 translates linux.resources.network.classID; 0 is the kernel's "no class".
func netClsV1(r *specs.LinuxResources) ([]limit, error) {
	if r.Network == nil || !asks(r.Network.ClassID) {
		return nil, nil
	}
	id := strconv.FormatUint(uint64(*r.Network.ClassID), 10)
	return set(nil, "network.classID", "net_cls.classid", id), nil
}

// netClsV2: v2 has no such controller, and no other way to tag packets from a file.
func netClsV2(r *specs.LinuxResources) ([]limit, error) { return onlyV1(netClsV1(r)) }

// netPrioV1 translates linux.resources.network.priorities: one interface a write.
func netPrioV1(r *specs.LinuxResources) ([]limit, error) {
	if r.Network == nil {
		return nil, nil
	}
	var limits []limit
	for i, p := range r.Network.Priorities {
		field := fmt.Sprintf("network.priorities[%d]", i)
		if p.Name == "" || strings.ContainsAny(p.Name, " \t\n") {
			return nil, fault(field+".name", "%q is no interface name", p.Name)
		}
		limits = set(limits, field, "net_prio.ifpriomap", p.Name+" "+strconv.FormatUint(uint64(p.Priority), 10))
	}
	return limits, nil
}

// netPrioV2: see netClsV2.
func netPrioV2(r *specs.LinuxResources) ([]limit, error) { return onlyV1(netPrioV1(r)) }

// onlyV1 refuses limits that v2 has no controller for.
func onlyV1(limits []limit, err error) ([]limit, error) {
	if err != nil || len(limits) == 0 {
		return nil, err
	}
	return nil, onV2(limits[0].field)
}
