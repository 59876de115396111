package specconv

import (
	"math"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// namespaceTypes is sorted, for Features.
var namespaceTypes = [...]specs.LinuxNamespaceType{
	specs.CgroupNamespace,
	specs.IPCNamespace,
	specs.MountNamespace,
	specs.NetworkNamespace,
	specs.PIDNamespace,
	specs.TimeNamespace,
	specs.UserNamespace,
	specs.UTSNamespace,
}

// maxExtents is the kernel's UID_GID_MAP_MAX_EXTENTS.
const maxExtents = 340

// namespace is the container's own namespace of a type, new or joined; nil means that it has the host's.
func (c *checker) namespace(t specs.LinuxNamespaceType) *specs.LinuxNamespace {
	for i := range c.linux.Namespaces {
		if c.linux.Namespaces[i].Type == t {
			return &c.linux.Namespaces[i]
		}
	}
	return nil
}

// isNew reports whether the container gets a fresh namespace of a type.
func (c *checker) isNew(t specs.LinuxNamespaceType) bool {
	ns := c.namespace(t)
	return ns != nil && ns.Path == ""
}

func (c *checker) namespaces() {
	list := c.linux.Namespaces
	for i := range list {
		at := "linux.namespaces"
		if !slices.Contains(namespaceTypes[:], list[i].Type) {
			unknown(&c.faults, index(at, i)+".type", list[i].Type, namespaceTypes[:])
		}
		if list[i].Path != "" {
			c.absolute(index(at, i)+".path", list[i].Path)
		}
		for j := range i {
			if list[j].Type == list[i].Type {
				c.faults.add(index(at, i)+".type", "%q was given before, in %s", string(list[i].Type), index(at, j))
				break
			}
		}
	}
	if c.host.Rootless && c.namespace(specs.UserNamespace) == nil {
		c.faults.add("linux.namespaces", "has no user namespace, without which an ordinary user can make no container")
	}
}

// uidMappings is how the container's user namespace maps users, or nil if it has none of its own or the
// config does not tell.
func (c *checker) uidMappings() []specs.LinuxIDMapping {
	if c.namespace(specs.UserNamespace) == nil {
		return nil
	}
	return c.linux.UIDMappings
}

func (c *checker) gidMappings() []specs.LinuxIDMapping {
	if c.namespace(specs.UserNamespace) == nil {
		return nil
	}
	return c.linux.GIDMappings
}

// mapped reports whether a container id is in a map; no map means that nothing is known.
func mapped(id uint32, m []specs.LinuxIDMapping) bool {
	for _, e := range m {
		if id >= e.ContainerID && id-e.ContainerID < e.Size {
			return true
		}
	}
	return len(m) == 0
}

func (c *checker) mappings() {
	userns := c.namespace(specs.UserNamespace)
	for _, m := range [...]struct {
		field string
		list  []specs.LinuxIDMapping
	}{
		{"linux.uidMappings", c.linux.UIDMappings},
		{"linux.gidMappings", c.linux.GIDMappings},
	} {
		switch {
		case userns == nil && len(m.list) > 0:
			c.faults.add(m.field, "needs a user namespace in linux.namespaces")
		case userns != nil && userns.Path == "" && len(m.list) == 0:
			c.faults.add(m.field, "is missing, and the new user namespace would have no ids")
		case userns != nil && !mapped(0, m.list):
			c.faults.add(m.field, "does not map 0, which the container is set up as")
		}
		c.idMap(m.field, m.list)
	}
}

// idMap checks what the kernel checks when a map is written, where all it says is EINVAL.
func (c *checker) idMap(field string, m []specs.LinuxIDMapping) {
	if len(m) > maxExtents {
		c.faults.add(field, "has %d entries, the kernel takes %d", len(m), maxExtents)
		return
	}
	for i := range m {
		switch e := &m[i]; {
		case e.Size == 0:
			c.faults.add(index(field, i)+".size", "is 0 or missing")
		case tooFar(e.ContainerID, e.Size):
			c.faults.add(index(field, i), "containerID %d and size %d go beyond the last id, %d", e.ContainerID, e.Size, uint32(maxID))
		case tooFar(e.HostID, e.Size):
			c.faults.add(index(field, i), "hostID %d and size %d go beyond the last id, %d", e.HostID, e.Size, uint32(maxID))
		}
		for j := range i {
			if a, b := &m[i], &m[j]; overlap(a.ContainerID, b.ContainerID, a.Size, b.Size) || overlap(a.HostID, b.HostID, a.Size, b.Size) {
				c.faults.add(index(field, i), "overlaps %s", index(field, j))
				break
			}
		}
	}
}

func tooFar(first, size uint32) bool { return uint64(first)+uint64(size) > math.MaxUint32 }

func overlap(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

func (c *checker) timeOffsets() {
	if len(c.linux.TimeOffsets) == 0 {
		return
	}
	if !c.isNew(specs.TimeNamespace) {
		c.faults.add("linux.timeOffsets", "needs a new time namespace in linux.namespaces")
	}
	for _, clock := range sortedKeys(c.linux.TimeOffsets) {
		field := key("linux.timeOffsets", clock)
		if clock != "monotonic" && clock != "boottime" {
			c.faults.add(field, "is not a clock with an offset, only monotonic and boottime are")
		}
		if n := c.linux.TimeOffsets[clock].Nanosecs; n > 999_999_999 {
			c.faults.add(field+".nanosecs", "%d is a second or more", n)
		}
	}
}

func (c *checker) netDevices() {
	if len(c.linux.NetDevices) == 0 {
		return
	}
	const at = "linux.netDevices"
	if c.namespace(specs.NetworkNamespace) == nil {
		c.faults.add(at, "needs a network namespace in linux.namespaces")
	}
	if c.host.Rootless {
		c.faults.add(at, "needs root: an ordinary user cannot move a device of the host")
	}
	taken := make(map[string]string, len(c.linux.NetDevices))
	for _, host := range sortedKeys(c.linux.NetDevices) {
		inside := c.linux.NetDevices[host].Name
		if !isNetDevice(host) {
			c.faults.add(key(at, host), "is no name of a network device")
		}
		if inside == "" {
			inside = host
		} else if !isNetDevice(inside) {
			c.faults.add(key(at, host)+".name", "%q is no name of a network device", inside)
		}
		if other, ok := taken[inside]; ok && !strings.Contains(inside, "%d") {
			c.faults.add(key(at, host), "%q is the name of %s already", inside, key(at, other))
		}
		taken[inside] = host
	}
}

// isNetDevice is the kernel's dev_valid_name.
func isNetDevice(name string) bool {
	return name != "" && len(name) < 16 && name != "." && name != ".." && !strings.ContainsAny(name, "/:\x00 \t\n\v\f\r")
}
