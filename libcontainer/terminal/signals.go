package terminal

import (
	"os"

	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// Signals passes the signals that reach us on to a container in the
// foreground. They wait in a pipe, which needs no thread of its own.
type Signals struct {
	mask uint64
	pipe [2]int
}

// maxSignal is SIGRTMAX.
const maxSignal = 64

// CatchSignals holds back the signals sent to this process from now on. Call it
// before the container is made, so that none is lost; Forward delivers what has
// come in. resize says that SIGWINCH is wanted, for the terminal.
func CatchSignals(resize bool) (*Signals, error) {
	s := &Signals{}
	if err := unix.Pipe2(s.pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	for sig := unix.Signal(1); sig <= maxSignal; sig++ {
		if meantForContainer(sig, resize) {
			s.mask |= 1 << (sig - 1)
		}
	}
	return s, nsenter.CatchSignals(s.mask, s.pipe[1])
}

// meantForContainer is false for the signals that are about us and not about
// the container.
func meantForContainer(sig unix.Signal, resize bool) bool {
	switch sig {
	case unix.SIGKILL, unix.SIGSTOP: // cannot be caught
		return false
	case unix.SIGURG: // the Go runtime preempts its goroutines with it
		return false
	case unix.SIGCHLD, unix.SIGPIPE: // our own child, our own stdout
		return false
	case unix.SIGTTIN, unix.SIGTTOU:
		// The kernel's answer to using our terminal from the background. If they
		// were caught it would restart the call for ever; uncaught they stop us,
		// as they stop any job.
		return false
	case unix.SIGWINCH:
		return resize
	}
	return sig < 32 || sig > 34 // these belong to the C library
}

// Forward sends everything caught so far and from now on to the process behind
// pidfd, and returns when that has ended. SIGWINCH resizes the terminal of relay
// instead; relay may be nil.
func (s *Signals) Forward(pidfd int, relay *Relay) error {
	for {
		polled := []unix.PollFd{{Fd: int32(s.pipe[0]), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		s.deliver(pidfd, relay)
		if polled[1].Revents != 0 {
			return nil
		}
	}
}

// Drain closes relay and returns when its output is written. A signal that asks
// us to end meanwhile abandons the rest, so that a reader who does not read
// cannot hold us.
func (s *Signals) Drain(pidfd int, relay *Relay) (err error) {
	closed := make(chan struct{})
	go func() {
		err = relay.Close()
		close(closed)
		_, _ = unix.Write(s.pipe[1], []byte{0}) // wakes the loop below
	}()
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(s.pipe[0]), Events: unix.POLLIN}}, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		s.deliver(pidfd, relay)
		select {
		case <-closed:
			return err
		default:
		}
	}
}

// deliver empties the pipe.
func (s *Signals) deliver(pidfd int, relay *Relay) {
	var numbers [64]byte
	for {
		n, err := unix.Read(s.pipe[0], numbers[:])
		if err == unix.EINTR {
			continue
		}
		if n <= 0 {
			return
		}
		for _, sig := range numbers[:n] {
			if sig != 0 {
				deliver(unix.Signal(sig), pidfd, relay)
			}
		}
	}
}

func deliver(sig unix.Signal, pidfd int, relay *Relay) {
	if sig == unix.SIGWINCH && relay != nil {
		// A terminal that cannot be resized has gone away, and then the end of
		// its output is near.
		_ = relay.Resize()
		return
	}
	err := unix.PidfdSendSignal(pidfd, sig, nil, 0)
	if err == unix.ESRCH && relay != nil && asksToEnd(sig) {
		relay.Abandon()
	}
}

func asksToEnd(sig unix.Signal) bool {
	return sig == unix.SIGINT || sig == unix.SIGTERM || sig == unix.SIGHUP || sig == unix.SIGQUIT
}

// Stop gives all signals back their usual meaning. It is called once, after
// whatever else.
func (s *Signals) Stop() {
	nsenter.ReleaseSignals(s.mask)
	unix.Close(s.pipe[0])
	unix.Close(s.pipe[1])
}
