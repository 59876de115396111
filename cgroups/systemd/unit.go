package systemd

import (
	"errors"
	"fmt"
	"strings"
)

// Unit is where a container lives among systemd's units.
type Unit struct {
	Name  string // "rt-web.scope", or a slice
	Slice string // the slice around it: "system.slice"
}

// maxUnitName is systemd's UNIT_NAME_MAX, without the terminating zero.
const maxUnitName = 255

// DefaultPrefix begins the name of a unit for which the config names no path.
const DefaultPrefix = "rt"

// UnitOf understands linux.cgroupsPath as all engines write it for systemd: "slice:prefix:name" is prefix-name.scope
// in slice; without a prefix it is name.scope, and a name that ends in ".slice" is that slice itself. Empty parts and
// an empty path get defaults: user.slice for a user's manager or system.slice, and the container's id as the name.
func UnitOf(cgroupsPath, id string, user bool) (Unit, error) {
	slice, prefix, name := "", DefaultPrefix, id
	if cgroupsPath != "" {
		parts := strings.Split(cgroupsPath, ":")
		if len(parts) != 3 {
			return Unit{}, fmt.Errorf("%q is not slice:prefix:name, as the systemd cgroup manager wants it", cgroupsPath)
		}
		slice, prefix = parts[0], parts[1]
		if parts[2] != "" {
			name = parts[2]
		}
	}
	if slice == "" {
		slice = "system.slice"
		if user {
			slice = "user.slice"
		}
	}
	u := Unit{Name: unitName(prefix, name), Slice: slice}
	if len(u.Name) > maxUnitName {
		return Unit{}, fmt.Errorf("unit name %s is longer than %d characters", u.Name, maxUnitName)
	}
	_, err := u.Path()
	return u, err
}

func unitName(prefix, name string) string {
	switch {
	case strings.HasSuffix(name, ".slice"):
		return name
	case prefix != "":
		name = prefix + "-" + name
	}
	return escape(name) + ".scope"
}

// escape replaces what systemd allows in no unit name, as systemd-escape(1) does: a container id may have a "+".
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; isUnitChar(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

func isUnitChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(`:_.\@-`, c) >= 0
}

// IsSlice tells whether the unit is a slice: systemd puts no process into those.
func (u Unit) IsSlice() bool { return strings.HasSuffix(u.Name, ".slice") }

// Path is the unit's cgroup, from the one of its manager: "/system.slice/rt-web.scope".
func (u Unit) Path() (string, error) {
	if u.IsSlice() {
		return SlicePath(u.Name)
	}
	path, err := SlicePath(u.Slice)
	if path == "/" {
		path = ""
	}
	return path + "/" + u.Name, err
}

// SlicePath gives the cgroup of a slice: its name is its path with dashes in place of slashes, so a-b.slice lies in
// a.slice. "-.slice" is the root.
func SlicePath(slice string) (string, error) {
	if slice == "-.slice" {
		return "/", nil
	}
	base, ok := strings.CutSuffix(slice, ".slice")
	if !ok {
		return "", fmt.Errorf("slice %q does not end in .slice", slice)
	}
	if err := checkSlice(base); err != nil {
		return "", fmt.Errorf("slice %q %w", slice, err)
	}
	path := ""
	for i := range len(base) {
		if base[i] == '-' {
			path += "/" + base[:i] + ".slice"
		}
	}
	return path + "/" + slice, nil
}

func checkSlice(base string) error {
	if len(base)+len(".slice") > maxUnitName {
		return fmt.Errorf("has more than %d characters", maxUnitName)
	}
	for part := range strings.SplitSeq(base, "-") {
		if part == "" {
			return errors.New("has a dash without a name before and behind it")
		}
	}
	for i := range len(base) {
		if !isUnitChar(base[i]) || base[i] == '@' {
			return fmt.Errorf("has a %q in its name", base[i])
		}
	}
	return nil
}
