package integration

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

func ptr[T any](v T) *T { return &v }

// limited is a bundle with resources, and the devices open as an engine leaves them.
func limited(t *testing.T, r specs.LinuxResources) *rttest.Bundle {
	t.Helper()
	b := rttest.New(t)
	r.Devices = append(b.Spec.Linux.Resources.Devices, r.Devices...)
	b.Spec.Linux.Resources = &r
	return b
}

// cgroupFile reads a file of the container's cgroup.
func cgroupFile(t *testing.T, b *rttest.Bundle, controller, name string) string {
	t.Helper()
	return strings.TrimSpace(read(t, filepath.Join(rttest.CgroupDir(t, controller, b.Spec.Linux.CgroupsPath), name)))
}

// cgroupNumbers reads a file of lines with a name and a number.
func cgroupNumbers(t *testing.T, b *rttest.Bundle, controller, name string) map[string]int {
	t.Helper()
	numbers := map[string]int{}
	for line := range strings.Lines(cgroupFile(t, b, controller, name)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		numbers[key], _ = strconv.Atoi(value)
	}
	return numbers
}

// Every limit of the configuration stands in its file, at the path that engines read.
func TestCgroupV1LimitFiles(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	for name, c := range map[string]struct {
		resources  specs.LinuxResources
		controller string
		files      map[string]string
	}{
		"memory": {specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)), Swap: ptr(int64(96 << 20)), Swappiness: ptr(uint64(10)),
		}}, "memory", map[string]string{
			"memory.limit_in_bytes": "67108864", "memory.soft_limit_in_bytes": "33554432",
			"memory.memsw.limit_in_bytes": "100663296", "memory.swappiness": "10",
		}},
		"memory without the OOM killer": {specs.LinuxResources{Memory: &specs.LinuxMemory{DisableOOMKiller: ptr(true)}},
			"memory", map[string]string{"memory.oom_control": "oom_kill_disable 1\nunder_oom 0\noom_kill 0"}},
		"unlimited memory": {specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1))}},
			"memory", map[string]string{"memory.limit_in_bytes": "9223372036854771712"}},
		"cpu": {specs.LinuxResources{CPU: &specs.LinuxCPU{
			Shares: ptr(uint64(512)), Quota: ptr(int64(20000)), Period: ptr(uint64(50000)), Burst: ptr(uint64(10000)),
		}}, "cpu", map[string]string{
			"cpu.shares": "512", "cpu.cfs_quota_us": "20000", "cpu.cfs_period_us": "50000", "cpu.cfs_burst_us": "10000",
		}},
		"cpu quota alone": {specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(30000))}},
			"cpu", map[string]string{"cpu.cfs_quota_us": "30000", "cpu.cfs_period_us": "100000"}},
		"cpu idle": {specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1))}}, "cpu", map[string]string{"cpu.idle": "1"}},
		"cpuset": {specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0", Mems: "0"}},
			"cpuset", map[string]string{"cpuset.cpus": "0", "cpuset.mems": "0"}},
		"pids":           {specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(33))}}, "pids", map[string]string{"pids.max": "33"}},
		"unlimited pids": {specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}}, "pids", map[string]string{"pids.max": "max"}},
	} {
		t.Run(name, func(t *testing.T) {
			rttest.Need(t, rttest.Controller(c.controller))
			b := limited(t, c.resources)
			b.Create().OK()
			for file, want := range c.files {
				if got := cgroupFile(t, b, c.controller, file); got != want {
					t.Errorf("%s is %q, want %q", file, got, want)
				}
			}
		})
	}
}

func TestMemoryLimitKills(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("memory"))
	b := limited(t, specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(16 << 20)), Swap: ptr(int64(16 << 20))}})
	b.AddProbe().Args("probe", "hog", "64").Run().Exits(128 + 9)
	b.Args("probe", "hog", "8").Run().OK().Prints("survived")
}

