package cgroups

import "github.com/opencontainers/runtime-spec/specs-go"

// Plan is what Create would do, from the very lists that it works through.
type Plan struct {
	Make  []string `json:"make"` // directories
	Write []Write  `json:"write"`
}

// Write is one value that Create would write.
type Write struct {
	Field   string `json:"field"` // of the config: "linux.resources.pids.limit"
	File    string `json:"file"`
	Program bool   `json:"program,omitzero"` // File is a cgroup2 directory, and Value, in the notation of v1, a rule of its device program
	Value   string `json:"value"`
}

// Plan lists what Create would do for r, in order, and touches nothing. Values that are taken over from
// parents, controllers that have to be enabled on v2 and the properties of a unit are not in it; of what a
// rootless caller turns out to have no access to nothing is done.
func (c *Cgroup) Plan(r *specs.LinuxResources) (p Plan, err error) {
	if r == nil {
		r = &specs.LinuxResources{}
	}
	devices, err := deviceRules(r.Devices)
	if err != nil {
		return p, err
	}
	shares, err := c.divide(r)
	if err != nil {
		return p, err
	}
	for _, h := range c.v1 {
		p.Make = append(p.Make, h.path)
	}
	if c.unified.path != "" {
		p.Make = append(p.Make, c.unified.path)
	}
	if h, ok := c.find("devices"); ok {
		shares = append(shares, share{at: h, limits: devicesV1(devices)})
	}
	for _, s := range shares {
		for _, l := range s.limits {
			p.Write = append(p.Write, Write{Field: "linux.resources." + l.field, File: s.at.path + "/" + l.file, Value: l.value})
		}
	}
	if _, ok := c.find("devices"); !ok && c.unified.path != "" {
		for _, l := range devicesV1(devices) {
			p.Write = append(p.Write, Write{Field: "linux.resources." + l.field, File: c.unified.path, Program: true, Value: l.file + " " + l.value})
		}
	}
	return p, nil
}
