package cgroups

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var counter atomic.Int32

// realName is a cgroup path of our own on this machine.
func realName() string {
	return fmt.Sprintf("/rt-cgtest-%d-%d", os.Getpid(), counter.Add(1))
}

// needRoot skips where the machine's hierarchies cannot be written.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Getuid() != 0 || unix.Access("/sys/fs/cgroup", unix.W_OK) != nil {
		t.Skip("needs root and a writable /sys/fs/cgroup")
	}
}

// openReal decides on a cgroup of this machine and removes it at the end, with what is in it.
func openReal(t testing.TB, path string) *Cgroup {
	t.Helper()
	needRoot(t)
	c, err := Open(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Kill(unix.SIGKILL)
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// createReal makes a cgroup on this machine.
func createReal(t testing.TB, r *specs.LinuxResources) *Cgroup {
	t.Helper()
	c := openReal(t, realName())
	if err := c.Create(r); err != nil {
		t.Fatal(err)
	}
	return c
}

// realV2 makes a directory in the cgroup2 tree of this machine.
func realV2(t *testing.T) string {
	t.Helper()
	c := createReal(t, nil)
	if c.unified.path == "" {
		t.Skip("this machine has no cgroup2 tree")
	}
	return c.unified.path
}

// spawn runs a shell script inside the cgroup; it is born there, as a container's stage is. The script
// begins after the process has entered the v1 hierarchies, done the setup, and has said so.
func spawn(t *testing.T, c *Cgroup, script string, setup ...string) *exec.Cmd {
	t.Helper()
	b, err := c.Birth()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	enter := ""
	for i := range b.Tasks {
		enter += fmt.Sprintf("echo 0 >&%d || exit\n", i+3)
	}
	cmd := exec.Command("/bin/bash", "-c", enter+strings.Join(append(setup, "echo in", script), "\n"))
	cmd.ExtraFiles = b.Tasks
	if b.Into != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(b.Into.Fd())}
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	buf := make([]byte, 3)
	if n, err := out.Read(buf); err != nil || strings.TrimSpace(string(buf[:n])) != "in" {
		t.Fatalf("did not get into the cgroup: %q, %v", buf[:n], err)
	}
	return cmd
}

// BenchmarkCreate is the cost of the cgroup in a container's start: about Docker's config.
func BenchmarkCreate(b *testing.B) {
	needRoot(b)
	name, r := realName(), exampleResources()
	for b.Loop() {
		c, err := Open(Options{Path: name})
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Create(r); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := c.Remove(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkMkdir is what the kernel takes for the directories alone.
func BenchmarkMkdir(b *testing.B) {
	needRoot(b)
	c, err := Open(Options{Path: realName()})
	if err != nil {
		b.Fatal(err)
	}
	paths := []string{c.unified.path}
	for _, h := range c.v1 {
		paths = append(paths, h.path)
	}
	for b.Loop() {
		for _, p := range paths {
			if err := unix.Mkdir(p, 0o755); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		for _, p := range paths {
			_ = unix.Rmdir(p)
		}
		b.StartTimer()
	}
}

// BenchmarkBirth opens what the stage needs to enter.
func BenchmarkBirth(b *testing.B) {
	c := createReal(b, nil)
	for b.Loop() {
		birth, err := c.Birth()
		if err != nil {
			b.Fatal(err)
		}
		birth.Close()
	}
}

// BenchmarkRemove removes a cgroup that was used and is empty.
func BenchmarkRemove(b *testing.B) {
	needRoot(b)
	for b.Loop() {
		b.StopTimer()
		c := createReal(b, nil)
		b.StartTimer()
		if err := c.Remove(); err != nil {
			b.Fatal(err)
		}
	}
}

func exampleResources() *specs.LinuxResources {
	r := &specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), DisableOOMKiller: ptr(false)},
		CPU:     &specs.LinuxCPU{Shares: ptr(uint64(512))},
		BlockIO: &specs.LinuxBlockIO{},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(100))},
		Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}},
	}
	for _, n := range []int64{5, 3, 9, 8} {
		r.Devices = append(r.Devices, specs.LinuxDeviceCgroup{
			Allow: true, Type: "c", Major: ptr(int64(1)), Minor: &n, Access: "rwm",
		})
	}
	return r
}
