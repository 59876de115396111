package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/libcontainer"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-1": -1, "1048576": 1 << 20, "512k": 512 << 10, "512K": 512 << 10, "10m": 10 << 20, "10MB": 10 << 20, "10MiB": 10 << 20,
		"2g": 2 << 30, "1.5g": 3 << 29, "1t": 1 << 40, "4p": 4 << 50, "7b": 7, "2 GiB": 2 << 30, "9223372036854775807": 1<<63 - 1,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, bad := range []string{"", " ", "-2", "-1k", "k", "10x", "10ki", "10i", "ib", "0x10", "1e3", "1..5m", ".", "10 m ", "9223372036854775808", "8192p", "m10"} {
		if got, err := parseSize(bad); err == nil {
			t.Errorf("%q is %d", bad, got)
		}
	}
}

// Each option is one field of linux.resources.
func TestLimitFlags(t *testing.T) {
	want := map[string][2]string{
		"memory":             {"10m", `{"memory":{"limit":10485760}}`},
		"memory-reservation": {"10m", `{"memory":{"reservation":10485760}}`},
		"memory-swap":        {"-1", `{"memory":{"swap":-1}}`},
		"kernel-memory":      {"4k", `{"memory":{"kernel":4096}}`},
		"kernel-memory-tcp":  {"4k", `{"memory":{"kernelTCP":4096}}`},
		"cpu-period":         {"50000", `{"cpu":{"period":50000}}`},
		"cpu-quota":          {"-1", `{"cpu":{"quota":-1}}`},
		"cpu-burst":          {"0", `{"cpu":{"burst":0}}`},
		"cpu-share":          {"512", `{"cpu":{"shares":512}}`},
		"cpu-rt-period":      {"1000000", `{"cpu":{"realtimePeriod":1000000}}`},
		"cpu-rt-runtime":     {"900", `{"cpu":{"realtimeRuntime":900}}`},
		"cpuset-cpus":        {"0-2", `{"cpu":{"cpus":"0-2"}}`},
		"cpuset-mems":        {"0", `{"cpu":{"mems":"0"}}`},
		"cpu-idle":           {"0", `{"cpu":{"idle":0}}`},
		"blkio-weight":       {"500", `{"blockIO":{"weight":500}}`},
		"pids-limit":         {"-1", `{"pids":{"limit":-1}}`},
		"l3-cache-schema":    {"L3:0=f", `{}`},
		"mem-bw-schema":      {"MB:0=20", `{}`},
	}
	for _, f := range limitFlags() {
		u := libcontainer.Update{Resources: &specs.LinuxResources{}}
		if err := f.set(&u, want[f.name][0]); err != nil {
			t.Errorf("--%s: %v", f.name, err)
		}
		data, err := json.Marshal(u.Resources)
		if err != nil || string(data) != want[f.name][1] {
			t.Errorf("--%s: %s, %v; want %s", f.name, data, err, want[f.name][1])
		}
		if strings.Contains(f.name, "schema") && u.L3CacheSchema+u.MemBwSchema != want[f.name][0] {
			t.Errorf("--%s: %+v", f.name, u)
		}
		delete(want, f.name)
	}
	if len(want) > 0 {
		t.Errorf("missing: %v", want)
	}
}

func TestUpdateBadValues(t *testing.T) {
	for _, c := range [][2]string{
		{"--memory=lots", `--memory: "lots" is no size`}, {"--cpu-share=-1", `--cpu-share: "-1": invalid syntax`},
		{"--cpu-quota=", `--cpu-quota: "": invalid syntax`}, {"--blkio-weight=70000", `--blkio-weight: "70000": value out of range`},
		{"--cpu-idle=2", "linux.resources.cpu.idle: 2 is neither 0 nor 1"}, {"--cpuset-cpus=a-b", "linux.resources.cpu.cpus: "},
		{"--resources=/nowhere", "--resources: open /nowhere: no such file"},
	} {
		status, out, errOut := rt("--root", t.TempDir(), "update", c[0], "web1")
		if msg := onlyMessage(t, errOut); status != 1 || out != "" || !strings.HasPrefix(msg, "update web1: "+c[1]) {
			t.Errorf("%s: status %d, stdout %q, error %q", c[0], status, out, msg)
		}
	}
}

func TestReadResources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r.json")
	if err := os.WriteFile(file, []byte(`{"memory":{"limit":5,"unknown":1},"unknown":{}}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r, err := readResources(file)
	limit := int64(5)
	if d := cmp.Diff(&specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}, r); err != nil || d != "" {
		t.Errorf("%v %s", err, d)
	}
	if err := os.WriteFile(file, []byte("{\n\"memory\":{\"limit\":\"5\"}}"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readResources(file); err == nil || !strings.Contains(err.Error(), file+":2:") {
		t.Errorf("no place in %v", err)
	}
}
