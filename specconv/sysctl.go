package specconv

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ipcSysctls are the kernel parameters that each ipc namespace has for itself; so are all in fs/mqueue.
var ipcSysctls = [...]string{
	"kernel/msgmax",
	"kernel/msgmnb",
	"kernel/msgmni",
	"kernel/sem",
	"kernel/shm_rmid_forced",
	"kernel/shmall",
	"kernel/shmmax",
	"kernel/shmmni",
}

// SysctlPath is the file below /proc/sys for a key of linux.sysctl. As in sysctl(8), the first separator
// decides: in net.ipv4.conf.eth0/1.forwarding the slash stands for a dot within a name, and in
// net/ipv4/conf/eth0.1/forwarding the slashes separate.
func SysctlPath(key string) (string, error) {
	file := key
	if first := strings.IndexAny(key, "./"); first >= 0 && key[first] == '.' {
		file = strings.Map(swapSeparators, key)
	}
	for part := range strings.SplitSeq(file, "/") {
		if part == "" || part == "." || part == ".." || strings.IndexByte(part, 0) >= 0 {
			return "", fmt.Errorf("%q is not a kernel parameter", key)
		}
	}
	return file, nil
}

func swapSeparators(r rune) rune {
	switch r {
	case '.':
		return '/'
	case '/':
		return '.'
	}
	return r
}

// sysctl lets through only what belongs to a namespace of the container: everything else is the host's.
func (c *checker) sysctl() {
	for _, name := range sortedKeys(c.linux.Sysctl) {
		file, err := SysctlPath(name)
		if err != nil {
			c.faults.add("linux.sysctl", "%v", err)
			continue
		}
		if msg := c.sysctlFault(file); msg != "" {
			c.faults.add(key("linux.sysctl", name), "%s", msg)
		}
	}
}

func (c *checker) sysctlFault(file string) string {
	var owner specs.LinuxNamespaceType
	switch {
	case file == "kernel/hostname":
		return "is what the field hostname is for"
	case file == "kernel/domainname":
		owner = specs.UTSNamespace
	case slices.Contains(ipcSysctls[:], file), strings.HasPrefix(file, "fs/mqueue/"):
		owner = specs.IPCNamespace
	case strings.HasPrefix(file, "net/"):
		owner = specs.NetworkNamespace
	case strings.HasPrefix(file, "user/"):
		owner = specs.UserNamespace
	default:
		return "is the whole machine's, not the container's"
	}
	if c.namespace(owner) == nil {
		return strconv.Quote(string(owner)) + " is not in linux.namespaces, so it would be the host's"
	}
	return ""
}
