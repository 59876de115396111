package cgroups

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func resources(t *testing.T, config string) *specs.LinuxResources {
	t.Helper()
	var r specs.LinuxResources
	if err := json.Unmarshal([]byte(config), &r); err != nil {
		t.Fatal(err)
	}
	return &r
}

// overlay is what a plain file has in it after a write: it keeps the end of what was there, unlike the kernel's.
func overlay(old, written string) string {
	if len(written) < len(old) {
		return written + old[len(written):]
	}
	return written
}

// updated makes a change and compares all files with those that want changes.
func updated(t *testing.T, c *Cgroup, root string, files, want map[string]string, change string) {
	t.Helper()
	if err := c.Update(resources(t, change), nil); err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(files)
	for name, text := range want {
		all[name] = overlay(files[name], text)
	}
	wantFiles(t, root, all)
}

func TestUpdateV1(t *testing.T) {
	files := map[string]string{
		"memory/ct/memory.limit_in_bytes": "67108864\n", "memory/ct/memory.memsw.limit_in_bytes": "100663296\n",
		"memory/ct/memory.soft_limit_in_bytes": "9223372036854771712\n",
		"cpu/ct/cpu.cfs_quota_us":              "-1\n", "cpu/ct/cpu.cfs_period_us": "100000\n", "cpu/ct/cpu.shares": "1024\n", "cpu/ct/cpu.idle": "0\n",
		"pids/ct/pids.max": "30\n", "cpuset/ct/cpuset.cpus": "0-1\n", "devices/ct/devices.deny": "", "devices/ct/devices.allow": "",
		"blkio/ct/blkio.throttle.read_bps_device": "",
	}
	for name, tt := range map[string]struct {
		change string
		want   map[string]string
	}{
		"nothing": {`{}`, nil},
		"zeroes":  {`{"memory":{"limit":0,"swap":0},"cpu":{"quota":0,"cpus":""},"pids":{}}`, nil},
		"devices are not its business": {`{"devices":[{"allow":false,"access":"rwm"}],"pids":{"limit":5}}`,
			map[string]string{"pids/ct/pids.max": "5"}},
		"what holds is not written again": {`{"memory":{"limit":67108864},"pids":{"limit":30},"cpu":{"cpus":"0-1","shares":1024}}`, nil},
		"memory alone":                    {`{"memory":{"limit":33554432}}`, map[string]string{"memory/ct/memory.limit_in_bytes": "33554432"}},
		"swap alone":                      {`{"memory":{"swap":-1}}`, map[string]string{"memory/ct/memory.memsw.limit_in_bytes": "-1"}},
		"no memory limit frees swap": {`{"memory":{"limit":-1}}`, map[string]string{
			"memory/ct/memory.limit_in_bytes": "-1", "memory/ct/memory.memsw.limit_in_bytes": "-1"}},
		"cpu": {`{"cpu":{"quota":20000,"idle":1}}`, map[string]string{"cpu/ct/cpu.cfs_quota_us": "20000", "cpu/ct/cpu.idle": "1"}},
		"block device": {`{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1024}]}}`,
			map[string]string{"blkio/ct/blkio.throttle.read_bps_device": "8:0 1024"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, c := measuredV1(t, files)
			updated(t, c, root, files, tt.want, tt.change)
		})
	}
}

func TestUpdateV2(t *testing.T) {
	files := map[string]string{
		"ct/memory.max": "67108864\n", "ct/memory.swap.max": "33554432\n", "ct/memory.low": "0\n", "ct/cpu.max": "max 100000\n",
		"ct/cpu.weight": "100\n", "ct/cpu.idle": "0\n", "ct/pids.max": "30\n", "cgroup.subtree_control": "cpu memory pids io\n",
		"ct/io.max": "",
	}
	for name, tt := range map[string]struct {
		change string
		want   map[string]string
	}{
		"what holds is not written again": {`{"memory":{"limit":67108864,"swap":100663296},"pids":{"limit":30}}`, nil},
		"memory counts within the old sum": {`{"memory":{"limit":83886080}}`,
			map[string]string{"ct/memory.max": "83886080", "ct/memory.swap.max": "16777216"}},
		"swap is counted from the old memory": {`{"memory":{"swap":134217728}}`, map[string]string{"ct/memory.swap.max": "67108864"}},
		"no memory limit frees swap":          {`{"memory":{"limit":-1}}`, map[string]string{"ct/memory.max": "max", "ct/memory.swap.max": "max"}},
		"no swap limit":                       {`{"memory":{"swap":-1}}`, map[string]string{"ct/memory.swap.max": "max"}},
		"period alone keeps the quota":        {`{"cpu":{"period":50000}}`, map[string]string{"ct/cpu.max": "max 50000"}},
		"quota alone":                         {`{"cpu":{"quota":20000}}`, map[string]string{"ct/cpu.max": "20000"}},
		"block device": {`{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":1024}]}}`,
			map[string]string{"ct/io.max": "8:0 rbps=1024"}},
		"unified": {`{"unified":{"memory.low":"4096"}}`, map[string]string{"ct/memory.low": "4096"}},
	} {
		t.Run(name, func(t *testing.T) {
			root, c := measuredV2(t, files)
			updated(t, c, root, files, tt.want, tt.change)
		})
	}
}

