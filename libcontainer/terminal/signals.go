package terminal

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Signals passes the signals that reach us on to a container in the
// foreground.
type Signals struct {
	caught     chan os.Signal
	stop       chan struct{}
	forwarding sync.WaitGroup
}

// maxSignal is SIGRTMAX.
const maxSignal = 64

// CatchSignals holds back the signals sent to this process from now on. Call it
// before the container is made, so that none is lost; Forward delivers what has
// come in. resize says that SIGWINCH is wanted, for the terminal.
func CatchSignals(resize bool) *Signals {
	s := &Signals{caught: make(chan os.Signal, 2*maxSignal), stop: make(chan struct{})}
	var list []os.Signal
	for sig := unix.Signal(1); sig <= maxSignal; sig++ {
		if meantForContainer(sig, resize) {
			list = append(list, sig)
		}
	}
	signal.Notify(s.caught, list...)
	return s
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
// pidfd, which must stay open until Stop. SIGWINCH resizes the terminal of
// relay instead. When the process is gone, a signal that asks us to end
// abandons the relay's output, so that a reader who does not read cannot hold
// us. relay may be nil.
func (s *Signals) Forward(pidfd int, relay *Relay) {
	s.forwarding.Go(func() {
		for {
			select {
			case sig := <-s.caught:
				deliver(sig.(unix.Signal), pidfd, relay)
			case <-s.stop:
				return
			}
		}
	})
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

// Stop gives all signals back their usual meaning, and returns when pidfd is not
// used any more. It is called once, whether or not Forward was.
func (s *Signals) Stop() {
	signal.Stop(s.caught)
	close(s.stop)
	s.forwarding.Wait()
}
