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

// RdmaStats is what is used of one device, and how much may be; 18446744073709551615 is no limit.
type RdmaStats struct {
	Usage RdmaEntry `json:"usage"`
	Limit RdmaEntry `json:"limit"`
}

// RdmaEntry counts handles and objects of an adapter.
type RdmaEntry struct {
	HcaHandles uint64 `json:"hcaHandles"`
	HcaObjects uint64 `json:"hcaObjects"`
}

func rdmaStats(r *reader, s *Stats) {
	used, limits := r.rdma("rdma.current"), r.rdma("rdma.max")
	for name := range used {
		if s.Rdma == nil {
			s.Rdma = map[string]RdmaStats{}
		}
		s.Rdma[name] = RdmaStats{Usage: used[name], Limit: limits[name]}
	}
}

// rdma understands lines such as "mlx5_0 hca_handle=2 hca_object=max".
func (r *reader) rdma(file string) map[string]RdmaEntry {
	devices := map[string]RdmaEntry{}
	for line := range strings.Lines(r.text(file)) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		var e RdmaEntry
		for _, field := range f[1:] {
			switch key, value, _ := strings.Cut(field, "="); key {
			case "hca_handle":
				e.HcaHandles = r.parse(file, value)
			case "hca_object":
				e.HcaObjects = r.parse(file, value)
			}
		}
		devices[f[0]] = e
	}
	return devices
}
