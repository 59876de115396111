package cgroups

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What a container on a v1 machine (Linux 6.18, two processors) had in its files.
var filesV1 = map[string]string{
	"cpuacct/ct/cpuacct.usage":        "15817835\n",
	"cpuacct/ct/cpuacct.usage_percpu": "14250889 1566946 \n",
	"cpuacct/ct/cpuacct.usage_all":    "cpu user system\n0 4000000 12000000\n1 0 4000000\n",
	"cpuacct/ct/cpuacct.stat":         "user 1\nsystem 2\n",
	"cpu/ct/cpu.stat": `nr_periods 26
nr_throttled 12
throttled_time 599124771
nr_bursts 0
burst_time 0
`,
	"cpuset/ct/cpuset.cpus":                     "0-1,3\n",
	"cpuset/ct/cpuset.mems":                     "0\n",
	"cpuset/ct/cpuset.cpu_exclusive":            "0\n",
	"cpuset/ct/cpuset.mem_hardwall":             "1\n",
	"cpuset/ct/cpuset.memory_pressure":          "3\n",
	"cpuset/ct/cpuset.sched_load_balance":       "1\n",
	"cpuset/ct/cpuset.sched_relax_domain_level": "-1\n",
	"memory/ct/memory.stat": `cache 131072
rss 49152
rss_huge 0
shmem 0
swap 4096
pgpgin 53
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 100663296
total_cache 135168
total_rss 53248
`,
	"memory/ct/memory.limit_in_bytes":               "67108864\n",
	"memory/ct/memory.usage_in_bytes":               "487424\n",
	"memory/ct/memory.max_usage_in_bytes":           "491520\n",
	"memory/ct/memory.failcnt":                      "2\n",
	"memory/ct/memory.memsw.limit_in_bytes":         "100663296\n",
	"memory/ct/memory.memsw.usage_in_bytes":         "491520\n",
	"memory/ct/memory.memsw.max_usage_in_bytes":     "495616\n",
	"memory/ct/memory.memsw.failcnt":                "1\n",
	"memory/ct/memory.kmem.limit_in_bytes":          "9223372036854771712\n",
	"memory/ct/memory.kmem.usage_in_bytes":          "98304\n",
	"memory/ct/memory.kmem.max_usage_in_bytes":      "131072\n",
	"memory/ct/memory.kmem.failcnt":                 "0\n",
	"memory/ct/memory.kmem.tcp.limit_in_bytes":      "9223372036854771712\n",
	"memory/ct/memory.kmem.tcp.usage_in_bytes":      "4096\n",
	"memory/ct/memory.kmem.tcp.max_usage_in_bytes":  "8192\n",
	"memory/ct/memory.kmem.tcp.failcnt":             "0\n",
	"pids/ct/pids.current":                          "7\n",
	"pids/ct/pids.max":                              "max\n",
	"blkio/ct/blkio.bfq.io_service_bytes_recursive": "Total 0\n",
	"blkio/ct/blkio.throttle.io_service_bytes_recursive": `254:0 Read 131072
254:0 Write 0
254:0 Sync 131072
254:0 Async 0
254:0 Discard 0
254:0 Total 131072
Total 131072
`,
	"blkio/ct/blkio.throttle.io_serviced_recursive": "254:0 Read 29\n254:0 Total 29\nTotal 29\n",
	"blkio/ct/blkio.bfq.io_queued_recursive":        "8:16 Read 1\n8:16 Total 1\nTotal 1\n",
	"blkio/ct/blkio.time_recursive":                 "8:16 612\n",
	"blkio/ct/blkio.sectors_recursive":              "8:16 2048\n",
	"hugetlb/ct/hugetlb.2MB.usage_in_bytes":         "2097152\n",
	"hugetlb/ct/hugetlb.2MB.max_usage_in_bytes":     "4194304\n",
	"hugetlb/ct/hugetlb.2MB.failcnt":                "5\n",
	"rdma/ct/rdma.current":                          "mlx4_0 hca_handle=2 hca_object=2000\n",
	"rdma/ct/rdma.max":                              "mlx4_0 hca_handle=3 hca_object=max\n",
}

