package cgroups

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Sub-cgroups nested deeper than a path can be long, and than there may be descriptors.
func TestWalkDeep(t *testing.T) {
	const depth = 1100 // 4 bytes each: beyond PATH_MAX
	top := t.TempDir()
	at, err := unix.Open(top, unix.O_PATH|unix.O_CLOEXEC, 0)
	for i := 0; i < depth && err == nil; i++ {
		var next int
		if err = unix.Mkdirat(at, "sub", 0o755); err == nil {
			next, err = unix.Openat(at, "sub", unix.O_PATH|unix.O_CLOEXEC, 0)
		}
		_ = unix.Close(at)
		at = next
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = unix.Close(at)

	entered, most := 0, 0
	err = walk(top, func(d dir) error { entered++; most = max(most, d.fd); return nil }, nil)
	if err != nil || entered != depth+1 {
		t.Errorf("entered %d of %d directories: %v", entered, depth+1, err)
	}
	if most > 64 {
		t.Errorf("descriptor %d was used", most)
	}
	if err := removeChildren(top); err != nil {
		t.Error(err)
	}
	wantGone(t, top, "sub")
}

// Children come before their parents, and every directory is visited once.
func TestWalkOrder(t *testing.T) {
	top := t.TempDir()
	for _, d := range []string{"/a/x", "/a/y/z", "/b"} {
		if err := os.MkdirAll(top+d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(top+"/a/tasks", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	var left []string
	if err := walk(top, nil, func(_ dir, name string) error { left = append(left, name); return nil }); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(left, "")
	before := func(a, b string) bool { return strings.Index(got, a) < strings.Index(got, b) }
	if len(left) != 5 || !before("x", "a") || !before("z", "y") || !before("y", "a") || !strings.Contains(got, "b") {
		t.Errorf("left in the order %q", left)
	}
	if err := walk(top+"/none", nil, nil); !gone(err) {
		t.Errorf("a cgroup that is gone: %v", err)
	}
}

// What a file says decides, whatever its size: a list of processes longer than any buffer.
func TestReadLong(t *testing.T) {
	long := strings.Repeat("123456\n", 5000)
	path := fakeDir(t, map[string]string{"cgroup.procs": long})
	pids, err := listProcs(path)
	if err != nil || len(pids) != 5000 || pids[4999] != 123456 {
		t.Errorf("%d processes, %v", len(pids), err)
	}
}
