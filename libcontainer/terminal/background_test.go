package terminal

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// childEnv makes the test binary the session leader on the terminal that is its
// stdin.
const childEnv = "TERMINAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		if err := loseForeground(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The mode of our terminal comes back even if another job has it by then. The
// kernel stops a background job for touching it.
func TestRestoredFromBackground(t *testing.T) {
	_, tty := openPTY(t)
	before := termios(t, tty)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	cmd.Stdin, cmd.Stderr = tty, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	check(t, cmd.Start())
	within(t, "the child", func() {
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	if after := termios(t, tty); after != before {
		t.Errorf("our terminal's mode was %+v and is %+v", before, after)
	}
}

// loseForeground relays, hands the terminal to another job and ends the relay.
func loseForeground() error {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		return err
	}
	r, err := Terminal(os.NewFile(uintptr(fd), "master"), 0, 2)
	if err != nil {
		return err
	}
	job := exec.Command("/bin/sleep", "1000")
	job.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Foreground: true, Ctty: 0}
	if err := job.Start(); err != nil {
		return err
	}
	defer func() { job.Process.Kill(); job.Wait() }()
	front, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
	if err != nil || front != job.Process.Pid {
		return fmt.Errorf("the foreground is %d (%v), not the job", front, err)
	}
	return r.Close()
}
