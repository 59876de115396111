package intelrdt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// group makes a group in mount as the kernel would show it.
func group(t *testing.T, mount, name, schemata string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(mount, name, "mon_groups"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(mount, name, "schemata"), []byte(schemata), 0o644); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, elem ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(elem...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

const shownByKernel = "    MB:0=100;1=70\n    L3:0=7ff;1=00f\nL3CODE:0=0ff\n"

func TestOwnGroup(t *testing.T) {
	mount := t.TempDir()
	r := &specs.LinuxIntelRdt{MemBwSchema: "MB:0=20", L3CacheSchema: "L3:0=f", Schemata: []string{"L2:0=3", "L2:1=1"}}
	g := New(mount, "box", r)
	if want := (Group{Mount: mount, Dir: mount + "/box", Own: true}); *g != want {
		t.Fatalf("got %+v, want %+v", *g, want)
	}
	if err := g.Create(r); err != nil {
		t.Fatal(err)
	}
	if got := content(t, mount, "box/schemata"); got != "L3:0=f\nMB:0=20\nL2:0=3\nL2:1=1\n" {
		t.Errorf("schemata %q", got)
	}
	if err := g.Add(17); err != nil || content(t, mount, "box/tasks") != "17\n" {
		t.Errorf("tasks: %v", err)
	}
	if err := New(mount, "box", r).Create(r); !errors.Is(err, fs.ErrExist) || !strings.HasPrefix(err.Error(), "linux.intelRdt.closID: ") {
		t.Errorf("a group of that name is there: %v", err)
	}
}

// What the kernel's rmdir does to its own files, a plain directory wants done first.
func TestRemove(t *testing.T) {
	mount := t.TempDir()
	own := New(mount, "box", &specs.LinuxIntelRdt{})
	if err := own.Create(&specs.LinuxIntelRdt{}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := own.Remove(); err != nil {
			t.Error(err)
		}
	}
	if err := (*Group)(nil).Remove(); err != nil {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(mount); len(entries) > 0 {
		t.Errorf("left: %v", entries)
	}
	if err := os.MkdirAll(own.Dir+"/full", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := own.Remove(); err == nil || !strings.HasPrefix(err.Error(), "linux.intelRdt: rmdir ") {
		t.Errorf("a group that cannot be removed: %v", err)
	}
}

func TestSharedGroupIsMadeAndStays(t *testing.T) {
	mount := t.TempDir()
	r := &specs.LinuxIntelRdt{ClosID: "gold", Schemata: []string{"L3:0=1"}}
	g := New(mount, "box", r)
	if err := g.Create(r); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(); err != nil || content(t, mount, "gold/schemata") != "L3:0=1\n" {
		t.Errorf("the group: %v", err)
	}
}

func TestSharedGroupIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		rdt     specs.LinuxIntelRdt
		written string // in addition
		fault   string // in the error
	}{
		"nothing asked":    {rdt: specs.LinuxIntelRdt{}},
		"the same":         {specs.LinuxIntelRdt{L3CacheSchema: "L3:1=F;0=07FF", MemBwSchema: "MB:1=70"}, "L3:1=F;0=07FF\nMB:1=70\n", ""},
		"another mask":     {specs.LinuxIntelRdt{L3CacheSchema: "L3:0=7fe"}, "", `linux.intelRdt.l3CacheSchema: "L3:0=7fe" differs`},
		"other bandwidth":  {specs.LinuxIntelRdt{MemBwSchema: "MB:0=64"}, "", "has MB:0=100"}, // 0x64 is 100
		"no such domain":   {specs.LinuxIntelRdt{MemBwSchema: "MB:2=70"}, "", "no MB for domain 2"},
		"no such resource": {specs.LinuxIntelRdt{L3CacheSchema: "L3DATA:0=1"}, "", "no L3DATA for domain 0"},
		"other schemata":   {specs.LinuxIntelRdt{Schemata: []string{"L3:0=1"}}, "L3:0=1\n", ""}, // written, not compared
	} {
		t.Run(name, func(t *testing.T) {
			mount := t.TempDir()
			group(t, mount, "gold", shownByKernel)
			c.rdt.ClosID = "gold"
			err := New(mount, "box", &c.rdt).Create(&c.rdt)
			if c.fault == "" && err != nil || c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)) {
				t.Errorf("got %v, want %q", err, c.fault)
			}
			if got := content(t, mount, "gold/schemata"); got != shownByKernel+c.written {
				t.Errorf("schemata %q", got)
			}
		})
	}
}

func TestSharedGroupIsMissing(t *testing.T) {
	mount := t.TempDir()
	r := &specs.LinuxIntelRdt{ClosID: "gold"}
	err := New(mount, "box", r).Create(r)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "linux.intelRdt.closID: ") {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(mount); len(entries) > 0 {
		t.Errorf("made: %v", entries)
	}
}

// "/" is the default class: the root of resctrl, which is nobody's to make or remove.
func TestDefaultGroup(t *testing.T) {
	mount := t.TempDir()
	group(t, mount, ".", "L3:0=f\n")
	r := &specs.LinuxIntelRdt{ClosID: "/", L3CacheSchema: "L3:0=f", EnableMonitoring: true}
	g := New(mount, "box", r)
	for _, step := range []func() error{func() error { return g.Create(r) }, func() error { return g.Add(5) }} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if content(t, mount, "tasks") != "5\n" || content(t, mount, "mon_groups/box/tasks") != "5\n" {
		t.Error("the process is not in both groups")
	}
	if err := os.Remove(mount + "/mon_groups/box/tasks"); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(mount + "/mon_groups/box"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the monitoring group: %v", err)
	}
	if _, err := os.Stat(mount + "/schemata"); err != nil {
		t.Error(err)
	}
}

func TestMonitoringFails(t *testing.T) {
	mount := t.TempDir()
	group(t, mount, "gold", "")
	if err := os.MkdirAll(mount+"/gold/mon_groups/box", 0o755); err != nil {
		t.Fatal(err)
	}
	r := &specs.LinuxIntelRdt{ClosID: "gold", EnableMonitoring: true}
	if err := New(mount, "box", r).Create(r); !errors.Is(err, fs.ErrExist) || !strings.HasPrefix(err.Error(), "linux.intelRdt.enableMonitoring: ") {
		t.Error(err)
	}
}

// The kernel says in a file what an EINVAL was about; a new group does not outlive its refusal.
func TestKernelsWords(t *testing.T) {
	mount := t.TempDir()
	if err := os.Mkdir(mount+"/info", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mount+"/info/last_cmd_status", []byte("Out of CLOSIDs\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := &specs.LinuxIntelRdt{EnableMonitoring: true}
	g := New(mount, "box", r) // a plain directory has no mon_groups in it
	if err := g.Create(r); !errors.Is(err, fs.ErrNotExist) || !strings.HasSuffix(err.Error(), "(Out of CLOSIDs)") {
		t.Error(err)
	}
	if _, err := os.Stat(g.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the group is left: %v", err)
	}
}

func TestCheckMounted(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/nowhere/resctrl"} {
		if err := CheckMounted(dir); err == nil || !strings.HasPrefix(err.Error(), dir+" is not mounted (mount -t resctrl resctrl "+dir+",") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
