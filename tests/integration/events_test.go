package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// needControllers wants controllers, whether of v1 or of v2.
func needControllers(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if hierarchyOf(name) != "" {
			rttest.Need(t, rttest.Controller(name))
		}
	}
}

// hierarchyOf is what names a controller's hierarchy to rttest: nothing if that is the cgroup2 tree.
func hierarchyOf(controller string) string {
	if rttest.UnifiedController(controller)() == "" {
		return ""
	}
	return controller
}

// event is one record of events, as far as the tests look at it.
type event struct {
	Type, ID string
	Data     struct {
		CPU struct {
			Usage struct {
				Total  uint64
				Percpu []uint64
			}
			Throttling struct{ Periods, ThrottledPeriods, ThrottledTime uint64 }
		}
		CPUSet struct {
			Cpus, Mems []uint16
		}
		Memory struct {
			Usage, Swap, Kernel struct{ Limit, Usage, Max, Failcnt uint64 }
			Raw                 map[string]uint64
		}
		Pids    struct{ Current, Limit uint64 }
		Blkio   map[string]any
		Hugetlb map[string]struct{ Usage, Max, Failcnt uint64 }

		Interfaces []struct{ Name string } `json:"network_interfaces"`
	}
}

func parseEvents(t *testing.T, text string) []event {
	t.Helper()
	var list []event
	for line := range strings.Lines(text) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		list = append(list, e)
	}
	return list
}

func count(list []event, kind string) int {
	n := 0
	for _, e := range list {
		if e.Type == kind {
			n++
		}
	}
	return n
}

// oneSample is what events --stats prints.
func oneSample(t *testing.T, b *rttest.Bundle) event {
	t.Helper()
	res := b.RT("events", "--stats", b.ID).OK()
	list := parseEvents(t, res.Stdout)
	if len(list) != 1 || list[0].Type != "stats" || list[0].ID != b.ID {
		t.Fatalf("want one sample: %s", res)
	}
	return list[0]
}

func TestEventsStats(t *testing.T) {
	t.Parallel()
	needControllers(t, "memory", "cpu", "cpuset", "pids")
	b := limited(t, specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(96 << 20))},
		CPU:    &specs.LinuxCPU{Quota: ptr(int64(10000)), Period: ptr(uint64(100000)), Cpus: "0", Mems: "0"},
		Pids:   &specs.LinuxPids{Limit: ptr(int64(33))},
	}).Sh("sleep 1000 & echo both; while :; do :; done")
	b.RunDetached().OK()
	rttest.Eventually(t, "two processes use the quota up", func() bool {
		var throttled int
		_, rest, _ := strings.Cut(cgroupFile(t, b, hierarchyOf("cpu"), "cpu.stat"), "nr_throttled ")
		_, err := fmt.Sscan(rest, &throttled)
		return err == nil && throttled >= 2 && b.Output() == "both\n"
	})
	e := oneSample(t, b)
	d := &e.Data
	if d.CPU.Usage.Total < 1e6 || d.CPU.Throttling.ThrottledPeriods < 2 || d.CPU.Throttling.ThrottledTime == 0 {
		t.Errorf("cpu: %+v", d.CPU)
	}
	if !slices.Equal(d.CPUSet.Cpus, []uint16{0}) || !slices.Equal(d.CPUSet.Mems, []uint16{0}) {
		t.Errorf("cpuset: %+v", d.CPUSet)
	}
	if m := &d.Memory; m.Usage.Limit != 64<<20 || m.Usage.Usage == 0 || m.Usage.Max < m.Usage.Usage || len(m.Raw) < 10 {
		t.Errorf("memory: %+v", m)
	}
	if m := &d.Memory; hierarchyOf("memory") != "" && (m.Swap.Limit != 96<<20 || m.Raw["hierarchical_memory_limit"] != 64<<20) {
		t.Errorf("memory: %+v", m)
	}
	if d.Pids.Current != 2 || d.Pids.Limit != 33 {
		t.Errorf("pids: %+v", d.Pids)
	}
}

