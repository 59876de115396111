package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// updatable is a running container with limits.
func updatable(t *testing.T) *rttest.Bundle {
	t.Helper()
	for _, controller := range []string{"memory", "cpu", "cpuset", "pids"} {
		rttest.Need(t, rttest.Controller(controller))
	}
	b := limited(t, specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)), Swap: ptr(int64(64 << 20))},
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Cpus: "0-1"},
		Pids:   &specs.LinuxPids{Limit: ptr(int64(30))},
	}).Args("sleep", "1000")
	b.RunDetached().OK()
	return b
}

// The limits that tests compare, by their v1 files, and what updatable has in them.
var limitFiles = [][3]string{
	{"memory", "memory.limit_in_bytes", "67108864"}, {"memory", "memory.soft_limit_in_bytes", "33554432"},
	{"memory", "memory.memsw.limit_in_bytes", "67108864"},
	{"cpu", "cpu.shares", "512"}, {"cpu", "cpu.cfs_quota_us", "50000"}, {"cpu", "cpu.cfs_period_us", "100000"},
	{"cpu", "cpu.cfs_burst_us", "0"}, {"cpu", "cpu.idle", "0"}, {"cpuset", "cpuset.cpus", "0-1"}, {"pids", "pids.max", "30"},
}

// wantLimits compares all limits with those of updatable but for the changes.
func wantLimits(t *testing.T, b *rttest.Bundle, changes map[string]string) {
	t.Helper()
	for _, f := range limitFiles {
		want, ok := changes[f[1]]
		if !ok {
			want = f[2]
		}
		if got := limitOf(t, b, f[0], f[1]); got != want {
			t.Errorf("%s is %s, want %s", f[1], got, want)
		}
	}
}

// limitOf reads a limit in the words of v1, also where it is one of v2.
func limitOf(t *testing.T, b *rttest.Bundle, controller, file string) string {
	t.Helper()
	if rttest.UnifiedController(controller)() != "" {
		return cgroupFile(t, b, controller, file)
	}
	text := func(name string) string { return cgroupFile(t, b, "", name) }
	quota, period, _ := strings.Cut(text("cpu.max"), " ")
	switch file {
	case "memory.limit_in_bytes":
		return text("memory.max")
	case "memory.soft_limit_in_bytes":
		return text("memory.low")
	case "memory.memsw.limit_in_bytes":
		return swapWithMemory(t, text("memory.max"), text("memory.swap.max"))
	case "cpu.cfs_quota_us":
		return strings.ReplaceAll(quota, "max", "-1")
	case "cpu.cfs_period_us":
		return period
	case "cpu.cfs_burst_us":
		return text("cpu.max.burst")
	case "cpu.shares":
		return map[string]string{"0": "3", "1": "2", "17": "100", "35": "256", "39": "300", "59": "512", "75": "700", "100": "1024"}[text("cpu.weight")]
	}
	return text(file)
}

// swapWithMemory is the limit of both together; v1 shows none as the highest number of whole pages.
func swapWithMemory(t *testing.T, memory, swap string) string {
	t.Helper()
	if memory == "max" || swap == "max" {
		return "9223372036854771712"
	}
	m, err1 := strconv.ParseUint(memory, 10, 64)
	s, err2 := strconv.ParseUint(swap, 10, 64)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return fmt.Sprint(m + s)
}

// Each option changes its limit, and nothing else (runc 4210, 4225).
func TestUpdateOptions(t *testing.T) {
	t.Parallel()
	b := updatable(t)
	now := map[string]string{}
	for _, step := range []struct {
		args    string
		changes string
	}{
		{"--pids-limit 20", "pids.max=20"},
		{"--memory 128m --memory-swap 128m", "memory.limit_in_bytes=134217728 memory.memsw.limit_in_bytes=134217728"},
		{"--memory 33554432 --memory-swap 32M", "memory.limit_in_bytes=33554432 memory.memsw.limit_in_bytes=33554432"},
		{"--memory-swap=-1", "memory.memsw.limit_in_bytes=9223372036854771712"},
		{"--memory-reservation 16m", "memory.soft_limit_in_bytes=16777216"},
		{"--cpu-share 1024", "cpu.shares=1024"},
		{"--cpu-period 50000", "cpu.cfs_period_us=50000"},
		{"--cpu-quota 20000 --cpu-burst 10000", "cpu.cfs_quota_us=20000 cpu.cfs_burst_us=10000"},
		{"--cpu-burst 0", "cpu.cfs_burst_us=0"},
		{"--cpu-quota=-1", "cpu.cfs_quota_us=-1"},
		{"--cpuset-cpus 1", "cpuset.cpus=1"},
		{"--cpu-idle 1", "cpu.idle=1 cpu.shares=3"},
		{"--cpu-idle 0 --cpu-share 300", "cpu.idle=0 cpu.shares=300"},
		{"--pids-limit=-1", "pids.max=max"},
	} {
		if strings.Contains(step.args, "idle") && !rttest.IsRT(t) {
			continue // runc cannot take idleness back: it writes the shares first
		}
		b.RT(append(append([]string{"update"}, strings.Fields(step.args)...), b.ID)...).OK().Prints("")
		for _, change := range strings.Fields(step.changes) {
			file, value, _ := strings.Cut(change, "=")
			now[file] = value
		}
		t.Log(step.args)
		wantLimits(t, b, now)
	}
}

