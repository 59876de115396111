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
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	release := unix.ByteSliceToString(u.Release[:])
	if !kernelIsNew(release) {
		return fmt.Errorf("rt needs Linux %d.%d or newer, this is %s", kernelMajor, kernelMinor, release)
	}
	return nil
}

func kernelIsNew(release string) bool {
	head, rest, _ := strings.Cut(release, ".")
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	major, err1 := strconv.Atoi(head)
	minor, err2 := strconv.Atoi(rest[:digits])
	if err1 != nil || err2 != nil {
		return true // not a kernel whose numbers we know how to read
	}
	return major > kernelMajor || major == kernelMajor && minor >= kernelMinor
}
