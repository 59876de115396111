package rttest

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A rootfs is busybox, hard-linked from one copy, and the probe; making one takes a few milliseconds.

// image is what all root filesystems of a run share.
type image struct {
	dir     string // holds busybox and probe
	applets []string
}

var sharedImage = sync.OnceValues(func() (*image, error) {
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	im := &image{dir: filepath.Join(tempParent(), "image")}
	if err := os.Mkdir(im.dir, 0o755); err != nil {
		return nil, err
	}
	if err := copyFile(busybox, filepath.Join(im.dir, "busybox")); err != nil {
		return nil, err
	}
	list, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, err
	}
	im.applets = strings.Fields(string(list))
	return im, nil
})

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o755)
}

// MakeRootfs fills the directory, which must not exist, with a busybox root filesystem.
func MakeRootfs(t testing.TB, dir string) {
	t.Helper()
	Need(t, Command("busybox"))
	im, err := sharedImage()
	if err == nil {
		err = im.fill(dir)
	}
	if err != nil {
		t.Fatalf("make a rootfs: %v", err)
	}
}

func (im *image) fill(dir string) error {
	for _, d := range []string{"bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "var", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(dir, "tmp"), 0o1777); err != nil {
		return err
	}
	if err := os.Link(filepath.Join(im.dir, "busybox"), filepath.Join(dir, "bin/busybox")); err != nil {
		return err
	}
	for _, name := range im.applets {
		if err := os.Symlink("busybox", filepath.Join(dir, "bin", name)); err != nil && !os.IsExist(err) {
			return err
		}
	}
	passwd := "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n"
	return os.WriteFile(filepath.Join(dir, "etc/passwd"), []byte(passwd), 0o644)
}

//go:embed testdata/*.c
var probeSource embed.FS

// sharedProbe builds the probe, or copies the one that $RTTEST_PROBE names: a machine in software has no compiler.
var sharedProbe = sync.OnceValues(func() (string, error) {
	src, out := filepath.Join(tempParent(), "probe-source"), filepath.Join(tempParent(), "probe")
	if built := os.Getenv("RTTEST_PROBE"); built != "" {
		return out, copyFile(built, out)
	}
	if err := os.CopyFS(src, probeSource); err != nil {
		return "", err
	}
	if msg, err := exec.Command("gcc", "-static", "-O1", "-Wall", "-o", out, src+"/testdata/probe.c").CombinedOutput(); err != nil {
		return "", fmt.Errorf("gcc: %w: %s", err, msg)
	}
	return out, nil
})

// AddProbe puts the probe program (see testdata/probe.c) into the rootfs as /bin/probe.
func (b *Bundle) AddProbe() *Bundle {
	b.t.Helper()
	if os.Getenv("RTTEST_PROBE") == "" {
		Need(b.t, Command("gcc"))
	}
	probe, err := sharedProbe()
	if err == nil {
		err = os.Link(probe, b.InRootfs("bin/probe"))
	}
	if err != nil {
		b.t.Fatalf("make the probe: %v", err)
	}
	return b
}
