package specconv

import (
	"math"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func (c *checker) process() {
	p := c.spec.Process
	if p == nil {
		return
	}
	if p.Terminal {
		c.consoleSize(p.ConsoleSize)
	}
	c.user(&p.User)
	c.args(p.Args)
	c.env("process.env", p.Env)
	c.absolute("process.cwd", p.Cwd)
	c.capabilities()
	c.rlimits()
	c.text("process.apparmorProfile", p.ApparmorProfile)
	c.text("process.selinuxLabel", p.SelinuxLabel)
	if adj := p.OOMScoreAdj; adj != nil && (*adj < -1000 || *adj > 1000) {
		c.faults.add("process.oomScoreAdj", "%d is not between -1000 and 1000", *adj)
	}
	c.scheduler(p.Scheduler)
	c.ioPriority(p.IOPriority)
	if a := p.ExecCPUAffinity; a != nil {
		c.list("process.execCPUAffinity.initial", a.Initial)
		c.list("process.execCPUAffinity.final", a.Final)
	}
}

// consoleSize is held to what a struct winsize can say.
func (c *checker) consoleSize(b *specs.Box) {
	if b == nil {
		return
	}
	if b.Height > math.MaxUint16 {
		c.faults.add("process.consoleSize.height", "%d is above %d", b.Height, math.MaxUint16)
	}
	if b.Width > math.MaxUint16 {
		c.faults.add("process.consoleSize.width", "%d is above %d", b.Width, math.MaxUint16)
	}
}

func (c *checker) user(u *specs.User) {
	c.id("process.user.uid", u.UID, c.uidMappings())
	c.id("process.user.gid", u.GID, c.gidMappings())
	for i, gid := range u.AdditionalGids {
		if field := "process.user.additionalGids"; gid > maxID || !mapped(gid, c.gidMappings()) {
			c.id(index(field, i), gid, c.gidMappings())
		}
	}
	if u.Umask != nil && *u.Umask > 0o777 {
		c.faults.add("process.user.umask", "%#o has more than the nine permission bits", *u.Umask)
	}
}

// id checks an id of the container against its user namespace, if the config says how that maps.
func (c *checker) id(field string, id uint32, in []specs.LinuxIDMapping) {
	switch {
	case id > maxID:
		c.faults.add(field, "%d is no id", id)
	case !mapped(id, in):
		c.faults.add(field, "%d is not mapped in the container's user namespace", id)
	}
}

func (c *checker) args(args []string) {
	if len(args) == 0 || args[0] == "" {
		c.faults.add("process.args", "names no program to run")
	}
	c.texts("process.args", args)
}

// env is strict about what environ(7) leaves open: a word without "=" is seen by no program.
func (c *checker) env(field string, env []string) {
	for i, e := range env {
		switch strings.IndexByte(e, '=') {
		case -1:
			c.faults.add(index(field, i), "%q has no =", e)
		case 0:
			c.faults.add(index(field, i), "%q has no name", e)
		}
	}
	c.texts(field, env)
}

// list checks the kernel's format for sets of processors and memory nodes, 0-3,7, which may be empty.
func (c *checker) list(field, s string) {
	if strings.TrimSpace(s) == "" {
		return
	}
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isListNumber(first) || isRange && (!isListNumber(last) || atoi(first) > atoi(last)) {
			c.faults.add(field, "%q is not a list like 0-3,7", s)
			return
		}
	}
}

// isListNumber is far above any kernel's NR_CPUS and keeps atoi from overflowing.
func isListNumber(s string) bool { return isDigits(s) && len(s) <= 7 }

func atoi(digits string) (n int) {
	for _, d := range digits {
		n = 10*n + int(d-'0')
	}
	return n
}