func TestPidsLimitHolds(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("pids"))
	b := limited(t, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(20))}})
	b.AddProbe().Args("probe", "forks", "100").Run().OK().Prints("19")
}

func TestCPUQuotaHolds(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("cpu"))
	b := limited(t, specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(10000)), Period: ptr(uint64(100000))}})
	b.Sh("while :; do :; done").RunDetached().OK()
	time.Sleep(600 * time.Millisecond)
	stat := cgroupNumbers(t, b, "cpu", "cpu.stat")
	periods, throttled := stat["nr_periods"], stat["nr_throttled"]
	if periods < 2 || throttled < periods/2 {
		t.Errorf("a busy loop under a quota of 10 %% was throttled in %d of %d periods", throttled, periods)
	}
}

func TestCpusetHolds(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("cpuset"))
	b := limited(t, specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "1", Mems: "0"}})
	if s := ownStatus(t, b); s["Cpus_allowed_list"] != "1" || s["Mems_allowed_list"] != "0" {
		t.Errorf("allowed: cpus %s, mems %s", s["Cpus_allowed_list"], s["Mems_allowed_list"])
	}
}

// The new parent of a container's cpuset hands its values down itself: each value that rt writes has the kernel look at
// all containers beside it.
func TestCpusetOfANewParent(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1, rttest.File("/sys/fs/cgroup/cpuset/cgroup.clone_children"))
	first, second := rttest.New(t), rttest.New(t)
	parent := first.Spec.Linux.CgroupsPath + "-parent"
	t.Cleanup(func() {
		dirs, _ := filepath.Glob("/sys/fs/cgroup/*" + parent)
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) { // a hierarchy can have several names
				t.Error(err)
			}
		}
	})
	all := strings.TrimSpace(read(t, rttest.CgroupDir(t, "cpuset", "cpuset.cpus")))
	for _, b := range []*rttest.Bundle{first, second} {
		b.Spec.Linux.CgroupsPath = parent + "/" + b.ID
		b.Create().OK()
		if got := cgroupFile(t, b, "cpuset", "cpuset.cpus"); got != all {
			t.Errorf("a cpuset below a new parent has the processors %q, want %q", got, all)
		}
	}
	for _, b := range []*rttest.Bundle{first, second} {
		b.Delete("--force").OK()
	}
	if !rttest.IsRT(t) {
		return
	}
	if got := read(t, rttest.CgroupDir(t, "cpuset", parent+"/cgroup.clone_children")); strings.TrimSpace(got) != "1" {
		t.Errorf("the new parent's cgroup.clone_children is %q", got)
	}
}

// disk is the number of a block device that can be throttled.
func disk(t *testing.T) (major, minor int64) {
	t.Helper()
	rttest.Need(t, rttest.File("/sys/block/vda/dev"))
	if _, err := fmt.Sscanf(read(t, "/sys/block/vda/dev"), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major, minor
}

func TestBlkioThrottling(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1, rttest.Controller("blkio"))
	major, minor := disk(t)
	rate := func(n uint64) []specs.LinuxThrottleDevice {
		d := specs.LinuxThrottleDevice{Rate: n}
		d.Major, d.Minor = major, minor
		return []specs.LinuxThrottleDevice{d}
	}
	b := limited(t, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		ThrottleReadBpsDevice: rate(1048576), ThrottleWriteBpsDevice: rate(2097152),
		ThrottleReadIOPSDevice: rate(100), ThrottleWriteIOPSDevice: rate(200),
	}})
	b.Create().OK()
	for file, n := range map[string]int{"read_bps": 1048576, "write_bps": 2097152, "read_iops": 100, "write_iops": 200} {
		if got, want := cgroupFile(t, b, "blkio", "blkio.throttle."+file+"_device"), fmt.Sprintf("%d:%d %d", major, minor, n); got != want {
			t.Errorf("%s: got %q, want %q", file, got, want)
		}
	}
}

