package cgroups

import (
	"math"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The kernel silently clamps cpu.shares to this range (kernel/sched/sched.h, MIN_SHARES, MAX_SHARES).
const (
	minShares = 2
	maxShares = 1 << 18
)

// cpuV1 translates linux.resources.cpu, without the cpuset, into the files of the v1 cpu controller.
func cpuV1(r *specs.LinuxResources) ([]limit, error) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	var limits []limit
	if asks(c.Shares) {
		if *c.Shares < minShares || *c.Shares > maxShares {
			return nil, fault("cpu.shares", "%d is not within %d and %d", *c.Shares, minShares, maxShares)
		}
		limits = set(limits, "cpu.shares", "cpu.shares", unsigned(c.Shares))
	}
	limits = set(limits, "cpu.period", "cpu.cfs_period_us", unsigned(c.Period))
	limits = set(limits, "cpu.quota", "cpu.cfs_quota_us", number(c.Quota))
	limits = burst(limits, c, "cpu.cfs_burst_us")
	limits = set(limits, "cpu.realtimePeriod", "cpu.rt_period_us", unsigned(c.RealtimePeriod))
	limits = set(limits, "cpu.realtimeRuntime", "cpu.rt_runtime_us", number(c.RealtimeRuntime))
	return idle(limits, c), nil
}

// cpuV2 translates linux.resources.cpu, without the cpuset, into the v2 interface.
func cpuV2(r *specs.LinuxResources) ([]limit, error) {
	c := r.CPU
	if c == nil {
		return nil, nil
	}
	if asks(c.RealtimePeriod) {
		return nil, onV2("cpu.realtimePeriod")
	}
	if asks(c.RealtimeRuntime) {
		return nil, onV2("cpu.realtimeRuntime")
	}
	var limits []limit
	if asks(c.Shares) {
		limits = set(limits, "cpu.shares", "cpu.weight", strconv.FormatUint(sharesToWeight(*c.Shares), 10))
	}
	limits = append(limits, cpuMax(c)...)
	limits = burst(limits, c, "cpu.max.burst")
	return idle(limits, c), nil
}

// sharesToWeight maps v1 shares (2 to 262144, default 1024) to a v2 weight (1 to 10000, default 100)
// by the curve that all engines use since 2025: a parabola on logarithmic scales through these three points.
func sharesToWeight(shares uint64) uint64 {
	switch {
	case shares <= minShares:
		return 1
	case shares >= maxShares:
		return 10000
	}
	l := math.Log2(float64(shares))
	return uint64(math.Ceil(math.Pow(10, (l*l+125*l)/612-7.0/34)))
}

// cpuMax writes quota and period together. A quota alone leaves the period as it is; a period alone
// needs the present quota.
func cpuMax(c *specs.LinuxCPU) []limit {
	quota := ""
	if asks(c.Quota) {
		quota = "max"
		if *c.Quota > 0 {
			quota = strconv.FormatInt(*c.Quota, 10)
		}
	}
	period := unsigned(c.Period)
	switch {
	case quota == "" && period == "":
		return nil
	case quota == "":
		return []limit{{field: "cpu.period", file: "cpu.max", value: period, amend: func(current string) string {
			present, _, _ := strings.Cut(current, " ")
			return present + " " + period
		}}}
	case period == "":
		return []limit{{field: "cpu.quota", file: "cpu.max", value: quota, soft: quota == "max"}}
	}
	return []limit{{field: "cpu.quota", file: "cpu.max", value: quota + " " + period}}
}

// burst: zero is what a kernel without the file (before 5.14) does anyway.
func burst(limits []limit, c *specs.LinuxCPU, file string) []limit {
	if c.Burst == nil {
		return limits
	}
	return append(limits, limit{
		field: "cpu.burst", file: file, value: strconv.FormatUint(*c.Burst, 10), soft: *c.Burst == 0,
	})
}

// idle goes before the shares when it is switched off and after them when it is switched on: an idle
// cgroup refuses a weight.
func idle(limits []limit, c *specs.LinuxCPU) []limit {
	if c.Idle == nil {
		return limits
	}
	l := limit{field: "cpu.idle", file: "cpu.idle", value: strconv.FormatInt(*c.Idle, 10), soft: *c.Idle == 0}
	if *c.Idle == 0 {
		return append([]limit{l}, limits...)
	}
	return append(limits, l)
}

// unsigned formats a number; 0 asks for nothing.
func unsigned(n *uint64) string {
	if n == nil || *n == 0 {
		return ""
	}
	return strconv.FormatUint(*n, 10)
}

// CPUStats is processor time, in nanoseconds.
type CPUStats struct {
	Usage      CPUUsage   `json:"usage"`
	Throttling Throttling `json:"throttling"`
	PSI        *PSI       `json:"psi,omitempty"`
}

// CPUUsage is the time used; by processor only on v1.
type CPUUsage struct {
	Total        uint64   `json:"total"`
	Percpu       []uint64 `json:"percpu,omitempty"`
	PercpuKernel []uint64 `json:"percpu_kernel,omitempty"`
	PercpuUser   []uint64 `json:"percpu_user,omitempty"`
	Kernel       uint64   `json:"kernel"`
	User         uint64   `json:"user"`
}

// Throttling is what the quota did: of how many periods, how many were cut short, and the time lost.
type Throttling struct {
	Periods          uint64 `json:"periods"`
	ThrottledPeriods uint64 `json:"throttledPeriods"`
	ThrottledTime    uint64 `json:"throttledTime"`
}

// tick is the unit of cpuacct.stat: USER_HZ is 100 on every architecture that has cgroups.
const tick = 1e9 / 100

func cpuacctStatsV1(r *reader, s *Stats) {
	u := &s.CPU.Usage
	u.Total = r.number("cpuacct.usage")
	u.Percpu = r.list("cpuacct.usage_percpu")
	split := r.keyed("cpuacct.stat")
	u.Kernel, u.User = split["system"]*tick, split["user"]*tick
	// A heading, "cpu user system", and a line for each processor.
	_, lines, _ := strings.Cut(r.text("cpuacct.usage_all"), "\n")
	for line := range strings.Lines(lines) {
		if f := strings.Fields(line); len(f) == 3 {
			u.PercpuUser = append(u.PercpuUser, r.parse("cpuacct.usage_all", f[1]))
			u.PercpuKernel = append(u.PercpuKernel, r.parse("cpuacct.usage_all", f[2]))
		}
	}
}

// cpuStatsV2: the time used is counted in every v2 cgroup, in microseconds.
func cpuStatsV2(r *reader, s *Stats) {
	stat := r.keyed("cpu.stat")
	s.CPU.Usage = CPUUsage{
		Total: stat["usage_usec"] * 1000, User: stat["user_usec"] * 1000, Kernel: stat["system_usec"] * 1000,
	}
}

func throttlingV1(r *reader, s *Stats) {
	stat := r.keyed("cpu.stat")
	s.CPU.Throttling = Throttling{stat["nr_periods"], stat["nr_throttled"], stat["throttled_time"]}
}

func throttlingV2(r *reader, s *Stats) {
	stat := r.keyed("cpu.stat")
	s.CPU.Throttling = Throttling{stat["nr_periods"], stat["nr_throttled"], stat["throttled_usec"] * 1000}
}
