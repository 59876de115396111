package specconv

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxID is the highest user or group id. The one above means "leave it" to setresuid(2) and "nobody"
// to the kernel's id maps, and is never an id.
const maxID = math.MaxUint32 - 1

// ParseUser reads the UID[:GID] of exec's --user. It takes numbers and nothing but: a name looked up in
// the container's own passwd is the image's word (CVE-2016-3697), and a parse that guesses makes an
// ordinary user root (CVE-2026-30892). Without a gid it is 0.
func ParseUser(s string) (uid, gid uint32, err error) {
	user, group, hasGroup := strings.Cut(s, ":")
	if uid, err = parseID(user); err != nil {
		return 0, 0, fmt.Errorf("user %q: uid %w", s, err)
	}
	if !hasGroup {
		return uid, 0, nil
	}
	if gid, err = parseID(group); err != nil {
		return 0, 0, fmt.Errorf("user %q: gid %w", s, err)
	}
	return uid, gid, nil
}

func parseID(s string) (uint32, error) {
	if !isDigits(s) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n > maxID {
		return 0, fmt.Errorf("%s is above %d", s, uint32(maxID))
	}
	return uint32(n), nil
}
