package cgroups

import (
	"encoding/json"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseOwn(t *testing.T) {
	own, err := parseOwn("12:name=foo:/x\n4:cpu,cpuacct:/a:b\n3:memory:/\n1:name=systemd:/s\n0::/u\n")
	if err != nil {
		t.Fatal(err)
	}
	want := ownCgroups{unified: "/u", hasUnified: true, v1: []ownLine{
		{[]string{"cpu", "cpuacct"}, "/a:b"}, {[]string{"memory"}, "/"}, {[]string{"name=systemd"}, "/s"},
	}}
	if d := cmp.Diff(want, own, cmp.AllowUnexported(ownCgroups{}, ownLine{})); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for _, bad := range []string{"x\n", "1:cpu\n", "1:cpu:relative\n"} {
		if _, err := parseOwn(bad); err == nil {
			t.Errorf("%q was understood", bad)
		}
	}
}

func TestCgroupName(t *testing.T) {
	for _, tt := range []struct{ id, path, want string }{
		{"web", "", "web"}, {"web", "/docker/1", "/docker/1"}, {"web", "docker//./1/", "docker/1"}, {"web", "//a", "/a"},
		{"web", "/a/...", "/a/..."},
		{"web", "/", ""}, {"web", ".", ""}, {"", "", ""}, {"web", "/a/../b", ""}, {"web", "..", ""}, {"web", "../b", ""},
	} {
		got, err := cgroupName(Options{ID: tt.id, Path: tt.path})
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("id %q, path %q: %q, %v; want %q", tt.id, tt.path, got, err, tt.want)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "linux.cgroupsPath: ") {
			t.Errorf("error %q does not name the field", err)
		}
	}
}

func TestMountNames(t *testing.T) {
	for _, tt := range []struct{ names, want string }{
		{"memory", "memory"}, {"name=systemd", "systemd"}, {"cpu,cpuacct", "cpu cpuacct cpu,cpuacct cpuacct,cpu"},
	} {
		got := mountNames(strings.Split(tt.names, ","))
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %q", tt.names, got)
		}
	}
}

// In an outer container the mount shows less than /proc/self/cgroup speaks of.
func TestOwnDir(t *testing.T) {
	root := fakeDir(t, map[string]string{"a/b/tasks": "", "sub/tasks": ""})
	for own, want := range map[string]string{
		"/": "", "/a": "/a", "/a/b": "/a/b", "/docker/0123/sub": "/sub", "/docker/0123": "", "": "",
	} {
		if got := ownDir(root, own); got != root+want {
			t.Errorf("%q: %s, want %s", own, got, root+want)
		}
	}
}

func TestOpenManagers(t *testing.T) {
	for _, name := range []string{"systemctl", "cgroupsfs"} {
		var e *ManagerError
		if _, err := Open(Options{ID: "x", Manager: name}); !errors.As(err, &e) || e.Name != name {
			t.Errorf("manager %q: %v", name, err)
		}
	}
	// Disabled looks at nothing: the places given do not exist.
	c, err := Open(Options{ID: "x", Manager: "disabled", Mount: "/nowhere", Proc: "/nowhere"})
	if err != nil || c.Mode() != Disabled {
		t.Fatalf("%v, %v", c, err)
	}
	if err := c.Create(nil); err != nil {
		t.Error(err)
	}
	if err := c.Remove(); err != nil {
		t.Error(err)
	}
	if b, err := c.Birth(); err != nil || b.Into != nil || len(b.Tasks) != 0 {
		t.Errorf("%v, %v", b, err)
	}
	for name, err := range map[string]error{"Freeze": c.Freeze(), "Thaw": c.Thaw(), "Kill": c.Kill(unix.SIGTERM)} {
		if !errors.Is(err, ErrDisabled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Procs(); !errors.Is(err, ErrDisabled) {
		t.Errorf("Procs: %v", err)
	}
}

// A machine without any cgroup mount: an error, but not for a rootless caller that asks for nothing.
func TestOpenWithoutMounts(t *testing.T) {
	proc := fakeDir(t, map[string]string{"self/cgroup": "3:memory:/\n0::/\n"})
	o := Options{ID: "x", Mount: t.TempDir(), Proc: proc}
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), o.Mount) {
		t.Errorf("as root: %v", err)
	}
	o.Rootless = true
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Create(nil); err != nil || c.State().Mode != Disabled {
		t.Errorf("%v, %v", err, c.State())
	}
	err = c.Create(exampleResources())
	wantField(t, err, "memory.limit", ErrUnavailable)
	o.Path = "/x"
	if _, err := Open(o); err == nil {
		t.Error("a path was asked for and cannot be made")
	}
}

func TestStateRoundTrip(t *testing.T) {
	for _, s := range []State{
		{Mode: Disabled},
		{Mode: V2, Mount: "/sys/fs/cgroup", Paths: map[string]string{"unified": "/sys/fs/cgroup/a/b"}},
		{Mode: Hybrid, Mount: "/cg", Paths: map[string]string{"cpu": "/cg/cpu,cpuacct/x", "cpuacct": "/cg/cpu,cpuacct/x",
			"name=systemd": "/cg/systemd/x", "unified": "/cg/unified/x"}},
	} {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back State
		if err := json.Unmarshal(text, &back); err != nil {
			t.Fatal(err)
		}
		c := Load(back)
		if d := cmp.Diff(s, c.State()); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		for _, h := range c.v1 {
			if len(h.names) == 2 && h.root != "/cg/cpu,cpuacct" {
				t.Errorf("root %s", h.root)
			}
		}
	}
	if Load(State{}).Mode() != Disabled {
		t.Error("the zero State is no cgroup")
	}
}

