package specconv

// optional is the fields that a runtime may leave out, and whether this one has them. Asking for one that
// is not supported is a fault, never silently less than was asked; Features reads the same table.
var optional = [...]struct {
	field     string
	supported bool
	asked     func(c *checker) bool
}{
	{"process.apparmorProfile", true, func(c *checker) bool { return c.spec.Process != nil && c.spec.Process.ApparmorProfile != "" }},
	{"process.selinuxLabel", true, func(c *checker) bool { return c.spec.Process != nil && c.spec.Process.SelinuxLabel != "" }},
	{"process.scheduler", true, func(c *checker) bool { return c.spec.Process != nil && c.spec.Process.Scheduler != nil }},
	{"process.ioPriority", true, func(c *checker) bool { return c.spec.Process != nil && c.spec.Process.IOPriority != nil }},
	{"linux.mountLabel", true, func(c *checker) bool { return c.linux.MountLabel != "" }},
	{"linux.intelRdt", true, func(c *checker) bool { return c.linux.IntelRdt != nil }},
	{"linux.memoryPolicy", true, func(c *checker) bool { return c.linux.MemoryPolicy != nil }},
	{"linux.personality", true, func(c *checker) bool { return c.linux.Personality != nil }},
	{"linux.netDevices", true, func(c *checker) bool { return len(c.linux.NetDevices) > 0 }},
	{"linux.seccomp.listenerPath", true, func(c *checker) bool { return c.linux.Seccomp != nil && c.linux.Seccomp.ListenerPath != "" }},
	{"linux.resources.rdma", true, func(c *checker) bool { return c.linux.Resources != nil && len(c.linux.Resources.Rdma) > 0 }},
	{"linux.resources.network", true, func(c *checker) bool { return c.linux.Resources != nil && c.linux.Resources.Network != nil }},
}

func (c *checker) unsupported() {
	for i := range optional {
		if o := &optional[i]; !o.supported && o.asked(c) {
			c.faults.add(o.field, "is not supported")
		}
	}
}

// supports is for fields in the table above.
func supports(field string) bool {
	for i := range optional {
		if optional[i].field == field {
			return optional[i].supported
		}
	}
	return false
}
