package libcontainer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
	"rt/specconv"
)

// procSteps make a procfs that is mounted nowhere. Whatever is written to
// /proc goes through it: no mount, image or process can redirect it
// (CVE-2019-16884, CVE-2025-52881).
func (c *compiler) procSteps(from string) {
	if c.procReady() {
		return
	}
	if n := c.plan.ns; n.has(unix.CLONE_NEWUSER) && n.create&unix.CLONE_NEWPID == 0 {
		// A procfs shows a PID namespace, and who does not own that may not mount one. rt's own shows us as well.
		c.plan.Add(nsenter.Take(nsenter.OpSlot, from, "take rt's procfs", nsenter.Source{Kind: nsenter.Directory, Path: "/proc"}, uint64(nsenter.SlotProc)))
		return
	}
	c.plan.Add(nsenter.MountDetached(from, "prepare a private procfs", nsenter.Filesystem{
		Type: "proc", Source: "proc", Attr: unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC,
	}, nsenter.SlotProc))
}

func (c *compiler) procReady() bool {
	return slices.ContainsFunc(c.plan.Steps, func(s nsenter.Step) bool {
		return s.Op == nsenter.OpSlot && s.Num[0] == uint64(nsenter.SlotProc) ||
			s.Op == nsenter.OpMount && s.Num[2] == uint64(nsenter.SlotProc)+1
	})
}

// sysctlSteps come after the hooks: they may bring the network devices that a sysctl names.
func (c *compiler) sysctlSteps() error {
	if c.spec.Linux == nil || len(c.spec.Linux.Sysctl) == 0 {
		return nil
	}
	c.procSteps("linux.sysctl")
	for _, name := range slices.Sorted(maps.Keys(c.spec.Linux.Sysctl)) {
		value := c.spec.Linux.Sysctl[name]
		file, err := specconv.SysctlPath(name)
		if err != nil {
			return fmt.Errorf("linux.sysctl.%s: %w", name, err)
		}
		c.plan.Add(nsenter.Simple(nsenter.OpProcWrite, "linux.sysctl."+name, "set "+name+" to "+value, nil, "sys/"+file, value))
	}
	return nil
}

// labelSteps set what the next execve is confined by.
func (c *compiler) labelSteps(proc *specs.Process) {
	if a := proc.ApparmorProfile; a != "" {
		c.procSteps("process.apparmorProfile")
		c.plan.Add(nsenter.Simple(nsenter.OpProcWrite, "process.apparmorProfile", "confine the process by AppArmor profile "+a, nil,
			"thread-self/attr/apparmor/exec", "exec "+a))
	}
	if l := proc.SelinuxLabel; l != "" {
		c.procSteps("process.selinuxLabel")
		c.plan.Add(nsenter.Simple(nsenter.OpProcWrite, "process.selinuxLabel", "label the process "+l, nil, "thread-self/attr/exec", l))
	}
}

// keyLabelStep comes before the session keyring is made, so that the labelled
// process may use it. The execve ends it.
func (c *compiler) keyLabelStep() {
	if c.spec.Process == nil || c.spec.Process.SelinuxLabel == "" {
		return
	}
	c.procSteps("process.selinuxLabel")
	c.plan.Add(nsenter.Simple(nsenter.OpProcWrite, "process.selinuxLabel", "label the session keyring "+c.spec.Process.SelinuxLabel, nil,
		"thread-self/attr/keycreate", c.spec.Process.SelinuxLabel))
}

func (c *compiler) consoleStep() {
	proc := c.spec.Process
	if proc == nil || !proc.Terminal {
		return
	}
	s := nsenter.Simple(nsenter.OpConsole, "process.terminal", "open a terminal", []uint64{uint64(proc.User.UID), uint64(nsenter.AskConsole)}, "")
	if c.plan.ns.has(unix.CLONE_NEWNS) {
		s.What, s.Text[0] = "open a terminal as /dev/console", "/dev/console"
	}
	c.plan.Add(s)
}
