package cgroups

import (
	"math"
	"strconv"
	"strings"

	"rt/cgroups/systemd"
)

// Versions of systemd in which properties, or values of theirs, came.
const (
	quotaPeriodSince = 242
	memoryMinSince   = 240
	cpusetSince      = 244
	idleSince        = 252
)

// propertiesOf translates limits into properties of a unit, as far as systemd of that version has them. What it knows
// nothing of it leaves alone; but a limit that it knows and was not told of, it takes away again whenever it looks at
// its units, as after a daemon-reload. read gives the present content of a control file, or "".
func propertiesOf(shares []share, version int, read func(s share, file string) string) []systemd.Property {
	var list []systemd.Property
	var quota cpuQuota
	for _, s := range shares {
		for _, l := range s.limits {
			value := l.value
			if l.amend != nil {
				value = l.amend(read(s, l.file))
			}
			if quota.take(l.file, value) {
				quota.at = s
			} else if p, ok := propertyOf(l.file, value, version); ok {
				list = append(list, p)
			} else if p, ok := propertyOf(l.alt, l.altValue, version); ok {
				list = append(list, p)
			}
		}
	}
	return append(list, quota.properties(version, read)...)
}

// propertyOf translates one control file, of either version.
func propertyOf(file, value string, version int) (p systemd.Property, ok bool) {
	switch file {
	case "memory.max":
		return number64("MemoryMax", value)
	case "memory.high":
		return number64("MemoryHigh", value)
	case "memory.low":
		return number64("MemoryLow", value)
	case "memory.swap.max":
		return number64("MemorySwapMax", value)
	case "memory.min":
		if version >= memoryMinSince {
			return number64("MemoryMin", value)
		}
	case "memory.limit_in_bytes":
		return number64("MemoryLimit", value)
	case "pids.max":
		return number64("TasksMax", value)
	case "cpu.weight":
		return number64("CPUWeight", value)
	case "cpu.idle":
		if value == "1" && version >= idleSince {
			return number64("CPUWeight", "0")
		}
	case "cpu.shares":
		return number64("CPUShares", value)
	case "io.weight":
		return number64("IOWeight", strings.TrimPrefix(value, "default "))
	case "blkio.weight":
		return number64("BlockIOWeight", value)
	case "cpuset.cpus":
		return bits("AllowedCPUs", value, version)
	case "cpuset.mems":
		return bits("AllowedMemoryNodes", value, version)
	}
	return p, false
}

// number64 is a property that takes a number. "max" and v1's -1 are infinity. A value that is no number, such as one
// for a single device, is none.
func number64(name, value string) (systemd.Property, bool) {
	if value == "max" || value == "-1" {
		return systemd.NewProperty(name, systemd.Infinity), true
	}
	n, ok := parseSize(value)
	return systemd.NewProperty(name, n), ok
}

// parseSize reads a number with the suffixes that the kernel takes (lib/cmdline.c, memparse).
func parseSize(text string) (uint64, bool) {
	shift := 0
	if n := len(text); n > 0 {
		shift = 10 * (1 + strings.IndexByte("KMGT", text[n-1]&^0x20))
	}
	if shift > 0 {
		text = text[:len(text)-1]
	}
	n, err := strconv.ParseUint(text, 10, 64)
	return n << shift, err == nil && n <= math.MaxUint64>>shift
}

// setBits: systemd knows 1<<13 processors and says no more than "out of range" to others.
const setBits = 13

// bits is a property that takes a set of numbers as bits, the lowest in the first byte.
func bits(name, list string, version int) (p systemd.Property, ok bool) {
	if version < cpusetSince {
		return p, false
	}
	set := []byte{}
	if strings.TrimSpace(list) == "" { // as it was before there was a limit
		return systemd.NewProperty(name, set), true
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.ParseUint(first, 10, setBits)
		to, err2 := strconv.ParseUint(last, 10, setBits)
		if err1 != nil || err2 != nil || to < from {
			return p, false // the kernel will say what is wrong, or knows a form that systemd does not
		}
		for n := from; n <= to; n++ {
			for uint64(len(set)) <= n/8 {
				set = append(set, 0)
			}
			set[n/8] |= 1 << (n % 8)
		}
	}
	return systemd.NewProperty(name, set), true
}

