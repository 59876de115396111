package specconv

import (
	"errors"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/rootfs"
)

// procOvermounts is what may be mounted over inside /proc: files that LXCFS and FIPS set-ups replace.
// Anything else there could fake what the runtime itself writes to or reads from (CVE-2019-16884).
var procOvermounts = [...]string{
	"/proc/cpuinfo",
	"/proc/diskstats",
	"/proc/loadavg",
	"/proc/meminfo",
	"/proc/slabinfo",
	"/proc/stat",
	"/proc/swaps",
	"/proc/sys/crypto/fips_enabled",
	"/proc/sys/kernel/ns_last_pid",
	"/proc/uptime",
}

func (c *checker) mounts() {
	for i := range c.spec.Mounts {
		c.mount(i, &c.spec.Mounts[i])
	}
}

func (c *checker) mount(i int, m *specs.Mount) {
	opts, err := rootfs.ParseOptions(m.Options)
	if bad, ok := errors.AsType[*rootfs.OptionError](err); ok {
		c.faults.add(index(index("mounts", i)+".options", bad.Index), "%s", bad.Msg)
	}
	c.mountTarget(i, m, &opts)
	c.mountSource(i, m, &opts)
	if opts.CopyUp && m.Type != "tmpfs" {
		c.faults.add(c.option(i, "tmpcopyup"), "is only for the type tmpfs")
	}
	c.mountOwner(i, m, &opts)
	c.idMappedMount(i, m, &opts)
}

// option is the field of an option word that is known to be in mounts[i].
func (c *checker) option(i int, word string) string {
	return index(index("mounts", i)+".options", slices.Index(c.spec.Mounts[i].Options, word))
}

func (c *checker) mountTarget(i int, m *specs.Mount, opts *rootfs.Options) {
	field := func() string { return index("mounts", i) + ".destination" }
	if m.Destination == "" {
		c.faults.add(field(), "is missing")
		return
	}
	if strings.IndexByte(m.Destination, 0) >= 0 {
		c.text(field(), m.Destination)
	}
	switch target := path.Clean("/" + m.Destination); {
	case target == "/":
		c.faults.add(field(), "%q would cover the root filesystem", m.Destination)
	case target == "/proc":
		// A bind can bring a real procfs from the host. That it is one can only be seen by looking.
		if m.Type != "proc" && !opts.Bind && !opts.Remount {
			c.faults.add(field(), "/proc has to be of the type proc, not %q", m.Type)
		}
	case strings.HasPrefix(target, "/proc/") && !slices.Contains(procOvermounts[:], target):
		c.faults.add(field(), "%q is inside /proc, where only these can be mounted over: %s", m.Destination, strings.Join(procOvermounts[:], " "))
	}
}

func (c *checker) mountSource(i int, m *specs.Mount, opts *rootfs.Options) {
	at := index("mounts", i)
	c.text(at+".source", m.Source)
	c.text(at+".type", m.Type)
	switch {
	case opts.Bind && opts.Remount:
	case opts.Bind:
		if m.Source == "" {
			c.faults.add(at+".source", "is missing, and a bind mount needs one")
		}
		for _, word := range opts.Data {
			c.faults.add(c.option(i, word), "%q is no option of a bind mount", word)
		}
	case opts.Remount:
	case m.Type == "":
		c.faults.add(at+".type", "is missing, and neither bind nor rbind is in options")
	case m.Type == "bind":
		c.faults.add(at+".options", `has neither bind nor rbind, and "bind" is no filesystem`)
	}
}

// mountOwner finds uid= and gid= that are not in the container's user namespace. The kernel calls that
// EINVAL, and gid=5 of the usual /dev/pts is the fault that people meet first without root.
func (c *checker) mountOwner(i int, m *specs.Mount, opts *rootfs.Options) {
	if m.Type != "devpts" && m.Type != "tmpfs" {
		return
	}
	for _, word := range opts.Data {
		name, value, _ := strings.Cut(word, "=")
		var in []specs.LinuxIDMapping
		switch name {
		case "uid":
			in = c.uidMappings()
		case "gid":
			in = c.gidMappings()
		default:
			continue
		}
		if id, err := strconv.ParseUint(value, 10, 32); err == nil && !mapped(uint32(id), in) {
			c.faults.add(c.option(i, word), "%d is not mapped in the container's user namespace", id)
		}
	}
}

func (c *checker) idMappedMount(i int, m *specs.Mount, opts *rootfs.Options) {
	own := len(m.UIDMappings) + len(m.GIDMappings)
	if own == 0 && !opts.IDMap && !opts.RIDMap {
		return
	}
	at := index("mounts", i)
	c.idMap(at+".uidMappings", m.UIDMappings)
	c.idMap(at+".gidMappings", m.GIDMappings)
	switch {
	case !opts.Bind:
		c.faults.add(at, "only a bind mount can be id-mapped")
	case c.host.Rootless:
		c.faults.add(at, "an ordinary user cannot id-map a mount")
	case own > 0 && len(m.UIDMappings) == 0:
		c.faults.add(at+".uidMappings", "is missing beside gidMappings")
	case own > 0 && len(m.GIDMappings) == 0:
		c.faults.add(at+".gidMappings", "is missing beside uidMappings")
	case own == 0 && c.namespace(specs.UserNamespace) == nil:
		c.faults.add(at, "idmap needs uidMappings and gidMappings, or a user namespace to take them from")
	}
}

var propagations = [...]string{"private", "rprivate", "rshared", "rslave", "runbindable", "shared", "slave", "unbindable"}

func (c *checker) rootfsPropagation() {
	if p := c.linux.RootfsPropagation; p != "" && !slices.Contains(propagations[:], p) {
		unknown(&c.faults, "linux.rootfsPropagation", p, propagations[:])
	}
}

func (c *checker) hiddenPaths() {
	for i, p := range c.linux.MaskedPaths {
		c.hiddenPath("linux.maskedPaths", i, p)
	}
	for i, p := range c.linux.ReadonlyPaths {
		c.hiddenPath("linux.readonlyPaths", i, p)
	}
}

func (c *checker) hiddenPath(list string, i int, p string) {
	if p == "" || p[0] != '/' || strings.IndexByte(p, 0) >= 0 {
		c.absolute(index(list, i), p)
	}
}
