// Command bench measures rt beside other OCI runtimes and writes one Markdown
// table: wall times by hyperfine, the smallest memory limit a container runs
// under, and the memory of a container that waits for its start.
//
// It works in a mount and PID namespace of its own (namespace.go), so it leaves
// no mount and no process behind. It is no test: nothing fails when rt is slow,
// the table says so.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

type options struct {
	rt, crun, runc string
	config         string // Docker's config.json, as the engine wrote it
	out            string // where the table goes
	peers          string // names, comma separated: which runtimes take part
	runs           int    // timed runs per runtime and row
	only           string // measure what has this in its name
	tries          int    // runs that must all succeed before a memory limit counts as enough
}

func main() {
	var o options
	flag.StringVar(&o.rt, "rt", "./rt", "the runtime under test")
	flag.StringVar(&o.crun, "crun", "/usr/bin/crun", "crun")
	flag.StringVar(&o.runc, "runc", "bin/peers/runc", "runc")
	flag.StringVar(&o.config, "config", "tests/testdata/configs/docker-default.json", "Docker's config.json")
	flag.StringVar(&o.out, "o", "", "file to write the table to (default: standard output only)")
	flag.StringVar(&o.peers, "peers", "rt,crun,runc", "which runtimes to measure")
	flag.StringVar(&o.only, "only", "", "measure only what has this in its name")
	flag.IntVar(&o.runs, "runs", 100, "timed runs per runtime and row")
	flag.IntVar(&o.tries, "tries", 10, "runs that must all succeed under a memory limit")
	flag.Parse()
	if err := enclose(func() error { return bench(o) }); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench measures every row for every runtime and prints and stores the table.
func bench(o options) error {
	dir, err := os.MkdirTemp("", "rt-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	peers, err := findPeers(o)
	if err != nil {
		return err
	}
	if err := makeBundles(dir, o.config, peers); err != nil {
		return err
	}
	machine := describeMachine()
	var rows []row
	for _, m := range measures(o) {
		if !strings.Contains(m.what, o.only) {
			continue
		}
		fmt.Fprintln(os.Stderr, "measuring:", m.what)
		r, err := m.measure(peers)
		if err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		rows = append(rows, r...)
	}
	text := report(machine, peers, rows, o)
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o755); err != nil {
		return err
	}
	return os.WriteFile(o.out, []byte(text), 0o644)
}

// measure is one thing to find out; it gives one or more rows of the table.
type measure struct {
	what    string
	measure func([]peer) ([]row, error)
}

// measures lists what is measured, in the order of the table.
func measures(o options) []measure {
	return []measure{
		{"run, the bundle that spec writes", func(ps []peer) ([]row, error) {
			return timed(ps, o.runs, row{what: "`run` of the `spec` bundle", max: map[string]float64{"crun": 0.70, "runc": 0.25}},
				func(p peer) job { return job{command: p.line("run", "-b", p.bundles.spec, "bench")} })
		}},
		{"run, Docker's config, filter cached", func(ps []peer) ([]row, error) {
			return timed(ps, o.runs, row{what: "`run` of Docker's config, warm", max: map[string]float64{"crun": 0.70}},
				func(p peer) job { return job{command: p.line("run", "-b", p.bundles.docker, "bench")} })
		}},
		{"run, Docker's config, nothing cached", func(ps []peer) ([]row, error) {
			return timed(ps, o.runs/2, row{what: "`run` of Docker's config, cold", max: map[string]float64{"crun": 1}},
				func(p peer) job {
					return job{command: p.line("run", "-b", p.bundles.docker, "bench"), prepare: "rm -rf " + p.root}
				})
		}},
		{"create, start, delete -f", func(ps []peer) ([]row, error) {
			return timed(ps, o.runs/2, row{what: "`create` + `start` + `delete -f`", max: map[string]float64{"crun": 0.80}},
				func(p peer) job { return job{command: lifecycle(p)} })
		}},
		{"--version", func(ps []peer) ([]row, error) {
			return timed(ps, o.runs, row{what: "`--version`", max: map[string]float64{"crun": 1}},
				func(p peer) job { return job{command: p.line("--version")} })
		}},
		{"state", func(ps []peer) ([]row, error) {
			return timedInside(ps, o.runs, row{what: "`state`", max: map[string]float64{"crun": 1}}, "state")
		}},
		{"exec true", func(ps []peer) ([]row, error) {
			return timedInside(ps, o.runs, row{what: "`exec true`", max: map[string]float64{"crun": 0.70, "runc": 0.25}}, "exec", "true")
		}},
		{"delete -f of a stopped container", forcedDelete(o.runs / 2)},
		{"run -d, several at once", parallel("`run -d` of the `spec` bundle", func(b bundles) string { return b.sleep }, nil, runDetached)},
		{"run -d of Docker's config, several at once", parallel("`run -d` of Docker's config", func(b bundles) string { return b.dockerSleep }, nil, runDetached)},
		{"start, several at once", parallel("`start`", func(b bundles) string { return b.sleep }, create, start)},
		{"the same commands among 1,000 containers", func(ps []peer) ([]row, error) { return scale(ps, o.runs/2) }},
		{"size of the binary", binarySize},
		{"smallest memory limit", func(ps []peer) ([]row, error) { return smallestMemory(ps, o.tries, 0) }},
		{"smallest memory limit, pids.limit 1", func(ps []peer) ([]row, error) { return smallestMemory(ps, o.tries, 1) }},
		{"memory of a created container", func(ps []peer) ([]row, error) { return waitingMemory(ps) }},
	}
}

// lifecycle gives the three commands as one line for hyperfine. A static busybox
// shell runs them, the same for all runtimes; its own start is part of the time.
func lifecycle(p peer) string {
	return fmt.Sprintf("busybox sh -c '%s'", strings.Join([]string{
		p.line("create", "-b", p.bundles.sleep, "bench"),
		p.line("start", "bench"),
		p.line("delete", "-f", "bench"),
	}, " && "))
}
