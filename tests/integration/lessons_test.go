package integration

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// What hurt the users of other runtimes, where no file about a verb or feature has it already.

// runc 5087, 5431: init died before start; nobody waits for it.
func TestStartOfADeadInit(t *testing.T) {
	t.Parallel()
	for _, reaped := range []bool{false, true} {
		t.Run(fmt.Sprintf("reaped %v", reaped), func(t *testing.T) {
			b := rttest.New(t)
			b.Create().OK()
			pid := b.Pid()
			if err := unix.Kill(pid, unix.SIGKILL); err != nil {
				t.Fatal(err)
			}
			if reaped {
				b.Wait(pid)
			}
			rttest.Eventually(t, "it counts as stopped", func() bool { return b.State().Status == "stopped" })
			begun := time.Now()
			b.Start().Fails("stopped")
			if d := time.Since(begun); d > 5*time.Second {
				t.Errorf("start took %v to notice", d)
			}
			b.Delete().OK()
		})
	}
}

// runc 4040, 4047, 4102: kill --all sends any signal to every process.
func TestKillAllReachesParentAndChild(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "kill --all with other signals than KILL")
	b := rttest.New(t).Drop("pid").Sh("trap 'echo parent; exit 0' USR1; sh -c 'trap \"echo child; exit 0\" USR1; echo up; while :; do sleep 0.05; done' & wait; wait")
	b.RunDetached().OK()
	pid := b.Pid()
	rttest.Eventually(t, "both run", func() bool { return strings.Contains(b.Output(), "up\n") })
	b.RT("kill", "--all", b.ID, "USR1").OK()
	rttest.Eventually(t, "both got it: "+b.Output(), func() bool {
		return strings.Contains(b.Output(), "child") && strings.Contains(b.Output(), "parent")
	})
	b.Wait(pid)
	for _, orphan := range cgroupPids(t, b) {
		rttest.WaitPid(t, orphan)
	}
}

// runc 4512, 4517, crun 868: delete --force does not sleep.
func TestDeleteForceIsQuick(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "delete --force without polling")
	best := time.Hour
	for range 5 {
		b := rttest.New(t).Args("sleep", "1000")
		b.RunDetached().OK()
		begun := time.Now()
		b.Delete("--force").OK()
		best = min(best, time.Since(begun))
	}
	if best > rttest.Stretch(80*time.Millisecond) {
		t.Errorf("the best of five took %v", best)
	}
}

// init cannot end before those who joined it are reaped, which is up to their parents: delete --force gives up, and says so.
func TestDeleteForceNamesTheZombie(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "the reason in the error")
	b := sleeping(t, nil)
	file := filepath.Join(b.Mkdir("pids"), "pid")
	execIn(b, "--detach --pid-file "+file, "true").OK()
	pid := read(t, file)
	b.Delete("--force").Fails("does not end after SIGKILL: process " + pid + " of it has ended, but its parent does not reap it")
	n, _ := strconv.Atoi(pid)
	b.Wait(n)
	b.Delete("--force").OK()
}

// A read-only root and a terminal together: /dev/console is in a tmpfs and must work.
func TestReadonlyRootWithTerminal(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("stat -c %F /dev/console; echo written > /dev/console; touch /x 2>&1")
	b.Spec.Root.Readonly = true
	b.Spec.Process.Terminal = true
	socket := rttest.ListenFD(t)
	b.Create("--console-socket", socket.Path).OK()
	master, _ := socket.Receive()
	b.Start().OK()
	text := rttest.ReadTerminal(t, master, "")
	for _, word := range []string{"character special file", "written", "Read-only file system"} {
		if !strings.Contains(text, word) {
			t.Errorf("no %q in %q", word, text)
		}
	}
}

// /dev/null stays a device, and output stays where it was sent, whatever stdio is.
func TestDevNullAsStdio(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("stat -c '%F %t:%T %a' /dev/null; cat; echo gone > /dev/null; [ -c /proc/self/fd/0 ] && echo null")
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	b.Setup = func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stderr = null, null }
	b.RunDetached().OK()
	rttest.Eventually(t, "it ends", func() bool { return b.State().Status == "stopped" })
	if got := b.Output(); got != "character special file 1:3 666\nnull\n" {
		t.Errorf("got %q", got)
	}
	if info, err := os.Stat("/dev/null"); err != nil || info.Mode()&os.ModeCharDevice == 0 || info.Mode().Perm() != 0o666 {
		t.Errorf("the host's /dev/null is %v now (%v)", info.Mode(), err)
	}
}

// The owner of the host's stdio is not changed for the container's user, but a user can still open its own stdout.
func TestStdioOfAnotherUser(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo again > /proc/self/fd/1")
	b.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	r, w := pipe(t)
	b.Setup = func(cmd *exec.Cmd) { cmd.Stdout = w }
	res := b.RunDetached()
	w.Close()
	res.OK()
	out, err := io.ReadAll(r)
	if string(out) != "again\n" {
		t.Errorf("got %q (%v)", out, err)
	}
}

