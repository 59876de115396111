package intelrdt

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestStats(t *testing.T) {
	mount := t.TempDir()
	for name, text := range map[string]string{
		"info/L3/cbm_mask": "7ff\n", "info/L3/min_cbm_bits": "1\n", "info/L3/num_closids": "16\n",
		"info/MB/bandwidth_gran": "10\n", "info/MB/delay_linear": "1\n", "info/MB/min_bandwidth": "10\n", "info/MB/num_closids": "8\n",
		"schemata":                             "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n",
		"box/schemata":                         "    MB:0= 20;1= 70\n    L3:0=7f0;1=f\n    L2:0=ff\n",
		"box/mon_data/mon_L3_00/llc_occupancy": "65536\n", "box/mon_data/mon_L3_00/mbm_total_bytes": "4096\n",
		"box/mon_data/mon_L3_00/mbm_local_bytes": "1024\n", "box/mon_data/mon_L3_01/llc_occupancy": "Unavailable\n",
		"box/mon_groups/box/mon_data/mon_L3_00/llc_occupancy": "512\n",
	} {
		path := filepath.Join(mount, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := Stats{
		L3CacheInfo: &L3CacheInfo{"7ff", 1, 16}, MemBwInfo: &MemBwInfo{10, 1, 10, 8},
		L3CacheSchemaRoot: "L3:0=7ff;1=7ff", L3CacheSchema: "L3:0=7f0;1=f",
		MemBwSchemaRoot: "MB:0=100;1=100", MemBwSchema: "MB:0= 20;1= 70",
		Schemata: []string{"MB:0= 20;1= 70", "L3:0=7f0;1=f", "L2:0=ff"},
		MBMStats: []MBMStats{{4096, 1024}}, CMTStats: []CMTStats{{65536}, {0}},
	}
	got, err := New(mount, "box", &specs.LinuxIntelRdt{}).Stats()
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}

	want.MBMStats, want.CMTStats = nil, []CMTStats{{512}}
	got, err = New(mount, "box", &specs.LinuxIntelRdt{EnableMonitoring: true}).Stats()
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("of the container's own MON group: %v (-want +got):\n%s", err, d)
	}
}

func TestStatsOfNothing(t *testing.T) {
	for name, g := range map[string]*Group{"no group": nil, "no hardware": New(t.TempDir(), "box", &specs.LinuxIntelRdt{})} {
		if got, err := g.Stats(); err != nil || !cmp.Equal(got, Stats{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