// Without a limit of its own, memory leaves the swap limit alone.
func TestUpdateV2WithoutSwapLimit(t *testing.T) {
	for _, swap := range []string{"max\n", ""} {
		files := map[string]string{"ct/memory.max": "67108864\n", "cgroup.subtree_control": "memory\n"}
		if swap != "" {
			files["ct/memory.swap.max"] = swap
		}
		root, c := measuredV2(t, files)
		updated(t, c, root, files, map[string]string{"ct/memory.max": "4096"}, `{"memory":{"limit":4096}}`)
	}
}

func TestUpdateSwapFaults(t *testing.T) {
	v1 := func(limit, swap string) map[string]string {
		return map[string]string{"memory/ct/memory.limit_in_bytes": limit, "memory/ct/memory.memsw.limit_in_bytes": swap}
	}
	v2 := func(limit, swap string) map[string]string {
		return map[string]string{"ct/memory.max": limit, "ct/memory.swap.max": swap, "cgroup.subtree_control": "memory"}
	}
	for name, tt := range map[string]struct {
		files         map[string]string
		change, fault string
	}{
		"v1: memory above the present sum": {v1("67108864", "100663296"), `{"memory":{"limit":134217728}}`,
			"linux.resources.memory.limit: 134217728 is above the present limit of memory and swap together, 100663296"},
		"v1: sum below the present memory": {v1("67108864", "100663296"), `{"memory":{"swap":33554432}}`, "linux.resources.memory.swap: counts"},
		"v1: sum without a memory limit": {v1("9223372036854771712", "9223372036854771712"), `{"memory":{"swap":33554432}}`,
			"linux.resources.memory.swap: needs a memory limit"},
		"v1: sum below memory":             {v1("4096", "8192"), `{"memory":{"limit":8192,"swap":4096}}`, "linux.resources.memory.swap: counts"},
		"v2: memory above the present sum": {v2("67108864", "0"), `{"memory":{"limit":134217728}}`, "linux.resources.memory.swap: counts"},
		"v2: sum below the present memory": {v2("67108864", "0"), `{"memory":{"swap":33554432}}`, "linux.resources.memory.swap: counts"},
		"v2: sum without a memory limit":   {v2("max", "max"), `{"memory":{"swap":33554432}}`, "linux.resources.memory.swap: needs"},
	} {
		t.Run(name, func(t *testing.T) {
			make := measuredV1
			if strings.HasPrefix(name, "v2") {
				make = measuredV2
			}
			root, c := make(t, tt.files)
			if err := c.Update(resources(t, tt.change), nil); err == nil || !strings.HasPrefix(err.Error(), tt.fault) {
				t.Errorf("got %v, want %s…", err, tt.fault)
			}
			wantFiles(t, root, tt.files)
		})
	}
}

// The failing write is the last one: a directory in place of the file.
func TestUpdateRollsBack(t *testing.T) {
	files := map[string]string{
		"memory/ct/memory.limit_in_bytes": "67108864\n", "memory/ct/memory.memsw.limit_in_bytes": "100663296\n",
		"cpu/ct/cpu.cfs_quota_us": "-1\n", "cpu/ct/cpu.shares": "512\n", "cpu/ct/cpu.idle": "0\n", "cpuset/ct/cpuset.cpus": "0-1\n",
		"blkio/ct/blkio.throttle.read_bps_device": "8:16 77\n", "pids/ct/pids.max/is a directory": "",
	}
	root, c := measuredV1(t, files)
	err := c.Update(resources(t, `{"memory":{"limit":33554432,"swap":50331648},"cpu":{"quota":20000,"idle":1,"cpus":"0"},"pids":{"limit":5}}`), nil)
	var limit *LimitError
	if !errors.As(err, &limit) || limit.Field != "linux.resources.pids.limit" || !errors.Is(err, unix.EISDIR) ||
		strings.Contains(err.Error(), "taken back") {
		t.Errorf("got %v", err)
	}
	delete(files, "pids/ct/pids.max/is a directory")
	for name, text := range files {
		data, err := os.ReadFile(root + "/" + name)
		if err != nil || !strings.HasPrefix(string(data), strings.TrimSpace(text)) { // what follows is left from a longer value
			t.Errorf("%s is %q, want %q (%v)", name, data, text, err)
		}
	}
}

