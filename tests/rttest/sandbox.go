package rttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// runSandbox starts this test binary again in a new mount and PID namespace and hands its status on. The inner
// process is PID 1 there: it inherits every orphan, and when it ends, by panic or timeout too, the kernel kills the rest.
func runSandbox() int {
	runtime.LockOSThread() // Pdeathsig fires when the thread that started the child ends
	name := fmt.Sprintf("rt-test-%d", os.Getpid())
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), sandboxEnv+"="+name)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if !onMachine() {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
		cmd.SysProcAttr.Unshareflags = unix.CLONE_NEWNS // Go makes / rprivate after it
	}
	err := cmd.Start()
	if err == nil {
		ended := make(chan struct{})
		go thawWhenDying(cmd.Process.Pid, name, ended)
		err = cmd.Wait()
		close(ended)
	}
	sweepCgroups(name)
	_ = os.Remove(workDir(name)) // its content was a tmpfs of the sandbox
	if err == nil {
		return 0
	}
	if cmd.ProcessState != nil && cmd.ProcessState.ExitCode() > 0 {
		return cmd.ProcessState.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "rttest:", err)
	return 1
}

// runName is the name of this run: the top directory of its cgroups and of its files.
func runName() string { return os.Getenv(sandboxEnv) }

func workDir(name string) string { return filepath.Join("/tmp", name) }

// onMachine tells whether the tests drive the machine's own systemd: to it, process numbers of another PID namespace
// mean nothing, and its mounts must be seen. It is for a machine that is thrown away afterwards (tests/vm).
func onMachine() bool { return os.Getenv("RTTEST_MACHINE") == "1" }

// adoptOrphans makes us for every orphan what PID 1 is.
func adoptOrphans() error {
	if onMachine() {
		return os.NewSyscallError("prctl", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	}
	if os.Getpid() != 1 {
		return fmt.Errorf("%s is set, but this is process %d, not 1", sandboxEnv, os.Getpid())
	}
	return nil
}

// enterSandbox mounts what the new namespaces need: their procfs, a work directory and a /run that hide the machine's.
func enterSandbox() error {
	if err := adoptOrphans(); err != nil {
		return err
	}
	work := workDir(runName())
	if err := os.Mkdir(work, 0o755); err != nil {
		return err
	}
	mounts := []struct{ fs, target, data string }{
		{"tmpfs", work, "mode=755"},
		{"proc", "/proc", ""},
		{"tmpfs", "/run", "mode=755"},
	}
	if onMachine() {
		mounts = mounts[:1]
	}
	for _, m := range mounts {
		if err := unix.Mount(m.fs, m.target, m.fs, 0, m.data); err != nil {
			return &os.PathError{Op: "mount " + m.fs, Path: m.target, Err: err}
		}
	}
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_FDS", "XDG_RUNTIME_DIR"} {
		_ = os.Unsetenv(name)
	}
	unix.Umask(0o022)
	// What our own caller left open is not for the runtime: tests give it descriptors when they mean to.
	return os.NewSyscallError("close_range", unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC))
}

// thawWhenDying helps a sandbox to its end: a process that a test left frozen does not die with its namespace.
func thawWhenDying(pid int, name string, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(200 * time.Millisecond):
		}
		if dying(pid) {
			thawAll(name)
		}
	}
}

// dying says whether the process has begun to exit (PF_EXITING in its stat).
func dying(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if err != nil || len(f) < 7 {
		return true
	}
	flags, _ := strconv.Atoi(f[6])
	return flags&0x4 != 0
}

// thawAll thaws every v1 freezer cgroup of the run.
func thawAll(name string) {
	for _, dir := range cgroupDirsBelow(name) {
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0)
	}
}