var wantV1 = Stats{
	CPU: CPUStats{
		Usage: CPUUsage{Total: 15817835, Percpu: []uint64{14250889, 1566946}, PercpuUser: []uint64{4000000, 0},
			PercpuKernel: []uint64{12000000, 4000000}, Kernel: 20000000, User: 10000000},
		Throttling: Throttling{26, 12, 599124771},
	},
	CPUSet: CPUSetStats{CPUs: []uint16{0, 1, 3}, Mems: []uint16{0}, MemHardwall: 1, MemoryPressure: 3,
		SchedLoadBalance: 1, SchedRelaxDomainLevel: -1},
	Memory: MemoryStats{
		Cache:     131072,
		Usage:     MemoryEntry{67108864, 487424, 491520, 2},
		Swap:      MemoryEntry{100663296, 491520, 495616, 1},
		Kernel:    MemoryEntry{9223372036854771712, 98304, 131072, 0},
		KernelTCP: MemoryEntry{9223372036854771712, 4096, 8192, 0},
		Raw: map[string]uint64{"cache": 131072, "rss": 49152, "rss_huge": 0, "shmem": 0, "swap": 4096, "pgpgin": 53,
			"hierarchical_memory_limit": 67108864, "hierarchical_memsw_limit": 100663296, "total_cache": 135168, "total_rss": 53248},
	},
	Pids: PidsStats{Current: 7},
	Blkio: BlkioStats{
		IoServiceBytes: []BlkioEntry{{254, 0, "Read", 131072}, {254, 0, "Write", 0}, {254, 0, "Sync", 131072},
			{254, 0, "Async", 0}, {254, 0, "Discard", 0}, {254, 0, "Total", 131072}},
		IoServiced: []BlkioEntry{{254, 0, "Read", 29}, {254, 0, "Total", 29}},
		IoQueued:   []BlkioEntry{{8, 16, "Read", 1}, {8, 16, "Total", 1}},
		IoTime:     []BlkioEntry{{8, 16, "", 612}},
		Sectors:    []BlkioEntry{{8, 16, "", 2048}},
	},
	Hugetlb: map[string]HugetlbStats{"2MB": {2097152, 4194304, 5}},
	Rdma:    map[string]RdmaStats{"mlx4_0": {RdmaEntry{2, 2000}, RdmaEntry{3, unlimited}}},
}

// The same in a v2 cgroup.
var filesV2 = map[string]string{
	"ct/cpu.stat": `usage_usec 2000104
user_usec 1500100
system_usec 500004
nice_usec 0
core_sched.force_idle_usec 0
nr_periods 26
nr_throttled 12
throttled_usec 599124
nr_bursts 0
burst_usec 0
`,
	"ct/cpu.pressure":          "some avg10=1.50 avg60=0.31 avg300=0.07 total=210042\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	"ct/cpuset.cpus":           "\n",
	"ct/cpuset.cpus.effective": "0-1\n",
	"ct/cpuset.mems.effective": "0\n",
	"ct/memory.current":        "487424\n",
	"ct/memory.max":            "67108864\n",
	"ct/memory.peak":           "491520\n",
	"ct/memory.events":         "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\noom_group_kill 0\n",
	"ct/memory.swap.current":   "4096\n",
	"ct/memory.swap.max":       "33554432\n",
	"ct/memory.swap.events":    "high 0\nmax 3\nfail 9\n",
	"ct/memory.stat":           "anon 49152\nfile 131072\nkernel 98304\nsock 4096\npgfault 909\n",
	"ct/memory.pressure":       "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=0.00 avg60=0.00 avg300=0.25 total=17\n",
	"ct/pids.current":          "7\n",
	"ct/pids.max":              "30\n",
	"ct/io.stat": `254:0 rbytes=131072 wbytes=4096 rios=29 wios=1 dbytes=0 dios=0
8:16 cost.usage=1 rbytes=512 rios=1
`,
	"ct/hugetlb.2MB.current":      "0\n",
	"ct/hugetlb.2MB.rsvd.current": "2097152\n",
	"ct/hugetlb.2MB.events":       "max 5\n",
	"ct/hugetlb.1GB.current":      "1073741824\n",
	"ct/hugetlb.1GB.events":       "max 0\n",
}

var wantV2 = Stats{
	CPU: CPUStats{
		Usage:      CPUUsage{Total: 2000104000, User: 1500100000, Kernel: 500004000},
		Throttling: Throttling{26, 12, 599124000},
		PSI:        &PSI{Some: Pressure{1.5, 0.31, 0.07, 210042}},
	},
	CPUSet: CPUSetStats{CPUs: []uint16{0, 1}, Mems: []uint16{0}},
	Memory: MemoryStats{
		Cache:     131072,
		Usage:     MemoryEntry{67108864, 487424, 491520, 4},
		Swap:      MemoryEntry{100663296, 491520, 0, 3},
		Kernel:    MemoryEntry{unlimited, 98304, 0, 0},
		KernelTCP: MemoryEntry{unlimited, 4096, 0, 0},
		Raw:       map[string]uint64{"anon": 49152, "file": 131072, "kernel": 98304, "sock": 4096, "pgfault": 909},
		PSI:       &PSI{Full: Pressure{0, 0, 0.25, 17}},
	},
	Pids: PidsStats{7, 30},
	Blkio: BlkioStats{
		IoServiceBytes: []BlkioEntry{{254, 0, "Read", 131072}, {254, 0, "Write", 4096}, {254, 0, "Discard", 0}, {8, 16, "Read", 512}},
		IoServiced:     []BlkioEntry{{254, 0, "Read", 29}, {254, 0, "Write", 1}, {254, 0, "Discard", 0}, {8, 16, "Read", 1}},
	},
	Hugetlb: map[string]HugetlbStats{"2MB": {2097152, 0, 5}, "1GB": {1073741824, 0, 0}},
}