func TestRestoring(t *testing.T) {
	for _, tt := range []struct{ file, value, now, want string }{
		{"pids.max", "5", "max", "max"},
		{"memory.memsw.limit_in_bytes", "5", "9223372036854771712", "9223372036854771712"},
		{"cpu.max", "20000 50000", "max 100000", "max 100000"},
		{"cpuset.cpus", "0", "", "\n"},
		{"memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3", "0"},
		{"io.weight", "50", "default 100\n8:0 200", "default 100"},
		{"io.weight", "8:0 50", "default 100\n8:0 200", "8:0 200"},
		{"io.bfq.weight", "8:16 50", "default 100\n8:0 200", "8:16 default"},
		{"blkio.bfq.weight_device", "8:16 50", "8:0 200", "8:16 0"},
		{"blkio.throttle.read_bps_device", "8:1 50", "8:16 200\n8:1 10", "8:1 10"},
		{"blkio.throttle.read_bps_device", "8:1 50", "8:16 200", "8:1 0"},
		{"io.max", "8:1 rbps=5", "8:16 rbps=1 wbps=max riops=max wiops=max", "8:1 rbps=max"},
		{"io.max", "8:16 rbps=5", "8:16 rbps=1 wbps=max riops=max wiops=max", "8:16 rbps=1 wbps=max riops=max wiops=max"},
		{"rdma.max", "mlx4_0 hca_handle=3 hca_object=5", "", "mlx4_0 hca_handle=max hca_object=max"},
		{"net_prio.ifpriomap", "eth0 5", "lo 0\neth0 2", "eth0 2"},
		{"net_prio.ifpriomap", "eth1 5", "lo 0\neth0 2", ""},
	} {
		if got := restoring(tt.file, tt.value, tt.now); got != tt.want {
			t.Errorf("%s, %q over %q: %q, want %q", tt.file, tt.value, tt.now, got, tt.want)
		}
	}
}

// More swap goes before less memory; else memory goes first.
func TestOrderSwap(t *testing.T) {
	limits := func() []limit {
		return []limit{{file: "memory.max", value: "1"}, {file: "memory.swap.max", value: "5"}, {file: "memory.low", value: "1"}}
	}
	for now, first := range map[string]string{"4": "memory.swap.max", "5": "memory.max", "6": "memory.max", "max": "memory.max"} {
		d, err := openDir(fakeDir(t, map[string]string{"memory.swap.max": now}))
		if err != nil {
			t.Fatal(err)
		}
		if got := orderSwap(d, limits()); got[0].file != first || len(got) != 3 {
			t.Errorf("from %s to 5: %+v", now, got)
		}
		d.close()
	}
}

// An idle cgroup forgets its shares.
func TestUpdateEndsIdleness(t *testing.T) {
	shares := uint64(512)
	for idle, want := range map[string]string{"1": "512", "0": "9"} {
		root, c := measuredV1(t, map[string]string{"cpu/ct/cpu.idle": idle, "cpu/ct/cpu.shares": "9"})
		if err := c.Update(resources(t, `{"cpu":{"idle":0}}`), &shares); err != nil {
			t.Fatal(err)
		}
		wantFiles(t, root, map[string]string{"cpu/ct/cpu.idle": "0", "cpu/ct/cpu.shares": want})
	}
}

// On the kernel of this machine: sums that go up and down, and a refusal in the end.
func TestUpdateReal(t *testing.T) {
	c := createReal(t, resources(t, `{"memory":{"limit":67108864,"swap":67108864},"cpu":{"shares":512,"quota":50000},"pids":{"limit":30}}`))
	memory, ok := c.find("memory")
	if !ok {
		t.Skip("no v1 memory hierarchy")
	}
	cpu, _ := c.find("cpu")
	pids, _ := c.find("pids")
	state := func() string {
		var all []string
		for _, f := range [][2]string{{memory.path, "memory.limit_in_bytes"}, {memory.path, "memory.memsw.limit_in_bytes"},
			{cpu.path, "cpu.shares"}, {cpu.path, "cpu.cfs_quota_us"}, {cpu.path, "cpu.cfs_period_us"}, {cpu.path, "cpu.idle"}, {pids.path, "pids.max"}} {
			text, err := readFile(f[0], f[1])
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, text)
		}
		return strings.Join(all, " ")
	}
	for _, step := range []struct{ change, want string }{
		{`{"memory":{"limit":134217728,"swap":134217728}}`, "134217728 134217728 512 50000 100000 0 30"}, // up: the sum first
		{`{"memory":{"limit":33554432,"swap":33554432}}`, "33554432 33554432 512 50000 100000 0 30"},     // down: memory first
		{`{"memory":{"swap":-1}}`, "33554432 9223372036854771712 512 50000 100000 0 30"},
		{`{"cpu":{"quota":-1},"pids":{"limit":-1}}`, "33554432 9223372036854771712 512 -1 100000 0 max"},
		{`{"memory":{"limit":16777216},"cpu":{"idle":1,"quota":20000},"pids":{"limit":7},"blockIO":{"throttleReadBpsDevice":[{"major":4095,"minor":1,"rate":1}]}}`, ""},
	} {
		before := state()
		err := c.Update(resources(t, step.change), nil)
		if step.want == "" {
			if err == nil || !strings.Contains(err.Error(), "throttleReadBpsDevice[0]") || strings.Contains(err.Error(), "taken back") {
				t.Errorf("%s: %v", step.change, err)
			}
			step.want = before
		} else if err != nil {
			t.Errorf("%s: %v", step.change, err)
		}
		if got := state(); got != step.want {
			t.Errorf("after %s: %s, want %s", step.change, got, step.want)
		}
	}
}
