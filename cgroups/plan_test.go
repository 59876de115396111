package cgroups

import "github.com/opencontainers/runtime-spec/specs-go"

// Write is one control file that Create would write.
type Write struct {
	Field string // config field: "linux.resources.pids.limit"
	File  string // path on the host
	Value string
}

// Plan lists what Create would write for r after making the directories, in order, without touching
// anything. Values that are taken over from parents, and controllers that have to be enabled on v2, are
// not in it; device rules of v2 are shown in the notation of v1.
func (c *Cgroup) Plan(r *specs.LinuxResources) ([]Write, error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	devices, err := deviceRules(r.Devices)
	if err != nil {
		return nil, err
	}
	shares, err := c.divide(r)
	if err != nil {
		return nil, err
	}
	if h, ok := c.find("devices"); ok {
		shares = append(shares, share{at: h, limits: devicesV1(devices)})
	} else if c.unified.path != "" {
		shares = append(shares, share{at: c.unified, limits: devicesV1(devices)})
	}
	var writes []Write
	for _, s := range shares {
		for _, l := range s.limits {
			writes = append(writes, Write{"linux.resources." + l.field, s.at.path + "/" + l.file, l.value})
		}
	}
	return writes, nil
}
