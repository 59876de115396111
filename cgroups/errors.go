package cgroups

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

var (
	// ErrDisabled is returned by what needs a cgroup when the container has none.
	ErrDisabled = errors.New("the container has no cgroup")

	// ErrUnavailable is wrapped by every error about a controller that this machine does not offer.
	ErrUnavailable = errors.New("controller not available")

	// ErrUnsupported is wrapped by errors about limits that the cgroup version in use cannot express.
	ErrUnsupported = errors.New("not supported")

	// ErrNotEmpty is wrapped when the cgroup asked for already holds processes.
	ErrNotEmpty = errors.New("cgroup is not empty")

	// ErrFrozen is wrapped when the cgroup asked for is frozen.
	ErrFrozen = errors.New("cgroup is frozen")
)

// ManagerError reports a cgroup manager that cannot be used.
type ManagerError struct {
	Name string // as given
}

// Error implements error.
func (e *ManagerError) Error() string {
	return fmt.Sprintf("unknown cgroup manager %q; use cgroupfs, systemd or disabled", e.Name)
}

// LimitError names the field of the config whose limit could not be given.
type LimitError struct {
	Field string // e.g. "linux.resources.cpu.burst"
	Err   error
}

// Error implements error.
func (e *LimitError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap gives the cause, in the end the errno.
func (e *LimitError) Unwrap() error { return e.Err }

// fault is the LimitError of one field below linux.resources.
func fault(field, format string, args ...any) error {
	return &LimitError{Field: "linux.resources." + field, Err: fmt.Errorf(format, args...)}
}

// onV2 reports a field that has no counterpart in the v2 interface.
func onV2(field string) error {
	return fault(field, "%w on cgroup v2", ErrUnsupported)
}

// writeError words a write that the kernel refused.
func writeError(field, file, value string, err error) error {
	return fault(field, "write %q: %w%s", value, err, hint(file, err))
}

// hint explains the errnos of cgroup files that mislead.
func hint(file string, err error) string {
	switch {
	case errors.Is(err, unix.ENOENT):
		return " (this kernel does not offer the limit)"
	case errors.Is(err, unix.EBUSY) && isMemoryLimit(file):
		return " (more than that is in use)"
	case errors.Is(err, unix.EBUSY) && file == "cgroup.subtree_control":
		return " (that cgroup has processes of its own, so it cannot pass controllers on)"
	case errors.Is(err, unix.ENODEV) && isBlockFile(file):
		return " (no such block device)"
	case errors.Is(err, unix.EACCES) && isCpuset(file), errors.Is(err, unix.EINVAL) && isCpuset(file):
		return " (not all of them are in the parent cgroup's set)"
	}
	return ""
}

// denied tells whether err means that we may not touch the cgroup filesystem at all.
func denied(err error) bool {
	return errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS)
}