// cpuQuota brings together what the cgroup has in two numbers, and systemd in two others.
type cpuQuota struct {
	at            share
	quota, period string
}

// take takes note of a file that belongs to the quota.
func (q *cpuQuota) take(file, value string) bool {
	switch file {
	case "cpu.cfs_quota_us":
		q.quota = value
	case "cpu.cfs_period_us":
		q.period = value
	case "cpu.max":
		var period string
		q.quota, period, _ = strings.Cut(value, " ")
		if period != "" {
			q.period = period
		}
	default:
		return false
	}
	return true
}

// properties: systemd keeps the time in each second, in whole percents when it writes it down; and the period. A
// quota without a period, or the other way round, is meant with what the cgroup has.
func (q *cpuQuota) properties(version int, read func(share, string) string) []systemd.Property {
	if q.quota == "" && q.period == "" {
		return nil
	}
	var list []systemd.Property
	if q.period != "" && version >= quotaPeriodSince {
		if p, ok := number64("CPUQuotaPeriodUSec", q.period); ok {
			list = append(list, p)
		}
	}
	q.complete(read)
	if q.quota == "max" || strings.HasPrefix(q.quota, "-") {
		return append(list, systemd.NewProperty("CPUQuotaPerSecUSec", systemd.Infinity))
	}
	quota, err1 := strconv.ParseUint(q.quota, 10, 44)
	period, err2 := strconv.ParseUint(q.period, 10, 44)
	if err1 != nil || err2 != nil || period == 0 {
		return list
	}
	const second, percent = 1_000_000, 10_000
	perSecond := (quota*second + period - 1) / period
	return append(list, systemd.NewProperty("CPUQuotaPerSecUSec", (perSecond+percent-1)/percent*percent))
}

func (q *cpuQuota) complete(read func(share, string) string) {
	if q.quota == "" {
		q.quota = read(q.at, "cpu.cfs_quota_us")
	}
	if q.period == "" {
		if q.period = read(q.at, "cpu.cfs_period_us"); q.period == "" {
			_, q.period, _ = strings.Cut(read(q.at, "cpu.max"), " ")
		}
	}
	if q.quota == "" {
		q.quota = "max"
	}
	if q.period == "" {
		q.period = "100000" // the kernel's default
	}
}

// deviceAllow is an entry of the property of that name.
type deviceAllow struct{ Path, Access string }

// deviceProperties are the rules for systemd on v1, where it writes the device files itself on every daemon-reload. On
// v2 our program is the one owner: systemd never touches a program that it has not attached, and one of its own beside
// ours would only take away again what somebody lets the container have later.
func deviceProperties(set deviceSet, majors string) (list []systemd.Property, lost []string) {
	if set.allow {
		for _, e := range set.exceptions {
			lost = append(lost, ruleLine(e))
		}
		return []systemd.Property{systemd.NewProperty("DevicePolicy", "auto")}, lost
	}
	allowed := make([]deviceAllow, 0, len(set.exceptions))
	for _, e := range set.exceptions {
		path := devicePath(e.node, majors)
		if path == "" {
			lost = append(lost, ruleLine(e))
			continue
		}
		_, access, _ := strings.Cut(ruleLine(e), ":")
		_, access, _ = strings.Cut(access, " ")
		allowed = append(allowed, deviceAllow{path, access})
	}
	return []systemd.Property{systemd.NewProperty("DevicePolicy", "strict"), systemd.NewProperty("DeviceAllow", allowed)}, lost
}

// devicePath names devices as DeviceAllow does: a node by its number, all nodes of a driver by the driver's name in
// /proc/devices, or all; "" if there is no such name.
func devicePath(n deviceNode, majors string) string {
	class, heading := "char", "Character devices:"
	if n.kind == 'b' {
		class, heading = "block", "Block devices:"
	}
	switch {
	case n.major == wildcard && n.minor == wildcard:
		return class + "-*"
	case n.major == wildcard:
		return ""
	case n.minor != wildcard:
		return "/dev/" + class + "/" + strconv.FormatInt(n.major, 10) + ":" + strconv.FormatInt(n.minor, 10)
	}
	_, section, _ := strings.Cut(majors, heading)
	section, _, _ = strings.Cut(section, "\n\n")
	for line := range strings.Lines(section) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		if ok && number == strconv.FormatInt(n.major, 10) {
			return class + "-" + name
		}
	}
	return ""
}
