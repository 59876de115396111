package cgroups

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// everyV1 is a cgroup with all v1 controllers, everyV2 one with the whole v2 interface.
func everyV1() *Cgroup {
	paths := map[string]string{}
	for _, name := range []string{"cpuset", "cpu", "cpuacct", "memory", "pids", "blkio", "hugetlb", "net_cls",
		"net_prio", "rdma", "devices", "freezer"} {
		paths[name] = "/sys/fs/cgroup/" + name + "/ct"
	}
	return Load(State{Mode: V1, Paths: paths})
}

func everyV2() *Cgroup {
	return Load(State{Mode: V2, Paths: map[string]string{unifiedKey: "/sys/fs/cgroup/ct"}})
}

// lines shows the writes of a config as "file=value", with the fallback after "|".
func lines(t *testing.T, c *Cgroup, config string) ([]string, error) {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(config), &r); err != nil {
		t.Fatal(err)
	}
	shares, err := c.divide(&r)
	var out []string
	for _, s := range shares {
		for _, l := range s.limits {
			line := l.file + "=" + l.value
			if l.alt != "" {
				line += "|" + l.alt + "=" + l.altValue
			}
			out = append(out, line)
		}
	}
	return out, err
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name, config string
		v1, v2       string // writes, separated by ";"
	}{
		{"nothing", `{}`, "", ""},
		{"empty structs", `{"memory":{},"cpu":{},"pids":{},"blockIO":{},"network":{},"rdma":{},"unified":{}}`, "", ""},
		{"zeroes of docker 20.10", `{"memory":{"disableOOMKiller":false},"cpu":{"shares":0},"blockIO":{"weight":0}}`, "", ""},
		{"more zeroes", `{"memory":{"limit":0,"swap":0,"reservation":0,"kernel":0,"kernelTCP":0,"useHierarchy":false},
			"cpu":{"quota":0,"period":0,"realtimePeriod":0,"realtimeRuntime":0},"network":{"classID":0}}`, "", ""},

		{"memory limit", `{"memory":{"limit":1048576}}`,
			"memory.limit_in_bytes=1048576", "memory.max=1048576"},
		{"memory unlimited", `{"memory":{"limit":-1}}`,
			"memory.limit_in_bytes=-1;memory.memsw.limit_in_bytes=-1", "memory.max=max;memory.swap.max=max"},
		{"swap", `{"memory":{"limit":33554432,"reservation":16777216,"swap":67108864}}`,
			"memory.limit_in_bytes=33554432;memory.memsw.limit_in_bytes=67108864;memory.soft_limit_in_bytes=16777216",
			"memory.max=33554432;memory.swap.max=33554432;memory.low=16777216"},
		{"no swap", `{"memory":{"limit":67108864,"swap":67108864}}`,
			"memory.limit_in_bytes=67108864;memory.memsw.limit_in_bytes=67108864",
			"memory.max=67108864;memory.swap.max=0"},
		{"unlimited swap", `{"memory":{"limit":1048576,"swap":-1}}`,
			"memory.limit_in_bytes=1048576;memory.memsw.limit_in_bytes=-1", "memory.max=1048576;memory.swap.max=max"},
		{"unlimited reservation", `{"memory":{"reservation":-1}}`, "memory.soft_limit_in_bytes=-1", "memory.low=max"},
		{"kernel memory", `{"memory":{"kernel":4096}}`,
			"memory.kmem.limit_in_bytes=4096", "memory.kmem.limit_in_bytes=4096"},
		{"hierarchy", `{"memory":{"useHierarchy":true,"limit":4096}}`,
			"memory.use_hierarchy=1;memory.limit_in_bytes=4096", "memory.max=4096"},
		{"default swappiness of old clients", `{"memory":{"swappiness":18446744073709551615}}`, "", ""},

		{"shares", `{"cpu":{"shares":512}}`, "cpu.shares=512", "cpu.weight=59"},
		{"quota and period", `{"cpu":{"quota":20000,"period":50000}}`,
			"cpu.cfs_period_us=50000;cpu.cfs_quota_us=20000", "cpu.max=20000 50000"},
		{"quota", `{"cpu":{"quota":20000}}`, "cpu.cfs_quota_us=20000", "cpu.max=20000"},
		{"no quota", `{"cpu":{"quota":-1}}`, "cpu.cfs_quota_us=-1", "cpu.max=max"},
		{"period", `{"cpu":{"period":50000}}`, "cpu.cfs_period_us=50000", "cpu.max=50000"},
		{"burst", `{"cpu":{"quota":20000,"burst":5000}}`,
			"cpu.cfs_quota_us=20000;cpu.cfs_burst_us=5000", "cpu.max=20000;cpu.max.burst=5000"},
		{"idle goes last", `{"cpu":{"shares":1024,"idle":1}}`,
			"cpu.shares=1024;cpu.idle=1", "cpu.weight=100;cpu.idle=1"},
		{"not idle goes first", `{"cpu":{"shares":1024,"idle":0}}`,
			"cpu.idle=0;cpu.shares=1024", "cpu.idle=0;cpu.weight=100"},
		{"cpuset", `{"cpu":{"cpus":"0-1","mems":"0"}}`,
			"cpuset.cpus=0-1;cpuset.mems=0", "cpuset.cpus=0-1;cpuset.mems=0"},

		{"pids", `{"pids":{"limit":100}}`, "pids.max=100", "pids.max=100"},
		{"pids 0", `{"pids":{"limit":0}}`, "pids.max=1", "pids.max=1"},
		{"pids -1", `{"pids":{"limit":-1}}`, "pids.max=max", "pids.max=max"},

		{"weight", `{"blockIO":{"weight":500}}`,
			"blkio.weight=500|blkio.bfq.weight=500", "io.bfq.weight=500|io.weight=4950"},
		{"weight device", `{"blockIO":{"weightDevice":[{"major":8,"minor":16,"weight":10},{"major":8,"minor":0,"weight":1000}]}}`,
			"blkio.weight_device=8:16 10|blkio.bfq.weight_device=8:16 10;blkio.weight_device=8:0 1000|blkio.bfq.weight_device=8:0 1000",
			"io.bfq.weight=8:16 10|io.weight=8:16 1;io.bfq.weight=8:0 1000|io.weight=8:0 10000"},
		{"throttles", `{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1}],
			"throttleWriteBpsDevice":[{"major":8,"minor":0,"rate":2}],
			"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":3}],
			"throttleWriteIOPSDevice":[{"major":8,"minor":0,"rate":0}]}}`,
			"blkio.throttle.read_bps_device=8:0 1;blkio.throttle.write_bps_device=8:0 2;" +
				"blkio.throttle.read_iops_device=8:0 3;blkio.throttle.write_iops_device=8:0 0",
			"io.max=8:0 rbps=1;io.max=8:0 wbps=2;io.max=8:0 riops=3;io.max=8:0 wiops=max"},

		{"hugetlb", `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`,
			"hugetlb.2MB.limit_in_bytes=4194304;hugetlb.2MB.rsvd.limit_in_bytes=4194304",
			"hugetlb.2MB.max=4194304;hugetlb.2MB.rsvd.max=4194304"},
		{"rdma", `{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaObjects":0},"none":{}}}`,
			"rdma.max=mlx4_0 hca_object=0;rdma.max=mlx5_1 hca_handle=3 hca_object=10000",
			"rdma.max=mlx4_0 hca_object=0;rdma.max=mlx5_1 hca_handle=3 hca_object=10000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range []struct {
				c    *Cgroup
				want string
			}{{everyV1(), tt.v1}, {everyV2(), tt.v2}} {
				got, err := lines(t, v.c, tt.config)
				if err != nil {
					t.Fatalf("%s: %v", v.c.Mode(), err)
				}
				if d := cmp.Diff(v.want, strings.Join(got, ";")); d != "" {
					t.Errorf("%s (-want +got):\n%s", v.c.Mode(), d)
				}
			}
		})
	}
}