// What callers decode: every key of the record, and the network devices of the container alone.
func TestEventsRecord(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	var record struct {
		Data map[string]json.RawMessage
	}
	res := b.RT("events", "--stats", b.ID).OK()
	if err := json.Unmarshal([]byte(res.Stdout), &record); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"} {
		if _, ok := record.Data[key]; !ok {
			t.Errorf("no %s in %s", key, res.Stdout)
		}
	}
	if !strings.HasPrefix(res.Stdout, `{"type":"stats","id":"`+b.ID+`","data":{"cpu":{"usage":{`) || strings.Count(res.Stdout, "\n") != 1 {
		t.Errorf("not one line that begins as callers expect: %s", res.Stdout)
	}
	if !rttest.IsRT(t) {
		return
	}
	if e := oneSample(t, b); len(e.Data.Interfaces) != 1 || e.Data.Interfaces[0].Name != "lo" {
		t.Errorf("network devices: %+v", e.Data.Interfaces)
	}
	b.Delete("--force").OK()
	b.Drop("network")
	b.Create().OK()
	if e := oneSample(t, b); len(e.Data.Interfaces) != 0 {
		t.Errorf("network devices of the host: %+v", e.Data.Interfaces)
	}
}

// follow starts events in the background. output is what it has printed, wait waits for its end.
func follow(t *testing.T, b *rttest.Bundle, flags ...string) (output func() string, wait func() error) {
	t.Helper()
	args := b.Command(append(append([]string{"events"}, flags...), b.ID)...)
	cmd := exec.Command(args[0], args[1:]...)
	name := filepath.Join(b.Dir, "events")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = file, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, stderr.String())
		}
		ended <- err
	}()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return func() string { return read(t, name) }, func() error {
		select {
		case err := <-ended:
			return err
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Fatal("events does not end")
			return nil
		}
	}
}

// Samples come at the interval, and the stream ends with the container.
func TestEventsStream(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	b.RunDetached().OK()
	output, wait := follow(t, b, "--interval", "50ms")
	rttest.Eventually(t, "five samples", func() bool { return strings.Count(output(), "\n") >= 5 })
	b.Kill("KILL").OK()
	if !rttest.IsRT(t) { // runc's ends with the cgroup
		b.Delete("--force").OK()
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
	list := parseEvents(t, output())
	if count(list, "stats") != len(list) || list[0].ID != b.ID {
		t.Errorf("%d samples in %s", count(list, "stats"), output())
	}
}

// Every process that the kernel kills is told once (runc 2351, containerd 6323), be it in a sub-cgroup or init itself.
func TestEventsOOM(t *testing.T) {
	t.Parallel()
	needControllers(t, "memory")
	limit := int64(16 << 20)
	b := limited(t, specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}})
	b.AddProbe().Sh("read x < /go; probe hog 64; probe hog 64; exec probe hog 64")
	if err := unix.Mkfifo(b.InRootfs("go"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.RunDetached().OK()
	output, wait := follow(t, b, "--interval", "10m")
	if rttest.IsRT(t) { // its first sample says that it watches
		rttest.Eventually(t, "it watches", func() bool { return strings.Contains(output(), "stats") })
	} else {
		time.Sleep(time.Second)
	}
	b.WriteFile("rootfs/go", "now\n")
	if !rttest.IsRT(t) {
		rttest.Eventually(t, "it stops", func() bool { return b.State().Status == "stopped" })
		time.Sleep(time.Second)
		b.Delete("--force").OK()
	}
	if err := wait(); err != nil {
		t.Error(err)
	}
	n := count(parseEvents(t, output()), "oom")
	if rttest.IsRT(t) && n != 3 || n == 0 {
		t.Errorf("%d oom events for 3 kills: %s", n, output())
	}
}

func TestEventsStopsOnTERM(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	b.RunDetached().OK()
	args := b.Command("events", "--interval", "10m", b.ID)
	cmd := exec.Command(args[0], args[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	begun := time.Now()
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || time.Since(begun) > 2*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	if s := b.State(); s.Status != "running" {
		t.Errorf("state: %+v", s)
	}
}

func TestEventsRefusals(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	b.RT("events", "--interval", "0", b.ID).Fails("interval")
	b.RT("events", "--interval=-1s", b.ID).Fails("interval")
	b.RT("events", "--interval", "soon", b.ID).Fails("soon")
	b.Finish()
	b.RT("events", "--stats", b.ID).Fails("not running")
	b.RT("events", b.ID).Fails("not running")
	b.RT("events", "nobody").Fails("container does not exist")
}

func TestEventsWithoutACgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--cgroup-manager=disabled")
	b := rttest.New(t)
	b.Flags = []string{"--cgroup-manager=disabled"}
	b.Create().OK()
	b.RT("events", "--stats", b.ID).FailsNaming("no cgroup")
	b.RT("events", b.ID).FailsNaming("no cgroup")
}
