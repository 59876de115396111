// Package clients plugs the runtime named by $RT into real engines, by each engine's own option for that, and uses it
// through them: containerd (ctr), Docker and Podman, in the versions that are installed. A test skips, by name, when its
// engine is not there. Everything happens in namespaces of the run's own; no daemon of the machine is asked or touched.
package clients

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// wrappedEnv says that the process is in the network namespace that sandbox.sh prepared.
const wrappedEnv = "RT_CLIENTS_SANDBOX"

//go:embed sandbox.sh
var sandboxScript string

func TestMain(m *testing.M) {
	if os.Geteuid() == 0 && os.Getenv(wrappedEnv) == "" {
		os.Exit(wrap())
	}
	if os.Getpid() == 1 {
		go reapOrphans()
	}
	rttest.Main(m)
}

// wrap starts this test binary again through sandbox.sh and hands its status on.
func wrap() int {
	runtime.LockOSThread() // Pdeathsig fires when the thread that started the child ends
	self, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	args := append([]string{"-c", sandboxScript, "sandbox.sh", self}, os.Args[1:]...)
	cmd := exec.Command("/bin/sh", args...)
	cmd.Env = append(os.Environ(), wrappedEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err = cmd.Run(); err == nil {
		return 0
	}
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() > 0 {
		return cmd.ProcessState.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "clients:", err)
	return 1
}

// reapOrphans does what the PID 1 of a machine does: engines wait for a shim or conmon to be gone, and a zombie is not.
// Only what was a zombie a second ago is taken, so that the status of commands that we started is left for them.
func reapOrphans() {
	var before []int
	for {
		time.Sleep(time.Second)
		now := zombies()
		for _, pid := range now {
			if slices.Contains(before, pid) {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
		before = now
	}
}

// zombies lists our ended children.
func zombies() (pids []int) {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		data, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(data), ") ")
		if strings.HasPrefix(rest, "Z 1 ") {
			var pid int
			if _, err := fmt.Sscanf(path, "/proc/%d/stat", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}
