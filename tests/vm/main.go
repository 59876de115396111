// Command vm boots stock Debian kernels under qemu, in software, and runs the integration tests there: on cgroup trees,
// below a PID 1, and with capabilities and security modules that the machine at hand does not have. It prints what
// `go test -json` prints, with the machine as the package: rt/tests/vm/v2. Where systemd is PID 1, the tests of its driver
// run against that one, as rt/tests/vm/v2-systemd/systemd.
//
//	vm [-cache DIR] [-rt FILE] [-all] [-run REGEXP] [-skip REGEXP] MACHINE...
//
// It installs nothing: packages are downloaded into the cache and unpacked there. It needs qemu-system-x86_64, apt-get,
// xz, gcc and Go, and no root.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// options is the command line.
type options struct {
	cache     string
	rt        string
	all       bool
	run, skip string
	limit     time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.cache, "cache", ".cache/vm", "where packages and images are kept")
	flag.StringVar(&o.rt, "rt", "rt", "the runtime under test, statically linked")
	flag.BoolVar(&o.all, "all", false, "run every test, not the chosen ones only")
	flag.StringVar(&o.run, "run", "", "run these tests instead (as go test -run)")
	flag.StringVar(&o.skip, "skip", "", "run all but these tests instead (as go test -skip)")
	flag.DurationVar(&o.limit, "limit", 30*time.Minute, "when a machine is given up")
	flag.Parse()
	if err := o.main(flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "vm:", err)
		os.Exit(1)
	}
}

// main runs the machines one after the other; a machine that dies is reported and does not stop the rest.
func (o *options) main(names []string) error {
	list, err := choose(names)
	if err != nil {
		return err
	}
	base, err := prepare(o.cache)
	if err != nil {
		return err
	}
	files, err := o.programs()
	if err != nil {
		return err
	}
	failed := 0
	for _, m := range list {
		if err := o.test(base, files, m); err != nil {
			fmt.Fprintf(os.Stderr, "vm %s: %v\n", m.name, err)
			failed++
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d machines failed", failed, len(list))
	}
	return nil
}

// choose finds the machines of these names, or all.
func choose(names []string) ([]machine, error) {
	if len(names) == 0 {
		return machines, nil
	}
	var list []machine
	for _, name := range names {
		i := slices.IndexFunc(machines, func(m machine) bool { return m.name == name })
		if i < 0 {
			return nil, fmt.Errorf("no machine %q", name)
		}
		list = append(list, machines[i])
	}
	return list, nil
}

// programs builds the tests and their helper, and lists what of this repository goes into the machines.
func (o *options) programs() (map[string]string, error) {
	bin := filepath.Join(o.cache, "bin")
	tests, probe := filepath.Join(bin, "integration.test"), filepath.Join(bin, "probe")
	cmd := exec.Command("go", "test", "-c", "-o", tests, "./tests/integration")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := command(cmd); err != nil {
		return nil, err
	}
	if err := command(exec.Command("gcc", "-static", "-O1", "-o", probe, "tests/rttest/testdata/probe.c")); err != nil {
		return nil, err
	}
	files := map[string]string{
		"usr/local/bin/rt": o.rt, "usr/local/bin/rttest-probe": probe, "rt/tests/integration/integration.test": tests,
		"rt/go.mod": "go.mod",
	}
	configs, err := filepath.Glob("tests/testdata/configs/*.json")
	for _, f := range configs {
		files["rt/"+f] = f
	}
	return files, err
}

// command runs a command that says nothing unless it fails.
func command(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return nil
}
