package cgroups

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// hierarchy is one mounted cgroup tree and the container's place in it.
type hierarchy struct {
	names []string // v1 controllers as in /proc/self/cgroup; nil for the cgroup2 tree
	root  string   // where the tree is mounted, symbolic links resolved
	path  string   // the container's directory
}

// findHierarchy looks for the mount of a v1 hierarchy. Co-mounted controllers are usually found in a
// directory named after all of them, with a symbolic link for each; a hierarchy that is mounted nowhere
// below mount (or under a name of its own) is reported as absent, which is no fault until a limit needs it.
func findHierarchy(mount string, own ownLine, name string) (hierarchy, bool) {
	for _, candidate := range mountNames(own.names) {
		root := mount + "/" + candidate
		if fsType(root) != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		if len(own.names) > 1 {
			root = resolveAlias(root)
		}
		return hierarchy{names: own.names, root: root, path: place(root, own.path, name)}, true
	}
	return hierarchy{}, false
}

// mountNames lists where a hierarchy with these controllers may be mounted, likeliest first.
func mountNames(names []string) []string {
	if len(names) == 1 {
		return []string{strings.TrimPrefix(names[0], "name=")}
	}
	// The kernel lists controllers in its own order, distributions mounted some in the other.
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	return append(slices.Clone(names), strings.Join(names, ","), strings.Join(backwards, ","))
}

// resolveAlias follows a symbolic link such as cpu → cpu,cpuacct, one level, inside its directory.
func resolveAlias(root string) string {
	target, err := os.Readlink(root)
	if err != nil || strings.Contains(target, "/") {
		return root
	}
	return filepath.Dir(root) + "/" + target
}

// place returns the directory of the cgroup called name in the tree at root, where own is our cgroup.
func place(root, own, name string) string {
	if name[0] == '/' {
		return root + name
	}
	return join(ownDir(root, own), name)
}

// ownDir finds the directory of our own cgroup. In an outer container without a cgroup namespace,
// /proc/self/cgroup shows the path on the host, while the mount shows only a subtree of it: the
// leading components that the mount does not have are dropped.
func ownDir(root, own string) string {
	for own != "/" && own != "" {
		var st unix.Stat_t
		if unix.Stat(root+own, &st) == nil {
			return root + own
		}
		next := strings.IndexByte(own[1:], '/')
		if next < 0 {
			break
		}
		own = own[1+next:]
	}
	return root
}

func join(dir, name string) string { return strings.TrimSuffix(dir, "/") + "/" + name }

// parentOf is filepath.Dir for a cleaned absolute path.
func parentOf(path string) string {
	if i := strings.LastIndexByte(path, '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// find returns our directory of the v1 hierarchy that has the controller.
func (c *Cgroup) find(controller string) (hierarchy, bool) {
	for _, h := range c.v1 {
		if slices.Contains(h.names, controller) {
			return h, true
		}
	}
	return hierarchy{}, false
}
