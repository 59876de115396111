package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

func TestRunExitStatus(t *testing.T) {
	t.Parallel()
	for _, status := range []int{0, 1, 7, 255} {
		rttest.New(t).Sh(fmt.Sprintf("exit %d", status)).Run().Exits(status)
	}
	t.Run("128 and the signal", func(t *testing.T) {
		// Without a PID namespace of its own init can signal itself.
		rttest.New(t).Drop("pid").Sh("kill -KILL $$").Run().Exits(128 + 9)
		rttest.New(t).Drop("pid").Sh("kill -SEGV $$").Run().Exits(128 + 11)
	})
	t.Run("a program that ends at once", func(t *testing.T) {
		for range 20 { // the status must not be lost when init is quicker than its parent
			rttest.New(t).Args("/bin/false").Run().Exits(1)
		}
	})
}

func TestRunStdio(t *testing.T) {
	t.Parallel()
	t.Run("separate streams", func(t *testing.T) {
		res := rttest.New(t).Sh("echo out; echo err >&2").Run().OK().Prints("out")
		if res.Stderr != "err\n" {
			t.Errorf("stderr %q", res.Stderr)
		}
	})
	t.Run("stdin", func(t *testing.T) {
		b := rttest.New(t).Args("cat")
		b.Setup = func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader("through\n") }
		b.Run().OK().Prints("through")
	})
	t.Run("8 MiB through pipes", func(t *testing.T) {
		b := rttest.New(t).Sh("tee /dev/stderr")
		sent := bytes.Repeat([]byte("0123456789abcde\n"), 8<<16)
		var out, errs bytes.Buffer
		b.Setup = func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(sent), &out, &errs }
		b.Run().OK()
		for name, got := range map[string][]byte{"stdout": out.Bytes(), "stderr": errs.Bytes()} {
			if sha256.Sum256(got) != sha256.Sum256(sent) {
				t.Errorf("%s: got %d bytes, sent %d", name, len(got), len(sent))
			}
		}
	})
	t.Run("a slow reader", func(t *testing.T) {
		b := rttest.New(t).Sh("head -c 4000000 /dev/zero")
		r, w := pipe(t)
		count := make(chan int64)
		go func() {
			time.Sleep(300 * time.Millisecond)
			n, _ := io.Copy(io.Discard, r)
			count <- n
		}()
		b.Setup = func(cmd *exec.Cmd) { cmd.Stdout = w }
		b.Run().OK()
		w.Close()
		if n := <-count; n != 4000000 {
			t.Errorf("%d of 4000000 bytes came through", n)
		}
	})
	t.Run("the file status flags of our stdio stay", func(t *testing.T) {
		b := rttest.New(t).Sh("cat; echo x")
		r, w := pipe(t)
		inR, inW := pipe(t)
		b.Setup = func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = inR, w }
		flags := func(f *os.File) int {
			n, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := []int{flags(w), flags(inR)}
		inW.Close()
		b.Run().OK()
		if after := []int{flags(w), flags(inR)}; after[0] != before[0] || after[1] != before[1] {
			t.Errorf("flags were %#x, are %#x", before, after)
		}
		_ = r
	})
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func TestRunDeletesItsContainer(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Run().OK()
	b.CheckGone()
	b.RT("state", b.ID).Fails("does not exist")
}

func TestRunKeep(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("exit 3")
	b.Run("--keep").Exits(3)
	if s := b.State(); s.Status != "stopped" {
		t.Errorf("state %+v", s)
	}
	b.Delete().OK()
	b.CheckGone()
}

func TestRunDetach(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo up; sleep 100")
	b.RunDetached().OK().Prints("")
	if s := b.State(); s.Status != "running" {
		t.Errorf("state %+v", s)
	}
	rttest.Eventually(t, "it prints", func() bool { return b.Output() == "up\n" })
}

