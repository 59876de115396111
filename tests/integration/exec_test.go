package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// sleeping is a container that sleeps; edit, if not nil, changes its config.
func sleeping(t *testing.T, edit func(b *rttest.Bundle)) *rttest.Bundle {
	t.Helper()
	b := rttest.New(t).Args("sleep", "1000")
	if edit != nil {
		edit(b)
	}
	b.RunDetached().OK()
	return b
}

// execIn runs a command in the container; flags are separated by spaces.
func execIn(b *rttest.Bundle, flags string, args ...string) *rttest.Result {
	return execWith(b, nil, flags, args...)
}

// execWith lets edit change the command before it starts.
func execWith(b *rttest.Bundle, edit func(*exec.Cmd), flags string, args ...string) *rttest.Result {
	line := append(append([]string{"exec"}, strings.Fields(flags)...), b.ID)
	return b.RTWith(edit, append(line, args...)...)
}

func TestExecExitStatus(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	for script, status := range map[string]int{
		"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -KILL $$": 128 + 9, "kill -TERM $$": 128 + 15,
	} {
		execIn(b, "", "sh", "-c", script).Exits(status)
	}
	for range 20 { // the status must not be lost when the command is quicker than its parent
		execIn(b, "", "false").Exits(1)
	}
}

func TestExecErrors(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	b.WriteFile("rootfs/garbage", "\x01\x02garbage")
	if err := os.Chmod(b.InRootfs("garbage"), 0o755); err != nil {
		t.Fatal(err)
	}
	for program, word := range map[string]string{
		"nosuch":      "executable file not found in $PATH",
		"/no/such":    "no such file or directory",
		"/etc/passwd": "permission denied",
		"/etc":        "/etc", // runc: permission denied; rt: is a directory
		"/garbage":    "exec format error",
	} {
		refused(t, execIn(b, "", program), program, word)
		if program != "/garbage" || rttest.IsRT(t) { // runc has let go of it by then
			refused(t, execIn(b, "--detach", program), program, word)
		}
	}
	refused(t, b.RT("exec", "nobody", "true"), "container does not exist")
}

// refused fails the test unless exec ended with 255 and these words, in one line from rt.
func refused(t *testing.T, res *rttest.Result, words ...string) {
	t.Helper()
	res.Exits(255)
	for _, w := range words {
		if !strings.Contains(res.Stderr, w) {
			t.Errorf("no %q in the error: %s", w, res)
		}
	}
	if n := strings.Count(strings.TrimSpace(res.Stderr), "\n"); n > 0 && rttest.IsRT(t) {
		t.Errorf("want an error of one line: %s", res)
	}
}

// Each state of the container, with the texts that scripts look for.
func TestExecByState(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	b.Create().OK()
	execIn(b, "", "echo", "created").OK().Prints("created")
	b.Start().OK()
	execIn(b, "", "echo", "running").OK().Prints("running")
	b.RT("pause", b.ID).OK()
	refused(t, execIn(b, "", "true"), "cannot exec in a paused container (use --ignore-paused to override)")
	b.RT("resume", b.ID).OK()
	pid := b.Pid()
	b.Kill("KILL").OK()
	b.Wait(pid)
	refused(t, execIn(b, "", "true"), "cannot exec in a stopped container")
	refused(t, execIn(b, "--ignore-paused", "true"), "cannot exec in a stopped container")
}

func TestExecInAnUnfinishedContainer(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a record from before the first side effect")
	b := rttest.New(t)
	record := `{"version":1,"id":"` + b.ID + `","created":"2026-11-21T08:00:00Z","cgroup":{"mode":"disabled"}}`
	b.WriteFile("../state/"+b.ID+"/creating.json", record)
	b.WriteConfig()
	if err := os.Chmod(filepath.Join(b.Root, b.ID), 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, execIn(b, "", "true"), "still being created")
}

// With --ignore-paused the command waits for resume.
func TestExecIgnorePaused(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	b.RT("pause", b.ID).OK()
	done := rttest.Async(func() *rttest.Result { return execIn(b, "--ignore-paused", "echo", "thawed") })
	time.Sleep(200 * time.Millisecond)
	if s := b.State(); s.Status != "paused" {
		t.Errorf("exec ended the pause: %+v", s)
	}
	b.RT("resume", b.ID).OK()
	done().OK().Prints("thawed")
}

func TestExecStdio(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	t.Run("separate streams", func(t *testing.T) {
		res := execIn(b, "", "sh", "-c", "echo out; echo err >&2").OK().Prints("out")
		if res.Stderr != "err\n" {
			t.Errorf("stderr %q", res.Stderr)
		}
	})
	t.Run("stdin", func(t *testing.T) {
		execWith(b, func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader("through\n") }, "", "cat").OK().Prints("through")
	})
	t.Run("5 MB through pipes", func(t *testing.T) {
		sent := bytes.Repeat([]byte("0123456789abcde\n"), 5<<16)
		var out bytes.Buffer
		execWith(b, func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = bytes.NewReader(sent), &out }, "", "cat").OK()
		if sha256.Sum256(out.Bytes()) != sha256.Sum256(sent) {
			t.Errorf("got %d bytes, sent %d", out.Len(), len(sent))
		}
	})
	t.Run("a reader that has gone", func(t *testing.T) {
		r, w := pipe(t)
		r.Close()
		res := execWith(b, func(cmd *exec.Cmd) { cmd.Stdout = w }, "", "sh", "-c", "exec yes")
		if res.Code == 0 {
			t.Errorf("yes ended well: %s", res)
		}
	})
}

