package main

import "fmt"

// forcedDelete times `delete -f` of a container whose process has ended, as Podman calls it after
// each container, beside `state`, which does nothing to one.
func forcedDelete(runs int) func([]peer) ([]row, error) {
	return func(peers []peer) ([]row, error) {
		state, err := timedInside(peers, runs, row{}, "state")
		if err != nil {
			return nil, err
		}
		rows, err := timed(peers, runs, row{what: "`delete -f` of a stopped container, more than `state`", limit: 3}, func(p peer) job {
			stopped := fmt.Sprintf("sh -c '%s && sleep 0.03'", p.line("run", "-d", "-b", p.bundles.spec, "bench"))
			return job{command: p.line("delete", "-f", "bench"), prepare: stopped}
		})
		if err != nil {
			return nil, err
		}
		for _, p := range peers {
			v := rows[0].got[p.name]
			v.number -= state[0].got[p.name].number
			rows[0].got[p.name] = v
		}
		return rows, nil
	}
}
