package integration

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// realTime lets the container's cgroup have real-time processes, where the kernel counts their time in groups.
func realTime(t *testing.T, b *rttest.Bundle) {
	t.Helper()
	if rttest.CgroupV1() != "" || rttest.Controller("cpu")() != "" {
		return
	}
	if rttest.File(rttest.CgroupDir(t, "cpu", "/cpu.rt_runtime_us"))() == "" {
		b.Spec.Linux.CgroupsPath = "/" + b.ID // a group may have no more than the one above it, and a new one has none
		b.Spec.Linux.Resources.CPU = &specs.LinuxCPU{RealtimeRuntime: ptr(int64(10000)), RealtimePeriod: ptr(uint64(1000000))}
	}
}

// What the kernel says of the process is what the configuration says: "policy flags nice priority runtime deadline period".
func TestScheduler(t *testing.T) {
	flags := func(list ...specs.LinuxSchedulerFlag) []specs.LinuxSchedulerFlag { return list }
	for name, c := range map[string]struct {
		s    specs.Scheduler
		want string
	}{
		"SCHED_OTHER": {specs.Scheduler{Policy: specs.SchedOther, Nice: 5}, "0 0 5 0"},
		"SCHED_BATCH": {specs.Scheduler{Policy: specs.SchedBatch, Nice: -5}, "3 0 -5 0"},
		"SCHED_IDLE":  {specs.Scheduler{Policy: specs.SchedIdle}, "5 0 0 0"},
		"SCHED_FIFO":  {specs.Scheduler{Policy: specs.SchedFIFO, Priority: 10}, "1 0 0 10"},
		"SCHED_RR":    {specs.Scheduler{Policy: specs.SchedRR, Priority: 99}, "2 0 0 99"},
		"SCHED_DEADLINE": {specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1000000, Deadline: 20000000, Period: 40000000},
			"6 0 0 0 1000000 20000000 40000000"},
		"SCHED_FLAG_RESET_ON_FORK": {specs.Scheduler{Policy: specs.SchedOther, Flags: flags(specs.SchedFlagResetOnFork)}, "0 0x1 0 0"},
		"SCHED_FLAG_RECLAIM and SCHED_FLAG_DL_OVERRUN": {specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1000000, Deadline: 20000000, Period: 20000000,
			Flags: flags(specs.SchedFlagReclaim, specs.SchedFlagDLOverrun)}, "6 0x6 0 0 1000000 20000000 20000000"},
		"SCHED_FLAG_KEEP_POLICY": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 7, Flags: flags(specs.SchedFlagKeepPolicy)}, "0 0 7 0"},
		"SCHED_FLAG_KEEP_PARAMS": {specs.Scheduler{Policy: specs.SchedBatch, Nice: 7, Flags: flags(specs.SchedFlagKeepParams)}, "0 0 0 0"},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).AddProbe().Args("probe", "sched")
			b.Spec.Process.Scheduler = &c.s
			realTime(t, b)
			if got := strings.TrimSpace(b.Run().OK().Stdout); !strings.HasPrefix(got+" ", c.want+" ") {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// What this kernel does not have is refused by it, and the error names the field.
func TestSchedulerRefused(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]specs.Scheduler{
		"SCHED_ISO":                            {Policy: specs.SchedISO}, // a number that Linux never used
		"a deadline beyond the machine's time": {Policy: specs.SchedDeadline, Runtime: 1 << 40, Deadline: 1 << 40, Period: 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t)
			b.Spec.Process.Scheduler = &s
			b.Run().FailsNaming("process.scheduler")
			b.CheckGone()
		})
	}
}

