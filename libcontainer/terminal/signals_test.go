package terminal

import (
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// victim is a process that prints the signals it gets, and ends at TERM.
func victim(t *testing.T) (cmd *exec.Cmd, pidfd int, output *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	check(t, err)
	t.Cleanup(func() { r.Close() })
	cmd = exec.Command("/bin/sh", "-c", `
		for s in HUP INT USR1 USR2 WINCH URG PIPE TSTP TTIN TTOU CONT; do trap "echo $s" $s; done
		trap "echo TERM; exit 5" TERM
		echo ready
		while :; do sleep 0.01; done`)
	cmd.Stdout = w
	check(t, cmd.Start())
	w.Close()
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	pidfd, err = unix.PidfdOpen(cmd.Process.Pid, 0)
	check(t, err)
	t.Cleanup(func() { unix.Close(pidfd) })
	readExactly(t, r, "ready\n")
	return cmd, pidfd, r
}

// catchSignals catches them until the test ends.
func catchSignals(t *testing.T, resize bool) *Signals {
	t.Helper()
	s, err := CatchSignals(resize)
	check(t, err)
	t.Cleanup(s.Stop)
	return s
}

func raise(t *testing.T, sig unix.Signal) {
	t.Helper()
	check(t, unix.Kill(os.Getpid(), sig))
}

func TestSignalsForwarded(t *testing.T) {
	_, pidfd, out := victim(t)
	s := catchSignals(t, false)
	// Before the container is there.
	raise(t, unix.SIGUSR1)
	time.Sleep(20 * time.Millisecond)
	go s.Forward(pidfd, nil)
	readExactly(t, out, "USR1\n")
	for _, sig := range []unix.Signal{unix.SIGHUP, unix.SIGINT, unix.SIGUSR2, unix.SIGTSTP, unix.SIGCONT} {
		if signal.Ignored(sig) {
			continue // by whoever started the test, and so by the shell too
		}
		raise(t, sig)
		readExactly(t, out, strings.TrimPrefix(unix.SignalName(sig), "SIG")+"\n")
	}
	// None of these comes through, and none of them stops or ends us.
	for _, sig := range []unix.Signal{unix.SIGURG, unix.SIGCHLD, unix.SIGWINCH} {
		raise(t, sig)
	}
	raise(t, unix.SIGTERM)
	readExactly(t, out, "TERM\n")
}

func TestSignalsMeantForContainer(t *testing.T) {
	no := map[unix.Signal]bool{
		unix.SIGKILL: true, unix.SIGSTOP: true, unix.SIGURG: true, unix.SIGCHLD: true, unix.SIGPIPE: true,
		unix.SIGTTIN: true, unix.SIGTTOU: true, unix.SIGWINCH: true, 32: true, 33: true, 34: true,
	}
	for sig := unix.Signal(1); sig <= maxSignal; sig++ {
		if got := meantForContainer(sig, false); got == no[sig] {
			t.Errorf("signal %d: %v", sig, got)
		}
	}
	if !meantForContainer(unix.SIGWINCH, true) {
		t.Error("WINCH is not caught with a terminal")
	}
}

func TestWindowChange(t *testing.T) {
	_, pidfd, out := victim(t)
	user, tty := openPTY(t)
	master, slave := rawSlave(t)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), int(tty.Fd()))
	check(t, err)
	s := catchSignals(t, true)
	go s.Forward(pidfd, r)
	check(t, unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 44, Col: 80}))
	raise(t, unix.SIGWINCH)
	within(t, "the resize", func() {
		for {
			size, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ)
			if err == nil && size.Row == 44 {
				return
			}
			time.Sleep(time.Millisecond)
		}
	})
	raise(t, unix.SIGUSR1)
	readExactly(t, out, "USR1\n") // and not WINCH
	slave.Close()
	mustClose(t, r)
}

// A reader that does not read holds the end of a foreground run, and with it
// the signals: then they end the wait.
func TestSignalAbandonsOutput(t *testing.T) {
	cmd, pidfd, _ := victim(t)
	master, slave := rawSlave(t)
	unread, stdout := pipeFDs(t)
	defer unix.Close(unread)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), stdout)
	check(t, err)
	s := catchSignals(t, true)
	fill(t, slave)
	raise(t, unix.SIGTERM)
	check(t, s.Forward(pidfd, r))
	cmd.Wait()
	closed := make(chan struct{})
	go func() { s.Drain(pidfd, r); close(closed) }()
	raise(t, unix.SIGUSR1)
	select {
	case <-closed:
		t.Fatal("Close returned although output is not written")
	case <-time.After(50 * time.Millisecond):
	}
	raise(t, unix.SIGINT)
	within(t, "Close after a signal", func() { <-closed })
}

func TestStopBeforeForward(t *testing.T) {
	s, err := CatchSignals(false)
	check(t, err)
	raise(t, unix.SIGUSR1)
	within(t, "Stop", s.Stop)
}
