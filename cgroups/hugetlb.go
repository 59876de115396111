package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hugetlbV1 translates linux.resources.hugepageLimits for v1.
func hugetlbV1(r *specs.LinuxResources) ([]limit, error) {
	return hugetlbLimits(r, ".limit_in_bytes", ".rsvd.limit_in_bytes")
}

// hugetlbV2 translates linux.resources.hugepageLimits for v2.
func hugetlbV2(r *specs.LinuxResources) ([]limit, error) {
	return hugetlbLimits(r, ".max", ".rsvd.max")
}

// hugetlbLimits limits both use and reservations. The reservation limit came later (5.7) and is an
// addition: use is limited without it, too.
func hugetlbLimits(r *specs.LinuxResources, use, reserve string) ([]limit, error) {
	limits := make([]limit, 0, 2*len(r.HugepageLimits))
	for i, h := range r.HugepageLimits {
		field := fmt.Sprintf("hugepageLimits[%d]", i)
		if !isPageSize(h.Pagesize) {
			return nil, fault(field+".pageSize", "%q is not like 64KB, 2MB or 1GB", h.Pagesize)
		}
		name, value := "hugetlb."+h.Pagesize, strconv.FormatUint(h.Limit, 10)
		limits = append(limits,
			limit{field: field + ".limit", file: name + use, value: value},
			limit{field: field + ".limit", file: name + reserve, value: value, soft: true})
	}
	return limits, nil
}

// isPageSize keeps what becomes part of a file name to the form the kernel uses.
func isPageSize(size string) bool {
	digits, ok := strings.CutSuffix(size, "B")
	if !ok || digits == "" || !strings.Contains("KMG", digits[len(digits)-1:]) {
		return false
	}
	_, err := strconv.ParseUint(digits[:len(digits)-1], 10, 32)
	return err == nil
}

// HugetlbStats is huge pages of one size, in bytes: reserved, where the kernel counts that (5.7), since a
// reservation meets its limit first.
type HugetlbStats struct {
	Usage   uint64 `json:"usage"`
	Max     uint64 `json:"max"` // v1 only
	Failcnt uint64 `json:"failcnt"`
}

func hugetlbStatsV1(r *reader, s *Stats) {
	for _, size := range r.names("hugetlb.", ".failcnt") {
		if strings.HasSuffix(size, ".rsvd") {
			continue
		}
		name := r.reserved(size, ".failcnt")
		s.Hugetlb[size] = HugetlbStats{
			Usage: r.number(name + ".usage_in_bytes"), Max: r.number(name + ".max_usage_in_bytes"), Failcnt: r.number(name + ".failcnt"),
		}
	}
}

func hugetlbStatsV2(r *reader, s *Stats) {
	for _, size := range r.names("hugetlb.", ".current") {
		if strings.HasSuffix(size, ".rsvd") {
			continue
		}
		name := r.reserved(size, ".current")
		s.Hugetlb[size] = HugetlbStats{
			Usage: r.number(name + ".current"), Failcnt: r.keyed("hugetlb." + size + ".events")["max"],
		}
	}
}

// reserved is how the files of a size begin: with the counters of reservations if there are some.
func (r *reader) reserved(size, suffix string) string {
	if name := "hugetlb." + size + ".rsvd"; r.text(name+suffix) != "" {
		return name
	}
	return "hugetlb." + size
}
