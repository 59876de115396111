package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	step    = 4 << 10   // one page
	ceiling = 256 << 20 // no runtime needs that much
)

// smallestMemory finds the smallest memory limit under which each runtime runs
// true, every time of tries; with pidsLimit also under that pids limit.
func smallestMemory(peers []peer, tries int, pidsLimit int64) ([]row, error) {
	r := row{what: "smallest memory limit", unit: "KiB", got: map[string]value{}, limit: 256}
	if pidsLimit > 0 {
		r.what += fmt.Sprintf(", with `pids.limit` %d", pidsLimit)
	}
	for _, p := range peers {
		limit, err := floor(p, tries, pidsLimit)
		if err != nil {
			return nil, err
		}
		r.got[p.name] = value{number: float64(limit) / 1024}
		if limit > ceiling {
			r.got[p.name] = value{missing: "never"}
		}
	}
	return []row{r}, nil
}

// floor searches by halves, then goes up from the result until it holds five times
// as often: near the edge a limit holds now and then.
func floor(p peer, tries int, pidsLimit int64) (int64, error) {
	small, err := os.MkdirTemp(filepath.Dir(p.bundles.spec), "floor-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(small)
	spec, err := readConfig(filepath.Join(p.bundles.spec, "config.json"))
	if err != nil {
		return 0, err
	}
	holds := func(limit int64, tries int) (bool, error) {
		limitResources(spec, limit, pidsLimit)
		if err := writeConfig(small, spec); err != nil {
			return false, err
		}
		for range tries {
			if !runsOnce(p, small) {
				return false, nil
			}
		}
		return true, nil
	}
	low, high := int64(0), int64(ceiling) // low never holds, high is taken to
	for high-low > step {
		mid := (low + high) / 2 / step * step
		ok, err := holds(mid, tries)
		if err != nil {
			return 0, err
		}
		if ok {
			high = mid
		} else {
			low = mid
		}
	}
	for ; high <= ceiling; high += step {
		if ok, err := holds(high, 5*tries); ok || err != nil {
			return high, err
		}
	}
	return high, nil
}

func limitResources(s *specs.Spec, memory, pids int64) {
	if s.Linux.Resources == nil {
		s.Linux.Resources = &specs.LinuxResources{}
	}
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &memory}
	if pids > 0 {
		s.Linux.Resources.Pids = &specs.LinuxPids{Limit: &pids}
	}
}

// runsOnce tells whether the bundle runs to a good end. A runtime whose own process
// hits the limit may hang: it gets ten seconds, and what it left is removed.
func runsOnce(p peer, bundle string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := exec.CommandContext(ctx, p.path, "--root", p.root, "run", "-b", bundle, "floor").Run()
	if err == nil {
		return true
	}
	// Best effort: most failures have left nothing, and then this says so.
	_ = exec.CommandContext(ctx, p.path, "--root", p.root, "delete", "-f", "floor").Run()
	return false
}