// hugetlb works whether its hierarchy is v1 or part of cgroup2.
func TestHugetlbLimit(t *testing.T) {
	hugetlb := func(t *testing.T) *rttest.Bundle {
		return limited(t, specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}})
	}
	t.Run("as v1", func(t *testing.T) {
		rttest.MountBeside(t, "hugetlb")
		b := hugetlb(t)
		b.Create().OK()
		if got := cgroupFile(t, b, "hugetlb", "hugetlb.2MB.limit_in_bytes"); got != "4194304" {
			t.Errorf("hugetlb.2MB.limit_in_bytes is %q", got)
		}
	})
	t.Run("in cgroup2 of a hybrid", func(t *testing.T) {
		rttest.OnlyRT(t, "hugetlb in the unified tree of a hybrid")
		rttest.Need(t, rttest.UnifiedController("hugetlb"))
		b := hugetlb(t)
		b.Create().OK()
		if got := cgroupFile(t, b, "", "hugetlb.2MB.max"); got != "4194304" {
			t.Errorf("hugetlb.2MB.max is %q", got)
		}
	})
}

func TestDeviceRules(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("devices"))
	// Any node may be made; the rule decides what can be done with it. 1:11 is /dev/kmsg.
	script := `try() { (: < $1) 2>/dev/null && echo $1 read || echo $1 denied; }
		mknod /dev/kmsg2 c 1 11; mknod /dev/loop2 b 7 2 && echo made
		try /dev/null; try /dev/zero; try /dev/kmsg2`
	for name, c := range map[string]struct {
		rules []specs.LinuxDeviceCgroup
		want  string
	}{
		"default": {nil, "made\n/dev/null read\n/dev/zero read\n/dev/kmsg2 denied"},
		"one allowed": {[]specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "rm"}},
			"made\n/dev/null read\n/dev/zero read\n/dev/kmsg2 read"},
		"all allowed": {[]specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}},
			"made\n/dev/null read\n/dev/zero read\n/dev/kmsg2 read"},
		"denied again": {[]specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}, {Allow: false, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "r"}},
			"made\n/dev/null read\n/dev/zero read\n/dev/kmsg2 denied"},
	} {
		t.Run(name, func(t *testing.T) {
			b := limited(t, specs.LinuxResources{Devices: c.rules}).Sh(script)
			b.Spec.Process.Capabilities = allCaps(t)
			b.Run().OK().Prints(c.want)
		})
	}
}

// Paths are the same in every hierarchy of v1, and in cgroup2 beside them.
func TestCgroupPath(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	for line := range strings.Lines(rttest.ProcFile(t, b.Pid(), "cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if rttest.V1Controllers(f[1])() != "" {
			continue // of another run, and mounted where only that can see it
		}
		if f[2] != b.Spec.Linux.CgroupsPath {
			t.Errorf("cgroup %q, want %s", line, b.Spec.Linux.CgroupsPath)
		}
	}
}

// A relative path goes below the runtime's own cgroup on v1, an empty one too, with the id as its name.
func TestRelativeCgroupPath(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	for _, empty := range []bool{false, true} {
		b := rttest.New(t)
		want := b.ID + "-relative"
		b.Spec.Linux.CgroupsPath = want
		if empty {
			b.Spec.Linux.CgroupsPath, want = "", b.ID
		}
		b.Create().OK()
		status := rttest.ProcFile(t, b.Pid(), "cgroup")
		for _, controller := range []string{"memory", "pids"} {
			if line := ":" + controller + ":" + filepath.Join(rttest.OwnCgroup(controller), want) + "\n"; !strings.Contains(status, line) {
				t.Errorf("no %q in\n%s", line, status)
			}
		}
		b.Delete("--force").OK()
		b.CheckGone()
	}
}

