package rttest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Requirement is something a test wants of the machine. It returns what is missing, or "".
type Requirement func() string

// Need skips the test when the machine lacks something, saying what. With RT_MUST_RUN=1 that is a failure instead.
func Need(t testing.TB, wants ...Requirement) {
	t.Helper()
	for _, want := range wants {
		missing := want()
		if missing == "" {
			continue
		}
		if os.Getenv("RT_MUST_RUN") == "1" {
			t.Fatalf("this machine lacks %s (and RT_MUST_RUN=1)", missing)
		}
		t.Skipf("this machine lacks %s", missing)
	}
}

// OnlyRT skips the test under any other runtime, which does not promise what is tested; why says what that is.
func OnlyRT(t testing.TB, why string) {
	t.Helper()
	if !IsRT(t) {
		t.Skipf("%s only promises this: %s", "rt", why)
	}
}

// Root is the superuser.
func Root() string {
	if os.Geteuid() != 0 {
		return "root: run the tests as root"
	}
	return ""
}

// CgroupV1 is at least one v1 controller hierarchy.
func CgroupV1() string {
	if _, ok := controllerMount("memory"); ok {
		return ""
	}
	return "a cgroup v1 hierarchy"
}

// Controller is the controller, on cgroup v1 or v2; see [CgroupDir].
func Controller(name string) Requirement {
	return func() string {
		if _, ok := placeOf(name); ok {
			return ""
		}
		return "a cgroup hierarchy with " + name
	}
}

// V1Controllers are these controllers, each in a v1 hierarchy.
func V1Controllers(names ...string) Requirement {
	return func() string {
		for _, name := range names {
			if _, ok := controllerMount(name); !ok {
				return "a cgroup v1 hierarchy with " + name
			}
		}
		return ""
	}
}

// Unified is a cgroup2 mount, with or without controllers.
func Unified() string {
	if _, ok := controllerMount(""); ok {
		return ""
	}
	return "a cgroup2 mount"
}

// CgroupV2 is a machine with nothing but cgroup2.
func CgroupV2() string {
	if _, ok := controllerMount(""); ok && CgroupV1() != "" {
		return ""
	}
	return "cgroup v2 alone"
}

// UnifiedController is a cgroup2 mount that offers the controller.
func UnifiedController(name string) Requirement {
	return func() string {
		if unifiedHas(name) {
			return ""
		}
		return "a cgroup2 mount with " + name
	}
}

// Kernel is a Linux of at least this version ("5.14").
func Kernel(version string) Requirement {
	return func() string {
		var u unix.Utsname
		if err := unix.Uname(&u); err != nil {
			return "uname: " + err.Error()
		}
		have := unix.ByteSliceToString(u.Release[:])
		if versionNumber(have) < versionNumber(version) {
			return fmt.Sprintf("Linux %s (this is %s)", version, have)
		}
		return ""
	}
}

// versionNumber makes 5.14.2-x comparable: 5014.
func versionNumber(v string) int {
	f := strings.FieldsFunc(v, func(r rune) bool { return r < '0' || r > '9' })
	major, _ := strconv.Atoi(f[0])
	minor := 0
	if len(f) > 1 {
		minor, _ = strconv.Atoi(f[1])
	}
	return major*1000 + minor
}

// Command is a program in $PATH of the machine.
func Command(name string) Requirement {
	return func() string {
		if _, err := exec.LookPath(name); err != nil {
			return "the command " + name
		}
		return ""
	}
}

// NoSystemd is that nothing tells of a systemd that runs the machine, as in the sandbox.
func NoSystemd() string {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		return "a place without systemd"
	}
	return ""
}

// Capability is a capability in this process's bounding set, by number.
func Capability(number int) Requirement {
	return func() string {
		if has, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(number), 0, 0, 0); err == nil && has == 1 {
			return ""
		}
		return fmt.Sprintf("capability %d, even for root", number)
	}
}

// File is a path that exists on the machine.
func File(path string) Requirement {
	return func() string {
		if _, err := os.Stat(path); err != nil {
			return path
		}
		return ""
	}
}