// The same on v2, where memory and swap are counted apart, and quota and period together.
func TestUpdateOptionsV2(t *testing.T) {
	t.Parallel()
	for _, controller := range []string{"memory", "cpu", "cpuset", "pids"} {
		rttest.Need(t, rttest.UnifiedController(controller))
	}
	b := limited(t, specs.LinuxResources{
		Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)), Swap: ptr(int64(64 << 20))},
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(1024)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Cpus: "0-1"},
		Pids:   &specs.LinuxPids{Limit: ptr(int64(30))},
	}).Args("sleep", "1000")
	b.RunDetached().OK()
	swap := rttest.File(filepath.Join(rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath), "memory.swap.max"))() == ""
	for _, step := range []struct{ args, files string }{
		{"--pids-limit 20", "pids.max=20 memory.max=67108864 memory.swap.max=0 memory.low=33554432 cpu.weight=100 cpu.max=50000_100000"},
		{"--memory 128m --memory-swap 160m", "memory.max=134217728 memory.swap.max=33554432"},
		{"--memory 144m", "memory.max=150994944 memory.swap.max=16777216"},
		{"--memory-swap 144m", "memory.max=150994944 memory.swap.max=0"},
		{"--memory 32m --memory-swap=-1", "memory.max=33554432 memory.swap.max=max"},
		{"--memory=-1", "memory.max=max memory.swap.max=max memory.low=33554432"},
		{"--memory-reservation 16m", "memory.low=16777216"},
		{"--cpu-share 2048", "cpu.weight=174 cpu.max=50000_100000"},
		{"--cpu-period 50000", "cpu.max=50000_50000"},
		{"--cpu-quota 20000 --cpu-burst 10000", "cpu.max=20000_50000 cpu.max.burst=10000"},
		{"--cpu-burst 0 --cpu-quota=-1", "cpu.max=max_50000 cpu.max.burst=0"},
		{"--cpuset-cpus 1", "cpuset.cpus=1"},
		{"--cpu-idle 1", "cpu.idle=1"},
		{"--cpu-idle 0", "cpu.idle=0 cpu.weight=174"},
		{"--pids-limit=-1", "pids.max=max"},
	} {
		if strings.Contains(step.args, "idle") && !rttest.IsRT(t) || step.args == "--memory 144m" && !swap {
			continue
		}
		b.RT(append(append([]string{"update"}, strings.Fields(step.args)...), b.ID)...).OK().Prints("")
		for _, f := range strings.Fields(step.files) {
			file, want, _ := strings.Cut(strings.ReplaceAll(f, "_", " "), "=")
			if file == "memory.swap.max" && !swap {
				continue
			}
			if got := cgroupFile(t, b, "", file); got != want {
				t.Errorf("after %s: %s is %s, want %s", step.args, file, got, want)
			}
		}
	}
}

// A limit on v2 may be the first that needs its controller.
func TestUpdateEnablesAController(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.UnifiedController("pids"))
	b := rttest.New(t).Args("sleep", "1000")
	b.RunDetached().OK()
	b.RT("update", "--pids-limit", "20", b.ID).OK()
	if got := cgroupFile(t, b, "", "pids.max"); got != "20" {
		t.Errorf("pids.max is %s", got)
	}
}

