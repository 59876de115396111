package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// throttle is one device with a rate.
func throttle(major, minor int64, rate uint64) []specs.LinuxThrottleDevice {
	d := specs.LinuxThrottleDevice{Rate: rate}
	d.Major, d.Minor = major, minor
	return []specs.LinuxThrottleDevice{d}
}

// Every limit of the configuration stands in its file, converted as engines expect it.
func TestCgroupV2LimitFiles(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2)
	for name, c := range map[string]struct {
		resources  specs.LinuxResources
		controller string
		files      map[string]string
	}{
		"memory": {specs.LinuxResources{Memory: &specs.LinuxMemory{
			Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)), Swap: ptr(int64(96 << 20)),
		}}, "memory", map[string]string{"memory.max": "67108864", "memory.low": "33554432", "memory.swap.max": "33554432"}},
		"memory without swap": {specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(64 << 20))}},
			"memory", map[string]string{"memory.max": "67108864", "memory.swap.max": "0"}},
		"unlimited memory": {specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(-1)), Swap: ptr(int64(-1))}},
			"memory", map[string]string{"memory.max": "max", "memory.swap.max": "max"}},
		"cpu": {specs.LinuxResources{CPU: &specs.LinuxCPU{
			Shares: ptr(uint64(1024)), Quota: ptr(int64(20000)), Period: ptr(uint64(50000)), Burst: ptr(uint64(10000)),
		}}, "cpu", map[string]string{"cpu.weight": "100", "cpu.max": "20000 50000", "cpu.max.burst": "10000"}},
		"cpu quota alone":  {specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ptr(int64(30000))}}, "cpu", map[string]string{"cpu.max": "30000 100000"}},
		"cpu period alone": {specs.LinuxResources{CPU: &specs.LinuxCPU{Period: ptr(uint64(50000))}}, "cpu", map[string]string{"cpu.max": "max 50000"}},
		"cpu idle":         {specs.LinuxResources{CPU: &specs.LinuxCPU{Idle: ptr(int64(1))}}, "cpu", map[string]string{"cpu.idle": "1"}},
		"least cpu shares": {specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(2))}}, "cpu", map[string]string{"cpu.weight": "1"}},
		"most cpu shares":  {specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(262144))}}, "cpu", map[string]string{"cpu.weight": "10000"}},
		"cpuset": {specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0", Mems: "0"}}, "cpuset",
			map[string]string{"cpuset.cpus": "0", "cpuset.mems": "0", "cpuset.cpus.effective": "0"}},
		"pids":           {specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(33))}}, "pids", map[string]string{"pids.max": "33"}},
		"unlimited pids": {specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(-1))}}, "pids", map[string]string{"pids.max": "max"}},
		"hugetlb": {specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}},
			"hugetlb", map[string]string{"hugetlb.2MB.max": "4194304", "hugetlb.2MB.rsvd.max": "4194304"}},
		"unified": {specs.LinuxResources{Unified: map[string]string{"memory.high": "50331648", "pids.max": "21", "cgroup.max.depth": "3"}},
			"memory", map[string]string{"memory.high": "50331648", "pids.max": "21", "cgroup.max.depth": "3"}},
	} {
		t.Run(name, func(t *testing.T) {
			rttest.Need(t, rttest.Controller(c.controller))
			b := limited(t, c.resources)
			b.Create().OK()
			for file, want := range c.files {
				if got := cgroupFile(t, b, "", file); got != want {
					t.Errorf("%s is %q, want %q", file, got, want)
				}
			}
		})
	}
}

func TestCgroupV2IO(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("io"))
	major, minor := disk(t)
	b := limited(t, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		ThrottleReadBpsDevice: throttle(major, minor, 1048576), ThrottleWriteBpsDevice: throttle(major, minor, 2097152),
		ThrottleReadIOPSDevice: throttle(major, minor, 100), ThrottleWriteIOPSDevice: throttle(major, minor, 200),
	}})
	b.Create().OK()
	want := fmt.Sprintf("%d:%d rbps=1048576 wbps=2097152 riops=100 wiops=200", major, minor)
	if got := cgroupFile(t, b, "", "io.max"); got != want {
		t.Errorf("io.max is %q, want %q", got, want)
	}
}

// Init is born in its cgroup: nobody moves, so no cgroup above it ever holds a process of ours.
func TestCgroupV2Birth(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Command("strace"))
	b := rttest.New(t).Sh("cat /proc/self/cgroup")
	trace := filepath.Join(b.Dir, "trace")
	b.Setup = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"strace", "-f", "-s", "256", "-o", trace, "-e", "trace=clone,clone3,write,openat,openat2"}, cmd.Args...)
		cmd.Path = "/usr/bin/strace"
	}
	b.Run().OK().Prints("0::" + b.Spec.Linux.CgroupsPath)
	calls := read(t, trace)
	if !strings.Contains(calls, "CLONE_INTO_CGROUP") {
		t.Error("nobody was cloned into a cgroup")
	}
	if strings.Contains(calls, "cgroup.procs\", O_WRONLY") || strings.Contains(calls, "cgroup.procs\", O_RDWR") {
		t.Error("a process was moved")
	}
}