// privateMounts gives the calling test a mount namespace of its own with an empty tmpfs in it. The
// thread is never given back: it ends with the test's goroutine.
func privateMounts(t *testing.T) string {
	t.Helper()
	needRoot(t)
	dir, err := os.MkdirTemp("", "cgtest") // not t.TempDir: nothing may ever descend into what is mounted here
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH) == nil { // one upon the other
		}
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{{"", "/", "", unix.MS_REC | unix.MS_PRIVATE}, {"tmpfs", dir, "tmpfs", 0}} {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// bindAt shows a cgroup tree of the machine at another place, inside a private mount namespace.
func bindAt(t *testing.T, source, target string) {
	t.Helper()
	if err := os.Mkdir(target, 0o755); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
}

// Controllers mounted together, found by either name, by link or by a directory of both names; a
// hierarchy that is not mounted is left out.
func TestOpenCoMounted(t *testing.T) {
	mount := privateMounts(t)
	bindAt(t, "/sys/fs/cgroup/cpu", mount+"/cpu,cpuacct")
	bindAt(t, "/sys/fs/cgroup/pids", mount+"/net_prio,net_cls")
	if err := os.Symlink("cpu,cpuacct", mount+"/cpu"); err != nil {
		t.Fatal(err)
	}
	proc := fakeDir(t, map[string]string{
		"self/cgroup": "4:net_cls,net_prio:/\n3:cpu,cpuacct:/\n2:hugetlb:/\n1:name=systemd:/\n0::/\n"})
	c, err := Open(Options{Path: "/x/y", Mount: mount, Proc: proc})
	if err != nil {
		t.Fatal(err)
	}
	want := State{Mode: V1, Mount: mount, Paths: map[string]string{
		"cpu": mount + "/cpu,cpuacct/x/y", "cpuacct": mount + "/cpu,cpuacct/x/y",
		"net_cls": mount + "/net_prio,net_cls/x/y", "net_prio": mount + "/net_prio,net_cls/x/y"}}
	if d := cmp.Diff(want, c.State()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	sources, err := c.MountSources()
	wantSources := MountSources{Mode: V1, V1: []MountSource{
		{"net_prio,net_cls", []string{"net_cls", "net_prio"}, []string{"net_cls", "net_prio"}, mount + "/net_prio,net_cls/x/y"},
		{"cpu,cpuacct", []string{"cpu", "cpuacct"}, []string{"cpu", "cpuacct"}, mount + "/cpu,cpuacct/x/y"}}}
	if d := cmp.Diff(wantSources, sources); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}

	// Without a cgroup of its own a container sees ours.
	none, err := Open(Options{ID: "x", Manager: "disabled", Mount: mount, Proc: proc})
	if err != nil {
		t.Fatal(err)
	}
	sources, err = none.MountSources()
	if err != nil || sources.Mode != V1 || len(sources.V1) != 2 || sources.V1[1].Path != mount+"/cpu,cpuacct" {
		t.Errorf("%v, %v", sources, err)
	}
}

// A cgroup2 mount at the top is pure v2: relative paths go beside our own cgroup.
func TestOpenV2(t *testing.T) {
	mount := privateMounts(t)
	bindAt(t, "/sys/fs/cgroup/unified", mount)
	for _, tt := range []struct{ own, path, want string }{
		{"0::/\n", "", "/ct"}, {"0::/user/me\n", "ct2", "/ct2"}, {"0::/user/me\n", "/a/b", "/a/b"},
	} {
		proc := fakeDir(t, map[string]string{"self/cgroup": tt.own})
		c, err := Open(Options{ID: "ct", Path: tt.path, Mount: mount, Proc: proc})
		if err != nil {
			t.Fatal(err)
		}
		if c.Mode() != V2 || c.unified.path != mount+tt.want {
			t.Errorf("own %q, path %q: %s %s", tt.own, tt.path, c.Mode(), c.unified.path)
		}
		if s, err := c.MountSources(); err != nil || s.Unified != c.unified.path || len(s.V1) != 0 {
			t.Errorf("%v, %v", s, err)
		}
	}
}

// This machine: every hierarchy that is mounted, and our own cgroup for a relative path.
func TestOpenHere(t *testing.T) {
	own, err := readOwn("/proc")
	if err != nil {
		t.Fatal(err)
	}
	if fsType("/sys/fs/cgroup") == unix.CGROUP2_SUPER_MAGIC || len(own.v1) == 0 {
		t.Skip("this machine has no v1 hierarchies")
	}
	c, err := Open(Options{ID: "ct"})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range own.v1 {
		root := "/sys/fs/cgroup/" + strings.TrimPrefix(line.names[0], "name=")
		if fsType(root) != unix.CGROUP_SUPER_MAGIC {
			continue
		}
		h, ok := c.find(line.names[0])
		if !ok {
			t.Errorf("%v: not found", line.names)
			continue
		}
		if want := join(root+strings.TrimSuffix(line.path, "/"), "ct"); h.path != want && len(line.names) == 1 {
			t.Errorf("%v: %s, want %s", line.names, h.path, want)
		}
	}
}
