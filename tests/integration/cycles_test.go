package integration

import (
	"fmt"
	"os"
	"sync"
	"testing"

	"rt/tests/rttest"
)

// 200 times create, start, delete, four at a time on one state root: nothing is left, and nothing grows.
func TestTwoHundredCycles(t *testing.T) {
	const workers, rounds = 4, 50
	host := rttest.New(t) // lends its state root to all
	var bundles []*rttest.Bundle
	for range workers {
		b := rttest.New(t).Sh("exit 3")
		b.Root = host.Root
		b.WriteConfig()
		bundles = append(bundles, b)
	}
	cycle(t, bundles[0], "warm-up") // what is made once and kept, such as a cache, is there after it
	before := tree(t, host.Root)
	var all sync.WaitGroup
	for _, b := range bundles {
		all.Go(func() {
			for round := range rounds {
				if !cycle(t, b, fmt.Sprint(round)) {
					return
				}
			}
		})
	}
	all.Wait()
	if after := tree(t, host.Root); len(after) > len(before) {
		t.Errorf("the state root held %v, holds %v", before, after)
	}
	for _, b := range bundles {
		b.CheckGone()
	}
}

// cycle takes the container through one life; every third time it is deleted by force before it is started.
func cycle(t *testing.T, b *rttest.Bundle, round string) bool {
	run := func(args ...string) bool {
		res := b.RT(args...)
		if res.Code != 0 {
			t.Errorf("round %s: %s", round, res)
		}
		return res.Code == 0
	}
	if !run("create", "--bundle", b.Dir, b.ID) {
		return false
	}
	pid := b.Pid()
	if len(round)%3 == 0 {
		ok := run("delete", "--force", b.ID)
		b.Wait(pid)
		return ok
	}
	if !run("start", b.ID) {
		return false
	}
	if status := b.Wait(pid); status != 3 {
		t.Errorf("round %s: status %d", round, status)
	}
	return run("delete", b.ID)
}

// tree lists the entries of a directory.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