// A container in a cgroup namespace sees its own cgroup as the root of the tree, its limits, and nobody else.
func TestCgroupV2Mount(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("memory"))
	for option, want := range map[string]string{"ro": "denied", "rw": "made"} {
		t.Run(option, func(t *testing.T) {
			b := limited(t, specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}})
			b.Join(specs.CgroupNamespace, "").Sh(`cat /proc/self/cgroup; cd /sys/fs/cgroup
				mkdir sub 2>/dev/null && echo made || echo denied; cat memory.max; grep -c . cgroup.procs; :`)
			b.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", option}})
			b.Run().OK().Prints("0::/\n" + want + "\n67108864\n2")
		})
	}
}

// A container with user and cgroup namespaces owns its cgroup as far as the kernel calls it safe: it makes sub-cgroups
// and hands controllers down, and does not touch its own limits.
func TestCgroupV2Delegation(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("pids"))
	b := limited(t, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(50))}})
	b.MapIDs(100000, 65536).Join(specs.CgroupNamespace, "").Sh(`cd /sys/fs/cgroup; mkdir sub && echo 0 >sub/cgroup.procs && echo moved
		cat /proc/self/cgroup; echo +pids >cgroup.subtree_control && ls sub/pids.max; (echo max >pids.max) 2>/dev/null || echo kept`)
	b.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}})
	b.Run().OK().Prints("moved\n0::/sub\nsub/pids.max\nkept")
	b.Create().OK()
	dir := rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath)
	for file, want := range map[string]uint32{".": 100000, "cgroup.procs": 100000, "cgroup.subtree_control": 100000, "cgroup.threads": 100000, "pids.max": 0} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != want {
			t.Errorf("%s belongs to %d, want %d", file, uid, want)
		}
	}
}

// Only the controllers that the configuration asks for are handed down: each costs something in every cgroup.
func TestCgroupV2EnablesWhatIsNeeded(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("rdma"))
	b := limited(t, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(50))}})
	parent := b.Spec.Linux.CgroupsPath // nobody else's
	b.Spec.Linux.CgroupsPath += "/inner"
	b.Create().OK()
	have := strings.Fields(cgroupFile(t, b, "", "cgroup.controllers"))
	if strings.Contains(strings.Join(have, " "), "rdma") || !strings.Contains(strings.Join(have, " "), "pids") {
		t.Errorf("handed down: %v", have)
	}
	b.Delete("--force").OK()
	if err := os.Remove(rttest.CgroupDir(t, "", parent)); err != nil { // rt keeps parents, which may be an engine's
		t.Error(err)
	}
}

// kill reaches what is in sub-cgroups, at any depth, with cgroup.kill.
func TestCgroupV2KillReachesSubCgroups(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2)
	b := rttest.New(t).Drop("pid").Join(specs.CgroupNamespace, "").Sh(`cd /sys/fs/cgroup; mkdir -p a/b/c; sleep 1000 & echo $! >a/b/c/cgroup.procs
		sleep 1000 & echo $! >a/cgroup.procs; echo up; wait`)
	b.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}})
	b.RunDetached().OK()
	rttest.Eventually(t, "both have moved", func() bool { return b.Output() == "up\n" })
	pid := b.Pid()
	dir := rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath)
	b.RT("kill", "--all", b.ID, "KILL").OK()
	if got := b.Wait(pid); got != 128+9 {
		t.Errorf("init ended with %d", got)
	}
	rttest.Eventually(t, "nobody is left", func() bool { return strings.Contains(read(t, dir+"/cgroup.events"), "populated 0") })
	b.Delete().OK()
	b.CheckGone()
}

// Engines measure every container, limited or not.
func TestCgroupV2IsMeasured(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2)
	for _, controller := range []string{"memory", "pids", "io", "cpu"} {
		rttest.Need(t, rttest.Controller(controller))
	}
	b := rttest.New(t)
	b.Create().OK()
	for _, file := range []string{"memory.current", "memory.stat", "pids.current", "io.stat", "cpu.weight"} {
		read(t, filepath.Join(rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath), file))
	}
}

// A cgroup with processes of its own passes no controllers on: there a container can live unmeasured, but not limited. What
// has processes stays what it is, which "+pids" alone would change.
func TestCgroupV2BelowProcesses(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("pids"))
	b := rttest.New(t).Sh("cat /proc/self/cgroup")
	parent := rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath)
	occupy(t, parent)
	b.Spec.Linux.CgroupsPath += "/inner"
	b.Run().OK().Prints("0::" + b.Spec.Linux.CgroupsPath)
	if rttest.IsRT(t) {
		b.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(10))}
		b.Create().FailsNaming("linux.resources.pids.limit", "processes of its own")
		if kind := strings.TrimSpace(read(t, parent+"/cgroup.type")); kind != "domain" {
			t.Errorf("the cgroup above has become %q", kind)
		}
	}
}