// -r takes the same from a file or from stdin, as containerd, CRI-O and Podman give it.
func TestUpdateResources(t *testing.T) {
	t.Parallel()
	b := updatable(t)
	file := b.WriteFile("r.json", `{"memory":{"limit":0,"swap":0,"reservation":0},"cpu":{"shares":0,"quota":20000,"cpus":""},"pids":{"limit":25}}`)
	b.RT("update", "-r", file, b.ID).OK()
	now := map[string]string{"cpu.cfs_quota_us": "20000", "pids.max": "25"}
	wantLimits(t, b, now)

	stdin := func(text string, args ...string) *rttest.Result {
		return rttest.Exec(t, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(text) }, b.Command(args...)...)
	}
	stdin(`{"memory":{"limit":134217728,"swap":134217728}}`, "update", "--resources=-", b.ID).OK()
	now["memory.limit_in_bytes"], now["memory.memsw.limit_in_bytes"] = "134217728", "134217728"
	wantLimits(t, b, now)
	stdin(`{"cpu":{"cpus":"0"}}`, "update", "--resources", "-", "--pids-limit", "7", b.ID).OK() // other options are ignored
	now["cpuset.cpus"] = "0"
	wantLimits(t, b, now)

	stdin(`{"memory":`, "update", "-r", "-", b.ID).Fails()
	b.RT("update", "-r", "/nowhere", b.ID).Fails("/nowhere")
	wantLimits(t, b, now)
}

// A refused limit leaves the others as they were.
func TestUpdateRollsBack(t *testing.T) {
	t.Parallel()
	b := updatable(t)
	file := b.WriteFile("r.json", `{"cpu":{"shares":100,"quota":30000,"idle":1},"pids":{"limit":7},"memory":{"limit":33554432},
		"hugepageLimits":[{"pageSize":"3MB","limit":1}],
		"blockIO":{"throttleReadBpsDevice":[{"major":4095,"minor":1,"rate":1024}]}}`)
	if rttest.IsRT(t) {
		b.RT("update", "-r", file, b.ID).FailsNaming("linux.resources.")
		b.RT("update", "--cpuset-cpus", "0", "--memory", "2g", b.ID).FailsNaming("linux.resources.memory.", "memory and swap together")
	}
	b.RT("update", "--pids-limit", "7", "--cpuset-cpus", "9999", b.ID).FailsNaming("linux.resources.cpu.cpus")
	wantLimits(t, b, nil)
}

func TestUpdateRollsBackWhatWasWritten(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "all limits of an update or none")
	b := updatable(t)
	file := b.WriteFile("r.json", `{"cpu":{"shares":100,"quota":30000,"idle":1,"cpus":"1"},"pids":{"limit":7},"memory":{"limit":33554432,"swap":67108864},
		"blockIO":{"throttleReadBpsDevice":[{"major":4095,"minor":1,"rate":1024}]}}`)
	res := b.RT("update", "-r", file, b.ID)
	res.FailsNaming("linux.resources.blockIO.throttleReadBpsDevice[0]", "4095:1 ")
	if strings.Contains(res.Stderr, "taken back") {
		t.Errorf("something stayed: %s", res)
	}
	wantLimits(t, b, nil)
}

func TestUpdateRollsBackV2(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "all limits of an update or none")
	for _, controller := range []string{"memory", "cpu", "pids", "io"} {
		rttest.Need(t, rttest.UnifiedController(controller))
	}
	b := limited(t, specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(2048))}}).Args("sleep", "1000")
	b.RunDetached().OK()
	file := b.WriteFile("r.json", `{"cpu":{"shares":100,"quota":30000,"idle":1},"pids":{"limit":7},"memory":{"limit":33554432,"reservation":4096},
		"blockIO":{"throttleReadBpsDevice":[{"major":4095,"minor":1,"rate":1024}]}}`)
	res := b.RT("update", "-r", file, b.ID)
	res.FailsNaming("linux.resources.blockIO.throttleReadBpsDevice[0]", "4095:1 rbps=1024")
	if strings.Contains(res.Stderr, "taken back") {
		t.Errorf("something stayed: %s", res)
	}
	for file, want := range map[string]string{"cpu.weight": "174", "cpu.idle": "0", "cpu.max": "max 100000"} {
		if got := cgroupFile(t, b, "", file); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
	b.RT("update", "--pids-limit", "7", "--memory", "64m", b.ID).OK()
	b.RT("update", "-r", file, b.ID).FailsNaming("linux.resources.blockIO.throttleReadBpsDevice[0]")
	for file, want := range map[string]string{"pids.max": "7", "memory.max": "67108864", "memory.low": "0"} {
		if got := cgroupFile(t, b, "", file); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
}

// The shares come back when idleness ends: the kernel has forgotten them.
func TestUpdateCPUIdleKeepsShares(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "limits that were not given stay, shares after idleness too")
	b := updatable(t)
	b.RT("update", "--cpu-idle", "1", b.ID).OK()
	b.RT("update", "--cpu-idle", "0", b.ID).OK()
	wantLimits(t, b, nil)
	b.RT("update", "--cpu-share", "700", b.ID).OK()
	b.RT("update", "--cpu-idle", "1", b.ID).OK()
	b.RT("update", "--cpu-idle", "0", b.ID).OK()
	wantLimits(t, b, map[string]string{"cpu.shares": "700"})
}

