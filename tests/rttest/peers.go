package rttest

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// HideUnifiedControllers shows a cgroup2 mount beside v1 hierarchies as one without controllers until the test ends:
// crun refuses to run beside one that has some. Only this sandbox sees it so.
func HideUnifiedControllers(t testing.TB) {
	t.Helper()
	mount, ok := controllerMount("")
	if !ok || CgroupV1() != "" {
		return
	}
	file := filepath.Join(mount, "cgroup.controllers")
	if err := unix.Mount("/dev/null", file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(&os.PathError{Op: "hide", Path: file, Err: err})
	}
	t.Cleanup(func() {
		if err := unix.Unmount(file, 0); err != nil {
			t.Errorf("unmount %s: %v", file, err)
		}
	})
}

// MakeCgroupParents makes the cgroup of this run at the top of every hierarchy and below our own, for everybody to look
// at: runtimes make it with the umask of whoever calls them first.
func MakeCgroupParents(t testing.TB) {
	t.Helper()
	for _, h := range hierarchies() {
		controller := ""
		if h.controllers != nil {
			controller = h.controllers[len(h.controllers)-1]
		}
		for _, base := range []string{"/", OwnCgroup(controller)} {
			if err := makeCgroup(filepath.Join(h.mount, base, runName())); err != nil {
				t.Fatal(err)
			}
		}
	}
}
