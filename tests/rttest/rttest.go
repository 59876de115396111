// Package rttest is what the tests that drive a runtime binary share: bundles, state roots, commands with deadlines,
// typed skips, and the checks that nothing is left behind. It is the only place that builds bundles and decides skips.
//
// It is not for unit tests, which stand beside the code they test and need no root.
//
// The binary under test is $RT, by default the rt of this repository. Any runtime with runc's command line will do: a
// test that runc fails is a wrong test until explained, and what only rt promises says so with [OnlyRT].
package rttest

import (
	"fmt"
	"os"
	"testing"
)

// sandboxEnv carries the name of this run (see runName) from the outer to the inner test process.
const sandboxEnv = "RTTEST_SANDBOX"

// Main runs the tests of a package and exits. As root they run in a mount and PID namespace of their own, so that
// whatever a broken runtime leaves behind dies with the run, and everything left over can be told from the machine's own.
// A run that leaves a process, mount, cgroup or file descriptor behind fails.
func Main(m *testing.M) {
	switch {
	case os.Geteuid() != 0:
		os.Exit(m.Run())
	case os.Getenv(sandboxEnv) == "":
		os.Exit(runSandbox())
	default:
		os.Exit(runInside(m))
	}
}

// runInside prepares the sandbox, runs the tests in it and looks for what they left.
func runInside(m *testing.M) int {
	if err := enterSandbox(); err != nil {
		fmt.Fprintln(os.Stderr, "rttest: prepare the sandbox:", err)
		return 1
	}
	if _, err := findRuntime(); err != nil {
		fmt.Fprintln(os.Stderr, "rttest:", err)
		return 1
	}
	before := takeInventory()
	code := m.Run()
	for _, fault := range before.leftOver() {
		fmt.Fprintln(os.Stderr, "--- FAIL: left behind:", fault)
		code = 1
	}
	return code
}