// Device rules belong to create (runc 4568, 3708): not even those of --resources change them.
func TestUpdateLeavesDevicesAlone(t *testing.T) {
	t.Parallel()
	needControllers(t, "pids")
	b := rttest.New(t).Sh("while :; do echo >/dev/null || exit 1; done")
	b.RunDetached().OK()
	rules := deviceRules(t, b)
	file := b.WriteFile("r.json", `{"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":11,"access":"rwm"}],"pids":{"limit":9}}`)
	b.RT("update", "-r", file, b.ID).OK()
	b.RT("update", "--pids-limit", "8", b.ID).OK()
	if got := deviceRules(t, b); got != rules {
		t.Errorf("rules were\n%s\nand are\n%s", rules, got)
	}
	if s := b.State(); s.Status != "running" {
		t.Errorf("/dev/null broke: %+v", s)
	}
}

// deviceRules are those of the container on v1; on v2 they are a program, which cannot be read.
func deviceRules(t *testing.T, b *rttest.Bundle) string {
	t.Helper()
	if rttest.CgroupV1() != "" || rttest.Controller("devices")() != "" {
		return ""
	}
	return cgroupFile(t, b, "devices", "devices.list")
}

// Somebody else's change of a limit that an update does not mention stays, too.
func TestUpdateKeepsForeignChanges(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "the kernel's files are the record of limits")
	b := updatable(t)
	files := map[string]string{"memory.limit_in_bytes": "memory"}
	if rttest.UnifiedController("memory")() == "" {
		files = map[string]string{"memory.max": "", "memory.swap.max": ""} // the sum stays as well
	}
	for file, controller := range files {
		write(t, filepath.Join(rttest.CgroupDir(t, controller, b.Spec.Linux.CgroupsPath), file), "33554432")
	}
	b.RT("update", "--pids-limit", "7", b.ID).OK()
	wantLimits(t, b, map[string]string{"memory.limit_in_bytes": "33554432", "pids.max": "7"})
	b.RT("update", "--memory", "64m", b.ID).OK() // the same as in the config, but not as it is
	wantLimits(t, b, map[string]string{"pids.max": "7"})
}

func TestUpdateStates(t *testing.T) {
	t.Parallel()
	needControllers(t, "pids")
	b := rttest.New(t)
	b.Create().OK()
	b.RT("update", "--pids-limit", "20", b.ID).OK()
	b.RT("pause", b.ID).OK()
	b.RT("update", "--pids-limit", "30", b.ID).OK()
	if got := cgroupFile(t, b, hierarchyOf("pids"), "pids.max"); got != "30" {
		t.Errorf("pids.max is %s", got)
	}
	b.RT("resume", b.ID).OK()
	b.Finish()
	b.RT("update", "--pids-limit", "20", b.ID).Fails("container not running")
	b.RT("update", "--pids-limit", "20", "nobody").Fails("container does not exist")
}

// What engines of old still send must not be an error.
func TestUpdateKernelMemory(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1, rttest.Controller("memory"))
	b := rttest.New(t)
	b.Create().OK()
	b.RT("update", "--kernel-memory", "16m", "--kernel-memory-tcp", "16m", "--memory", "64m", b.ID).OK()
	if got := cgroupFile(t, b, "memory", "memory.limit_in_bytes"); got != "67108864" {
		t.Errorf("memory.limit_in_bytes is %s", got)
	}
}

func TestUpdateWithoutACgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--cgroup-manager=disabled")
	b := rttest.New(t)
	b.Flags = []string{"--cgroup-manager=disabled"}
	b.Create().OK()
	b.RT("update", "--pids-limit", "5", b.ID).FailsNaming("linux.resources.pids.limit", "cgroups are disabled")
}

func TestUpdateWithoutResctrl(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/sys/fs/resctrl/schemata"); err == nil {
		t.Skip("this machine has resctrl")
	}
	b := rttest.New(t)
	b.Create().OK()
	b.RT("update", "--l3-cache-schema", "L3:0=f", b.ID).FailsNaming("linux.intelRdt", "resctrl")
	b.RT("update", "--mem-bw-schema", "MB:0=20", b.ID).FailsNaming("linux.intelRdt", "resctrl")
}