// The clamps have no values in the specification; rt lets them hold nothing back. Few kernels are built with them.
func TestSchedulerClamps(t *testing.T) {
	t.Parallel()
	for _, flag := range []specs.LinuxSchedulerFlag{specs.SchedFlagUtilClampMin, specs.SchedFlagUtilClampMax} {
		t.Run(string(flag), func(t *testing.T) {
			b := rttest.New(t).AddProbe().Args("probe", "sched")
			b.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: 1, Flags: []specs.LinuxSchedulerFlag{flag}}
			if rttest.File("/proc/sys/kernel/sched_util_clamp_min")() != "" {
				b.Run().FailsNaming("process.scheduler", "operation not supported")
				return
			}
			if got := b.Run().OK().Stdout; !strings.HasPrefix(got, "0 ") || !strings.Contains(got, " 1 0 ") {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestIOPriority(t *testing.T) {
	t.Parallel()
	for class, number := range map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3} {
		t.Run(string(class), func(t *testing.T) {
			b := rttest.New(t).AddProbe().Args("probe", "syscall", strconv.Itoa(unix.SYS_IOPRIO_GET), "1", "0")
			b.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: 6}
			b.Run().OK().Prints(fmt.Sprintf("%d 0", number<<13|6))
		})
	}
}

// Each mode and each flag is what the kernel says of the process. The machine needs no second node for that.
func TestMemoryPolicy(t *testing.T) {
	t.Parallel()
	const static, relative, balancing = 1 << 15, 1 << 14, 1 << 13
	flags := func(list ...specs.MemoryPolicyFlagType) []specs.MemoryPolicyFlagType { return list }
	for name, c := range map[string]struct {
		p      specs.LinuxMemoryPolicy
		mode   int
		nodes  string
		kernel string
	}{
		"MPOL_DEFAULT":                {specs.LinuxMemoryPolicy{Mode: specs.MpolDefault}, 0, "0", ""},
		"MPOL_PREFERRED":              {specs.LinuxMemoryPolicy{Mode: specs.MpolPreferred, Nodes: "0"}, 1, "0x1", ""},
		"MPOL_BIND":                   {specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}, 2, "0x1", ""},
		"MPOL_INTERLEAVE":             {specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0-0"}, 3, "0x1", ""},
		"MPOL_LOCAL":                  {specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, 4, "0", ""},
		"MPOL_PREFERRED_MANY":         {specs.LinuxMemoryPolicy{Mode: specs.MpolPreferredMany, Nodes: "0"}, 5, "0x1", "5.15"},
		"MPOL_WEIGHTED_INTERLEAVE":    {specs.LinuxMemoryPolicy{Mode: specs.MpolWeightedInterleave, Nodes: "0"}, 6, "0x1", "6.9"},
		"MPOL_F_STATIC_NODES":         {specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0", Flags: flags(specs.MpolFStaticNodes)}, 3 | static, "0x1", ""},
		"MPOL_F_RELATIVE_NODES":       {specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: flags(specs.MpolFRelativeNodes)}, 2 | relative, "0x1", ""},
		"MPOL_F_NUMA_BALANCING":       {specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: flags(specs.MpolFNumaBalancing)}, 2 | balancing, "0x1", ""},
		"two flags, and a list of it": {specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0,0-0", Flags: flags(specs.MpolFNumaBalancing, specs.MpolFStaticNodes)}, 2 | balancing | static, "0x1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if c.kernel != "" {
				rttest.Need(t, rttest.Kernel(c.kernel))
			}
			b := rttest.New(t).AddProbe().Args("probe", "mempolicy")
			b.Spec.Linux.MemoryPolicy = &c.p
			b.Run().OK().Prints(fmt.Sprintf("%d %s", c.mode, c.nodes))
		})
	}
}

// Nodes that the machine does not have are refused, however high their numbers: a mask that is cut off would allow others.
func TestMemoryPolicyNodes(t *testing.T) {
	t.Parallel()
	for _, nodes := range []string{"63", "0,1024", "0-4000", "0,32000", "0,40000", "65535", "9999999", "0,x"} {
		b := rttest.New(t)
		b.Spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: nodes}
		b.Run().FailsNaming("linux.memoryPolicy")
		b.CheckGone()
	}
}

func TestPersonalityDomains(t *testing.T) {
	t.Parallel()
	for domain, machine := range map[specs.LinuxPersonalityDomain]string{specs.PerLinux: "x86_64", specs.PerLinux32: "i686"} {
		b := rttest.New(t).Sh("uname -m; cat /proc/self/personality 2>/dev/null; :")
		b.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: domain, Flags: []specs.LinuxPersonalityFlag{}}
		if got := b.Run().OK().Stdout; !strings.HasPrefix(got, machine+"\n") {
			t.Errorf("%s: %s, want %s", domain, got, machine)
		}
	}
}

// The specification has no flags yet, so any is one that cannot be given.
func TestPersonalityFlags(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "flags of a personality are an error, not a warning")
	b := rttest.New(t)
	b.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux, Flags: []specs.LinuxPersonalityFlag{"ADDR_NO_RANDOMIZE"}}
	b.Create().FailsNaming("linux.personality.flags")
	b.CheckGone()
}

func TestRealtimeLimits(t *testing.T) {
	rttest.Need(t, rttest.CgroupV1, rttest.Controller("cpu"))
	rttest.Need(t, rttest.File(rttest.CgroupDir(t, "cpu", "/cpu.rt_runtime_us")))
	b := limited(t, specs.LinuxResources{})
	realTime(t, b)
	b.Create().OK()
	for file, want := range map[string]string{"cpu.rt_runtime_us": "10000", "cpu.rt_period_us": "1000000"} {
		if got := strings.TrimSpace(read(t, filepath.Join(rttest.CgroupDir(t, "cpu", b.Spec.Linux.CgroupsPath), file))); got != want {
			t.Errorf("%s is %s, want %s", file, got, want)
		}
	}
}