func TestCgroupWithOthersInIt(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("devices"))
	b := rttest.New(t)
	dir := rttest.CgroupDir(t, "devices", b.Spec.Linux.CgroupsPath)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(other.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	res := b.Create()
	if rttest.IsRT(t) {
		res.FailsNaming("linux.cgroupsPath", b.Spec.Linux.CgroupsPath)
	}
	alive := unix.Kill(other.Process.Pid, 0) == nil
	_ = other.Process.Kill()
	_ = other.Wait()
	if !alive {
		t.Error("the process that was there was killed")
	}
	if res.Code == 0 {
		b.Delete("--force").OK() // runc warns only, where it looks at all
	}
	_ = os.Remove(dir)
}

// Sub-cgroups that the container made go with it.
func TestNestedCgroupsAreRemoved(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("memory"))
	b := rttest.New(t).Args("sleep", "1000")
	b.RunDetached().OK()
	for _, controller := range []string{"memory", "devices", ""} {
		if controller == "" && rttest.Unified() != "" {
			continue
		}
		if err := os.MkdirAll(filepath.Join(rttest.CgroupDir(t, controller, b.Spec.Linux.CgroupsPath), "a/b/c"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.Delete("--force").OK()
	b.CheckGone()
}

// Processes that moved into sub-cgroups die with the container too (runc 2753, 2767, 3803).
func TestDeleteKillsProcessesInSubCgroups(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Drop("pid").Sh("sleep 1000 & echo up; wait")
	b.RunDetached().OK()
	pid := b.Pid()
	rttest.Eventually(t, "the child runs", func() bool { return b.Output() == "up\n" })
	var child int
	for _, p := range cgroupPids(t, b) {
		if p != pid {
			child = p
		}
	}
	sub := filepath.Join(rttest.CgroupDir(t, "devices", b.Spec.Linux.CgroupsPath), "sub")
	if err := os.Mkdir(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sub+"/cgroup.procs", []byte(strconv.Itoa(child)), 0); err != nil {
		t.Fatal(err)
	}
	b.Delete("--force").OK()
	if status := rttest.WaitPid(t, child); status != 128+9 {
		t.Errorf("the child ended with %d", status)
	}
	b.CheckGone()
}

// freeze freezes a cgroup by hand.
func freeze(t *testing.T, dir string) {
	t.Helper()
	file, word, done, frozen := "cgroup.freeze", "1", "cgroup.events", "frozen 1"
	if rttest.CgroupV1() == "" {
		file, word, done, frozen = "freezer.state", "FROZEN", "freezer.state", "FROZEN"
	}
	rttest.Eventually(t, "it is frozen", func() bool { // v1 may stay FREEZING until asked again
		if err := os.WriteFile(filepath.Join(dir, file), []byte(word), 0); err != nil {
			t.Fatal(err)
		}
		return strings.HasSuffix(strings.TrimSpace(read(t, filepath.Join(dir, done))), frozen)
	})
}

// A frozen container can be killed and deleted: it is thawed for that (runc 4481, 2828, 3448).
func TestDeleteOfAFrozenContainer(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("freezer"))
	b := rttest.New(t).Sh("echo up; exec sleep 1000")
	b.RunDetached().OK()
	rttest.Eventually(t, "the program runs", func() bool { return b.Output() == "up\n" })
	freeze(t, rttest.CgroupDir(t, "freezer", b.Spec.Linux.CgroupsPath))
	if s := b.State(); s.Status != "paused" {
		t.Errorf("state of a frozen container: %s", s.Status)
	}
	b.Delete("--force").OK()
	b.CheckGone()
}

// The container's own cgroup mount: its processes are in it, nobody else's; writable when asked for.
func TestCgroupMount(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	for option, want := range map[string]string{"ro": "denied", "rw": "made"} {
		b := rttest.New(t).Sh(`cd /sys/fs/cgroup/memory; mkdir sub 2>/dev/null && echo made || echo denied
			grep -c . cgroup.procs; ls -d /sys/fs/cgroup/devices /sys/fs/cgroup/systemd; cat memory.limit_in_bytes`)
		b.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
		b.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", option}})
		b.Run().OK().Prints(want + "\n2\n/sys/fs/cgroup/devices\n/sys/fs/cgroup/systemd\n67108864")
	}
}

// --cgroup-manager=disabled: no cgroup is made, joined or looked at (podman 3542).
func TestCgroupManagerDisabled(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--cgroup-manager")
	own := func(text string) string { // without the numbers, which may change as hierarchies come and go
		var list []string
		for line := range strings.Lines(text) {
			_, rest, _ := strings.Cut(line, ":")
			list = append(list, strings.TrimSpace(rest))
		}
		return strings.Join(list, " ")
	}
	b := rttest.New(t).Args("sleep", "1000")
	b.Flags = []string{"--cgroup-manager=disabled"}
	b.RunDetached().OK()
	if got, want := own(rttest.ProcFile(t, b.Pid(), "cgroup")), own(rttest.ProcFile(t, os.Getpid(), "cgroup")); got != want {
		t.Errorf("cgroups %s, want ours: %s", got, want)
	}
	b.Kill("KILL").OK()
	b.Delete("--force").OK()
	b.CheckGone()
}

func TestCgroupManagerOption(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--cgroup-manager")
	b := rttest.New(t)
	b.Flags = []string{"--cgroup-manager=cgroupfs"}
	b.Run().OK()
	b.Flags = []string{"--cgroup-manager=nosuch"}
	b.Run().Fails("nosuch")
	b.Flags = nil
}

// The floor of the memory limit is what the kernel takes for a process, not what the runtime's init does.
func TestSmallMemoryLimit(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Controller("memory"))
	limit, name := int64(512<<10), "512 KiB and one process"
	if !rttest.IsRT(t) {
		limit, name = 8<<20, "8 MiB"
	}
	t.Run(name, func(t *testing.T) {
		r := specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}}
		if rttest.IsRT(t) {
			r.Pids = &specs.LinuxPids{Limit: ptr(int64(1))}
		}
		b := limited(t, r)
		for range 5 {
			b.Args("true").Run().OK()
		}
	})
}

