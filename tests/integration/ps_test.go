package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// psIDs is what ps --format json prints.
func psIDs(t *testing.T, b *rttest.Bundle) []int {
	t.Helper()
	var pids []int
	res := b.RT("ps", "--format", "json", b.ID).OK()
	if err := json.Unmarshal([]byte(res.Stdout), &pids); err != nil {
		t.Fatalf("%v: %s", err, res)
	}
	slices.Sort(pids)
	return pids
}

func TestPs(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Command("ps"))
	b := rttest.New(t).Sh("sleep 1001 & echo up; wait")
	b.RunDetached().OK()
	pid := b.Pid()
	rttest.Eventually(t, "the child runs", func() bool { return b.Output() == "up\n" })

	pids := psIDs(t, b)
	procs := cgroupFile(t, b, memberTrees(t)[0], "cgroup.procs")
	if len(pids) != 2 || strings.Trim(fmt.Sprint(pids), "[]") != strings.ReplaceAll(procs, "\n", " ") || !slices.Contains(pids, pid) {
		t.Fatalf("got %v, the cgroup has %q, init is %d", pids, procs, pid)
	}

	table := b.RT("ps", b.ID).OK().Stdout
	lines := strings.Split(strings.TrimSpace(table), "\n")
	if len(lines) != 3 || !slices.Contains(strings.Fields(lines[0]), "PID") || !strings.Contains(table, "sleep 1001") {
		t.Errorf("want a heading and two processes:\n%s", table)
	}
	for _, args := range [][]string{{"-e", "-o", "user,pid,args"}, {"aux"}} {
		if res := b.RT(append([]string{"ps", b.ID}, args...)...).OK(); !strings.Contains(res.Stdout, strconv.Itoa(pid)) {
			t.Errorf("init is missing: %s", res)
		}
	}
	b.RT("ps", b.ID, "-e", "-o", "args").Fails("PID")
	b.RT("ps", b.ID, "--nosuch").Fails()
	b.RT("ps", "--format", "yaml", b.ID).Fails()
}

// Sub-cgroups count, and so do processes that outlived init.
func TestPsSeesAll(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Drop("pid").Sh("sleep 1000 & echo $!; wait")
	b.RunDetached().OK()
	pid := b.Pid()
	rttest.Eventually(t, "the child runs", func() bool { return strings.HasSuffix(b.Output(), "\n") })
	child, err := strconv.Atoi(strings.TrimSpace(b.Output()))
	if err != nil {
		t.Fatal(err)
	}
	for _, controller := range memberTrees(t) {
		moveToSubCgroup(t, b, controller, child)
	}
	want := []int{pid, child}
	slices.Sort(want)
	if got := psIDs(t, b); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.Wait(pid)
	if got := psIDs(t, b); !slices.Equal(got, []int{child}) {
		t.Errorf("after init's end: got %v, want %d", got, child)
	}
	b.RT("kill", "--all", b.ID, "KILL").OK()
	rttest.WaitPid(t, child)
	if got := psIDs(t, b); len(got) != 0 {
		t.Errorf("at the end: got %v", got)
	}
}

func TestPsOfACreatedContainer(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	if got := psIDs(t, b); !slices.Equal(got, []int{b.Pid()}) {
		t.Errorf("got %v, init is %d", got, b.Pid())
	}
}