// The caller of a detached run or a create is the container's parent when it is a subreaper, as shims and conmon are.
func TestInitIsReparentedToTheCaller(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("exit 6")
	b.Create().OK()
	if ppid := rttest.Status(rttest.ProcFile(t, b.Pid(), "status"))["PPid"]; ppid != "1" {
		t.Errorf("init's parent is %s, not us", ppid)
	}
	if _, status := b.Finish(); status != 6 {
		t.Errorf("status %d", status)
	}
}

// A foreground run is the subreaper of its container without a PID namespace, unless told otherwise.
func TestRunSubreaper(t *testing.T) {
	t.Parallel()
	// The grandchild outlives its parent and says who took it.
	script := "sh -c 'sh -c \"sleep 0.2; grep PPid /proc/self/status >/dev/null; cat /proc/\\$\\$/stat\" & ' ; sleep 0.6"
	for flag, reaped := range map[string]bool{"": true, "--no-subreaper": false} {
		t.Run("flag "+flag, func(t *testing.T) {
			b := rttest.New(t).Drop("pid").Sh(script)
			var res *rttest.Result
			if flag == "" {
				res = b.Run().OK()
			} else {
				res = b.Run(flag).OK()
			}
			f := strings.Fields(res.Stdout)
			if len(f) < 4 || (f[3] != "1") != reaped {
				t.Errorf("orphan's stat %q; want it adopted by the runtime: %v", res.Stdout, reaped)
			}
		})
	}
}

func TestRunForwardsSignals(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGQUIT} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			t.Parallel()
			name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
			b := rttest.New(t).Sh("trap 'exit 42' " + name + "; echo up; while :; do sleep 0.05; done")
			r, w := pipe(t)
			b.Setup = func(cmd *exec.Cmd) {
				cmd.Stdout = w
				go func() {
					_, _ = io.ReadAtLeast(r, make([]byte, 3), 3)
					_ = cmd.Process.Signal(sig)
				}()
			}
			b.Run().Exits(42)
		})
	}
}

func TestPidFile(t *testing.T) {
	t.Parallel()
	for _, relative := range []bool{false, true} {
		t.Run(fmt.Sprintf("relative %v", relative), func(t *testing.T) {
			b := rttest.New(t)
			dir := b.Mkdir("pids")
			path := filepath.Join(dir, "init.pid")
			if relative {
				path = "init.pid"
				b.Setup = func(cmd *exec.Cmd) { cmd.Dir = dir }
			}
			b.Create("--pid-file", path).OK()
			data, err := os.ReadFile(filepath.Join(dir, "init.pid"))
			if err != nil || string(data) != strconv.Itoa(b.Pid()) {
				t.Errorf("pid file %q (%v), want %d without a newline", data, err, b.Pid())
			}
			if entries, _ := os.ReadDir(dir); len(entries) != 1 {
				t.Errorf("more than the pid file in its directory: %v", entries)
			}
		})
	}
	t.Run("that cannot be written", func(t *testing.T) {
		b := rttest.New(t)
		b.Create("--pid-file", "/nonexistent/dir/pid").Fails("/nonexistent/dir")
		b.CheckGone()
	})
}

func TestConsoleSocket(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("tty; stty size; read line; echo got $line")
	b.Spec.Process.Terminal = true
	b.Edit = func(m map[string]any) {
		m["process"].(map[string]any)["consoleSize"] = map[string]any{"height": 33, "width": 99}
	}
	socket := rttest.ListenFD(t)
	b.Create("--console-socket", socket.Path).OK()
	master, name := socket.Receive()
	if name == "" {
		t.Error("no name came with the terminal")
	}
	pid := b.Pid()
	b.Start().OK()
	text := rttest.ReadTerminal(t, master, "33 99")
	if !strings.HasPrefix(text, "/dev/pts/0") {
		t.Errorf("terminal says %q", text)
	}
	if _, err := master.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if text := rttest.ReadTerminal(t, master, ""); !strings.Contains(text, "got hello") {
		t.Errorf("terminal says %q", text)
	}
	if status := b.Wait(pid); status != 0 {
		t.Errorf("status %d", status)
	}
}