// What only v1 can do works there, and is an error with the field's name on v2.
func TestLimitsOnlyV1(t *testing.T) {
	tests := []struct{ config, v1, field string }{
		{`{"memory":{"disableOOMKiller":true}}`, "memory.oom_control=1", "memory.disableOOMKiller"},
		{`{"memory":{"swappiness":60}}`, "memory.swappiness=60", "memory.swappiness"},
		{`{"memory":{"swappiness":0}}`, "memory.swappiness=0", "memory.swappiness"},
		{`{"cpu":{"realtimePeriod":1000000,"realtimeRuntime":950000}}`,
			"cpu.rt_period_us=1000000;cpu.rt_runtime_us=950000", "cpu.realtimePeriod"},
		{`{"cpu":{"realtimeRuntime":950000}}`, "cpu.rt_runtime_us=950000", "cpu.realtimeRuntime"},
		{`{"blockIO":{"leafWeight":300}}`, "blkio.leaf_weight=300", "blockIO.leafWeight"},
		{`{"blockIO":{"weightDevice":[{"major":8,"minor":0,"leafWeight":300}]}}`,
			"blkio.leaf_weight_device=8:0 300", "blockIO.weightDevice[0].leafWeight"},
		{`{"network":{"classID":1048577}}`, "net_cls.classid=1048577", "network.classID"},
		{`{"network":{"priorities":[{"name":"eth0","priority":5},{"name":"eth1","priority":7}]}}`,
			"net_prio.ifpriomap=eth0 5;net_prio.ifpriomap=eth1 7", "network.priorities[0]"},
	}
	for _, tt := range tests {
		got, err := lines(t, everyV1(), tt.config)
		if err != nil || strings.Join(got, ";") != tt.v1 {
			t.Errorf("v1 %s: %q, %v; want %q", tt.config, got, err, tt.v1)
		}
		_, err = lines(t, everyV2(), tt.config)
		wantField(t, err, tt.field, ErrUnsupported)
	}
}

