package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// counting is a container that prints a line every 10 ms, so that one can see whether it runs.
func counting(t *testing.T) *rttest.Bundle {
	t.Helper()
	return rttest.New(t).Sh("while :; do echo; sleep 0.01; done")
}

// stands says whether the container prints nothing for a while.
func stands(b *rttest.Bundle) bool {
	before := b.Output()
	time.Sleep(100 * time.Millisecond)
	return b.Output() == before
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	b := counting(t)
	b.RunDetached().OK()
	pid := b.Pid()
	rttest.Eventually(t, "it runs", func() bool { return b.Output() != "" })

	b.RT("resume", b.ID).Fails("container not paused")
	b.RT("pause", b.ID).OK().Prints("")
	if s := b.State(); s.Status != "paused" || s.Pid != pid || !stands(b) {
		t.Errorf("after pause: %+v", s)
	}
	b.RT("pause", b.ID).Fails("container not running")
	b.RT("resume", b.ID).OK().Prints("")
	if s := b.State(); s.Status != "running" || s.Pid != pid || stands(b) {
		t.Errorf("after resume: %+v", s)
	}
}

// A created container is paused before it has run anything, and goes on waiting afterwards.
func TestPauseOfACreatedContainer(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("echo", "hello")
	b.Create().OK()
	b.RT("pause", b.ID).OK()
	if s := b.State(); s.Status != "paused" {
		t.Errorf("after pause: %+v", s)
	}
	b.RT("resume", b.ID).OK()
	if s := b.State(); s.Status != "created" {
		t.Errorf("after resume: %+v", s)
	}
	if out, status := b.Finish(); out != "hello\n" || status != 0 {
		t.Errorf("status %d, output %q", status, out)
	}
	b.RT("pause", b.ID).Fails("container not running")
	b.RT("resume", b.ID).Fails("container not paused")
}

func TestStartOfAPausedContainer(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "an error at once, where runc waits for a process that cannot answer")
	b := rttest.New(t)
	b.Create().OK()
	b.RT("pause", b.ID).OK()
	b.Start().Fails("cannot start a paused container")
}

// Sub-cgroups stand still with the container, and go on with it.
func TestPauseReachesSubCgroups(t *testing.T) {
	t.Parallel()
	freezer := "" // of cgroup2
	if rttest.CgroupV1() == "" {
		freezer = "freezer"
		rttest.Need(t, rttest.Controller(freezer))
	}
	b := counting(t)
	b.RunDetached().OK()
	rttest.Eventually(t, "it runs", func() bool { return b.Output() != "" })
	moveToSubCgroup(t, b, freezer, b.Pid())
	b.RT("pause", b.ID).OK()
	if !stands(b) {
		t.Error("a process in a sub-cgroup runs on")
	}
	b.RT("resume", b.ID).OK()
	if stands(b) {
		t.Error("a process in a sub-cgroup stands still after resume")
	}
}

// memberTrees are the hierarchies in which runtimes look for a container's processes.
func memberTrees(t *testing.T) []string {
	t.Helper()
	if rttest.CgroupV1() != "" {
		return []string{""} // cgroup2
	}
	rttest.Need(t, rttest.Controller("devices"), rttest.Controller("freezer"))
	return []string{"devices", "freezer"}
}

// moveToSubCgroup puts a process into a new cgroup "sub" below the container's.
func moveToSubCgroup(t *testing.T, b *rttest.Bundle, controller string, pid int) {
	t.Helper()
	sub := filepath.Join(rttest.CgroupDir(t, controller, b.Spec.Linux.CgroupsPath), "sub")
	if err := os.MkdirAll(sub, 0o755); err != nil { // on cgroup2 all controllers mean the same one
		t.Fatal(err)
	}
	if err := os.WriteFile(sub+"/cgroup.procs", []byte(strconv.Itoa(pid)), 0); err != nil {
		t.Fatal(err)
	}
}

