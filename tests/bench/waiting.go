package main

import (
	"encoding/json"
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// waitingMemory creates a container with each runtime and reads the threads and the
// memory of the process that waits for `start`.
func waitingMemory(peers []peer) ([]row, error) {
	rows := []row{
		{what: "created, waiting: threads", limit: 1},
		{what: "created, waiting: anonymous memory", unit: "KiB", limit: 100},
		{what: "created, waiting: resident memory", unit: "KiB", limit: 600},
	}
	for i := range rows {
		rows[i].got = map[string]value{}
	}
	for _, p := range peers {
		numbers, err := waitingNumbers(p)
		if err != nil {
			return nil, err
		}
		for i, n := range numbers {
			rows[i].got[p.name] = value{number: n}
		}
	}
	return rows, nil
}

// waitingNumbers gives threads, anonymous and resident KiB of one runtime's process.
func waitingNumbers(p peer) ([]float64, error) {
	if err := p.must("create", "-b", p.bundles.sleep, "bench"); err != nil {
		return nil, err
	}
	out, err := p.command("state", "bench").Output()
	if err != nil {
		return nil, fmt.Errorf("%s state: %w", p.name, err)
	}
	var state specs.State
	if err := json.Unmarshal(out, &state); err != nil {
		return nil, err
	}
	var numbers []float64
	for _, from := range [][2]string{{"status", "Threads"}, {"smaps_rollup", "Anonymous"}, {"smaps_rollup", "Rss"}} {
		n, err := procNumber(fmt.Sprintf("/proc/%d/%s", state.Pid, from[0]), from[1])
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, p.must("delete", "-f", "bench")
}
