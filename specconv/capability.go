package specconv

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// capabilities holds the names of capabilities(7) by their number.
var capabilities = [...]string{
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
}

// CapabilityBit is the number of a capability, for a name like "CAP_KILL". Whether the running kernel
// has it is another question, which its cap_last_cap answers.
func CapabilityBit(name string) (int, bool) {
	i := slices.Index(capabilities[:], name)
	return i, i >= 0
}

// CapabilityName is the name of a capability, or its number for one that the specification does not know.
func CapabilityName(n int) string {
	if n >= 0 && n < len(capabilities) {
		return capabilities[n]
	}
	return strconv.Itoa(n)
}

// CapabilityNames is the capabilities known here up to the number last, in the order of their numbers.
func CapabilityNames(last int) []string {
	return slices.Clone(capabilities[:min(len(capabilities), last+1)])
}

// capabilities finds the one combination that capset(2) refuses whatever the host: an effective
// capability that is not permitted. What cannot be granted is a warning by the specification.
func (c *checker) capabilities() {
	caps := c.spec.Process.Capabilities
	if caps == nil {
		return
	}
	for i, name := range caps.Effective {
		if _, known := CapabilityBit(name); known && !slices.Contains(caps.Permitted, name) {
			c.faults.add(index("process.capabilities.effective", i), "%s is not in permitted", name)
		}
	}
}

// warnCapabilities mentions every capability that the kernel does not have once, in the first set that
// names it: they are usually in all of them.
func warnCapabilities(w *Faults, caps *specs.LinuxCapabilities, last int) {
	if last == 0 {
		last = len(capabilities) - 1
	}
	var said []string
	for _, set := range [...]struct {
		field string
		caps  []string
	}{
		{"bounding", caps.Bounding},
		{"effective", caps.Effective},
		{"inheritable", caps.Inheritable},
		{"permitted", caps.Permitted},
		{"ambient", caps.Ambient},
	} {
		for i, name := range set.caps {
			if n, ok := CapabilityBit(name); ok && n <= last || slices.Contains(said, name) {
				continue
			}
			said = append(said, name)
			w.add(index("process.capabilities."+set.field, i), "%q is no capability of this kernel and is ignored", strings.ToValidUTF8(name, "?"))
		}
	}
}