// TestLimitsOnlyV2: kernelTCP is hard on v1 and advisory on v2; unified is v2's own.
func TestLimitsUnified(t *testing.T) {
	got, err := lines(t, everyV2(), `{"memory":{"limit":4096},
		"unified":{"memory.high":"1048576","io.max":"8:0 rbps=1\n8:16 wbps=2\n","misc.max":"res 1","cgroup.max.depth":"3"}}`)
	want := "memory.max=4096;cgroup.max.depth=3;io.max=8:0 rbps=1;io.max=8:16 wbps=2;memory.high=1048576;misc.max=res 1"
	if err != nil || strings.Join(got, ";") != want {
		t.Errorf("%q, %v\nwant %q", got, err, want)
	}
	for _, key := range []string{"../memory.max", "a/b", "..", ".", "", "/memory.max"} {
		_, err := everyV2().divide(&specs.LinuxResources{Unified: map[string]string{key: "1"}})
		if err == nil || !strings.Contains(err.Error(), "linux.resources.unified[") {
			t.Errorf("key %q: %v", key, err)
		}
	}
	_, err = lines(t, everyV1(), `{"unified":{"memory.max":"1"}}`)
	wantField(t, err, `unified["memory.max"]`, ErrUnsupported)

	hybrid := Load(State{Mode: Hybrid, Paths: map[string]string{
		"memory": "/sys/fs/cgroup/memory/ct", "blkio": "/sys/fs/cgroup/blkio/ct", unifiedKey: "/sys/fs/cgroup/unified/ct",
	}})
	got, err = lines(t, hybrid, `{"unified":{"hugetlb.2MB.max":"0"}}`)
	if err != nil || strings.Join(got, ";") != "hugetlb.2MB.max=0" {
		t.Errorf("hybrid: %q, %v", got, err)
	}
	for _, key := range []string{"memory.max", "io.max"} {
		_, err = lines(t, hybrid, `{"unified":{"`+key+`":"1"}}`)
		wantField(t, err, `unified["`+key+`"]`, ErrUnsupported)
	}
}

