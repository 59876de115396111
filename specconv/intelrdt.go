package specconv

import (
	"strings"
)

// intelRdt checks the shape only: what the hardware can do is in resctrl, on the machine.
func (c *checker) intelRdt() {
	r := c.linux.IntelRdt
	if r == nil {
		return
	}
	const at = "linux.intelRdt"
	// "/" alone is the default group, by the specification.
	if id := r.ClosID; id != "/" && (id == "." || id == ".." || strings.ContainsAny(id, "/\x00\n")) {
		c.faults.add(at+".closID", "%q is no name of a directory", id)
	}
	for i, line := range r.Schemata {
		if strings.Contains(line, "\n") {
			c.faults.add(index(at+".schemata", i), "%q has a newline in it", line)
		}
	}
	if s := r.L3CacheSchema; strings.Contains(s, "\n") {
		c.faults.add(at+".l3CacheSchema", "%q has a newline in it", s)
	}
	if s := r.MemBwSchema; s != "" && (!strings.HasPrefix(s, "MB:") || strings.Contains(s, "\n")) {
		c.faults.add(at+".memBwSchema", "%q is not one line that begins with MB:", s)
	}
}
