package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	crowdSize = 1000 // containers that are there besides
	atOnce    = 8    // commands that start containers side by side
	batch     = 25   // containers that each of them starts
)

// scale compares what a command takes among no and among 1,000 other running containers.
func scale(peers []peer, runs int) ([]row, error) {
	verbs := []string{"`create` + `start` + `delete -f`", "`state`", "`ps --format json`"}
	var rows []row
	for _, v := range verbs {
		rows = append(rows, row{what: fmt.Sprintf("%s, growth among %d containers", v, crowdSize), unit: "×", limit: 1.2, got: map[string]value{}})
	}
	list := row{what: fmt.Sprintf("`list` of %d containers", crowdSize), unit: "ms", limit: 100, got: map[string]value{}}
	for _, p := range peers {
		if !manageable(p) {
			for _, r := range append(rows, list) {
				r.got[p.name] = value{missing: "–"}
			}
			continue
		}
		grown, listed, err := growth(p, runs)
		if err != nil {
			return nil, err
		}
		for i, g := range grown {
			rows[i].got[p.name] = g
		}
		list.got[p.name] = value{number: listed}
	}
	return append(rows, list), nil
}

// manageable: runc needs a tenth of a second to delete a container, minutes for them all.
func manageable(p peer) bool { return p.name != "runc" }

// growth gives each single-container command's time among a crowd as a multiple of its time alone, and that of `list` in ms.
// The crowd comes and goes: a machine's speed drifts, and both should see the same weather.
func growth(p peer, runs int) ([]value, float64, error) {
	lines := []string{lifecycle(p), p.line("state", "bench-one"), p.line("ps", "--format", "json", "bench-one")}
	alone, among := make([][]float64, len(lines)), make([][]float64, len(lines))
	var listed []float64
	for range rounds {
		if err := withOne(p, lines, alone, runs); err != nil {
			return nil, 0, err
		}
		t, err := inCrowd(p, lines, among, runs)
		if err != nil {
			return nil, 0, err
		}
		listed = append(listed, t...)
	}
	var grown []value
	for i := range lines {
		a, b := median(alone[i])*1000, median(among[i])*1000
		grown = append(grown, value{number: b / a, note: fmt.Sprintf("(%.2f → %.2f ms)", a, b)})
	}
	return grown, median(listed) * 1000, nil
}

// withOne adds to the times of each command line, while the container bench-one runs.
func withOne(p peer, lines []string, times [][]float64, runs int) error {
	one, err := gather(p, "one", 1)
	defer one.disperse()
	if err != nil {
		return err
	}
	for i, line := range lines {
		t, err := hyperfine(job{command: strings.ReplaceAll(line, "bench-one", one.ids[0])}, max(runs/rounds, 3))
		if err != nil {
			return err
		}
		times[i] = append(times[i], t...)
	}
	return nil
}

// inCrowd is withOne while a crowd runs, and the times of `list`.
func inCrowd(p peer, lines []string, times [][]float64, runs int) ([]float64, error) {
	crowd, err := gather(p, "crowd", crowdSize)
	defer crowd.disperse()
	if err != nil {
		return nil, err
	}
	if err := withOne(p, lines, times, runs); err != nil {
		return nil, err
	}
	return hyperfine(job{command: p.line("list")}, 5)
}

// crowd is a number of running containers of one runtime.
type crowd struct {
	peer   peer
	bundle string // what each of them is started from, but for its cgroup
	dir    string
	ids    []string
}

// gather makes n containers. What it made is in the crowd even if it fails.
func gather(p peer, name string, n int) (*crowd, error) {
	c := &crowd{peer: p, bundle: p.bundles.sleep}
	if err := c.writeBundles(name, n); err != nil {
		return c, err
	}
	return c, c.run()
}

// run starts them all, atOnce at a time.
func (c *crowd) run() error {
	return c.sideBySide(func(id string) error { return c.peer.must(runDetached(c, id)...) })
}

// writeBundles: a bundle each, since each has a cgroup of its own.
func (c *crowd) writeBundles(name string, n int) (err error) {
	spec, err := readConfig(filepath.Join(c.bundle, "config.json"))
	if err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp(filepath.Dir(c.bundle), "crowd-"); err != nil {
		return err
	}
	parent := spec.Linux.CgroupsPath
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		spec.Linux.CgroupsPath = parent + "-" + id
		if err := os.Mkdir(filepath.Join(c.dir, id), 0o700); err != nil {
			return err
		}
		if err := writeConfig(filepath.Join(c.dir, id), spec); err != nil {
			return err
		}
		c.ids = append(c.ids, id)
	}
	return nil
}

// sideBySide does something to every container, atOnce at a time, and gives the first error.
func (c *crowd) sideBySide(do func(id string) error) error {
	var workers sync.WaitGroup
	var once sync.Once
	var first error
	for mine := range slices.Chunk(c.ids, max(len(c.ids)/atOnce, 1)) {
		workers.Go(func() {
			for _, id := range mine {
				if err := do(id); err != nil {
					once.Do(func() { first = err })
					return
				}
			}
		})
	}
	workers.Wait()
	return first
}

func (c *crowd) disperse() {
	_ = c.sideBySide(func(id string) error { return c.peer.must("delete", "-f", id) }) // it has printed why, and PID 1 ends what is left
	os.RemoveAll(c.dir)
}

// startTime is how long a command takes for all containers, after another, which may be nil, has been through with them.
func startTime(c *crowd, first, timed command) (time.Duration, error) {
	defer c.disperse()
	if err := c.writeBundles("parallel", atOnce*batch); err != nil {
		return 0, err
	}
	if first != nil {
		if err := c.sideBySide(func(id string) error { return c.peer.must(first(c, id)...) }); err != nil {
			return 0, err
		}
	}
	settle()
	start := time.Now()
	err := c.sideBySide(func(id string) error { return c.peer.must(timed(c, id)...) })
	return time.Since(start), err
}

// command gives the arguments of a command on one of the crowd.
type command func(c *crowd, id string) []string

func runDetached(c *crowd, id string) []string {
	return []string{"run", "-d", "-b", filepath.Join(c.dir, id), id}
}
func create(c *crowd, id string) []string {
	return []string{"create", "-b", filepath.Join(c.dir, id), id}
}
func start(_ *crowd, id string) []string { return []string{"start", id} }

// parallel times a command on containers, atOnce at a time, in turns of the runtimes: the wall time divided by their number.
func parallel(what string, bundle func(bundles) string, first, timed command) func([]peer) ([]row, error) {
	return func(peers []peer) ([]row, error) {
		r := row{what: fmt.Sprintf("%s, %d at once, time per container", what, atOnce), unit: "ms", got: map[string]value{}, max: map[string]float64{"crun": 0.67}}
		times := map[string][]float64{}
		for range rounds {
			for _, p := range peers {
				took, err := startTime(&crowd{peer: p, bundle: bundle(p.bundles)}, first, timed)
				if err != nil {
					return nil, err
				}
				times[p.name] = append(times[p.name], took.Seconds()/(atOnce*batch))
			}
		}
		for name, t := range times {
			r.got[name] = value{number: median(t) * 1000}
		}
		return []row{r}, nil
	}
}