// In a user namespace without a network namespace sysfs cannot be mounted: a fallback must stay as read-only as asked.
func TestReadonlySysInAUserNamespaceOfTheHostsNetwork(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Drop("network").Sh("grep ' /sys ' /proc/self/mounts; mkdir /sys/x 2>/dev/null && echo made; true")
	res := b.Run()
	if res.Code != 0 {
		res.FailsNaming("/sys")
		return
	}
	if f := strings.Fields(res.Stdout); len(f) < 4 || !strings.HasPrefix(f[3], "ro") || strings.Contains(res.Stdout, "made") {
		t.Errorf("/sys is not read-only: %q", res.Stdout)
	}
}

// Device nodes that are bound in a user namespace keep nosuid and noexec.
func TestBoundDevicesAreNosuidNoexec(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "nosuid,noexec on bound device nodes")
	b := rttest.New(t).MapIDs(100000, 65536)
	list := running(t, b)
	for _, dev := range []string{"/dev/null", "/dev/tty"} {
		if m := mountAt(t, list, dev); !m.Has("nosuid") || !m.Has("noexec") {
			t.Errorf("%s is mounted %v", dev, m.Options)
		}
	}
}

// The runtime works inside a user namespace, as in a container of its own.
func TestInsideAUserNamespace(t *testing.T) {
	t.Parallel()
	for name, shared := range map[string][]specs.LinuxNamespaceType{
		"all namespaces new": nil,
		// The way back into a namespace of the host's is closed to a root that is root of a user namespace only.
		"network, ipc and uts of the host": {specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Sh("id -u; stat -c %t:%T /dev/null")
			b.Drop(shared...)
			if shared != nil { // these filesystems belong to the namespaces
				b.Spec.Hostname = ""
				b.Spec.Mounts = slices.DeleteFunc(b.Spec.Mounts, func(m specs.Mount) bool { return m.Type == "sysfs" || m.Type == "mqueue" })
			}
			b.Setup = func(cmd *exec.Cmd) {
				all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 20}}
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
					UidMappings: all, GidMappings: all,
				}
			}
			b.Run().OK().Prints("0\n1:3")
		})
	}
}

// An LSM label on a machine without the LSM: an error, not a quieter container.
func TestLabelWithoutItsLSM(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/sys/kernel/security/apparmor"); err == nil {
		t.Skip("AppArmor is here")
	}
	b := rttest.New(t)
	b.Spec.Process.ApparmorProfile = "some-profile"
	b.Create().FailsNaming("process.apparmorProfile", "AppArmor")
	b.CheckGone()
}

// One thread, and little memory, while a created container waits.
func TestWaitingInitIsSmall(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a single-threaded stage")
	b := rttest.New(t)
	b.Create().OK()
	pid := b.Pid()
	rttest.Eventually(t, "it waits with one thread and at most 1024 KiB", func() bool { // it shrinks just after create has ended
		s := rttest.Status(rttest.ProcFile(t, pid, "status"))
		var rss int
		_, _ = fmt.Sscanf(s["VmRSS"], "%d kB", &rss)
		return s["Threads"] == "1" && rss > 0 && rss <= 1024
	})
}

// Commands on one id at the same time: none hangs, none breaks the container, one start wins.
func TestConcurrentCommandsOnOneID(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a lock for each id; starts of runc wait for each other for ever")
	b := rttest.New(t).Args("sleep", "1000")
	b.Create().OK()
	var starts, states []func() *rttest.Result
	for range 4 {
		starts = append(starts, rttest.Async(b.Start))
		states = append(states, rttest.Async(func() *rttest.Result { return b.RT("state", b.ID) }))
	}
	started := 0
	for i := range starts {
		if starts[i]().Code == 0 {
			started++
		}
		states[i]().OK()
	}
	if s := b.State(); started != 1 || s.Status != "running" {
		t.Errorf("%d starts worked, state %+v", started, s)
	}
}

// Two creates of one id at the same time: one wins, and the loser takes nothing away from it.
func TestConcurrentCreatesOfOneID(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.WriteConfig()
	var creates []func() *rttest.Result
	for i := range 3 {
		line := b.Command("create", "--bundle", b.Dir, "--pid-file", filepath.Join(b.Dir, fmt.Sprint(i)), b.ID)
		creates = append(creates, rttest.Async(func() *rttest.Result { return rttest.Exec(t, nil, line...) }))
	}
	won := 0
	for _, wait := range creates {
		if res := wait(); res.Code == 0 {
			won++
		} else if !strings.Contains(res.Stderr, "exists") {
			t.Errorf("the loser says %s", res)
		}
	}
	if s := b.State(); won != 1 || s.Status != "created" {
		t.Errorf("%d creates worked, state %+v", won, s)
	}
}

// An overlay root as engines hand it to the runtime: the image stays unchanged.
func TestOverlayRoot(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo changed > /etc/passwd; rm /bin/ls; touch /new")
	merged := outliving(t)
	for _, d := range []string{"upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(merged, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", b.InRootfs(), merged, merged)
	if err := unix.Mount("overlay", merged+"/merged", "overlay", 0, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(merged+"/merged", unix.MNT_DETACH) })
	b.Spec.Root.Path = merged + "/merged"
	b.Run().OK()
	if strings.Contains(read(t, b.InRootfs("etc/passwd")), "changed") {
		t.Error("the image was changed")
	}
	if _, err := os.Lstat(merged + "/upper/new"); err != nil {
		t.Error(err)
	}
}
