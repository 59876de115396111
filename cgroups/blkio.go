package cgroups

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// throttle is one of the four lists of per-device rates.
type throttle struct {
	field, v1, v2 string
	list          []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) [4]throttle {
	return [4]throttle{
		{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}

// blkioV1 translates linux.resources.blockIO into the files of the v1 blkio controller. Weights have
// two names: the CFQ scheduler's (gone in 5.0) and BFQ's.
func blkioV1(r *specs.LinuxResources) ([]limit, error) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	var limits []limit
	if asks(b.Weight) {
		v := weightString(*b.Weight)
		limits = append(limits, limit{field: "blockIO.weight", file: "blkio.weight", value: v,
			alt: "blkio.bfq.weight", altValue: v})
	}
	if asks(b.LeafWeight) {
		limits = set(limits, "blockIO.leafWeight", "blkio.leaf_weight", weightString(*b.LeafWeight))
	}
	for i, w := range b.WeightDevice {
		limits = append(limits, weightDeviceV1(fmt.Sprintf("blockIO.weightDevice[%d]", i), w)...)
	}
	for _, t := range throttles(b) {
		for i, d := range t.list {
			limits = set(limits, fmt.Sprintf("blockIO.%s[%d]", t.field, i), t.v1,
				device(d.LinuxBlockIODevice)+" "+strconv.FormatUint(d.Rate, 10))
		}
	}
	return limits, nil
}

func weightDeviceV1(field string, w specs.LinuxWeightDevice) []limit {
	var limits []limit
	if asks(w.Weight) {
		v := device(w.LinuxBlockIODevice) + " " + weightString(*w.Weight)
		limits = append(limits, limit{field: field + ".weight", file: "blkio.weight_device", value: v,
			alt: "blkio.bfq.weight_device", altValue: v})
	}
	if asks(w.LeafWeight) {
		limits = set(limits, field+".leafWeight", "blkio.leaf_weight_device",
			device(w.LinuxBlockIODevice)+" "+weightString(*w.LeafWeight))
	}
	return limits
}

// blkioV2 translates linux.resources.blockIO into the v2 io controller. BFQ takes the weight as it is;
// io.weight has another scale.
func blkioV2(r *specs.LinuxResources) ([]limit, error) {
	b := r.BlockIO
	if b == nil {
		return nil, nil
	}
	if asks(b.LeafWeight) {
		return nil, onV2("blockIO.leafWeight")
	}
	var limits []limit
	if asks(b.Weight) {
		limits = append(limits, limit{field: "blockIO.weight",
			file: "io.bfq.weight", value: weightString(*b.Weight),
			alt: "io.weight", altValue: ioWeight(*b.Weight)})
	}
	for i, w := range b.WeightDevice {
		field := fmt.Sprintf("blockIO.weightDevice[%d]", i)
		if asks(w.LeafWeight) {
			return nil, onV2(field + ".leafWeight")
		}
		if asks(w.Weight) {
			dev := device(w.LinuxBlockIODevice) + " "
			limits = append(limits, limit{field: field + ".weight",
				file: "io.bfq.weight", value: dev + weightString(*w.Weight),
				alt: "io.weight", altValue: dev + ioWeight(*w.Weight)})
		}
	}
	return append(limits, ioMax(b)...), nil
}

// ioMax: what v1 spells 0 (no limit) is "max" on v2, which refuses 0.
func ioMax(b *specs.LinuxBlockIO) []limit {
	var limits []limit
	for _, t := range throttles(b) {
		for i, d := range t.list {
			rate := "max"
			if d.Rate != 0 {
				rate = strconv.FormatUint(d.Rate, 10)
			}
			limits = set(limits, fmt.Sprintf("blockIO.%s[%d]", t.field, i), "io.max",
				device(d.LinuxBlockIODevice)+" "+t.v2+"="+rate)
		}
	}
	return limits
}

// ioWeight maps a blkio weight (10 to 1000) linearly to an io.weight (1 to 10000). BFQ's weights
// begin at 1: below 10 there is nothing lower than 1 to give.
func ioWeight(weight uint16) string {
	if weight < 10 {
		return "1"
	}
	return strconv.FormatUint(1+(uint64(weight)-10)*9999/990, 10)
}

func weightString(weight uint16) string { return strconv.FormatUint(uint64(weight), 10) }

func device(d specs.LinuxBlockIODevice) string {
	return strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10)
}