// On a hybrid machine each controller decides by itself where its limits go.
func TestLimitsHybrid(t *testing.T) {
	c := Load(State{Mode: Hybrid, Paths: map[string]string{
		"cpu": "/sys/fs/cgroup/cpu/ct", unifiedKey: "/sys/fs/cgroup/unified/ct",
	}})
	shares, err := c.divide(&specs.LinuxResources{
		CPU:            &specs.LinuxCPU{Shares: ptr(uint64(2))},
		HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range shares {
		got = append(got, s.at.path+"/"+s.limits[0].file)
	}
	want := []string{"/sys/fs/cgroup/cpu/ct/cpu.shares", "/sys/fs/cgroup/unified/ct/hugetlb.2MB.max"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestLimitsRefused(t *testing.T) {
	tests := []struct {
		c             *Cgroup
		config, field string
	}{
		{everyV1(), `{"cpu":{"shares":1}}`, "cpu.shares"},
		{everyV1(), `{"cpu":{"shares":262145}}`, "cpu.shares"},
		{everyV2(), `{"memory":{"swap":1048576}}`, "memory.swap"},
		{everyV2(), `{"memory":{"limit":-1,"swap":1048576}}`, "memory.swap"},
		{everyV2(), `{"memory":{"limit":1048576,"swap":4096}}`, "memory.swap"},
		{everyV1(), `{"hugepageLimits":[{"pageSize":"2MB","limit":1},{"pageSize":"../2MB","limit":1}]}`, "hugepageLimits[1].pageSize"},
		{everyV2(), `{"hugepageLimits":[{"pageSize":"2M","limit":1}]}`, "hugepageLimits[0].pageSize"},
		{everyV1(), `{"network":{"priorities":[{"name":"a b","priority":5}]}}`, "network.priorities[0].name"},
		{everyV1(), `{"rdma":{"a b":{"hcaHandles":1}}}`, `rdma["a b"]`},
	}
	for _, tt := range tests {
		_, err := lines(t, tt.c, tt.config)
		wantField(t, err, tt.field, nil)
	}
}

// A limit without a place is an error; what asks for nothing is not.
func TestLimitsUnavailable(t *testing.T) {
	bare := Load(State{Mode: V1, Paths: map[string]string{"name=systemd": "/sys/fs/cgroup/systemd/ct"}})
	tests := []struct{ config, field string }{
		{`{"memory":{"limit":4096}}`, "memory.limit"},
		{`{"cpu":{"burst":1}}`, "cpu.burst"},
		{`{"cpu":{"cpus":"0"}}`, "cpu.cpus"},
		{`{"pids":{"limit":0}}`, "pids.limit"},
		{`{"hugepageLimits":[{"pageSize":"2MB","limit":0}]}`, "hugepageLimits[0].limit"},
		{`{"network":{"classID":1}}`, "network.classID"},
		{`{"rdma":{"a":{"hcaHandles":1}}}`, `rdma["a"]`},
	}
	for _, tt := range tests {
		for _, c := range []*Cgroup{bare, Load(State{})} {
			_, err := lines(t, c, tt.config)
			wantField(t, err, tt.field, ErrUnavailable)
		}
	}
	for _, config := range []string{`{"pids":{"limit":-1}}`, `{"cpu":{"burst":0,"idle":0}}`, `{"memory":{"disableOOMKiller":false}}`} {
		if _, err := lines(t, bare, config); err != nil {
			t.Errorf("%s: %v", config, err)
		}
	}
}

func TestSharesToWeight(t *testing.T) {
	for shares, want := range map[uint64]uint64{
		1: 1, 2: 1, 3: 2, 100: 17, 256: 35, 512: 59, 1024: 100, 2048: 174, 262143: 10000, 262144: 10000, 1 << 40: 10000,
	} {
		if got := sharesToWeight(shares); got != want {
			t.Errorf("%d shares: weight %d, want %d", shares, got, want)
		}
	}
}

func TestIOWeight(t *testing.T) {
	for weight, want := range map[uint16]string{1: "1", 10: "1", 100: "910", 500: "4950", 1000: "10000"} {
		if got := ioWeight(weight); got != want {
			t.Errorf("weight %d: %s, want %s", weight, got, want)
		}
	}
}

func TestPlan(t *testing.T) {
	resources := &specs.LinuxResources{
		Pids:    &specs.LinuxPids{Limit: ptr(int64(5))},
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}},
	}
	plan, err := everyV1().Plan(resources)
	want := []Write{
		{Field: "linux.resources.pids.limit", File: "/sys/fs/cgroup/pids/ct/pids.max", Value: "5"},
		{Field: "linux.resources.devices", File: "/sys/fs/cgroup/devices/ct/devices.allow", Value: "a"},
	}
	if err != nil || !slices.Equal(plan.Write, want) || !slices.Contains(plan.Make, "/sys/fs/cgroup/pids/ct") {
		t.Errorf("%+v, %v", plan, err)
	}
	unified := &Cgroup{mode: V2, unified: hierarchy{root: "/sys/fs/cgroup", path: "/sys/fs/cgroup/ct"}}
	plan, err = unified.Plan(resources)
	want = []Write{
		{Field: "linux.resources.pids.limit", File: "/sys/fs/cgroup/ct/pids.max", Value: "5"},
		{Field: "linux.resources.devices", File: "/sys/fs/cgroup/ct", Program: true, Value: "devices.allow a"},
	}
	if err != nil || !slices.Equal(plan.Write, want) || !slices.Equal(plan.Make, []string{"/sys/fs/cgroup/ct"}) {
		t.Errorf("%+v, %v", plan, err)
	}
}

// wantField checks that err is about one field, and wraps what it should.
func wantField(t *testing.T, err error, field string, target error) {
	t.Helper()
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Field != "linux.resources."+field {
		t.Errorf("error %v, want one about %s", err, field)
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %v does not wrap %v", err, target)
	}
}

func ptr[T any](v T) *T { return &v }
