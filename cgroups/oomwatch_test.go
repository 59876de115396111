package cgroups

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func watch(t *testing.T, c *Cgroup) *OOMWatch {
	t.Helper()
	w, err := c.WatchOOM()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func wantKills(t *testing.T, w *OOMWatch, want uint64) {
	t.Helper()
	if got, err := w.Kills(); err != nil || got != want {
		t.Errorf("%d kills, want %d (%v)", got, want, err)
	}
}

func setFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOOMWatchV2(t *testing.T) {
	root, c := measuredV2(t, filesV2)
	file := root + "/ct/memory.events"
	w := watch(t, c)
	if p := w.PollFd(); p.Events != unix.POLLPRI || p.Fd < 0 {
		t.Errorf("waits for %+v", p)
	}
	wantKills(t, w, 0) // the one in the file was before
	setFile(t, file, "oom 3\noom_kill 3\noom_group_kill 1\n")
	wantKills(t, w, 2)
	wantKills(t, w, 0)
	setFile(t, file, "oom 9\noom_kill 3\n") // hit the limit, and found memory after all
	wantKills(t, w, 0)
}

// The controller may come with an update.
func TestOOMWatchV2ControllerComesLater(t *testing.T) {
	root, c := measuredV2(t, map[string]string{"ct/cpu.stat": ""})
	w := watch(t, c)
	wantKills(t, w, 0)
	if p := w.Pause(); p > longPause {
		t.Errorf("the next look is in %v", p)
	}
	setFile(t, root+"/ct/memory.events", "oom_kill 1\n")
	wantKills(t, w, 1)
	wantKills(t, w, 0)
}

// On v1 each cgroup counts for itself: those that come, go and come back must not confuse the sum.
func TestOOMWatchV1(t *testing.T) {
	const control = "oom_kill_disable 0\nunder_oom 0\noom_kill "
	root, c := measuredV1(t, map[string]string{
		"memory/ct/memory.oom_control": control + "1\n", "memory/ct/cgroup.event_control": "",
		"memory/ct/old/memory.oom_control": control + "4\n",
	})
	ct := root + "/memory/ct"
	w := watch(t, c)
	if p := w.PollFd(); p.Events != unix.POLLIN || p.Fd < 0 {
		t.Errorf("waits for %+v", p)
	}
	wantKills(t, w, 0)
	setFile(t, ct+"/memory.oom_control", control+"2\n")
	setFile(t, ct+"/new/memory.oom_control", control+"2\n")
	wantKills(t, w, 3)
	if err := os.RemoveAll(ct + "/old"); err != nil {
		t.Fatal(err)
	}
	wantKills(t, w, 0)
	setFile(t, ct+"/new/deeper/memory.oom_control", control+"1\n")
	wantKills(t, w, 1)
	wantKills(t, w, 0)
}

// A signal of v1 comes before the kill: the next looks are soon, and then rarer.
func TestOOMWatchV1LooksSoon(t *testing.T) {
	_, c := measuredV1(t, map[string]string{"memory/ct/memory.oom_control": "oom_kill 0\n", "memory/ct/cgroup.event_control": ""})
	w := watch(t, c)
	if w.Pause() != longPause {
		t.Errorf("pause %v at first", w.Pause())
	}
	if _, err := unix.Write(w.fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	wantKills(t, w, 0)
	if w.Pause() != shortPause {
		t.Errorf("pause %v after a signal", w.Pause())
	}
	for range 10 {
		wantKills(t, w, 0)
	}
	if w.Pause() != longPause {
		t.Errorf("pause %v in the end", w.Pause())
	}
}

func TestOOMWatchWithout(t *testing.T) {
	if _, err := Load(State{}).WatchOOM(); !errors.Is(err, ErrDisabled) {
		t.Error(err)
	}
	_, c := measuredV1(t, map[string]string{"pids/ct/pids.max": "max\n"})
	w := watch(t, c)
	wantKills(t, w, 0)
	if p := w.PollFd(); p.Fd >= 0 || w.Pause() <= longPause {
		t.Errorf("waits for %+v, looks in %v", p, w.Pause())
	}
}

// A cgroup that goes away must not wake us up for ever.
func TestOOMWatchOfACgroupThatGoes(t *testing.T) {
	root, c := measuredV1(t, map[string]string{"memory/ct/memory.oom_control": "oom_kill 7\n", "memory/ct/cgroup.event_control": ""})
	w := watch(t, c)
	if err := os.RemoveAll(root + "/memory/ct"); err != nil {
		t.Fatal(err)
	}
	wantKills(t, w, 0)
	if p := w.PollFd(); p.Fd >= 0 {
		t.Errorf("still waits for %+v", p)
	}
}

// The kernel of this machine wakes us up, and counts.
func TestOOMWatchReal(t *testing.T) {
	limit := int64(8 << 20)
	c := createReal(t, &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit, Swap: &limit}})
	w := watch(t, c)
	begun := time.Now()
	cmd := spawn(t, c, "x=; while :; do x=$x$x$(printf %65536s y); done")
	fds := []unix.PollFd{w.PollFd()}
	if err := pollUntil(int(fds[0].Fd), fds[0].Events, begun.Add(10*time.Second)); err != nil {
		t.Fatal(err)
	}
	var kills uint64
	for kills == 0 && time.Since(begun) < 10*time.Second {
		n, err := w.Kills()
		if err != nil {
			t.Fatal(err)
		}
		kills += n
		time.Sleep(min(w.Pause(), longPause))
	}
	_ = cmd.Wait()
	n, err := w.Kills()
	if kills+n != 1 || err != nil {
		t.Errorf("%d kills, want 1 (%v)", kills+n, err)
	}
}
