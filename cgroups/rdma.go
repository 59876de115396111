package cgroups

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// rdmaLimits translates linux.resources.rdma; v1 and v2 share the format. What is not named in a line
// keeps its value.
func rdmaLimits(r *specs.LinuxResources) ([]limit, error) {
	var limits []limit
	for _, name := range slices.Sorted(maps.Keys(r.Rdma)) {
		field := "rdma[" + strconv.Quote(name) + "]"
		if name == "" || strings.ContainsAny(name, " \t\n") {
			return nil, fault(field, "no device name")
		}
		line := name
		if n := r.Rdma[name].HcaHandles; n != nil {
			line += " hca_handle=" + strconv.FormatUint(uint64(*n), 10)
		}
		if n := r.Rdma[name].HcaObjects; n != nil {
			line += " hca_object=" + strconv.FormatUint(uint64(*n), 10)
		}
		if line != name {
			limits = set(limits, field, "rdma.max", line)
		}
	}
	return limits, nil
}
