package nsenter

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// scratch holds what all tests share: the stage, built with the sanitizers.
var scratch string

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "rt-nsenter-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	before := openFiles()
	status := m.Run()
	theDecoder.stop()
	os.RemoveAll(scratch)
	if leaked := slices.DeleteFunc(openFiles(), func(f string) bool { return slices.Contains(before, f) }); len(leaked) > 0 {
		fmt.Fprintln(os.Stderr, "left open:", leaked)
		status = 1
	}
	os.Exit(status)
}

// openFiles lists what is open here, but for what the Go runtime opens for itself.
func openFiles() []string {
	entries, _ := os.ReadDir("/proc/self/fd")
	var open []string
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.Contains(to, "/cgroup") {
			open = append(open, e.Name()+" → "+to)
		}
	}
	return open
}

// buildStage compiles the stage as the package does, with the address and
// undefined-behaviour sanitizers, around testdata/main.c. A machine that cannot
// is no machine to test on, so that is a failure.
var buildStage = sync.OnceValues(func() (string, error) {
	sources, err := filepath.Glob("*.c")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(scratch, "stage")
	args := []string{"-std=gnu11", "-O1", "-g1", "-D_GNU_SOURCE", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
		"-fno-omit-frame-pointer", "-Wall", "-Wextra", "-Wshadow", "-Wformat=2", "-Werror", "-o", binary}
	cmd := exec.Command("gcc", append(append(args, sources...), "testdata/main.c")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
	}
	return binary, nil
})

func sanitizedStage(t testing.TB) string {
	t.Helper()
	binary, err := buildStage()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// sanitizerEnv makes any finding an exit status that nothing else has.
var sanitizerEnv = []string{"ASAN_OPTIONS=exitcode=99:detect_leaks=0", "UBSAN_OPTIONS=exitcode=99:print_stacktrace=1"}

// lockedBuffer collects what a process prints.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
