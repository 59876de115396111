package rttest

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// PeersCgroups gives this sandbox a /sys/fs/cgroup of its own until the test ends, with the machine's hierarchies in it,
// for crun's sake: it makes directories for those that are not mounted there, and refuses to run beside a cgroup2 tree
// with controllers, so that has none to show.
func PeersCgroups(t testing.TB) {
	t.Helper()
	mount, ok := controllerMount("")
	if !ok || CgroupV1() != "" {
		return
	}
	top := filepath.Dir(mount)
	dir := filepath.Join(tempParent(), "cgroups")
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755")
	}
	if err == nil {
		err = copyHierarchies(top, dir)
	}
	if err == nil {
		err = unix.Mount("/dev/null", filepath.Join(dir, filepath.Base(mount), "cgroup.controllers"), "", unix.MS_BIND, "")
	}
	if err == nil {
		err = unix.Mount(dir, top, "", unix.MS_MOVE, "")
	}
	if err != nil {
		t.Fatalf("make a %s for the peers: %v", top, err)
	}
	t.Cleanup(func() {
		sweepCgroups(runName())
		if err := unix.Unmount(top, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", top, err)
		}
	})
}

// copyHierarchies binds every hierarchy in a directory into another, and copies the links beside them.
func copyHierarchies(from, to string) error {
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		old, now := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if target, err := os.Readlink(old); err == nil {
			if err := os.Symlink(target, now); err != nil {
				return err
			}
			continue
		}
		var st unix.Statfs_t
		if err := unix.Statfs(old, &st); err != nil || st.Type == unix.TMPFS_MAGIC {
			continue // a directory without a hierarchy
		}
		if err := os.Mkdir(now, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(old, now, "", unix.MS_BIND, ""); err != nil {
			return &os.PathError{Op: "bind " + old, Path: now, Err: err}
		}
	}
	return nil
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
