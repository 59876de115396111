// Package conformance runs the OCI's own validation suite, the programs of github.com/opencontainers/runtime-tools,
// against the runtime in $RT, every program a subtest. expected_test.go says which points a right runtime fails, and
// which test of ours shows what the specification asks for there.
//
// It is not for tests of our own; those are in tests/integration.
package conformance

import (
	"fmt"
	"os"
	"testing"

	"rt/tests/rttest"
)

// suiteEnv is the directory of the built suite.
const suiteEnv = "RT_CONFORMANCE_SUITE"

func TestMain(m *testing.M) {
	if os.Geteuid() == 0 && os.Getenv(suiteEnv) == "" { // before the sandbox, where a go command could leave processes
		dir, err := buildSuite()
		if err != nil {
			fmt.Fprintln(os.Stderr, "build the validation suite:", err)
			os.Exit(1)
		}
		os.Setenv(suiteEnv, dir)
	}
	rttest.Main(m)
}
