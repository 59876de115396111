package libcontainer

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The oldest kernel that has everything rt is made of; mount_setattr(2) and
// cgroup.kill came last.
const kernelMajor, kernelMinor = 5, 14

// checkKernel says at once what would else be ENOSYS somewhere in the middle.
func checkKernel() error {
	if release := kernelRelease(); !newEnough(release, kernelMajor, kernelMinor) {
		return fmt.Errorf("rt needs Linux %d.%d or newer, this is %s", kernelMajor, kernelMinor, release)
	}
	return nil
}

// checkDetached: what is not attached cannot be mounted on before Linux 6.15.
func checkDetached() error {
	if release := kernelRelease(); !newEnough(release, 6, 15) {
		return fmt.Errorf("linux.namespaces: has no mount namespace; without one, mounts, devices, readonly, maskedPaths, readonlyPaths and rootfsPropagation need Linux 6.15, this is %s", release)
	}
	return nil
}

func kernelRelease() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail with a valid pointer
	return unix.ByteSliceToString(u.Release[:])
}

func newEnough(release string, wantMajor, wantMinor int) bool {
	head, rest, _ := strings.Cut(release, ".")
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	major, err1 := strconv.Atoi(head)
	minor, err2 := strconv.Atoi(rest[:digits])
	if err1 != nil || err2 != nil {
		return true // not a kernel whose numbers we know how to read
	}
	return major > wantMajor || major == wantMajor && minor >= wantMinor
}
