package specconv

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// cgroupsPath refuses what would leave the place meant for containers. The three parts that the systemd
// manager wants (slice:prefix:name) are for package cgroups to take apart.
func (c *checker) cgroupsPath() {
	p := c.linux.CgroupsPath
	if slices.Contains(strings.Split(p, "/"), "..") {
		c.faults.add("linux.cgroupsPath", `%q has a ".." in it`, p)
	}
	if strings.ContainsAny(p, "\x00\n") {
		c.faults.add("linux.cgroupsPath", "%q has a NUL byte or a newline in it", p)
	}
}

// resources checks what can be known without the kernel. Whether a limit fits the machine is for the
// kernel to say, when package cgroups writes it.
func (c *checker) resources() {
	r := c.linux.Resources
	if r == nil {
		return
	}
	for i := range r.Devices {
		c.deviceRule(i, &r.Devices[i])
	}
	c.memory(r.Memory)
	c.cpu(r.CPU)
	c.blockIO(r.BlockIO)
	for i := range r.HugepageLimits {
		if size := r.HugepageLimits[i].Pagesize; !isPageSize(size) {
			c.faults.add(index("linux.resources.hugepageLimits", i)+".pageSize", "%q is not a size like 2MB", size)
		}
	}
	c.network(r.Network)
	for _, device := range sortedKeys(r.Rdma) {
		c.rdma(device, r.Rdma[device])
	}
	c.unified(r.Unified)
}

func (c *checker) memory(m *specs.LinuxMemory) {
	if m == nil {
		return
	}
	for _, limit := range [...]struct {
		name  string
		value *int64
	}{
		{"limit", m.Limit},
		{"reservation", m.Reservation},
		{"swap", m.Swap},
		//lint:ignore SA1019 deprecated, and still written by engines
		{"kernel", m.Kernel},
		{"kernelTCP", m.KernelTCP},
	} {
		if limit.value != nil && *limit.value < -1 {
			c.faults.add("linux.resources.memory."+limit.name, "%d is neither a size nor -1 for none", *limit.value)
		}
	}
	if m.Limit != nil && m.Swap != nil && *m.Swap > 0 && *m.Limit > *m.Swap {
		c.faults.add("linux.resources.memory.swap", "%d is below limit, %d; it counts memory and swap together", *m.Swap, *m.Limit)
	}
	if m.Swappiness != nil && *m.Swappiness > 100 {
		c.faults.add("linux.resources.memory.swappiness", "%d is above 100", *m.Swappiness)
	}
}

func (c *checker) cpu(p *specs.LinuxCPU) {
	if p == nil {
		return
	}
	c.list("linux.resources.cpu.cpus", p.Cpus)
	c.list("linux.resources.cpu.mems", p.Mems)
	if p.Burst != nil && p.Quota != nil && *p.Quota > 0 && *p.Burst > uint64(*p.Quota) {
		c.faults.add("linux.resources.cpu.burst", "%d is above quota, %d", *p.Burst, *p.Quota)
	}
	if p.Idle != nil && *p.Idle != 0 && *p.Idle != 1 {
		c.faults.add("linux.resources.cpu.idle", "%d is neither 0 nor 1", *p.Idle)
	}
}

func (c *checker) blockIO(b *specs.LinuxBlockIO) {
	if b == nil {
		return
	}
	const at = "linux.resources.blockIO"
	for i := range b.WeightDevice {
		d, field := &b.WeightDevice[i], index(at+".weightDevice", i)
		c.blockDevice(field, d.LinuxBlockIODevice)
		if d.Weight == nil && d.LeafWeight == nil {
			c.faults.add(field, "has neither weight nor leafWeight")
		}
	}
	for _, t := range [...]struct {
		name string
		list []specs.LinuxThrottleDevice
	}{
		{"throttleReadBpsDevice", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", b.ThrottleWriteIOPSDevice},
	} {
		for i := range t.list {
			c.blockDevice(index(at+"."+t.name, i), t.list[i].LinuxBlockIODevice)
		}
	}
}

func (c *checker) blockDevice(at string, d specs.LinuxBlockIODevice) {
	c.deviceNumber(at+".major", d.Major, maxMajor)
	c.deviceNumber(at+".minor", d.Minor, maxMinor)
}

// isPageSize knows the sizes in the names of hugetlb files: 64KB, 2MB, 1GB.
func isPageSize(s string) bool {
	for _, unit := range [...]string{"KB", "MB", "GB", "TB"} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			return isNumber(n) && n != "0"
		}
	}
	return false
}

func (c *checker) network(n *specs.LinuxNetwork) {
	if n == nil {
		return
	}
	for i := range n.Priorities {
		if name := n.Priorities[i].Name; !isNetDevice(name) {
			c.faults.add(index("linux.resources.network.priorities", i)+".name", "%q is no name of a network device", name)
		}
	}
}

func (c *checker) rdma(device string, limit specs.LinuxRdma) {
	field := key("linux.resources.rdma", device)
	if device == "" || strings.ContainsAny(device, "/ \n\x00") {
		c.faults.add(field, "is no name of a device")
	}
	if limit.HcaHandles == nil && limit.HcaObjects == nil {
		c.faults.add(field, "has neither hcaHandles nor hcaObjects")
	}
}

// unified keys become file names inside the container's cgroup, so they must stay inside it.
func (c *checker) unified(files map[string]string) {
	if len(files) > 0 && !c.host.CgroupV2 {
		c.faults.add("linux.resources.unified", "needs a host with the unified cgroup hierarchy (v2)")
	}
	for _, file := range sortedKeys(files) {
		if strings.ContainsAny(file, "/\x00\n") || strings.Contains(file, "..") || strings.Count(file, ".") == 0 {
			c.faults.add(key("linux.resources.unified", file), "is not a file name like memory.high")
		}
	}
}

// ValidateResources is Validate for a linux.resources object of its own, which is given to a container that runs
// already.
func ValidateResources(r *specs.LinuxResources, h Host) error {
	c := &checker{spec: &specs.Spec{}, linux: &specs.Linux{Resources: r}, host: h}
	c.resources()
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}
