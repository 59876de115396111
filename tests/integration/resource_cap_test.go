package integration

import (
	"os/exec"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// What takes CAP_SYS_RESOURCE on the host: rt has it, the container does not.

// besides runs a check for a container of the host's user namespace and for one of its own.
func besides(t *testing.T, check func(t *testing.T, b *rttest.Bundle)) {
	t.Helper()
	rttest.Need(t, rttest.Capability(unix.CAP_SYS_RESOURCE))
	t.Run("as root", func(t *testing.T) { check(t, rttest.New(t)) })
	t.Run("in a user namespace", func(t *testing.T) { check(t, rttest.New(t).MapIDs(100000, 65536)) })
}

// Hard limits above those of the caller are raised for init and for who joins.
func TestRlimitsAreRaised(t *testing.T) {
	t.Parallel()
	besides(t, func(t *testing.T, b *rttest.Bundle) {
		b.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 5000, Hard: 6000}}
		b.Sh("ulimit -n; ulimit -H -n; exec sleep 1000")
		b.Every = func(cmd *exec.Cmd) {
			cmd.Args = append([]string{"prlimit", "--nofile=300:400"}, cmd.Args...)
			cmd.Path = "/usr/bin/prlimit"
		}
		b.RunDetached().OK()
		rttest.Eventually(t, "init tells its limits", func() bool { return b.Output() == "5000\n6000\n" })
		b.RT("exec", b.ID, "sh", "-c", "ulimit -n; ulimit -H -n").OK().Prints("5000\n6000")
	})
}

// Above fs.nr_open nobody gets: an error with the field, not a lower limit.
func TestRlimitAboveTheKernelsOwn(t *testing.T) {
	t.Parallel()
	besides(t, func(t *testing.T, b *rttest.Bundle) {
		b.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 31, Hard: 1 << 31}}
		b.Create().FailsNaming("process.rlimits[0]", "RLIMIT_NOFILE", "operation not permitted")
		b.CheckGone()
	})
}

// A score below the caller's, down to immunity.
func TestNegativeOOMScore(t *testing.T) {
	t.Parallel()
	besides(t, func(t *testing.T, b *rttest.Bundle) {
		b.Spec.Process.OOMScoreAdj = ptr(-1000)
		b.Sh("cat /proc/self/oom_score_adj; exec sleep 1000").RunDetached().OK()
		rttest.Eventually(t, "init tells its score", func() bool { return b.Output() == "-1000\n" })
		b.RT("exec", b.ID, "cat", "/proc/self/oom_score_adj").OK().Prints("-1000")
	})
}