// isBlockFile tells which files the kernel refuses with ENODEV for a device that does not exist.
func isBlockFile(file string) bool {
	return strings.HasPrefix(file, "blkio.") || strings.HasPrefix(file, "io.")
}

// BlkioStats is what went to block devices, sub-cgroups included. v2 counts bytes and operations only.
type BlkioStats struct {
	IoServiceBytes []BlkioEntry `json:"ioServiceBytesRecursive,omitempty"`
	IoServiced     []BlkioEntry `json:"ioServicedRecursive,omitempty"`
	IoQueued       []BlkioEntry `json:"ioQueueRecursive,omitempty"`
	IoServiceTime  []BlkioEntry `json:"ioServiceTimeRecursive,omitempty"`
	IoWaitTime     []BlkioEntry `json:"ioWaitTimeRecursive,omitempty"`
	IoMerged       []BlkioEntry `json:"ioMergedRecursive,omitempty"`
	IoTime         []BlkioEntry `json:"ioTimeRecursive,omitempty"`
	Sectors        []BlkioEntry `json:"sectorsRecursive,omitempty"`
	PSI            *PSI         `json:"psi,omitempty"`
}

// BlkioEntry is one counter of one device.
type BlkioEntry struct {
	Major uint64 `json:"major"`
	Minor uint64 `json:"minor"`
	Op    string `json:"op,omitempty"` // Read, Write, Discard; v1 also Sync, Async, Total
	Value uint64 `json:"value"`
}

// blkioStatsV1 reads the counters of the I/O scheduler, whose files are named as for weights, and those of
// throttling where the device has no such scheduler.
func blkioStatsV1(r *reader, s *Stats) {
	b := &s.Blkio
	for _, counter := range [...]struct {
		into *[]BlkioEntry
		file string
	}{
		{&b.IoServiceBytes, "io_service_bytes"},
		{&b.IoServiced, "io_serviced"},
		{&b.IoQueued, "io_queued"},
		{&b.IoServiceTime, "io_service_time"},
		{&b.IoWaitTime, "io_wait_time"},
		{&b.IoMerged, "io_merged"},
		{&b.IoTime, "time"},
		{&b.Sectors, "sectors"},
	} {
		for _, prefix := range [...]string{"blkio.bfq.", "blkio.", "blkio.throttle."} {
			if *counter.into = r.blkioV1(prefix + counter.file + "_recursive"); len(*counter.into) > 0 {
				break
			}
		}
	}
}

// blkioV1 understands lines such as "8:0 Read 4096" and "8:0 4096"; a last one, "Total 4096", is of no device.
func (r *reader) blkioV1(file string) []BlkioEntry {
	var list []BlkioEntry
	for line := range strings.Lines(r.text(file)) {
		f := strings.Fields(line)
		if len(f) < 2 || !strings.Contains(f[0], ":") {
			continue
		}
		e := r.blkioDevice(file, f[0])
		if len(f) > 2 {
			e.Op = f[1]
		}
		e.Value = r.parse(file, f[len(f)-1])
		list = append(list, e)
	}
	return list
}

func (r *reader) blkioDevice(file, device string) BlkioEntry {
	major, minor, _ := strings.Cut(device, ":")
	return BlkioEntry{Major: r.parse(file, major), Minor: r.parse(file, minor)}
}

// ioStatsV2 understands lines such as "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0". A cost model
// adds counters that no field of the record is for.
func ioStatsV2(r *reader, s *Stats) {
	for line := range strings.Lines(r.text("io.stat")) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		e := r.blkioDevice("io.stat", f[0])
		for _, counter := range f[1:] {
			key, value, _ := strings.Cut(counter, "=")
			op, bytes := ioCounter(key)
			if op == "" {
				continue
			}
			e.Op, e.Value = op, r.parse("io.stat", value)
			if bytes {
				s.Blkio.IoServiceBytes = append(s.Blkio.IoServiceBytes, e)
			} else {
				s.Blkio.IoServiced = append(s.Blkio.IoServiced, e)
			}
		}
	}
}

func ioCounter(key string) (op string, bytes bool) {
	switch key {
	case "rbytes":
		return "Read", true
	case "wbytes":
		return "Write", true
	case "dbytes":
		return "Discard", true
	case "rios":
		return "Read", false
	case "wios":
		return "Write", false
	case "dios":
		return "Discard", false
	}
	return "", false
}
