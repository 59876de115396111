package libcontainer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// lsmHost is where the kernel says which security modules it runs; paths, so that tests can name others.
type lsmHost struct{ selinux, apparmor string }

// theLSMs is the machine's own.
func theLSMs() lsmHost {
	return lsmHost{selinux: "/sys/fs/selinux", apparmor: "/sys/module/apparmor/parameters/enabled"}
}

// checkLabels refuses labels of a security module that the kernel does not run:
// it would confine nothing, and what the stage could say of it is a bare EINVAL.
func (c *compiler) checkLabels(h lsmHost) error {
	var faults []error
	if c.spec.Process != nil && c.spec.Process.ApparmorProfile != "" {
		faults = append(faults, about("process.apparmorProfile", h.checkAppArmor()))
	}
	if c.spec.Process != nil && c.spec.Process.SelinuxLabel != "" {
		faults = append(faults, about("process.selinuxLabel", h.checkSELinux()))
	}
	if c.spec.Linux != nil && c.spec.Linux.MountLabel != "" {
		faults = append(faults, about("linux.mountLabel", h.checkSELinux()))
	}
	for _, err := range faults {
		if err != nil {
			return err
		}
	}
	return nil
}

func about(field string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", field, err)
}

func (h lsmHost) checkSELinux() error {
	var fs unix.Statfs_t
	if err := unix.Statfs(h.selinux, &fs); err != nil || fs.Type != unix.SELINUX_MAGIC {
		return fmt.Errorf("SELinux is not enabled on this host (no selinuxfs on %s)", h.selinux)
	}
	return nil
}

func (h lsmHost) checkAppArmor() error {
	enabled, err := os.ReadFile(h.apparmor)
	if err == nil && len(enabled) > 0 && enabled[0] == 'Y' {
		return nil
	}
	if err == nil || errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("AppArmor is not enabled on this host (%s does not say Y)", h.apparmor)
	}
	return err
}
