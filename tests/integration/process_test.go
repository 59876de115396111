package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// ownStatus runs the container with cat /proc/self/status and returns the fields.
func ownStatus(t *testing.T, b *rttest.Bundle) map[string]string {
	t.Helper()
	return rttest.Status(b.Args("cat", "/proc/self/status").Run().OK().Stdout)
}

func TestUser(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	umask := uint32(0o027)
	b.Spec.Process.User = specs.User{UID: 1234, GID: 567, AdditionalGids: []uint32{9, 8, 4000000}, Umask: &umask}
	s := ownStatus(t, b)
	for field, want := range map[string]string{
		"Uid": "1234 1234 1234 1234", "Gid": "567 567 567 567", "Groups": "8 9 4000000", "Umask": "0027",
	} {
		if s[field] != want {
			t.Errorf("%s: got %q, want %q", field, s[field], want)
		}
	}
}

func TestUmaskDefault(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Setup = func(cmd *exec.Cmd) { // the caller's does not count
		cmd.Args = append([]string{"sh", "-c", "umask 077; exec \"$@\"", "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	if s := ownStatus(t, b); s["Umask"] != "0022" {
		t.Errorf("umask %s", s["Umask"])
	}
}

func TestWorkingDirectory(t *testing.T) {
	t.Parallel()
	t.Run("is entered", func(t *testing.T) {
		b := rttest.New(t).Args("pwd")
		b.Spec.Process.Cwd = "/bin"
		b.Run().OK().Prints("/bin")
	})
	t.Run("is made when missing", func(t *testing.T) {
		b := rttest.New(t).Args("pwd")
		b.Spec.Process.Cwd = "/made/for/it"
		b.Run().OK().Prints("/made/for/it")
	})
	t.Run("is entered as the user", func(t *testing.T) {
		b := rttest.New(t).Args("pwd")
		if err := os.Mkdir(b.InRootfs("mine"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(b.InRootfs("mine"), 1000, 1000); err != nil {
			t.Fatal(err)
		}
		b.Spec.Process.Cwd, b.Spec.Process.User.UID = "/mine", 1000
		b.Spec.Process.Capabilities = &specs.LinuxCapabilities{}
		b.Run().OK().Prints("/mine")
	})
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env  []string
		uid  uint32
		want string
	}{
		"HOME of root":              {[]string{"PATH=/bin"}, 0, "PATH=/bin HOME=/root"},
		"HOME of a user":            {[]string{"PATH=/bin"}, 1000, "PATH=/bin HOME=/home"},
		"HOME of an unknown user":   {[]string{"PATH=/bin"}, 77, "PATH=/bin HOME=/"},
		"HOME given":                {[]string{"PATH=/bin", "HOME=/x"}, 1000, "PATH=/bin HOME=/x"},
		"HOME empty":                {[]string{"HOME=", "PATH=/bin"}, 1000, "PATH=/bin HOME=/home"},
		"the last of two wins":      {[]string{"A=1", "PATH=/bin", "A=2", "HOME=/"}, 0, "PATH=/bin A=2 HOME=/"},
		"values with = and newline": {[]string{"PATH=/bin", "HOME=/", "A=b=c"}, 0, "PATH=/bin HOME=/ A=b=c"},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Args("cat", "/proc/self/environ")
			b.Spec.Process.Env, b.Spec.Process.User.UID = c.env, c.uid
			got := strings.Split(strings.TrimRight(b.Run().OK().Stdout, "\x00"), "\x00")
			want := strings.Split(c.want, " ")
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestProgramIsFound(t *testing.T) {
	t.Parallel()
	t.Run("in the container's PATH", func(t *testing.T) {
		b := rttest.New(t).Args("tool")
		b.WriteFile("rootfs/opt/tool", "#!/bin/sh\necho found\n")
		if err := os.Chmod(b.InRootfs("opt/tool"), 0o755); err != nil {
			t.Fatal(err)
		}
		b.Spec.Process.Env = []string{"PATH=/nowhere:/opt:/bin"}
		b.Run().OK().Prints("found")
	})
	t.Run("relative to the working directory", func(t *testing.T) {
		b := rttest.New(t).Args("./busybox", "echo", "here")
		b.Spec.Process.Cwd = "/bin"
		b.Run().OK().Prints("here")
	})
	t.Run("with a long argument list", func(t *testing.T) {
		args := append([]string{"sh", "-c", "echo $#", "sh"}, strings.Fields(strings.Repeat("0123456789abcdef ", 5000))...)
		rttest.New(t).Args(args...).Run().OK().Prints("5000")
	})
}

// The texts that engines turn into the exit statuses 126 and 127.
func TestProgramIsNotFound(t *testing.T) {
	t.Parallel()
	for arg, word := range map[string]string{
		"nosuch":      "executable file not found in $PATH",
		"/no/such":    "no such file or directory",
		"/etc/passwd": "permission denied",
		"/etc":        "", // EACCES of execve, or a text of the runtime's own
	} {
		t.Run(arg, func(t *testing.T) {
			b := rttest.New(t).Args(arg)
			b.Run().Fails(arg, word)
			b.CheckGone()
		})
	}
}

// A program that cannot be run is an error of start at the latest, and the container is not running after it.
func TestStartReportsAFailedExec(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "execve's own error is reported by start")
	b := rttest.New(t).Args("/garbage")
	b.WriteFile("rootfs/garbage", "\x01\x02garbage")
	if err := os.Chmod(b.InRootfs("garbage"), 0o755); err != nil {
		t.Fatal(err)
	}
	b.Create().OK()
	b.Start().FailsNaming("process.args", "/garbage", "exec format error")
	rttest.Eventually(t, "it is stopped", func() bool { return b.State().Status == "stopped" })
	b.Delete().OK()
}

// All limits the kernel has, but for those this machine's root may not raise, a value below the present one each.
func TestRlimits(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	want := map[string][2]uint64{
		"AS Max address space": {1 << 40, 1 << 41}, "CORE Max core file size": {0, 0}, "CPU Max cpu time": {1000, 2000},
		"DATA Max data size": {1 << 40, 1 << 40}, "FSIZE Max file size": {1 << 30, 1 << 31}, "LOCKS Max file locks": {100, 200},
		"MEMLOCK Max locked memory": {4096, 8192}, "MSGQUEUE Max msgqueue size": {8192, 16384}, "NICE Max nice priority": {0, 0},
		"NOFILE Max open files": {100, 200}, "NPROC Max processes": {1000, 2000}, "RSS Max resident set": {1 << 30, 1 << 31},
		"RTPRIO Max realtime priority": {0, 0}, "RTTIME Max realtime timeout": {1000, 2000}, "SIGPENDING Max pending signals": {100, 200},
		"STACK Max stack size": {1 << 20, 1 << 21},
	}
	for name, v := range want {
		kind, _, _ := strings.Cut(name, " ")
		b.Spec.Process.Rlimits = append(b.Spec.Process.Rlimits, specs.POSIXRlimit{Type: "RLIMIT_" + kind, Soft: v[0], Hard: v[1]})
	}
	out := b.Args("cat", "/proc/self/limits").Run().OK().Stdout
	for name, v := range want {
		_, label, _ := strings.Cut(name, " ")
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^%s +%d +%d `, label, v[0], v[1])).MatchString(out) {
			t.Errorf("%s is not %v in\n%s", label, v, out)
		}
	}
}

func TestRlimitAboveTheHardLimitIsAnError(t *testing.T) {
	t.Parallel()
	if rttest.Capability(unix.CAP_SYS_RESOURCE)() == "" {
		t.Skip("root may raise its limits here")
	}
	b := rttest.New(t)
	b.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1 << 20, Hard: 1 << 20}}
	b.Create().FailsNaming("process.rlimits[0]", "operation not permitted")
	b.CheckGone()
}

func TestCapabilitySets(t *testing.T) {
	t.Parallel()
	list := func(names ...string) []string { return names }
	for name, c := range map[string]struct {
		uid                     uint32
		caps                    specs.LinuxCapabilities
		bnd, prm, eff, inh, amb []string
	}{
		"root with a bounding set": {0, specs.LinuxCapabilities{Bounding: list("CAP_CHOWN", "CAP_KILL"), Permitted: list("CAP_CHOWN", "CAP_KILL"), Effective: list("CAP_CHOWN")},
			list("CAP_CHOWN", "CAP_KILL"), list("CAP_CHOWN", "CAP_KILL"), list("CAP_CHOWN", "CAP_KILL"), nil, nil},
		"a user keeps nothing": {1000, specs.LinuxCapabilities{Bounding: list("CAP_CHOWN"), Permitted: list("CAP_CHOWN"), Effective: list("CAP_CHOWN")},
			list("CAP_CHOWN"), nil, nil, nil, nil},
		"a user keeps ambient ones": {1000, specs.LinuxCapabilities{
			Bounding: list("CAP_CHOWN", "CAP_KILL"), Permitted: list("CAP_CHOWN", "CAP_KILL"), Effective: list("CAP_CHOWN", "CAP_KILL"),
			Inheritable: list("CAP_CHOWN", "CAP_KILL"), Ambient: list("CAP_KILL")},
			list("CAP_CHOWN", "CAP_KILL"), list("CAP_KILL"), list("CAP_KILL"), list("CAP_CHOWN", "CAP_KILL"), list("CAP_KILL")},
		"none at all": {0, specs.LinuxCapabilities{}, nil, nil, nil, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t)
			b.Spec.Process.User.UID, b.Spec.Process.Capabilities = c.uid, &c.caps
			s := ownStatus(t, b)
			for field, want := range map[string][]string{"CapBnd": c.bnd, "CapPrm": c.prm, "CapEff": c.eff, "CapInh": c.inh, "CapAmb": c.amb} {
				if mask := fmt.Sprintf("%016x", capMask(want)); s[field] != mask {
					t.Errorf("%s: got %s, want %s %v", field, s[field], mask, want)
				}
			}
		})
	}
}

// Capabilities that the kernel does not know are ignored with a warning, as the specification has it.
func TestUnknownCapabilityIsAWarning(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Process.Capabilities.Bounding = append([]string{"CAP_NO_SUCH"}, rttest.DefaultCaps...)
	if res := b.Run().OK(); !strings.Contains(res.Stderr, "CAP_NO_SUCH") {
		t.Errorf("no warning: %s", res)
	}
}

// So is one that the runtime itself does not have, as in a container: the specification does not want it to fail.
func TestCapabilityThatCannotBeGrantedIsAWarning(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Root, rttest.Command("setpriv"))
	rttest.OnlyRT(t, "runc fails")
	b := rttest.New(t).Sh("grep Cap /proc/self/status")
	with := append([]string{"CAP_SYS_NICE"}, rttest.DefaultCaps...)
	b.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: with, Effective: with, Permitted: with, Inheritable: with, Ambient: with}
	b.WriteConfig()
	without := []string{"setpriv", "--bounding-set", "-sys_nice"}
	res := rttest.Exec(t, nil, append(without, b.Command("run", "--bundle", b.Dir, b.ID)...)...).OK()
	if !strings.Contains(res.Stderr, "level=warning") || !strings.Contains(res.Stderr, "process.capabilities: CAP_SYS_NICE") {
		t.Errorf("no warning: %s", res)
	}
	for set, want := range rttest.Status(res.Stdout) {
		if bits, err := strconv.ParseUint(want, 16, 64); err != nil || bits == 0 || bits>>unix.CAP_SYS_NICE&1 != 0 {
			t.Errorf("%s is %s: %v", set, want, err)
		}
	}

	b.Args("sleep", "1000").RunDetached().OK()
	b.RT("exec", "--cap", "CAP_SYS_NICE", b.ID, "true").OK()
	if res := rttest.Exec(t, nil, append(without, b.Command("exec", "--cap", "CAP_SYS_NICE", b.ID, "true")...)...).OK(); !strings.Contains(res.Stderr, "CAP_SYS_NICE") {
		t.Errorf("no warning of exec: %s", res)
	}
}

func TestNoNewPrivileges(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		b := rttest.New(t)
		b.Spec.Process.NoNewPrivileges = on
		want := map[bool]string{false: "0", true: "1"}[on]
		if s := ownStatus(t, b); s["NoNewPrivs"] != want {
			t.Errorf("asked for %v: NoNewPrivs %s", on, s["NoNewPrivs"])
		}
	}
}

func TestOOMScore(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("cat", "/proc/self/oom_score_adj")
	score := 321
	b.Spec.Process.OOMScoreAdj = &score
	b.Run().OK().Prints("321")
}

// A config without a score leaves it as it is, whatever the caller has.
func TestOOMScoreIsTheCallers(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Command("choom"))
	b := rttest.New(t).Args("cat", "/proc/self/oom_score_adj")
	b.WriteConfig()
	rttest.Exec(t, nil, append([]string{"choom", "-n", "77", "--"}, b.Command("run", "--bundle", b.Dir, b.ID)...)...).OK().Prints("77")
}

func TestSysctl(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cd /proc/sys; cat kernel/shmmax kernel/msgmax fs/mqueue/msg_max net/ipv4/ip_forward net/ipv4/conf/lo/forwarding kernel/sem")
	b.Spec.Linux.Sysctl = map[string]string{
		"kernel.shmmax": "12345", "kernel.msgmax": "4096", "fs.mqueue.msg_max": "7", "net.ipv4.ip_forward": "1",
		"net/ipv4/conf/lo/forwarding": "0", "kernel.sem": "10 20 30 40",
	}
	b.Run().OK().Prints("12345\n4096\n7\n1\n0\n10\t20\t30\t40")
}

func TestPersonality(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("uname", "-m")
	b.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
	b.Run().OK().Prints("i686")
}

// The caller's signal mask and dispositions are not the program's: an ignored SIGPIPE would break every shell pipe.
func TestSignalsOfTheCallerAreNotInherited(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Command("env"))
	ignored, blocked := "PIPE,QUIT,USR1,CHLD", ""
	if rttest.IsRT(t) { // a Go init leaves these as they are
		ignored, blocked = ignored+",HUP,INT", "USR2,TERM,ALRM"
	}
	for _, verb := range []string{"run", "create"} {
		t.Run(verb, func(t *testing.T) {
			b := rttest.New(t).Args("cat", "/proc/self/status")
			b.Setup = func(cmd *exec.Cmd) {
				cmd.Path = "/usr/bin/env"
				cmd.Args = append([]string{"env", "--ignore-signal=" + ignored, "--block-signal=" + blocked}, cmd.Args...)
			}
			var text string
			if verb == "run" {
				text = b.Run().OK().Stdout
			} else {
				b.Create().OK()
				text, _ = b.Finish()
			}
			s := rttest.Status(text)
			for _, field := range []string{"SigBlk", "SigIgn"} {
				if s[field] != "0000000000000000" {
					t.Errorf("%s %s", field, s[field])
				}
			}
		})
	}
}

func TestSessionAndProcessGroup(t *testing.T) {
	t.Parallel()
	// pid, then pgrp and session: all 1, as a session leader in its PID namespace
	rttest.New(t).Sh("exec awk '{print $1, $5, $6}' /proc/self/stat").Run().OK().Prints("1 1 1")
}
