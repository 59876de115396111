package libcontainer

import (
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rt/internal/sys"
)

// host is what a plan depends on beyond the config and the options. It is read
// once, so that a plan can be compiled and printed without touching anything.
type host struct {
	lastCap int
	caps    uint64 // what we can hand on outside of a user namespace
	keyring bool   // the kernel has keyrings
	kcore   bool
	noTrees bool // we may not copy mounts of our own namespace
	userNS  bool // we are in a user namespace ourselves, where mknod is refused even to root
}

func probeHost() host {
	h := host{lastCap: lastCapability(), caps: ownCapabilities(), keyring: hasKeyrings()}
	h.kcore = unix.Access("/proc/kcore", unix.F_OK) == nil
	h.userNS = sys.InUserNamespace()
	h.noTrees = !mayOpenTrees(h.userNS)
	return h
}

// lastCapability is the highest capability that the kernel knows. To ask for the
// one after the last that Linux 5.14 has is quicker than to read cap_last_cap.
func lastCapability() int {
	last := unix.CAP_LAST_CAP
	for {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(last+1), 0, 0, 0); err != nil {
			return last
		}
		last++
	}
}

// ownCapabilities is what we may have. An ordinary user has none and gives those of a user namespace, or only looks at a plan.
func ownCapabilities() uint64 {
	var own [2]unix.CapUserData
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	if unix.Capget(&head, &own[0]) != nil || own[0].Permitted|own[1].Permitted == 0 {
		return ^uint64(0)
	}
	return uint64(own[0].Permitted) | uint64(own[1].Permitted)<<32
}

// hasKeyrings is false on kernels built without CONFIG_KEYS: there is nothing to keep apart then.
func hasKeyrings() bool {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	return err != unix.ENOSYS
}

// procfsMounts lists the host's procfs and sysfs mounts. Only --no-pivot needs
// them; no other command parses mountinfo, which grows with the host.
func procfsMounts() ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.Lines(string(b)) {
		head, tail, _ := strings.Cut(line, " - ")
		f, t := strings.Fields(head), strings.Fields(tail)
		if len(f) > 4 && len(t) > 0 && (t[0] == "proc" || t[0] == "sysfs") {
			dirs = append(dirs, unescapeMount(f[4]))
		}
	}
	// The deepest first, though MNT_DETACH takes what is below along.
	for i, j := 0, len(dirs)-1; i < j; i, j = i+1, j-1 {
		dirs[i], dirs[j] = dirs[j], dirs[i]
	}
	return topmost(dirs), nil
}

// topmost drops directories below another one of the list: they go with it.
func topmost(dirs []string) []string {
	var top []string
	for _, d := range dirs {
		below := false
		for _, o := range dirs {
			below = below || (o != d && strings.HasPrefix(d, strings.TrimSuffix(o, "/")+"/"))
		}
		if !below {
			top = append(top, filepath.Clean(d))
		}
	}
	return top
}

// unescapeMount undoes mountinfo's octal escapes of space, tab, newline and backslash.
func unescapeMount(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}
