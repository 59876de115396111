package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/internal/named"
	"rt/tests/rttest"
)

// programs is how many the suite has.
const programs = 58

func TestSuite(t *testing.T) {
	rttest.Need(t, rttest.Root, rttest.Command("unshare"), rttest.Command("tar"))
	for _, controller := range []string{"hugetlb", "net_cls", "net_prio"} {
		rttest.MountV1(t, controller)
	}
	suite := os.Getenv(suiteEnv)
	paths, err := filepath.Glob(suite + "/*[^z]") // but the .gz
	if err != nil || len(paths) != programs+1 {
		t.Fatalf("%d programs in %s, want %d and runtimetest: %v", len(paths)-1, suite, programs, err)
	}
	for _, path := range paths {
		if name := filepath.Base(path); name != "runtimetest" {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				test(t, path)
			})
		}
	}
}

// tries is how often a program is run that is a race.
const tries = 3

func test(t *testing.T, path string) {
	name := filepath.Base(path)
	for prefix, need := range needs {
		if name == prefix || strings.HasSuffix(prefix, "_") && strings.HasPrefix(name, prefix) {
			rttest.Need(t, need)
		}
	}
	want := expected[name]
	if want.kernel != "" && rttest.Kernel(want.kernel)() != "" {
		want = expectation{}
	}
	r := run(t, path)
	for n := 1; want.race && !r.passes() && n < tries; n++ {
		t.Logf("lost the race, try %d of %d: %s", n, tries, want.why)
		r = run(t, path)
	}
	t.Logf("%d ok, %d not ok, %d skipped, status %d", r.ok, len(r.failed), r.skipped, r.status)
	if want.race && r.passes() {
		want = expectation{}
	}
	if want.why != "" {
		t.Logf("not a pass: %s", want.why)
	}
	faults := r.compare(name, want)
	for _, fault := range faults {
		if !rttest.IsRT(t) { // the table is about rt; of others it is only told what they do
			t.Log(fault)
			continue
		}
		t.Error(fault)
	}
	if t.Failed() {
		t.Log(r.output)
	}
}

func (r *result) passes() bool { return len(r.failed) == 0 && len(r.faults) == 0 && r.status == 0 }

// compare names everything that is not as expected, what should fail and does not included.
func (r *result) compare(name string, want expectation) (wrong []string) {
	add := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, p := range r.failed {
		if !slices.Contains(want.points, p.number) {
			add("not ok %d %s", p.number, p.what)
		}
	}
	for _, number := range want.points {
		if !slices.ContainsFunc(r.failed, func(p point) bool { return p.number == number }) {
			add("point %d does not fail; is this still true: %s", number, want.why)
		}
	}
	if r.status != want.status {
		add("status %d, want %d", r.status, want.status)
	}
	for _, fault := range r.faults {
		if !slices.ContainsFunc(want.faults, func(words string) bool { return strings.Contains(fault, words) }) {
			add("error: %s", fault)
		}
	}
	for _, words := range want.faults {
		if !strings.Contains(r.output, words) {
			add("does not say %q; is this still true: %s", words, want.why)
		}
	}
	if silent := slices.Contains(silent, name); silent != (r.ok+len(r.failed) == 0) {
		add("%d points; expected to print none: %v", r.ok+len(r.failed), silent)
	}
	for _, left := range r.left {
		add("left behind: %s", left)
	}
	return wrong
}

// limit is how long a program may take; the slowest sleeps for 30 seconds.
const limit = 2 * time.Minute

// run runs one program of the suite in a sandbox of its own.
func run(t *testing.T, path string) *result {
	t.Helper()
	name := filepath.Base(path)
	script, err := filepath.Abs("sandbox.sh")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), rttest.Stretch(limit))
	defer cancel()
	cgroups := rttest.OwnCgroups(t, name)
	cmd := exec.CommandContext(ctx, "/bin/sh", script, path)
	cmd.Dir = filepath.Dir(path)
	cmd.Env = append(os.Environ(), "RUNTIME="+rttest.Runtime(t), "CGROUPS="+strings.Join(cgroups.Mounts(), " "), "TMPDIR=/run/tmp")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || ctx.Err() != nil {
		t.Fatalf("%v, %v: %s", err, ctx.Err(), out)
	}
	r := readTAP(string(out), cmd.ProcessState.ExitCode())
	for _, dir := range cgroups.Remove() {
		if base := filepath.Base(dir); base != "testdir" && filepath.Base(filepath.Dir(dir)) != "testdir" { // parents stay, as with runc
			r.left = append(r.left, "cgroup "+dir)
		}
	}
	return r
}

// Where the suite is not the judge, a test of ours is.
func TestExpectationsNameTests(t *testing.T) {
	t.Parallel()
	tests, err := named.Find("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range expected {
		if err := tests.Check(want.test); err != nil || want.why == "" || len(want.points)+len(want.faults) == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
