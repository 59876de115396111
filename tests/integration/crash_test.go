package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// A runtime that is killed leaves something that `delete --force` can clear away, twice, from any moment of create on:
// no id that exists for ever, no init, cgroup or mount (runc 5151, 4757, 4645, 4534).

// crashBundle has some of everything that takes time and leaves traces.
func crashBundle(t *testing.T) *rttest.Bundle {
	t.Helper()
	b := rttest.New(t).Sh("sleep 1000")
	b.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "kexec_load"))
	addHook(b, "createRuntime", "true")
	addHook(b, "createContainer", "true")
	b.WriteConfig()
	return b
}

// killedAfter starts the command and kills it by SIGKILL after the delay; it says whether the command ended first.
func killedAfter(t *testing.T, delay time.Duration, line ...string) (ended bool) {
	t.Helper()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
		return true
	case <-time.After(delay):
		_ = cmd.Process.Kill()
		<-done
		return false
	}
}

// cleared fails the test unless delete --force, twice, leaves nothing and the id can be used again.
func cleared(t *testing.T, b *rttest.Bundle, when string) {
	t.Helper()
	for range 2 {
		if res := b.Delete("--force"); res.Code != 0 {
			t.Errorf("killed %s: %s", when, res)
		}
	}
	rttest.Settle(t, b, when)
}

// steps of the sweep: dense enough to hit every part of a create, whose length is measured first.
const steps = 150

func TestKilledDuringCreate(t *testing.T) {
	rttest.OnlyRT(t, "delete --force from any crash point")
	b := crashBundle(t)
	line := b.Command("create", "--bundle", b.Dir, b.ID)
	whole := time.Minute
	for range 5 { // the shortest: a longer one would leave most of the sweep after the end
		begun := time.Now()
		killedAfter(t, time.Minute, line...)
		whole = min(whole, time.Since(begun))
		cleared(t, b, "never")
	}
	early := 0
	for i := range steps {
		delay := whole * time.Duration(i) / steps
		when := fmt.Sprintf("%v after the start of a create of %v", delay, whole)
		if !killedAfter(t, delay, line...) {
			early++
		}
		cleared(t, b, when)
		if t.Failed() {
			return
		}
	}
	if early < steps/3 {
		t.Errorf("only %d of %d creates were killed in time", early, steps)
	}
	b.Create().OK() // the id is free
}

func TestKilledDuringStart(t *testing.T) {
	rttest.OnlyRT(t, "delete --force from any crash point")
	b := crashBundle(t)
	addHook(b, "startContainer", "true")
	addHook(b, "poststart", "true")
	for i := range 15 {
		b.Create().OK()
		delay := time.Duration(i) * 500 * time.Microsecond
		killedAfter(t, delay, b.Command("start", b.ID)...)
		cleared(t, b, fmt.Sprintf("%v after the start of start", delay))
	}
}

func TestKilledDuringDelete(t *testing.T) {
	rttest.OnlyRT(t, "delete --force from any crash point")
	b := crashBundle(t)
	for i := range 15 {
		b.RunDetached().OK()
		delay := time.Duration(i) * 500 * time.Microsecond
		killedAfter(t, delay, b.Command("delete", "--force", b.ID)...)
		cleared(t, b, fmt.Sprintf("%v after the start of delete", delay))
	}
}

// Killed while it runs a container in the foreground: the container is not deleted, but can be.
func TestKilledDuringForegroundRun(t *testing.T) {
	t.Parallel()
	b := crashBundle(t)
	killedAfter(t, 500*time.Millisecond, b.Command("run", "--bundle", b.Dir, b.ID)...)
	if s := b.State(); s.Status != "running" && s.Status != "stopped" {
		t.Errorf("state %+v", s)
	}
	cleared(t, b, "while a foreground container runs")
}

// crashCalls are the system calls at which a create does something that others see, or waits for somebody.
var crashCalls = strings.Fields(`mkdirat mkdir openat2 renameat renameat2 linkat flock fsync clone clone3 execve execveat unshare setns
	sendmsg recvmsg sendto recvfrom ppoll poll epoll_pwait pidfd_open open_tree fsopen fsmount move_mount mount_setattr pivot_root chroot
	umount2 mknodat symlinkat sethostname setresuid setgroups capset keyctl seccomp prctl prlimit64 close_range fchownat connect unlinkat`)

// The first, second, third … use of each call by whichever process makes it, the runtime or its stage, is its last. A
// stage that dies is an error of create; a runtime that dies is cleared away.
func TestKilledAtSystemCalls(t *testing.T) {
	rttest.OnlyRT(t, "delete --force from any crash point")
	rttest.Need(t, rttest.Command("strace"))
	b := crashBundle(t)
	killed := 0
	for _, call := range crashCalls {
		for _, n := range []int{1, 2, 3, 5} {
			when := fmt.Sprintf("at %s number %d", call, n)
			code := createUnderStrace(t, b, call, n)
			if code != 0 {
				killed++
			}
			cleared(t, b, when)
			if t.Failed() {
				return
			}
			if code == 0 {
				break // no so many of them
			}
		}
	}
	if killed < 40 {
		t.Errorf("only %d creates were killed: is strace at work?", killed)
	}
}

// createUnderStrace creates the container, with SIGKILL at the n-th such call of any thread, and returns the status.
func createUnderStrace(t *testing.T, b *rttest.Bundle, call string, n int) int {
	t.Helper()
	line := append([]string{
		"strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=?" + call, "-e", fmt.Sprintf("inject=?%s:signal=KILL:when=%d", call, n),
	}, b.Command("create", "--bundle", b.Dir, b.ID)...)
	res := rttest.Exec(t, nil, line...)
	if res.Code > 0 && res.Stderr == "" {
		t.Errorf("killed at %s number %d: an error without a word: %s", call, n, res)
	}
	return res.Code
}

// Each kind of hook is a point at which create, start or delete waits for somebody else. The runtime is killed there, and
// what is left can be forced away.
func TestKilledWhileAHookRuns(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "delete --force from any crash point")
	for _, kind := range hookKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := rttest.New(t).Args("sleep", "1000")
			inside, mark := hookFile(b, kind, "mark")
			addHook(b, kind, "[ -e "+inside+" ] || { echo $$ > "+inside+"; exec sleep 1000; }")
			line := b.Command("create", "--bundle", b.Dir, b.ID)
			switch kind {
			case "startContainer", "poststart":
				b.Create().OK()
				line = b.Command("start", b.ID)
			case "poststop":
				b.Create().OK()
				line = b.Command("delete", b.ID)
			default:
				b.WriteConfig()
			}
			killedAtMark(t, mark, line...)
			if kind == "prestart" || kind == "createRuntime" || strings.HasPrefix(kind, "post") {
				killHook(t, mark) // it is the caller's program, on the caller's side
			}
			cleared(t, b, "while a "+kind+" hook runs")
		})
	}
}

// killedAtMark starts the command and kills it by SIGKILL when the file has come.
func killedAtMark(t *testing.T, mark string, line ...string) {
	t.Helper()
	cmd := exec.Command(line[0], line[1:]...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rttest.Eventually(t, "the hook runs", func() bool {
		info, err := os.Stat(mark)
		return err == nil && info.Size() > 0
	})
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// killHook ends a hook that lost its runtime, whose pid is in the file.
func killHook(t *testing.T, mark string) {
	t.Helper()
	var pid int
	if _, err := fmt.Sscan(read(t, mark), &pid); err != nil {
		t.Fatal(err)
	}
	_ = unix.Kill(pid, unix.SIGKILL)
	rttest.WaitPid(t, pid)
}
