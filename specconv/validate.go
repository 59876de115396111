package specconv

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Host is what Validate has to be told about the machine.
type Host struct {
	// CgroupV2 is true if the host has the unified cgroup hierarchy alone.
	CgroupV2 bool
	// Rootless is true if rt's effective user id is not 0, so that nothing works without a user
	// namespace. It is not the --rootless flag, which is about cgroups: Podman starts rt as root of
	// a user namespace that it made itself, and then the config names none.
	Rootless bool
	// LastCap is the highest capability of the kernel (/proc/sys/kernel/cap_last_cap); 0 means unknown.
	LastCap int
}

// checker holds what the checks of one config share.
type checker struct {
	spec *specs.Spec
	// linux is spec.Linux or, for a config without it, an empty one.
	linux  *specs.Linux
	host   Host
	faults Faults
}

// Validate finds everything that is wrong with spec and that can be known without looking at the
// filesystem. The error is a Faults. A config without a process is valid: it can be created, though
// not started.
func Validate(spec *specs.Spec, h Host) error {
	c := &checker{spec: spec, linux: spec.Linux, host: h}
	if c.linux == nil {
		c.linux = &specs.Linux{}
	}
	c.version()
	c.root()
	c.mounts()
	c.process()
	c.names()
	c.hooks()
	c.annotations()
	c.namespaces()
	c.mappings()
	c.timeOffsets()
	c.netDevices()
	c.devices()
	c.cgroupsPath()
	c.resources()
	c.intelRdt()
	c.mountLabel()
	c.memoryPolicy()
	c.personality()
	c.sysctl()
	c.seccomp()
	c.rootfsPropagation()
	c.hiddenPaths()
	c.unsupported()
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

// ValidateProcess is Validate for a process that is executed in a container that runs already.
func ValidateProcess(p *specs.Process, h Host) error {
	c := &checker{spec: &specs.Spec{Process: p}, linux: &specs.Linux{}, host: h}
	c.process()
	c.unsupported()
	if len(c.faults) == 0 {
		return nil
	}
	return c.faults
}

// Warnings is what the specification says must be mentioned but must not stop the container, and what
// it has deprecated.
func Warnings(spec *specs.Spec, h Host) Faults {
	var w Faults
	if spec.Process != nil && spec.Process.Capabilities != nil {
		warnCapabilities(&w, spec.Process.Capabilities, h.LastCap)
	}
	for i := range spec.Mounts {
		if d := spec.Mounts[i].Destination; d != "" && d[0] != '/' {
			w.add(index("mounts", i)+".destination", "%q is relative, which is deprecated; taken as relative to /", d)
		}
	}
	return w
}

// root is about the root filesystem itself. Whether the directory is there is for libcontainer to find.
func (c *checker) root() {
	switch r := c.spec.Root; {
	case r == nil:
		c.faults.add("root", "is missing")
	case r.Path == "":
		c.faults.add("root.path", "is missing")
	default:
		c.text("root.path", r.Path)
	}
}

// names is about hostname and domainname, which the kernel keeps in 64 bytes each.
func (c *checker) names() {
	for _, n := range [...]struct{ field, name string }{
		{"hostname", c.spec.Hostname},
		{"domainname", c.spec.Domainname},
	} {
		if n.name == "" {
			continue
		}
		c.text(n.field, n.name)
		if len(n.name) > 64 {
			c.faults.add(n.field, "has %d bytes, the kernel takes 64", len(n.name))
		}
		if c.namespace(specs.UTSNamespace) == nil {
			c.faults.add(n.field, "needs a uts namespace in linux.namespaces, or it would be the host's")
		}
	}
}

func (c *checker) annotations() {
	if _, ok := c.spec.Annotations[""]; ok {
		c.faults.add("annotations", "has an empty key")
	}
}

// text refuses what the kernel would silently cut short.
func (c *checker) text(field, s string) {
	if strings.IndexByte(s, 0) >= 0 {
		c.faults.add(field, "%q holds a NUL byte", s)
	}
}

func (c *checker) texts(field string, list []string) {
	for i, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			c.text(index(field, i), s)
		}
	}
}

// absolute reports whether path is usable as an absolute path.
func (c *checker) absolute(field, path string) bool {
	switch {
	case path == "":
		c.faults.add(field, "is missing")
	case path[0] != '/':
		c.faults.add(field, "%q is not an absolute path", path)
	case strings.IndexByte(path, 0) >= 0:
		c.text(field, path)
	default:
		return true
	}
	return false
}

// sortedKeys gives the faults of a JSON object a stable order.
func sortedKeys[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}