// A paused container dies of KILL at once; of TERM when it goes on.
func TestKillOfAPausedContainer(t *testing.T) {
	t.Parallel()
	for signal, status := range map[string]int{"KILL": 128 + 9, "TERM": 5} {
		t.Run(signal, func(t *testing.T) {
			b := rttest.New(t).Sh("trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done")
			b.RunDetached().OK()
			pid := b.Pid()
			rttest.Eventually(t, "the trap is set", func() bool { return b.Output() == "up\n" })
			b.RT("pause", b.ID).OK()
			b.Kill(signal).OK()
			if signal == "TERM" {
				if s := b.State(); s.Status != "paused" {
					t.Errorf("TERM ended the pause: %+v", s)
				}
				b.RT("resume", b.ID).OK()
			}
			if got := b.Wait(pid); got != status {
				t.Errorf("status %d, want %d", got, status)
			}
		})
	}
}

func TestPauseOfNobody(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	for _, verb := range []string{"pause", "resume", "ps"} {
		b.RT(verb, "nobody").Fails("container does not exist")
	}
}

func TestPauseWithoutACgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "--cgroup-manager=disabled")
	b := rttest.New(t).Args("sleep", "1000")
	b.Flags = []string{"--cgroup-manager=disabled"}
	b.RunDetached().OK()
	b.RT("pause", b.ID).FailsNaming("no cgroup")
	if s := b.State(); s.Status != "running" {
		t.Errorf("state: %+v", s)
	}
	b.Kill("KILL").OK()
}

// --all sends any signal to every process: in sub-cgroups, in a shared pid namespace, and after init's end.
func TestKillAllReachesSubCgroups(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "kill --all with a signal other than KILL (runc 4040, 4047, 4102)")
	b := rttest.New(t).Drop("pid").Sh(`for i in 1 2 3; do
		sh -c 'trap "exit 7" USR1; echo $$; while :; do sleep 0.01; done' &
	done; trap : USR1; wait; wait; wait; wait; exec sleep 1000`)
	b.RunDetached().OK()
	rttest.Eventually(t, "the traps are set", func() bool { return strings.Count(b.Output(), "\n") == 3 })
	var children []int
	for _, line := range strings.Fields(b.Output()) {
		child, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		children = append(children, child)
	}
	for _, controller := range memberTrees(t) {
		moveToSubCgroup(t, b, controller, children[0])
	}
	b.RT("kill", "--all", b.ID, "USR1").OK()
	for _, child := range children {
		rttest.Eventually(t, "a child ends", func() bool { return unix.Kill(child, 0) == unix.ESRCH })
	}
	if s := b.State(); s.Status != "running" {
		t.Errorf("state: %+v", s)
	}
}

func TestKillAllOfAStoppedContainer(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	b.Finish()
	for _, signal := range []string{"TERM", "9", "USR1"} {
		b.RT("kill", "--all", b.ID, signal).OK()
	}
}

// A create that died before init was born left a cgroup that may be somebody else's.
func TestKillAllSparesForeignProcesses(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a record from before the first side effect")
	rttest.Need(t, rttest.Controller("devices"))
	b := rttest.New(t)
	dir := rttest.CgroupDir(t, "devices", b.Spec.Linux.CgroupsPath)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	other := exec.Command("sleep", "1000")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = other.Process.Kill()
		_ = other.Wait()
		_ = os.Remove(dir)
	}()
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(strconv.Itoa(other.Process.Pid)), 0); err != nil {
		t.Fatal(err)
	}
	record := `{"version":1,"id":"` + b.ID + `","created":"2026-11-21T08:00:00Z","cgroup":{"mode":"v1","mount":"/sys/fs/cgroup","paths":{"devices":"` + dir + `"}}}`
	b.WriteFile("../state/"+b.ID+"/creating.json", record)
	if err := os.Chmod(filepath.Join(b.Root, b.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	b.RT("kill", "--all", b.ID, "KILL").OK()
	if err := unix.Kill(other.Process.Pid, 0); err != nil || strings.Contains(rttest.ProcFile(t, other.Process.Pid, "stat"), ") Z ") {
		t.Error("a process of somebody else was killed")
	}
	_ = other.Process.Kill()
	_ = other.Wait()
}
