package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// job is one command line that hyperfine times, and what it runs before each.
type job struct {
	command, prepare string
}

// rounds is how often the runtimes take turns: a machine's speed drifts within a
// minute, and all of them should see the same weather.
const rounds = 5

// timed fills a row with the median wall time of each runtime's job.
func timed(peers []peer, runs int, r row, make func(peer) job) ([]row, error) {
	times := map[string][]float64{}
	for range rounds {
		for _, p := range peers {
			t, err := hyperfine(make(p), max(runs/rounds, 3))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			times[p.name] = append(times[p.name], t...)
		}
	}
	r.unit, r.got = "ms", map[string]value{}
	for name, t := range times {
		r.got[name] = value{number: median(t) * 1000}
	}
	return []row{r}, nil
}

// hyperfine gives the wall time in seconds of every run of the job.
func hyperfine(j job, runs int) ([]float64, error) {
	out, err := os.CreateTemp("", "rt-bench-*.json")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name())
	defer out.Close()
	args := []string{"-N", "--style", "none", "--warmup", "3", "--runs", strconv.Itoa(runs), "--export-json", out.Name()}
	if j.prepare != "" {
		args = append(args, "--prepare", j.prepare)
	}
	settle()
	msg, err := exec.Command("hyperfine", append(args, j.command)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("hyperfine %q: %w: %s", j.command, err, strings.TrimSpace(string(msg)))
	}
	var doc struct{ Results []struct{ Times []float64 } }
	if err := json.NewDecoder(out).Decode(&doc); err != nil {
		return nil, err
	}
	return doc.Results[0].Times, nil
}

func median(t []float64) float64 {
	slices.Sort(t)
	if n := len(t); n%2 == 0 {
		return (t[n/2-1] + t[n/2]) / 2
	}
	return t[len(t)/2]
}

// timedInside times a verb on a container that runs.
func timedInside(peers []peer, runs int, r row, verb string, args ...string) ([]row, error) {
	for _, p := range peers {
		if err := p.must("run", "-d", "-b", p.bundles.sleep, "bench-"+p.name); err != nil {
			return nil, err
		}
		defer p.must("delete", "-f", "bench-"+p.name)
	}
	return timed(peers, runs, r, func(p peer) job {
		return job{command: p.line(append([]string{verb, "bench-" + p.name}, args...)...)}
	})
}