// occupy makes a cgroup with a process in it, until the test ends.
func occupy(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	fd, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer fd.Close()
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(fd.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		rttest.Eventually(t, "the cgroup is free", func() bool { err := os.Remove(dir); return err == nil || os.IsNotExist(err) })
	})
}

// A weight for one device, which takes the scheduler BFQ.
func TestCgroupV2DeviceWeight(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("io"))
	major, minor := disk(t)
	rttest.Need(t, func() string {
		if strings.Contains(read(t, "/sys/block/vda/queue/scheduler"), "[bfq]") {
			return ""
		}
		return "a disk with the scheduler BFQ"
	})
	heavy := specs.LinuxWeightDevice{Weight: ptr(uint16(300))}
	heavy.Major, heavy.Minor = major, minor
	b := limited(t, specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(200)), WeightDevice: []specs.LinuxWeightDevice{heavy}}})
	b.Create().OK()
	want := fmt.Sprintf("default 200\n%d:%d 300", major, minor)
	if got := cgroupFile(t, b, "", "io.bfq.weight"); got != want {
		t.Errorf("io.bfq.weight is %q, want %q", got, want)
	}
}

// Limits of an RDMA adapter, here one in software.
func TestCgroupV2Rdma(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("rdma"), rttest.File("/sys/class/infiniband/rxe0"))
	b := limited(t, specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"rxe0": {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(2000))}}})
	b.Create().OK()
	if got := cgroupFile(t, b, "", "rdma.max"); got != "rxe0 hca_handle=3 hca_object=2000" {
		t.Errorf("rdma.max is %q", got)
	}
}

// What the kernel does not take through unified is an error that names the file: misc has no resources on most machines.
func TestCgroupV2UnifiedRefused(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("misc"))
	for file, value := range map[string]string{"misc.max": "nosuch 1", "memory.high": "much", "memory.nosuch": "1", "nosuch.max": "1"} {
		b := limited(t, specs.LinuxResources{Unified: map[string]string{file: value}})
		b.Create().FailsNaming("linux.resources.unified[", file)
		b.CheckGone()
	}
}

// Below a partition of the processors there are none but its own.
func TestCgroupV2CpusetPartition(t *testing.T) { // not parallel: it takes a processor from everybody else
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("cpuset"), func() string {
		if got := strings.TrimSpace(read(t, rttest.CgroupDir(t, "", "/cpuset.cpus.effective"))); got != "0-1" {
			return "two processors"
		}
		return ""
	})
	parent := rttest.CgroupParent() + "-partition"
	dir := rttest.CgroupDir(t, "", parent)
	write(t, rttest.CgroupDir(t, "", "/cgroup.subtree_control"), "+cpuset")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	write(t, dir+"/cpuset.cpus", "1")
	write(t, dir+"/cpuset.cpus.partition", "root")
	for cpus, want := range map[string]string{"": "1", "1": "1", "0-1": "1"} {
		b := limited(t, specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: cpus}}).Sh("grep Cpus_allowed_list /proc/self/status | cut -f 2")
		b.Spec.Linux.CgroupsPath = parent + "/" + b.ID
		b.Run().OK().Prints(want)
	}
}

// Below a threaded domain the container's cgroup becomes threaded: it has the limits that threads can have, and no others.
func TestCgroupV2Threaded(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2, rttest.Controller("pids"), rttest.Controller("memory"))
	b := limited(t, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(20))}}).Sh("cat /proc/self/cgroup")
	dir := rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath)
	for _, d := range []string{dir, dir + "/sibling"} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	defer func() { _ = os.Remove(dir + "/sibling"); _ = os.Remove(dir) }()
	write(t, dir+"/sibling/cgroup.type", "threaded")
	b.Spec.Linux.CgroupsPath += "/inner"
	b.Run().OK().Prints("0::" + b.Spec.Linux.CgroupsPath)
	b.Create().OK()
	for file, want := range map[string]string{"cgroup.type": "threaded", "pids.max": "20"} {
		if got := cgroupFile(t, b, "", file); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
	b.Delete("--force").OK()
	b.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
	b.Create().FailsNaming("linux.resources.memory.limit")
}

// In a frozen cgroup, or below one, a container would stand still for ever.
func TestCgroupV2FrozenIsRefused(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV2)
	for _, below := range []string{"", "/inner"} {
		b := rttest.New(t)
		dir := rttest.CgroupDir(t, "", b.Spec.Linux.CgroupsPath)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, dir+"/cgroup.freeze", "1")
		b.Spec.Linux.CgroupsPath += below
		b.Create().FailsNaming("linux.cgroupsPath", "frozen")
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	}
}