// A detached exec returns when the command runs, and says its pid in a file.
func TestExecDetach(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	file := filepath.Join(b.Mkdir("pids"), "exec.pid")
	execIn(b, "--detach --pid-file "+file, "sh", "-c", "sleep 0.2; exit 6").OK().Prints("")
	data := read(t, file)
	pid, err := strconv.Atoi(data)
	if err != nil {
		t.Fatalf("pid file %q", data)
	}
	if ppid := rttest.Status(rttest.ProcFile(t, pid, "status"))["PPid"]; ppid != "1" {
		t.Errorf("its parent is %s, not us", ppid)
	}
	if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
		t.Errorf("more than the pid file in its directory: %v", entries)
	}
	if status := b.Wait(pid); status != 6 {
		t.Errorf("status %d", status)
	}
}

func TestExecPidFile(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	dir := b.Mkdir("pids")
	execWith(b, func(cmd *exec.Cmd) { cmd.Dir = dir }, "--pid-file exec.pid", "true").OK()
	if pid, err := strconv.Atoi(read(t, dir+"/exec.pid")); err != nil || pid < 2 {
		t.Errorf("pid file: %d %v", pid, err)
	}
	refused(t, execIn(b, "--pid-file /nonexistent/dir/pid", "true"), "/nonexistent/dir")
	refused(t, execIn(b, "--detach --pid-file "+dir+"/failed", "nosuch"), "nosuch")
	if _, err := os.Stat(dir + "/failed"); err == nil && rttest.IsRT(t) {
		t.Error("a failed exec left its pid file")
	}
}

func TestExecPidfdSocket(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	socket := rttest.ListenFD(t)
	file := filepath.Join(b.Mkdir("pids"), "exec.pid")
	execIn(b, "--detach --pid-file "+file+" --pidfd-socket "+socket.Path, "sleep", "1000").OK()
	pidfd, _ := socket.Receive()
	defer func() { // init's end waits until nobody of its namespace is left, zombies included
		pid, _ := strconv.Atoi(read(t, file))
		_ = unix.Kill(pid, unix.SIGKILL)
		b.Wait(pid)
	}()
	info := read(t, fmt.Sprintf("/proc/self/fdinfo/%d", pidfd.Fd()))
	if pid := read(t, file); rttest.Status(info)["Pid"] != pid {
		t.Errorf("not a pidfd of %s: %s", pid, info)
	}
	refused(t, execIn(b, "--pidfd-socket /nonexistent/socket", "true"), "/nonexistent/socket")
}

func TestExecConsoleSocket(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	socket := rttest.ListenFD(t)
	file := filepath.Join(b.Mkdir("pids"), "exec.pid")
	execIn(b, "--tty --detach --pid-file "+file+" --console-socket "+socket.Path, "sh", "-c", "tty; read line; echo got $line; exit 5").OK()
	master, name := socket.Receive()
	if name == "" {
		t.Error("no name came with the terminal")
	}
	if _, err := master.WriteString("hello\n"); err != nil {
		t.Fatal(err)
	}
	if text := rttest.ReadTerminal(t, master, ""); !strings.Contains(text, "/dev/pts/0") || !strings.Contains(text, "got hello") {
		t.Errorf("terminal says %q", text)
	}
	pid, _ := strconv.Atoi(read(t, file))
	if status := b.Wait(pid); status != 5 {
		t.Errorf("status %d", status)
	}
}

func TestExecConsoleSocketRules(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	path := rttest.ListenFD(t).Path
	refused(t, execIn(b, "--tty --detach", "true"), "console")
	refused(t, execIn(b, "--detach --console-socket "+path, "true"), "console")
	refused(t, execIn(b, "--tty --console-socket "+path, "true"), "console")
	refused(t, execIn(b, "--tty --detach --console-socket /nonexistent/socket", "true"), "/nonexistent/socket")
}

// In the foreground the caller's terminal is copied to the command's, in raw mode meanwhile.
func TestExecWithTerminal(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	master, slave := rttest.OpenPty(t)
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 21, Col: 77}); err != nil {
		t.Fatal(err)
	}
	before := termios(t, slave)
	done := rttest.Async(func() *rttest.Result {
		return execWith(b, func(cmd *exec.Cmd) {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		}, "--tty", "sh", "-c", "tty; read line; echo got $line; stty size; ls -l /proc/self/fd; exit 4")
	})
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

