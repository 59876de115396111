package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// Without a tracer a call that one should decide about does not exist.
func TestSeccompTrace(t *testing.T) {
	t.Parallel()
	r := rule(specs.ActTrace, "getpid")
	r.ErrnoRet = errno(7) // the tracer's, were there one
	probeSyscall(t, profile(specs.ActAllow, r), sysGetpid).OK().Prints(fmt.Sprintf("-1 %d", unix.ENOSYS))
}

// A default action other than an errno: everything that is not named ends the process, or is only written down.
func TestSeccompDefaultActions(t *testing.T) {
	t.Parallel()
	allowed := rule(specs.ActAllow, allowedByName...)
	for action, want := range map[specs.LinuxSeccompAction]int{
		specs.ActKill: 128 + int(unix.SIGSYS), specs.ActKillProcess: 128 + int(unix.SIGSYS), specs.ActKillThread: 128 + int(unix.SIGSYS),
		specs.ActTrap: 128 + int(unix.SIGSYS), specs.ActLog: 0, specs.ActAllow: 0, specs.ActTrace: 0, specs.ActErrno: 0,
	} {
		t.Run(string(action), func(t *testing.T) {
			probeSyscall(t, profile(action, allowed), sysMkdir, 0).Exits(want)
		})
	}
}

// Beside the machine's own, a profile may name every architecture of the same byte order, and it holds all the same; one of
// the other order (and one that libseccomp is too old for) is refused by its name.
func TestSeccompArchitectures(t *testing.T) {
	t.Parallel()
	foreign := []specs.Arch{
		specs.ArchMIPS, specs.ArchMIPS64, specs.ArchMIPS64N32, specs.ArchPPC, specs.ArchPPC64, specs.ArchS390, specs.ArchS390X,
		specs.ArchPARISC, specs.ArchPARISC64, specs.ArchM68K, specs.ArchSHEB, specs.ArchLOONGARCH64, specs.ArchSH,
	}
	for _, arch := range append([]specs.Arch{
		specs.ArchX86, specs.ArchX86_64, specs.ArchX32, specs.ArchARM, specs.ArchAARCH64, specs.ArchMIPSEL, specs.ArchMIPSEL64, specs.ArchMIPSEL64N32,
		specs.ArchPPC64LE, specs.ArchRISCV64,
	}, foreign...) {
		t.Run(string(arch), func(t *testing.T) {
			p := profile(specs.ActAllow, rule(specs.ActErrno, "getpid"))
			p.Architectures = []specs.Arch{specs.ArchX86_64, arch}
			res := probeSyscall(t, p, sysGetpid)
			if res.Code != 0 && slices.Contains(foreign, arch) {
				res.FailsNaming("linux.seccomp.architectures", string(arch))
				return
			}
			res.OK().Prints("-1 1")
		})
	}
}

// The flags of the filter, as the kernel is given them.
func TestSeccompFlags(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Command("strace"))
	const tsync specs.LinuxSeccompFlag = "SECCOMP_FILTER_FLAG_TSYNC"
	for name, c := range map[string]struct {
		flags  []specs.LinuxSeccompFlag
		want   []string // in the call that loads the filter
		notify bool
	}{
		"none":                      {[]specs.LinuxSeccompFlag{}, []string{"0"}, false},
		"SECCOMP_FILTER_FLAG_LOG":   {[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}, []string{"SECCOMP_FILTER_FLAG_LOG"}, false},
		"SECCOMP_FILTER_FLAG_TSYNC": {[]specs.LinuxSeccompFlag{tsync}, nil, false}, // one thread is in step with itself
		"two":                       {[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}, []string{"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"}, false},
		"SECCOMP_FILTER_FLAG_SPEC_ALLOW, also without a list": {nil, []string{"SECCOMP_FILTER_FLAG_SPEC_ALLOW"}, false},
		"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": {[]specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv},
			[]string{"SECCOMP_FILTER_FLAG_NEW_LISTENER", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == nil || c.notify || len(c.flags) == 0 && c.flags != nil {
				rttest.OnlyRT(t, "flags by its own hand, whatever libseccomp's version, and always by seccomp(2)")
			}
			b := rttest.New(t)
			b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "kexec_load"))
			b.Edit = func(m map[string]any) { // an empty list is something else than none
				if c.flags != nil {
					object(m, "linux", "seccomp")["flags"] = c.flags
				}
			}
			if c.notify {
				rttest.Need(t, rttest.Kernel("5.19"))
				b.Spec.Linux.Seccomp.Syscalls[0].Action = specs.ActNotify
				b.Spec.Linux.Seccomp.ListenerPath = rttest.ListenFD(t).Path
			}
			trace := filepath.Join(b.Dir, "trace")
			b.Setup = func(cmd *exec.Cmd) {
				cmd.Args = append([]string{"strace", "-f", "-o", trace, "-e", "trace=seccomp"}, cmd.Args...)
				cmd.Path = "/usr/bin/strace"
			}
			b.Run().OK()
			var loaded []string
			for _, m := range regexp.MustCompile(`seccomp\(SECCOMP_SET_MODE_FILTER, ([^,]*), \{len`).FindAllStringSubmatch(read(t, trace), -1) {
				loaded = append(loaded, strings.ReplaceAll(m[1], "0x20 /* SECCOMP_FILTER_FLAG_??? */", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"))
			}
			if len(loaded) == 0 {
				t.Fatalf("no filter was loaded: %s", read(t, trace))
			}
			got := strings.Split(loaded[len(loaded)-1], "|")
			if slices.Sort(got); c.want != nil && !slices.Equal(got, c.want) {
				t.Errorf("loaded with %q, want %q", got, c.want)
			}
		})
	}
}

