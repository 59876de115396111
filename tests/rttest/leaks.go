package rttest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// grace is how long an ended container's remains may take to vanish before they count as left behind.
const grace = 3 * time.Second

// inventory is what the sandbox held before the first test.
type inventory struct {
	mounts, fds map[string]bool
}

func takeInventory() inventory {
	return inventory{mounts: toSet(mountTable("self")), fds: openFDs()}
}

// leftOver lists processes, mounts, cgroups and descriptors that were not there before.
func (before inventory) leftOver() []string {
	var faults []string
	for deadline := time.Now().Add(grace); ; time.Sleep(20 * time.Millisecond) {
		faults = before.leftOverNow()
		if len(faults) == 0 || time.Now().After(deadline) {
			thawAll(runName())
			sweepCgroups(runName())
			return faults
		}
	}
}

func (before inventory) leftOverNow() []string {
	reapOrphans()
	faults := otherProcesses()
	for _, m := range added("mount", before.mounts, toSet(mountTable("self"))) {
		if !onMachine() || strings.Contains(m, runName()) { // systemd mounts things for users and services
			faults = append(faults, m)
		}
	}
	faults = append(faults, added("fd", before.fds, openFDs())...)
	for _, dir := range cgroupDirsBelow(runName()) {
		faults = append(faults, "cgroup "+dir)
	}
	return faults
}

// reapOrphans collects the status of every ended child; call it only when no command is running.
func reapOrphans() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if pid <= 0 || err != nil {
			return
		}
	}
}

// otherProcesses names every process of this PID namespace but this one; on a machine with others, our children,
// among them every orphan.
func otherProcesses() []string {
	entries, _ := os.ReadDir("/proc")
	var found []string
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() || onMachine() && parent(pid) != os.Getpid() {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil {
			found = append(found, fmt.Sprintf("process %d %q", pid, strings.ReplaceAll(string(cmdline), "\x00", " ")))
		}
	}
	return found
}

// parent is the parent of a process; 0 for none.
func parent(pid int) int {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); len(f) > 1 {
		ppid, _ := strconv.Atoi(f[1])
		return ppid
	}
	return 0
}

// openFDs names this process's descriptors, but for the poller that the Go runtime opens when it first needs one.
func openFDs() map[string]bool {
	entries, _ := os.ReadDir("/proc/self/fd")
	fds := map[string]bool{}
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err != nil || strings.HasPrefix(target, "anon_inode:[event") {
			continue
		}
		fds[e.Name()+" "+target] = true
	}
	return fds
}

var mountIDs = regexp.MustCompile(`^\d+ \d+ `)

// mountTable is /proc/PID/mountinfo, a line each, without the mount ids.
func mountTable(pid string) []string {
	data, _ := os.ReadFile("/proc/" + pid + "/mountinfo")
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for i, line := range lines {
		lines[i] = mountIDs.ReplaceAllString(line, "")
	}
	return lines
}

func toSet(list []string) map[string]bool {
	set := map[string]bool{}
	for _, s := range list {
		set[s] = true
	}
	return set
}

func added(kind string, before, now map[string]bool) []string {
	var list []string
	for s := range now {
		if !before[s] {
			list = append(list, kind+" "+s)
		}
	}
	sort.Strings(list)
	return list
}

// Settle waits until everything of the container is gone, and fails the test when it stays.
func Settle(t testing.TB, b *Bundle, when string) {
	t.Helper()
	var left []string
	for until := time.Now().Add(grace); ; time.Sleep(2 * time.Millisecond) {
		if left = b.remains(); len(left) == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("killed %s: left behind after delete --force:\n  %s", when, strings.Join(left, "\n  "))
		}
	}
}
