package specconv

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// OldestVersion is the first version of the runtime specification that Validate accepts. It accepts
// every 1.x: within a major version an older runtime reads a newer file, skipping what it does not know.
const OldestVersion = "1.0.0"

func (c *checker) version() {
	v := c.spec.Version
	switch {
	case v == "":
		c.faults.add("ociVersion", "is missing")
	case !isSemVer(v):
		c.faults.add("ociVersion", "%q is not a version number like %s", v, specs.Version)
	case !strings.HasPrefix(v, "1."):
		c.faults.add("ociVersion", "%q is not supported, only %s to %s", v, OldestVersion, specs.Version)
	}
}

// isSemVer knows SemVer 2.0.0: 1.2.3, 1.2.3-rc.1, 1.2.3+build, 1.2.3-rc.1+build.
func isSemVer(v string) bool {
	v, build, hasBuild := strings.Cut(v, "+")
	core, pre, hasPre := strings.Cut(v, "-")
	numbers := strings.Split(core, ".")
	if len(numbers) != 3 || hasBuild && !allParts(build, isLabel) || hasPre && !allParts(pre, isPreLabel) {
		return false
	}
	for _, n := range numbers {
		if !isNumber(n) {
			return false
		}
	}
	return true
}

func allParts(s string, ok func(string) bool) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !ok(part) {
			return false
		}
	}
	return true
}

// isPreLabel refuses leading zeros in numbers, as SemVer does for pre-releases alone.
func isPreLabel(s string) bool {
	return isNumber(s) || isLabel(s) && !isDigits(s)
}

func isLabel(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isAlnum(r) && r != '-' }) < 0
}

func isNumber(s string) bool { return isDigits(s) && (s == "0" || s[0] != '0') }

func isDigits(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

func isAlnum(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
