package cgroups

import (
	"fmt"
	"strings"
)

// ownCgroups is /proc/self/cgroup, understood.
type ownCgroups struct {
	v1         []ownLine
	unified    string // path in the cgroup2 tree
	hasUnified bool
}

// ownLine is one v1 hierarchy: what it controls, and where we are in it.
type ownLine struct {
	names []string // "cpu", "cpuacct", … or "name=systemd"
	path  string
}

// parseOwn understands lines such as "3:cpu,cpuacct:/user" and "0::/user". Named hierarchies other
// than systemd's are nobody's business: they belong to whoever made them.
func parseOwn(text string) (ownCgroups, error) {
	var own ownCgroups
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		_, rest, ok1 := strings.Cut(line, ":")
		list, path, ok2 := strings.Cut(rest, ":")
		if !ok1 || !ok2 || !strings.HasPrefix(path, "/") {
			return own, fmt.Errorf("/proc/self/cgroup: cannot understand line %q", line)
		}
		switch {
		case list == "":
			own.unified, own.hasUnified = path, true
		case strings.HasPrefix(list, "name=") && list != "name=systemd":
		default:
			own.v1 = append(own.v1, ownLine{names: strings.Split(list, ","), path: path})
		}
	}
	return own, nil
}