// Without --tty the command must not get the caller's terminal itself, only pipes to it.
func TestExecWithoutTerminalFromATerminal(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	master, slave := rttest.OpenPty(t)
	done := rttest.Async(func() *rttest.Result {
		return execWith(b, func(cmd *exec.Cmd) {
			cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		}, "", "sh", "-c", "tty; echo end")
	})
	if text := rttest.ReadTerminal(t, master, "end"); !strings.Contains(text, "not a tty") {
		t.Errorf("terminal says %q", text)
	}
	done().Exits(0)
}

func TestExecForwardsSignals(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	r, w := pipe(t)
	execWith(b, func(cmd *exec.Cmd) {
		cmd.Stdout = w
		go func() {
			_, _ = r.Read(make([]byte, 3))
			_ = cmd.Process.Signal(unix.SIGTERM)
		}()
	}, "", "sh", "-c", "trap 'exit 42' TERM; echo up; while :; do sleep 0.05; done").Exits(42)
}

func TestExecPreserveFDs(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.AddProbe() })
	b.WriteFile("three", "three\n")
	give := func(cmd *exec.Cmd) {
		for range 3 {
			f, err := os.Open(filepath.Join(b.Dir, "three"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
	}
	execWith(b, give, "--preserve-fds 2", "sh", "-c", "cat <&3; ls /proc/self/fd | wc -l").OK().Prints("three\n6")
	if fds := execWith(b, give, "", "probe", "fds").OK().Stdout; strings.Count(fds, "\n") != 3 {
		t.Errorf("the command has %q", fds)
	}
	if rttest.IsRT(t) {
		refused(t, execIn(b, "--preserve-fds 1", "true"), "--preserve-fds")
		refused(t, execIn(b, "--preserve-fds -1", "true"), "--preserve-fds")
	}
}

// LISTEN_FDS is for a service, which an exec'd command is not; its LISTEN_PID=1 would be a lie.
func TestExecTakesNoListenFDs(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.AddProbe() })
	res := execWith(b, func(cmd *exec.Cmd) {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.ExtraFiles = []*os.File{f}
		cmd.Args = append([]string{"sh", "-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}, "", "sh", "-c", "echo $LISTEN_FDS; probe fds | wc -l").OK()
	res.Prints("3")
}

// Many at once do not disturb each other, and leave nothing behind.
func TestExecInParallel(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	var group sync.WaitGroup
	for i := range 50 {
		group.Go(func() {
			if res := execIn(b, "", "sh", "-c", fmt.Sprintf("echo %d; exit %d", i, i)); res.Code != i || res.Stdout != fmt.Sprintln(i) {
				t.Errorf("want %d: %s", i, res)
			}
		})
	}
	group.Wait()
	b.RT("ps", "--format", "json", b.ID).OK().Prints(fmt.Sprintf("[%d]", b.Pid()))
	if entries, _ := os.ReadDir(filepath.Join(b.Root, b.ID)); len(entries) != 1 && rttest.IsRT(t) {
		t.Errorf("the container's directory holds %v", entries)
	}
}

// Whoever is quicker: the exec ends, and nothing of it is left.
func TestExecWhileDeleting(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "its own children are reaped; runc leaves some to be, which hold up the end of the PID namespace")
	for i := range 12 {
		b := sleeping(t, nil)
		done := rttest.Async(func() *rttest.Result { return execIn(b, "", "sleep", "1000") })
		time.Sleep(time.Duration(i) * 2 * time.Millisecond)
		b.Delete("--force").OK()
		if res := done(); res.Code != 128+9 && res.Code != 255 {
			t.Errorf("after %d ms: %s", 2*i, res)
		}
		rttest.Settle(t, b, "while a command was executed in it")
	}
}

// rt exec killed at any time leaves no process of its making in the container.
func TestExecKilled(t *testing.T) { // not parallel: the orphans that it reaps are its own
	rttest.OnlyRT(t, "the command is not started when its exec is gone before")
	b := sleeping(t, nil)
	for i := range 20 {
		cmd := exec.Command(b.Command("exec", b.ID, "sleep", "0.3")[0], b.Command("exec", b.ID, "sleep", "0.3")[1:]...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 300 * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	onlyInitIsLeft(t, b)
}

// onlyInitIsLeft waits for the end of processes that nobody but us can reap, in and outside of the container: no other test may run.
func onlyInitIsLeft(t *testing.T, b *rttest.Bundle) {
	t.Helper()
	init := strconv.Itoa(b.Pid())
	rttest.Eventually(t, "only init is left", func() bool {
		for reaped := 1; reaped > 0; {
			reaped, _ = unix.Wait4(-1, nil, unix.WNOHANG, nil)
		}
		left, _ := filepath.Glob("/proc/[0-9]*")
		return slices.Equal(left, []string{"/proc/1", "/proc/" + init})
	})
	b.RT("ps", "--format", "json", b.ID).OK().Prints("[" + init + "]")
}