func TestConsoleSocketRules(t *testing.T) {
	t.Parallel()
	t.Run("create with a terminal needs one", func(t *testing.T) {
		b := rttest.New(t)
		b.Spec.Process.Terminal = true
		b.Create().Fails("console")
		b.CheckGone()
	})
	t.Run("create without a terminal refuses one", func(t *testing.T) {
		b := rttest.New(t)
		b.Create("--console-socket", rttest.ListenFD(t).Path).Fails("console")
		b.CheckGone()
	})
	t.Run("foreground run refuses one", func(t *testing.T) {
		b := rttest.New(t)
		b.Spec.Process.Terminal = true
		b.Run("--console-socket", rttest.ListenFD(t).Path).Fails("console")
		b.CheckGone()
	})
	t.Run("nobody listens", func(t *testing.T) {
		b := rttest.New(t)
		b.Spec.Process.Terminal = true
		b.Create("--console-socket", "/nonexistent/socket").Fails("/nonexistent/socket")
		b.CheckGone()
	})
}

func TestPidfdSocket(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("exit 9")
	socket := rttest.ListenFD(t)
	b.Create("--pidfd-socket", socket.Path).OK()
	pidfd, _ := socket.Receive()
	pid := b.Pid()
	info, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if err != nil || rttest.Status(string(info))["Pid"] != strconv.Itoa(pid) {
		t.Errorf("not a pidfd of %d: %s (%v)", pid, info, err)
	}
	if _, status := b.Finish(); status != 9 {
		t.Errorf("status %d", status)
	}
}

// A foreground run with a terminal: the caller's own terminal is copied to the container's, in raw mode meanwhile.
func TestRunWithTerminal(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("tty; read line; echo got $line; stty size; exit 4")
	b.Spec.Process.Terminal = true
	master, slave := rttest.OpenPty(t)
	size := &unix.Winsize{Row: 21, Col: 77}
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, size); err != nil {
		t.Fatal(err)
	}
	before := termios(t, slave)
	b.Setup = func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	done := rttest.Async(func() *rttest.Result { return b.Run() })
	first := rttest.ReadTerminal(t, master, "/dev/pts/0")
	if _, err := master.WriteString("typed\n"); err != nil {
		t.Fatal(err)
	}
	rest := rttest.ReadTerminal(t, master, "21 77")
	done().Exits(4)
	if !strings.Contains(rest, "got typed") {
		t.Errorf("terminal says %q", first+rest)
	}
	if after := termios(t, slave); *after != *before {
		t.Errorf("the terminal's mode was %+v, is %+v", before, after)
	}
}

func termios(t *testing.T, f *os.File) *unix.Termios {
	t.Helper()
	mode, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return mode
}

// The container's terminal adds no carriage returns, so that `run` into a file or a pipe gives what the program wrote.
func TestRunWithTerminalClearsONLCR(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo one; echo two; stty -a")
	b.Spec.Process.Terminal = true
	_, slave := rttest.OpenPty(t)
	b.Setup = func(cmd *exec.Cmd) {
		cmd.Stdin = slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	res := b.Run().OK()
	if !strings.HasPrefix(res.Stdout, "one\ntwo\n") || !strings.Contains(res.Stdout, "-onlcr") {
		t.Errorf("stdout %q", res.Stdout)
	}
}

func TestRunWithTerminalResizes(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("trap 'stty size; exit 0' WINCH; echo up; while :; do sleep 0.05; done")
	b.Spec.Process.Terminal = true
	master, slave := rttest.OpenPty(t)
	b.Setup = func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
	done := rttest.Async(func() *rttest.Result { return b.Run() })
	rttest.ReadTerminal(t, master, "up")
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 44, Col: 111}); err != nil {
		t.Fatal(err)
	}
	rttest.ReadTerminal(t, master, "44 111")
	done().OK()
}

