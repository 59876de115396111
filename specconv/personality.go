package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"
)

// personalities holds the domains of personality(2), which has no constants in x/sys.
var personalities = [...]constant[specs.LinuxPersonalityDomain]{
	{specs.PerLinux, 0x0000},
	{specs.PerLinux32, 0x0008},
}

// Personality is the argument of personality(2) for linux.personality.domain.
func Personality(d specs.LinuxPersonalityDomain) (int, bool) {
	return lookup(personalities[:], d)
}

func (c *checker) personality() {
	p := c.linux.Personality
	if p == nil {
		return
	}
	if _, ok := Personality(p.Domain); !ok {
		unknown(&c.faults, "linux.personality.domain", p.Domain, names(personalities[:]))
	}
	if len(p.Flags) > 0 {
		c.faults.add("linux.personality.flags", "%q is not known: the specification defines none", p.Flags)
	}
}
