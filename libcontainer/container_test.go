package libcontainer

import (
	"errors"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/cgroups"
)

// A process may call itself anything, also what looks like the rest of its stat.
func TestProcessStat(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	defer os.WriteFile("/proc/self/comm", comm, 0)
	_, want, err := processStat(os.Getpid())
	if err != nil || want == 0 {
		t.Fatalf("%d, %v", want, err)
	}
	for _, name := range []string{") 1 (", ") Z 1 2 3 4 5", "()()", "a b\nc", " ", ")"} {
		if err := os.WriteFile("/proc/self/comm", []byte(name), 0); err != nil {
			t.Fatal(err)
		}
		state, start, err := processStat(os.Getpid())
		if err != nil || start != want || state == 'Z' {
			t.Errorf("called %q: %c, %d, %v", name, state, start, err)
		}
	}
}

func TestProcessStatOfNobody(t *testing.T) {
	for _, pid := range []int{0, -1, 1 << 30} {
		if state, start, err := processStat(pid); err == nil {
			t.Errorf("pid %d: %c, %d", pid, state, start)
		}
	}
}

// containerOf is a container whose init is that process.
func containerOf(t *testing.T, pid int) *Container {
	t.Helper()
	s := newStore(t)
	e := s.mustMake(t, "c")
	r := aRecord("c")
	r.Pid, r.Cgroup, r.CgroupPaths, r.Hooks = pid, cgroups.State{Mode: cgroups.Disabled}, nil, nil
	var err error
	if _, r.StartTime, err = processStat(pid); err != nil {
		t.Fatal(err)
	}
	if err := e.write(r); err != nil {
		t.Fatal(err)
	}
	e.close()
	c, err := s.Get("c")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.entry.close)
	return c
}

func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func status(t *testing.T, c *Container) string {
	t.Helper()
	s, err := c.Status()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// The whole life of a status, on a process that is no container at all.
func TestStatus(t *testing.T) {
	init := sleeper(t)
	c := containerOf(t, init.Process.Pid)
	if s := status(t, c); s != Running {
		t.Errorf("a process without a start socket is %s", s)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { unix.Close(fd) }()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: c.entry.path(socketName)}), unix.Listen(fd, 1)); err != nil {
		t.Fatal(err)
	}
	for range 5 { // also when its queue is full: nobody accepts here
		if s := status(t, c); s != Created {
			t.Errorf("one that listens is %s", s)
		}
	}
	unix.Close(fd)
	fd = -1
	if s := status(t, c); s != Running {
		t.Errorf("one that listens no more is %s", s)
	}
	if err := c.store.Delete("c", false); err == nil || err.Error() != "cannot delete container c that is not stopped: running" {
		t.Errorf("delete: %v", err)
	}
	if err := c.Kill(unix.SIGKILL, false); err != nil {
		t.Error(err)
	}
	until(t, "it has not ended", func() bool { return status(t, c) == Stopped }) // a zombie: nobody has waited for it
	if state, err := c.State(); err != nil || state.Pid != 0 || state.Status != Stopped {
		t.Errorf("%+v, %v", state, err)
	}
	if err := c.Kill(unix.SIGTERM, false); !errors.Is(err, ErrNotRunning) {
		t.Errorf("kill: %v", err)
	}
	if err := c.Start(); !errors.Is(err, ErrStopped) {
		t.Errorf("start: %v", err)
	}
}

func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
}

// A later process of init's number is not init: it is not signalled and not waited for.
func TestPidOfAnother(t *testing.T) {
	other := sleeper(t)
	c := containerOf(t, other.Process.Pid)
	c.record.StartTime--
	if s := status(t, c); s != Stopped {
		t.Errorf("it is %s", s)
	}
	if err := c.Kill(unix.SIGKILL, false); !errors.Is(err, ErrNotRunning) {
		t.Errorf("kill: %v", err)
	}
	if err := c.entry.write(&c.record); err != nil {
		t.Fatal(err)
	}
	if err := c.store.Delete("c", true); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := other.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("the other process is gone: %v", err)
	}
}

func TestForcedDeleteEndsInit(t *testing.T) {
	init := sleeper(t)
	c := containerOf(t, init.Process.Pid)
	if err := c.store.Delete("c", true); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- init.Wait() }()
	select {
	case err := <-done:
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Errorf("init ended by itself: %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("init goes on")
	}
}

func TestKernelIsNew(t *testing.T) {
	for release, want := range map[string]bool{"5.14": true, "5.14.0-427.el9.x86_64": true, "5.13.19": false, "4.18.0-513.el8": false, "6.0": true, "6.18.44+": true, "10.1": true, "5.4": false, "": true, "x.y": true} {
		if newEnough(release, kernelMajor, kernelMinor) != want {
			t.Errorf("%q is new enough: %v", release, !want)
		}
	}
}