// The runtime says that the memory limit ended the container.
func TestOutOfMemoryIsReported(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a word about OOM kills in the foreground")
	b := limited(t, specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(8 << 20)), Swap: ptr(int64(8 << 20))}})
	if res := b.AddProbe().Args("probe", "hog", "64").Run().Exits(128 + 9); !strings.Contains(res.Stderr, "memory") {
		t.Errorf("nothing about memory: %s", res)
	}
}

// A limit that the kernel refuses is an error with the field, the file and the value; nothing is left.
func TestRefusedLimits(t *testing.T) {
	t.Parallel()
	for field, r := range map[string]specs.LinuxResources{
		"linux.resources.cpu.cpus":          {CPU: &specs.LinuxCPU{Cpus: "9999"}},
		"linux.resources.cpu.mems":          {CPU: &specs.LinuxCPU{Mems: "77"}},
		"linux.resources.cpu.period":        {CPU: &specs.LinuxCPU{Period: ptr(uint64(5))}},
		"linux.resources.memory.swap":       {Memory: &specs.LinuxMemory{Limit: ptr(int64(8 << 20)), Swap: ptr(int64(4 << 20))}},
		"linux.resources.hugepageLimits":    {HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}},
		"linux.resources.blockIO":           {BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(5000))}},
		"linux.resources.memory.swappiness": {Memory: &specs.LinuxMemory{Swappiness: ptr(uint64(1000))}},
	} {
		t.Run(field, func(t *testing.T) {
			if !rttest.IsRT(t) && (strings.Contains(field, "hugepage") || strings.Contains(field, "blockIO")) {
				t.Skip("runc does not look at this limit on a hybrid")
			}
			b := limited(t, r)
			b.Create().FailsNaming(field)
			b.CheckGone()
		})
	}
}
