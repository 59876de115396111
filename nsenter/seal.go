package nsenter

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// openSealed opens rt's own binary so that no process that later sees it as
// /proc/PID/exe can write to it (CVE-2019-5736: the entry point
// "/proc/self/exe" overwrote the host's runtime).
//
// A detached, read-only copy of the mount it lies on costs microseconds and no
// memory: writing through it is EROFS for everybody, and since the binary is
// not that mount's root, no path leads to the mount to change it. Without the
// right to make one, or when the file on disk is not what runs here any more, a
// sealed memfd does the same for the price of a copy.
func openSealed() (int, error) {
	fd, err := openDetached()
	if err == nil {
		return fd, nil
	}
	return copyToMemfd()
}

func openDetached() (int, error) {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return -1, err
	}
	tree, err := unix.OpenTree(unix.AT_FDCWD, filepath.Dir(exe), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, os.NewSyscallError("open_tree", err)
	}
	defer unix.Close(tree)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID, Propagation: unix.MS_PRIVATE}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return -1, os.NewSyscallError("mount_setattr", err)
	}
	fd, err := unix.Openat(tree, filepath.Base(exe), unix.O_PATH|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, os.NewSyscallError("openat", err)
	}
	if !sameAsSelf(fd) {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not the binary that runs", exe)
	}
	return fd, nil
}

func sameAsSelf(fd int) bool {
	var self, file unix.Stat_t
	if unix.Stat("/proc/self/exe", &self) != nil || unix.Fstat(fd, &file) != nil {
		return false
	}
	return self.Dev == file.Dev && self.Ino == file.Ino
}

func copyToMemfd() (int, error) {
	exe, err := os.Open("/proc/self/exe")
	if err != nil {
		return -1, err
	}
	defer exe.Close()
	data, err := io.ReadAll(exe)
	if err != nil {
		return -1, err
	}
	f, err := Memfd("rt", data)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	// Executing what is open for writing is ETXTBSY; the seals hold for any new opening.
	fd, err := unix.Open("/proc/self/fd/"+strconv.Itoa(int(f.Fd())), unix.O_PATH|unix.O_CLOEXEC, 0)
	return fd, os.NewSyscallError("open", err)
}
