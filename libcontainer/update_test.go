package libcontainer

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/libcontainer/intelrdt"
)

// Without a cgroup, init's threads are all that is known of a container. A plain file keeps every line.
func TestMoveToResctrlGroup(t *testing.T) {
	g := intelrdt.New(t.TempDir(), "box", &specs.LinuxIntelRdt{})
	if err := os.Mkdir(g.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := &Container{record: record{Pid: os.Getpid()}}
	if err := c.moveTo(g); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(g.Dir + "/tasks")
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.Fields(string(text))
	for _, tid := range threads([]int{os.Getpid()}) {
		if !slices.Contains(moved, strconv.Itoa(tid)) {
			t.Errorf("thread %d is not in %v", tid, moved)
		}
	}
}

func TestThreads(t *testing.T) {
	own := threads([]int{os.Getpid(), 1 << 30})
	if !slices.Contains(own, os.Getpid()) || !slices.IsSorted(own) {
		t.Errorf("threads of %d: %v", os.Getpid(), own)
	}
	if none := threads([]int{1 << 30}); len(none) > 0 {
		t.Errorf("threads of nobody: %v", none)
	}
}

func TestConfiguredShares(t *testing.T) {
	zero, some := uint64(0), uint64(512)
	for _, r := range []*specs.LinuxResources{nil, {}, {CPU: &specs.LinuxCPU{}}, {CPU: &specs.LinuxCPU{Shares: &zero}}} {
		if got := configuredShares(r); got != nil {
			t.Errorf("%+v: %d", r, *got)
		}
	}
	if got := configuredShares(&specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: &some}}); got == nil || *got != 512 {
		t.Errorf("got %v", got)
	}
}
