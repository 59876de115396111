package specconv

import (
	"fmt"
	"strings"
)

// ValidID checks a container id. It becomes a directory, a cgroup and part of a systemd unit's name, so
// it is held to what is harmless in all of them: letters, digits, "_", "+", "-" and ".".
func ValidID(id string) error {
	switch {
	case id == "":
		return fmt.Errorf("invalid container ID format: it is empty")
	case id == "." || id == "..":
		return fmt.Errorf("invalid container ID format: %q is a directory", id)
	case len(id) > 255:
		return fmt.Errorf("invalid container ID format: %d bytes, a file name has at most 255", len(id))
	case strings.IndexFunc(id, func(r rune) bool { return !isAlnum(r) && !strings.ContainsRune("_+-.", r) }) >= 0:
		return fmt.Errorf("invalid container ID format: %q has other characters than letters, digits, _, +, - and dots", id)
	}
	return nil
}
