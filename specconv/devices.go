package specconv

import (
	"path"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A device number has 12 bits for the major and 20 for the minor inside the kernel.
const (
	maxMajor = 1<<12 - 1
	maxMinor = 1<<20 - 1
)

func (c *checker) devices() {
	for i := range c.linux.Devices {
		c.device(i, &c.linux.Devices[i])
	}
}

func (c *checker) device(i int, d *specs.LinuxDevice) {
	at := index("linux.devices", i)
	if c.absolute(at+".path", d.Path) && path.Clean(d.Path) == "/" {
		c.faults.add(at+".path", "%q is the root directory", d.Path)
	}
	switch d.Type {
	case "c", "u", "b":
		c.deviceNumber(at+".major", d.Major, maxMajor)
		c.deviceNumber(at+".minor", d.Minor, maxMinor)
	case "p":
	default:
		unknown(&c.faults, at+".type", d.Type, []string{"c", "u", "b", "p"})
	}
	if d.UID != nil && *d.UID > maxID {
		c.faults.add(at+".uid", "%d is no id", *d.UID)
	}
	if d.GID != nil && *d.GID > maxID {
		c.faults.add(at+".gid", "%d is no id", *d.GID)
	}
}

func (c *checker) deviceNumber(field string, n, last int64) {
	if n < 0 || n > last {
		c.faults.add(field, "%d is not between 0 and %d", n, last)
	}
}

// deviceRule checks one line for the device cgroup. No number means every number.
func (c *checker) deviceRule(i int, r *specs.LinuxDeviceCgroup) {
	at := "linux.resources.devices"
	switch r.Type {
	case "", "a", "c", "b":
	default:
		unknown(&c.faults, index(at, i)+".type", r.Type, []string{"a", "c", "b"})
	}
	if r.Access == "" {
		c.faults.add(index(at, i)+".access", "is missing")
	} else if strings.Trim(r.Access, "rwm") != "" {
		c.faults.add(index(at, i)+".access", "%q has more than r, w and m", r.Access)
	}
	// Engines write -1 for "every number" too.
	if r.Major != nil && *r.Major != -1 {
		c.deviceNumber(index(at, i)+".major", *r.Major, maxMajor)
	}
	if r.Minor != nil && *r.Minor != -1 {
		c.deviceNumber(index(at, i)+".minor", *r.Minor, maxMinor)
	}
}
