package cgroups

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// pidsV1 translates linux.resources.pids. A limit of 0 becomes 1, since systemd knows no 0 and the
// effect is the same: nothing can be forked. Below 0 means no limit.
func pidsV1(r *specs.LinuxResources) ([]limit, error) {
	if r.Pids == nil || r.Pids.Limit == nil {
		return nil, nil
	}
	l := limit{field: "pids.limit", file: "pids.max"}
	switch n := *r.Pids.Limit; {
	case n < 0:
		l.value, l.soft = "max", true
	case n == 0:
		l.value = "1"
	default:
		l.value = strconv.FormatInt(n, 10)
	}
	return []limit{l}, nil
}

// pidsV2 writes the same file.
func pidsV2(r *specs.LinuxResources) ([]limit, error) { return pidsV1(r) }

// PidsStats counts processes and threads.
type PidsStats struct {
	Current uint64 `json:"current"`
	Limit   uint64 `json:"limit"` // 0: none
}

func pidsStats(r *reader, s *Stats) {
	s.Pids = PidsStats{Current: r.number("pids.current"), Limit: r.number("pids.max")}
	if s.Pids.Limit == unlimited {
		s.Pids.Limit = 0
	}
}
