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