// measuredV1 is a cgroup "ct" in the v1 hierarchies that files are in; measuredV2 one in a cgroup2 tree.
func measuredV1(t *testing.T, files map[string]string) (root string, c *Cgroup) {
	t.Helper()
	root = fakeDir(t, files)
	paths := map[string]string{}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		controller, _, _ := strings.Cut(file, "/")
		paths[controller] = filepath.Join(root, controller, "ct")
	}
	return root, Load(State{Mode: V1, Mount: root, Paths: paths})
}

func measuredV2(t *testing.T, files map[string]string) (root string, c *Cgroup) {
	t.Helper()
	root = fakeDir(t, files)
	return root, Load(State{Mode: V2, Mount: root, Paths: map[string]string{unifiedKey: filepath.Join(root, "ct")}})
}

func TestStats(t *testing.T) {
	_, v1 := measuredV1(t, filesV1)
	_, v2 := measuredV2(t, filesV2)
	for _, tt := range []struct {
		c    *Cgroup
		want Stats
	}{{v1, wantV1}, {v2, wantV2}} {
		t.Run(string(tt.c.Mode()), func(t *testing.T) {
			got, err := tt.c.Stats()
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(&tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// On a hybrid machine each part comes from where its controller lives, and pressure from the cgroup2 tree.
func TestStatsHybrid(t *testing.T) {
	root, _ := measuredV1(t, map[string]string{
		"memory/ct/memory.usage_in_bytes": "8192\n", "pids/ct/pids.current": "2\n",
		"unified/ct/hugetlb.2MB.current": "2097152\n", "unified/ct/memory.pressure": filesV2["ct/memory.pressure"],
		"unified/ct/cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\n", // no controller: it is always there
	})
	c := Load(State{Mode: Hybrid, Mount: root, Paths: map[string]string{
		"memory": root + "/memory/ct", "pids": root + "/pids/ct", unifiedKey: root + "/unified/ct"}})
	got, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	want := &Stats{
		CPU:     CPUStats{Usage: CPUUsage{Total: 5000, User: 3000, Kernel: 2000}},
		Memory:  MemoryStats{Usage: MemoryEntry{Usage: 8192}, PSI: &PSI{Full: Pressure{0, 0, 0.25, 17}}, Raw: map[string]uint64{}},
		Pids:    PidsStats{Current: 2},
		Hugetlb: map[string]HugetlbStats{"2MB": {Usage: 2097152}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// Without any controller a cgroup still has its processor time.
func TestStatsWithoutControllers(t *testing.T) {
	_, c := measuredV2(t, map[string]string{"ct/cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\n"})
	got, err := c.Stats()
	if err != nil || got.CPU.Usage.Total != 5000 || got.Memory.Swap != (MemoryEntry{}) || len(got.Hugetlb) > 0 {
		t.Errorf("%+v, %v", got, err)
	}
	data, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(data), `"hugetlb":{}`) || !strings.Contains(string(data), `"blkio":{}`) {
		t.Errorf("%s, %v", data, err)
	}
}

func TestStatsFaults(t *testing.T) {
	for file, text := range map[string]string{
		"pids.current": "many\n", "cpu.stat": "usage_usec x\n", "cpuset.cpus.effective": "1-\n", "memory.stat": "anon\nfile y\n",
		"io.stat": "8:0 rbytes=z\n", "cpu.pressure": "some avg10=much\n", "memory.pressure": "full total=all\n",
	} {
		_, c := measuredV2(t, map[string]string{"ct/" + file: text})
		if _, err := c.Stats(); err == nil || !strings.Contains(err.Error(), "/ct/"+file+": ") {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := Load(State{}).Stats(); !errors.Is(err, ErrDisabled) {
		t.Errorf("disabled: %v", err)
	}
	root, c := measuredV2(t, map[string]string{"ct/pids.max": "1\n"})
	if err := os.RemoveAll(root + "/ct"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stats(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("gone: %v", err)
	}
}

// A v1 counter may be negative for a moment.
func TestStatsNegativeCounter(t *testing.T) {
	_, c := measuredV1(t, map[string]string{"memory/ct/memory.kmem.tcp.usage_in_bytes": "-4096\n"})
	if s, err := c.Stats(); err != nil || s.Memory.KernelTCP.Usage != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// The kernel of this machine has what we read.
func TestStatsReal(t *testing.T) {
	c := createReal(t, nil)
	spawn(t, c, "sleep 1000")
	s, err := c.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if s.CPU.Usage.Total == 0 {
		t.Errorf("no processor time: %+v", s.CPU)
	}
	if _, ok := c.find("memory"); ok && (s.Memory.Usage.Usage == 0 || len(s.Memory.Raw) < 10) {
		t.Errorf("no memory: %+v", s.Memory)
	}
	if _, ok := c.find("pids"); ok && s.Pids.Current == 0 {
		t.Errorf("no processes: %+v", s.Pids)
	}
}
