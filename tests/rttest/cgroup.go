package rttest

import (
	"errors"
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

// MountBeside mounts a controller as a v1 hierarchy beside the others, where runtimes look for it, until the test ends.
// hugetlb leaves the cgroup2 tree of the whole machine for that time, so tests that use this do not run in parallel.
func MountBeside(t testing.TB, controller string) {
	t.Helper()
	mount, ok := controllerMount("memory")
	if !ok {
		Need(t, CgroupV1)
	}
	dir := filepath.Join(filepath.Dir(mount), controller)
	if at, ok := controllerMount(controller); ok && at == dir {
		return
	}
	made := os.Mkdir(dir, 0o755)
	if made != nil && !os.IsExist(made) {
		t.Fatal(made)
	}
	if err := unix.Mount("none", dir, "cgroup", 0, controller); err != nil {
		Need(t, func() string { return "a controller " + controller + " that is free to be mounted: " + err.Error() })
	}
	t.Cleanup(func() {
		sweepCgroups(runName())
		unmountHierarchy(t, dir, controller)
		if made == nil {
			_ = os.Remove(dir)
		}
	})
}

// unmountHierarchy waits until the cgroups that were removed are gone from the kernel, too: a hierarchy that is unmounted
// with some in it stays, in everybody's /proc/self/cgroup, until it is mounted once more. Somebody else may have cgroups there.
func unmountHierarchy(t testing.TB, dir, controller string) {
	t.Helper()
	for end := time.Now().Add(time.Second); !onlyRoot(controller) && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Errorf("unmount %s: %v", dir, err)
	}
}

// onlyRoot says whether the controller's hierarchy has no cgroups but its root.
func onlyRoot(controller string) bool {
	data, _ := os.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 4 && f[0] == controller {
			return f[2] == "1"
		}
	}
	return true
}

// MountV1 mounts the controller as a v1 hierarchy, out of the way, until the test ends; without an error when that is not
// to be had. What applies to [MountBeside] applies here.
func MountV1(t testing.TB, controller string) {
	t.Helper()
	if _, ok := controllerMount(controller); ok || CgroupV1() != "" {
		return
	}
	dir := filepath.Join(workDir(runName()), "cgroup", controller)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("none", dir, "cgroup", 0, controller)
	for end := time.Now().Add(grace); err != nil && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		err = unix.Mount("none", dir, "cgroup", 0, controller) // another run may have cgroups in it
	}
	if err != nil {
		t.Logf("%s is not free to be mounted: %v", controller, err)
		_ = os.Remove(dir)
		return
	}
	t.Cleanup(func() {
		sweepCgroups(runName())
		unmountHierarchy(t, dir, controller)
		_ = os.Remove(dir)
	})
}

// Cgroups is one cgroup in every hierarchy, to be the root of a cgroup namespace.
type Cgroups []struct {
	hierarchy
	dir string
}

// OwnCgroups makes the cgroup below [CgroupParent] in every hierarchy; none without v1, where a cgroup can't hold
// processes and hand on controllers. It goes when the test ends.
func OwnCgroups(t testing.TB, name string) Cgroups {
	t.Helper()
	var all Cgroups
	if CgroupV1() != "" {
		return nil
	}
	t.Cleanup(func() { all.Remove() })
	for _, h := range hierarchies() {
		parent := filepath.Join(h.mount, CgroupParent())
		dir := filepath.Join(parent, name)
		if err := errors.Join(makeCgroup(parent), makeCgroup(dir)); err != nil {
			t.Fatal(err)
		}
		all = append(all, struct {
			hierarchy
			dir string
		}{h, dir})
	}
	return all
}

// makeCgroup makes one cgroup. A cpuset of v1 has neither processors nor memory at first, and takes no process.
func makeCgroup(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		data, err := os.ReadFile(filepath.Join(filepath.Dir(dir), name))
		if err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0); err != nil {
			return err
		}
	}
	return nil
}

// Mounts describes the cgroups as DIR=NAME=OPTIONS: the directory, the name of the hierarchy's mount point, and the
// options that mount it once more, none for cgroup2.
func (c Cgroups) Mounts() []string {
	var list []string
	for _, one := range c {
		options := slices.DeleteFunc(slices.Clone(one.controllers), func(o string) bool { return strings.HasPrefix(o, "release_agent=") })
		list = append(list, one.dir+"="+filepath.Base(one.mount)+"="+strings.Join(options, ","))
	}
	return list
}

// Remove removes the cgroups and names those that were left in them.
func (c Cgroups) Remove() (left []string) {
	for _, one := range c {
		var dirs []string
		_ = filepath.WalkDir(one.dir, func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			_ = os.Remove(dir)
		}
		left = append(left, dirs[min(1, len(dirs)):]...)
	}
	return left
}