func TestPreserveFDs(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat <&3; cat <&4; ls /proc/self/fd | wc -l")
	b.Setup = func(cmd *exec.Cmd) {
		for _, text := range []string{"three\n", "four\n", "five\n"} {
			f, err := os.Open(b.WriteFile(text, text))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
	}
	// 0 1 2, the two asked for, and ls's own
	b.Run("--preserve-fds", "2").OK().Prints("three\nfour\n6")
	if !rttest.IsRT(t) {
		return // runc hands its own descriptors on when there are not enough of the caller's
	}
	if res := b.Run("--preserve-fds", "7"); res.Code == 0 && !strings.HasSuffix(res.Stdout, "\n7\n") {
		t.Errorf("want an error, or nothing but the caller's three: %s", res)
	}
	b.CheckGone()
}

// Socket activation: LISTEN_FDS descriptors are handed on, but only when LISTEN_PID says that they are ours.
func TestListenFDs(t *testing.T) {
	t.Parallel()
	for pid, want := range map[string]string{"$$": "1 1\nactivated", "1234567": ""} {
		t.Run("LISTEN_PID "+pid, func(t *testing.T) {
			b := rttest.New(t).Sh("[ -z \"$LISTEN_FDS\" ] || { echo $LISTEN_FDS $LISTEN_PID; cat <&3; }")
			b.Setup = func(cmd *exec.Cmd) {
				f, err := os.Open(b.WriteFile("socket", "activated\n"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { f.Close() })
				cmd.ExtraFiles = []*os.File{f}
				cmd.Args = append([]string{"sh", "-c", "LISTEN_FDS=1 LISTEN_PID=" + pid + " exec \"$@\"", "sh"}, cmd.Args...)
				cmd.Path = "/bin/sh"
			}
			b.Run().OK().Prints(want)
		})
	}
}

// Those of --preserve-fds come after those of LISTEN_FDS.
func TestListenFDsAndPreserveFDs(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo $LISTEN_FDS; cat <&3; cat <&4; [ -e /proc/self/fd/5 ] || echo none")
	b.Setup = func(cmd *exec.Cmd) {
		for _, text := range []string{"activated\n", "preserved\n", "neither\n"} {
			f, err := os.Open(b.WriteFile(strings.TrimSpace(text), text))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		cmd.Args = append([]string{"sh", "-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	b.Run("--preserve-fds", "1").OK().Prints("1\nactivated\npreserved\nnone")
}

// Nothing of the runtime's or the caller's descriptors reaches the program.
func TestNoOtherDescriptors(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("probe", "fds")
	b.Setup = func(cmd *exec.Cmd) {
		f, err := os.Open("/")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.ExtraFiles = []*os.File{f, nil, f}
	}
	for _, line := range strings.Split(strings.TrimSpace(b.Run().OK().Stdout), "\n") {
		if fd, _, _ := strings.Cut(line, " "); fd > "2" {
			t.Errorf("the program has %s", line)
		}
	}
	b.Create().OK()
	if out, _ := b.Finish(); strings.Count(out, "\n") != 3 {
		t.Errorf("the program has %q", out)
	}
}

func TestNoPivot(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("ls /; cat /proc/1/comm")
	out := b.Run("--no-pivot").OK().Stdout
	if !strings.Contains(out, "bin\n") || strings.Contains(out, "work\n") {
		t.Errorf("root holds %q", out)
	}
}

// The session keyring is the container's own, unless told otherwise.
func TestNoNewKeyring(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("probe", "keyring")
	first := b.Run().OK().Stdout
	if !strings.Contains(first, "keyring;") || !strings.Contains(first, "_ses."+b.ID) {
		t.Errorf("session keyring %q, want a new one named after the container", first)
	}
	if second := b.Run("--no-new-keyring").OK().Stdout; strings.Contains(second, b.ID) {
		t.Errorf("session keyring with --no-new-keyring: %q", second)
	}
}
