package specconv

import (
	"golang.org/x/sys/unix"
)

// rlimits is every limit of getrlimit(2).
var rlimits = [...]constant[string]{
	{"RLIMIT_AS", unix.RLIMIT_AS},
	{"RLIMIT_CORE", unix.RLIMIT_CORE},
	{"RLIMIT_CPU", unix.RLIMIT_CPU},
	{"RLIMIT_DATA", unix.RLIMIT_DATA},
	{"RLIMIT_FSIZE", unix.RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", unix.RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", unix.RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", unix.RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", unix.RLIMIT_NICE},
	{"RLIMIT_NOFILE", unix.RLIMIT_NOFILE},
	{"RLIMIT_NPROC", unix.RLIMIT_NPROC},
	{"RLIMIT_RSS", unix.RLIMIT_RSS},
	{"RLIMIT_RTPRIO", unix.RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", unix.RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", unix.RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", unix.RLIMIT_STACK},
}

// RlimitNumber is the resource number of setrlimit(2) for a process.rlimits[].type.
func RlimitNumber(name string) (int, bool) { return lookup(rlimits[:], name) }

func (c *checker) rlimits() {
	list := c.spec.Process.Rlimits
	for i := range list {
		at, l := "process.rlimits", &list[i]
		if _, ok := RlimitNumber(l.Type); !ok {
			unknown(&c.faults, index(at, i)+".type", l.Type, names(rlimits[:]))
		}
		if l.Soft > l.Hard {
			c.faults.add(index(at, i)+".soft", "%d is above hard, %d", l.Soft, l.Hard)
		}
		for j := range i {
			if list[j].Type == l.Type {
				c.faults.add(index(at, i)+".type", "%s was given before, in %s", l.Type, index(at, j))
				break
			}
		}
	}
}
