package nsenter

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A root directory is labelled by an extended attribute. Without SELinux a
// tmpfs keeps any, and mqueue knows none: that is how the test sees it written.
func TestRootLabel(t *testing.T) {
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Skip("this machine runs SELinux, whose policy says which labels there are")
	}
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	detached := func(kind, label string) Step {
		return MountDetached("", "", Filesystem{Type: kind, Source: kind, Label: label}, SlotEmpty)
	}
	own := Unshare("", "", unix.CLONE_NEWUSER|unix.CLONE_NEWNS|unix.CLONE_NEWIPC)
	r := startStage(t)
	r.send(own, detached("tmpfs", label), detached("mqueue", ""), detached("mqueue", label))
	want := failure{3, unix.EOPNOTSUPP, "fsetxattr security.selinux", label}
	if got := r.refused(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
