package rttest

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A hierarchy is one mounted cgroup tree.
type hierarchy struct {
	mount       string   // where it is mounted
	controllers []string // v1: controllers or "name=systemd"; v2: nil
}

// hierarchies lists the cgroup trees mounted in this mount namespace. Not cached: tests may mount one more.
func hierarchies() []hierarchy {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	var list []hierarchy
	for line := range strings.Lines(string(data)) {
		before, after, _ := strings.Cut(strings.TrimSpace(line), " - ")
		mount, fstype := strings.Fields(before)[4], strings.Fields(after)
		switch fstype[0] {
		case "cgroup":
			list = append(list, hierarchy{mount, strings.Split(fstype[2], ",")})
		case "cgroup2":
			list = append(list, hierarchy{mount: mount})
		}
	}
	return list
}

// controllerMount is where the controller's v1 hierarchy is mounted; "" asks for cgroup2. ok is false without one.
func controllerMount(controller string) (mount string, ok bool) {
	for _, h := range hierarchies() {
		if controller == "" && h.controllers == nil || slices.Contains(h.controllers, controller) {
			return h.mount, true
		}
	}
	return "", false
}

// HierarchyMounted tells whether the runtime can see the hierarchy that a line of /proc/PID/cgroup names so.
func HierarchyMounted(controllers string) bool {
	first, _, _ := strings.Cut(controllers, ",")
	_, ok := controllerMount(first)
	return ok
}

// unifiedHas says whether the cgroup2 mount offers the controller.
func unifiedHas(controller string) bool {
	mount, ok := controllerMount("")
	data, _ := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
	return ok && slices.Contains(strings.Fields(string(data)), controller)
}

// placeOf is where the controller works: its v1 hierarchy, or cgroup2 if it is there. Of cgroup2's core, and without files
// in cgroup.controllers, are devices and freezer; there they stand for the tree that has every process, as on v1.
func placeOf(controller string) (mount string, ok bool) {
	if mount, ok = controllerMount(controller); ok {
		return mount, true
	}
	if unifiedHas(controller) || CgroupV1() != "" && (controller == "devices" || controller == "freezer") {
		return controllerMount("")
	}
	return "", false
}

// CgroupDir is the directory of the cgroup path where the controller works ("" is cgroup2, "name=systemd" the named one).
func CgroupDir(t testing.TB, controller, path string) string {
	t.Helper()
	mount, ok := placeOf(controller)
	if !ok {
		t.Fatalf("no hierarchy with %q is mounted", controller)
	}
	return filepath.Join(mount, path)
}

// OwnCgroup is this process's cgroup path in the controller's hierarchy, as /proc/self/cgroup has it.
func OwnCgroup(controller string) string { return cgroupOf("self", controller) }

func cgroupOf(pid, controller string) string {
	data, _ := os.ReadFile("/proc/" + pid + "/cgroup")
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			return f[2]
		}
	}
	return ""
}

// CgroupParent is the cgroup, absolute, below which everything of this run lives.
func CgroupParent() string { return "/" + runName() }

// cgroupDirsBelow lists the cgroups of this run in every hierarchy: every directory below a top one named NAME, and
// every top one named NAME-something with all below it.
func cgroupDirsBelow(name string) []string {
	var dirs []string
	for _, top := range runCgroups(name) {
		_ = filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() && filepath.Base(path) != name {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	return dirs
}

// runCgroups lists this run's top cgroups: directories NAME and NAME-something at the top of each hierarchy and, where
// relative paths go, below our own cgroup.
func runCgroups(name string) []string {
	var tops []string
	for _, h := range hierarchies() {
		controller := ""
		if h.controllers != nil {
			controller = h.controllers[len(h.controllers)-1]
		}
		for _, base := range []string{"/", OwnCgroup(controller)} {
			exact, _ := filepath.Glob(filepath.Join(h.mount, base, name))
			longer, _ := filepath.Glob(filepath.Join(h.mount, base, name+"-*"))
			tops = append(tops, append(exact, longer...)...)
		}
	}
	slices.Sort(tops)
	return slices.Compact(tops)
}

// sweepCgroups removes every cgroup of the run, deepest first.
func sweepCgroups(name string) {
	dirs := cgroupDirsBelow(name)
	slices.Sort(dirs)
	slices.Reverse(dirs)
	for _, dir := range append(dirs, runCgroups(name)...) {
		_ = os.Remove(dir)
	}
}

// Eventually polls until cond holds, and fails the test when it does not within ten seconds.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second * timeScale()); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

// MountHugetlbV1 mounts hugetlb as a v1 hierarchy in the sandbox until the test ends. It leaves the cgroup2 tree of the
// whole machine for that time, so tests that use it do not run in parallel.
func MountHugetlbV1(t testing.TB) {
	t.Helper()
	if _, ok := controllerMount("hugetlb"); ok {
		return
	}
	mount, ok := controllerMount("memory")
	if !ok {
		Need(t, CgroupV1)
	}
	dir := filepath.Join(filepath.Dir(mount), "hugetlb")
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	if err := unix.Mount("none", dir, "cgroup", 0, "hugetlb"); err != nil {
		Need(t, func() string { return "a hugetlb controller that is free to be mounted: " + err.Error() })
	}
	t.Cleanup(func() {
		sweepCgroups(runName())
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}
