package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// An engine is a client program with the flags that every call of it gets.
type engine struct {
	t    *testing.T
	base []string

	// What only Docker and Podman have, see container_test.go.
	runFlags, netFlags []string // of every container's run
	rmFlags            []string // of every container's end
	cgroupPrefix       string   // what stands before its id in the name of its cgroup
	everyCapability    bool     // --privileged asks for all, even for those that the engine itself lacks
}

// in is the engine for a subtest.
func (e engine) in(t *testing.T) engine {
	e.t = t
	return e
}

func (e engine) run(args ...string) *rttest.Result {
	e.t.Helper()
	return rttest.Exec(e.t, nil, e.argv(args)...)
}

func (e engine) argv(args []string) []string { return append(append([]string{}, e.base...), args...) }

// says fails the test unless the command succeeds and prints the text, trimmed.
func (e engine) says(want string, args ...string) {
	e.t.Helper()
	e.run(args...).OK().Prints(want)
}

// onTerminal runs the command with a terminal as its stdio, types the input and returns all that came out.
func (e engine) onTerminal(input string, args ...string) string {
	e.t.Helper()
	master, slave := rttest.OpenPty(e.t)
	if err := unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 31, Col: 97}); err != nil {
		e.t.Fatal(err)
	}
	cmd := exec.Command(e.base[0], e.argv(args)[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		e.t.Fatal(err)
	}
	slave.Close()
	if input != "" {
		time.Sleep(time.Second) // the client makes its terminal raw after the container is up
		fmt.Fprint(master, input)
	}
	out := rttest.ReadTerminal(e.t, master, "")
	if err := cmd.Wait(); err != nil {
		e.t.Errorf("%s: %v: %q", strings.Join(args, " "), err, out)
	}
	return out
}

// eventually polls a command until its output has the text.
func (e engine) eventually(want string, args ...string) {
	e.t.Helper()
	var last *rttest.Result
	for until := time.Now().Add(20 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
		if last = e.run(args...); strings.Contains(last.Stdout+last.Stderr, want) {
			return
		}
	}
	e.t.Fatalf("never said %q: %s", want, last)
}

// contains fails the test unless the text has each of the words.
func contains(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in %q", w, text)
		}
	}
}

// need skips the test without these programs.
func need(t *testing.T, programs ...string) {
	t.Helper()
	rttest.Need(t, rttest.Root)
	for _, p := range programs {
		rttest.Need(t, rttest.Command(p))
	}
}

// startDaemon runs a daemon until the test ends, with its log in the directory; the end of a failed test shows the log's.
func startDaemon(t *testing.T, dir string, args ...string) {
	t.Helper()
	endWith(t, dir, launch(t, dir, args...))
}

func endWith(t *testing.T, dir string, stop func()) {
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			showLog(t, filepath.Join(dir, "daemon.log"))
		}
	})
}

// launch starts a daemon, with its log in the directory, and returns what stops it.
func launch(t *testing.T, dir string, args ...string) (stop func()) {
	t.Helper()
	log, err := os.OpenFile(filepath.Join(dir, "daemon.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return sync.OnceFunc(func() {
		_ = cmd.Process.Signal(unix.SIGTERM)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s did not end", args[0])
			_ = cmd.Process.Kill()
			<-ended
		}
	})
}

func showLog(t *testing.T, path string) {
	data, _ := os.ReadFile(path)
	if len(data) > 6000 {
		data = data[len(data)-6000:]
	}
	t.Logf("%s:\n%s", path, data)
}

// workDir is a directory with a short name: sockets live in it.
func workDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("/tmp", rttest.CgroupParent(), name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unmountBelow(dir)
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

// openDir is a directory that everybody may write to, as a rootless engine wants it.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Join("/tmp", rttest.CgroupParent()), "open-")
	must(t, err)
	must(t, os.Chmod(dir, 0o777))
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	return dir
}

// unmountBelow unmounts what an ended engine leaves mounted on purpose, for its next start.
func unmountBelow(dir string) {
	data, _ := os.ReadFile("/proc/self/mountinfo")
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if f := strings.Fields(lines[i]); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			_ = unix.Unmount(f[4], unix.MNT_DETACH)
		}
	}
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// cgroupSays fails the test unless the container's cgroup file, in the controller's v1 hierarchy, holds the text.
func cgroupSays(t *testing.T, want, controller, name, file string) {
	t.Helper()
	rttest.Need(t, rttest.Controller(controller))
	path := filepath.Join(rttest.CgroupDir(t, controller, rttest.CgroupParent()), name, file)
	data, err := os.ReadFile(path)
	if got := strings.TrimSpace(string(data)); err != nil || got != want {
		t.Errorf("%s holds %q, want %q (%v)", path, got, want, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// metrics is what engines want that read a container's cgroups: each hierarchy that /proc/self/cgroup names is mounted
// here. Somebody else may have made one since the sandbox was prepared.
func metrics() string {
	data, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(line, ":", 3)
		if f[1] == "" || strings.Contains(f[1], "=") {
			continue
		}
		for name := range strings.SplitSeq(f[1], ",") {
			if missing := rttest.Controller(name)(); missing != "" {
				return missing + " mounted (/proc/self/cgroup names it)"
			}
		}
	}
	return ""
}

// removeCgroups removes the cgroup and what is below it from every v1 hierarchy, unless it is in use: engines leave
// their own processes' cgroups.
func removeCgroups(path string) {
	tops, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup/*", path))
	for _, top := range tops {
		var dirs []string
		_ = filepath.WalkDir(top, func(dir string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, dir)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			_ = os.Remove(dir)
		}
	}
}
