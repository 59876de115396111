package rttest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Runtime is the absolute path of the binary under test.
func Runtime(t testing.TB) string {
	t.Helper()
	path, err := findRuntime()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var findRuntime = sync.OnceValues(func() (string, error) {
	if rt := os.Getenv("RT"); rt != "" {
		path, err := exec.LookPath(rt)
		if err != nil {
			return "", fmt.Errorf("$RT: %w", err)
		}
		return filepath.Abs(path)
	}
	top, err := repository()
	if err != nil {
		return "", err
	}
	rt := filepath.Join(top, "rt")
	if _, err := os.Stat(rt); err != nil {
		return "", fmt.Errorf("%w: build it with make, or set $RT", err)
	}
	return rt, nil
})

// repository is the directory of go.mod above the test's working directory.
func repository() (string, error) {
	start, err := os.Getwd()
	for dir := start; err == nil && dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("no go.mod above %s", start)
}

// IsRT says whether the binary under test is rt and not a peer.
func IsRT(t testing.TB) bool {
	t.Helper()
	first, _, _ := strings.Cut(runtimeVersion(Runtime(t)), "\n")
	return strings.HasPrefix(first, "rt ")
}

var versions sync.Map // runtime path → --version output

func runtimeVersion(path string) string {
	if v, ok := versions.Load(path); ok {
		return v.(string)
	}
	out, _ := exec.Command(path, "--version").Output()
	versions.Store(path, string(out))
	return string(out)
}

// timeScale stretches every deadline: RTTEST_TIME_SCALE=30 for a machine emulated in software.
func timeScale() time.Duration {
	if n, err := strconv.Atoi(os.Getenv("RTTEST_TIME_SCALE")); err == nil && n > 0 {
		return time.Duration(n)
	}
	return 1
}

// Stretch is how long something may take that takes d at most on a machine of its own.
func Stretch(d time.Duration) time.Duration { return d * timeScale() }

// deadline is how long one command may take.
func deadline() time.Duration { return 30 * time.Second * timeScale() }

// A Result is what a command left: its output and how it ended.
type Result struct {
	t              testing.TB
	Args           []string
	Stdout, Stderr string
	Code           int // exit status, or -1 when a signal ended it
}

// OK fails the test unless the command exited with 0.
func (r *Result) OK() *Result {
	r.t.Helper()
	return r.Exits(0)
}

// Exits fails the test unless the command exited with the status.
func (r *Result) Exits(code int) *Result {
	r.t.Helper()
	if r.Code != code {
		r.t.Fatalf("exit status %d, want %d: %s", r.Code, code, r)
	}
	return r
}

// Fails fails the test unless the command exited with 1 and said each of the words on stderr.
func (r *Result) Fails(words ...string) *Result {
	r.t.Helper()
	r.Exits(1)
	for _, w := range words {
		if !strings.Contains(r.Stderr, w) {
			r.t.Fatalf("no %q in the error: %s", w, r)
		}
	}
	return r
}

// FailsNaming fails the test unless the command exited with 1 and an error on stderr. rt's is one line with each of
// the words in it, the field at fault among them; peers word theirs in their own ways.
func (r *Result) FailsNaming(words ...string) *Result {
	r.t.Helper()
	r.Fails()
	if r.Stderr == "" {
		r.t.Fatalf("no error on stderr: %s", r)
	}
	if !IsRT(r.t) {
		return r
	}
	if strings.Count(strings.TrimSpace(r.Stderr), "\n") > 0 {
		r.t.Errorf("want an error of one line: %s", r)
	}
	return r.Fails(words...)
}

// Prints fails the test unless stdout, trimmed, is this.
func (r *Result) Prints(want string) *Result {
	r.t.Helper()
	if got := strings.TrimSpace(r.Stdout); got != want {
		r.t.Fatalf("got %q, want %q: %s", got, want, r)
	}
	return r
}

func (r *Result) String() string {
	return fmt.Sprintf("%s\n  status %d\n  stdout %s\n  stderr %s",
		strings.Join(r.Args, " "), r.Code, brief(r.Stdout), brief(r.Stderr))
}

func brief(s string) string {
	if len(s) > 2000 {
		return s[:1000] + " … " + s[len(s)-1000:]
	}
	return s
}

// Exec runs a command to its end, within the deadline. Its stdout and stderr are files, so that a container that holds
// them open delays nobody; edit, if not nil, changes the command before it starts.
func Exec(t testing.TB, edit func(*exec.Cmd), args ...string) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline())
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	stdout, stderr := tempFile(t, "out"), tempFile(t, "err")
	defer stdout.discard()
	defer stderr.discard()
	cmd.Stdout, cmd.Stderr = stdout.File, stderr.File
	if edit != nil {
		edit(cmd)
	}
	err := cmd.Run()
	res := &Result{t: t, Args: args, Stdout: stdout.text(), Stderr: stderr.text(), Code: -1}
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	if ctx.Err() != nil {
		t.Fatalf("no end after %v: %s", deadline(), res)
	}
	res.Code = cmd.ProcessState.ExitCode()
	return res
}

// outFile is a temporary file that takes a command's output.
type outFile struct{ *os.File }

func tempFile(t testing.TB, kind string) outFile {
	t.Helper()
	f, err := os.CreateTemp(tempParent(), kind+"-")
	if err != nil {
		t.Fatal(err)
	}
	return outFile{f}
}

// tempParent is the run's work directory, or the machine's temporary one outside the sandbox.
func tempParent() string {
	if runName() == "" {
		return os.TempDir()
	}
	return workDir(runName())
}

func (f outFile) text() string {
	data, err := os.ReadFile(f.Name())
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (f outFile) discard() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// WaitPid waits for a child of ours that somebody else started (we are PID 1) and returns its status as a shell would:
// the exit status, or 128 and the signal's number.
func WaitPid(t testing.TB, pid int) int {
	t.Helper()
	var status unix.WaitStatus
	Eventually(t, fmt.Sprintf("process %d ends", pid), func() bool {
		got, err := unix.Wait4(pid, &status, unix.WNOHANG, nil)
		if err != nil && err != unix.EINTR {
			t.Fatalf("wait for process %d: %v", pid, err)
		}
		return got == pid
	})
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}

// Async starts f in a goroutine of its own and returns a function that waits for its result. When f failed the test
// there, that function ends the calling goroutine too.
func Async(f func() *Result) (wait func() *Result) {
	done := make(chan *Result, 1)
	go func() {
		defer close(done)
		done <- f()
	}()
	return func() *Result {
		res, ok := <-done
		if !ok {
			runtime.Goexit()
		}
		return res
	}
}