// WAIT_KILLABLE_RECV is about a listener, and there has to be one.
func TestSeccompFlagWithoutItsListener(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "kexec_load"))
	b.Spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
	b.Run().FailsNaming("linux.seccomp.flags[0]")
	b.CheckGone()
}

// Without a rule that notifies nobody has to listen; with one, an agent that cannot be told is an error.
func TestSeccompListenerPath(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActErrno, "kexec_load"))
	b.Spec.Linux.Seccomp.ListenerPath = "/no/such/socket"
	b.Run().OK()
	b.Spec.Linux.Seccomp.Syscalls[0].Action = specs.ActNotify
	runFailed(t, b.Run())
	b.CheckGone()
	if rttest.IsRT(t) {
		b.Run().FailsNaming("linux.seccomp.listenerPath", "/no/such/socket", "no such file or directory")
	}
}

// The two requests of seccomp_unotify(2), and their structures.
const (
	notifRecv = 0xc0502100
	notifSend = 0xc0182101
)

type seccompNotif struct {
	ID         uint64
	Pid, Flags uint32
	Nr         int32
	Arch       uint32
	IP         uint64
	Args       [6]uint64
}

type seccompResponse struct {
	ID    uint64
	Val   int64
	Error int32
	Flags uint32
}

// The agent is told all of the container and of the process, and what it answers is the call's result.
func TestSeccompAgent(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("probe", "syscall", fmt.Sprint(sysMkdir), "77")
	b.Spec.Annotations = map[string]string{"a.key": "a value"}
	socket := rttest.ListenFD(t)
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActNotify, "mkdir"))
	b.Spec.Linux.Seccomp.ListenerPath, b.Spec.Linux.Seccomp.ListenerMetadata = socket.Path, "to whom it may concern"
	b.Create().OK()
	pid := b.Pid()
	started := rttest.Async(b.Start)
	listener, payload := socket.Receive()
	started().OK()
	var s specs.ContainerProcessState
	if err := json.Unmarshal([]byte(payload), &s); err != nil {
		t.Fatalf("%v: %s", err, payload)
	}
	if s.Version == "" || !slices.Equal(s.Fds, []string{specs.SeccompFdName}) || s.Pid != pid || s.Metadata != "to whom it may concern" {
		t.Errorf("the process: %+v", s)
	}
	if c := s.State; c.Version == "" || c.ID != b.ID || !strings.HasPrefix(string(c.Status), "creat") || c.Pid != pid || c.Bundle != b.Dir || c.Annotations["a.key"] != "a value" {
		t.Errorf("the container: %+v", c)
	}
	var asked seccompNotif
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), notifRecv, uintptr(unsafe.Pointer(&asked))); errno != 0 {
		t.Fatalf("receive: %v", errno)
	}
	if asked.Nr != sysMkdir || asked.Args[0] != 77 {
		t.Errorf("the call: %+v", asked)
	}
	answer := seccompResponse{ID: asked.ID, Val: 4711}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, listener.Fd(), notifSend, uintptr(unsafe.Pointer(&answer))); errno != 0 {
		t.Fatalf("answer: %v", errno)
	}
	if status := b.Wait(pid); status != 0 || strings.TrimSpace(b.Output()) != "4711 0" {
		t.Errorf("status %d, output %q", status, b.Output())
	}
}

// Without somebody to take the listener the program, which would wait for ever, does not start.
func TestSeccompListenerIsNotThere(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("touch /ran; mkdir /x")
	b.Spec.Linux.Seccomp = profile(specs.ActAllow, rule(specs.ActNotify, "mkdir"))
	b.Spec.Linux.Seccomp.ListenerPath = b.Dir + "/nobody"
	if res := b.Create(); res.Code == 0 { // rt loads the filter at start
		b.Start().FailsNaming("linux.seccomp.listenerPath", "nobody", "no such file or directory")
	}
	if _, err := os.Stat(b.InRootfs("ran")); err == nil {
		t.Error("it ran all the same")
	}
}
