package terminal

import (
	"errors"

	"golang.org/x/sys/unix"
)

// stream copies one way between two descriptors, as fast as the slower of them.
// Each may be blocking or not; nothing is read before there is something to
// read, so that stopping works in either case.
type stream struct {
	from, to int
	stop     int  // an eventfd: readable when the stream shall end
	drain    bool // on stop, first copy what from still holds
	sink     bool // when to takes no more, read on and throw away, unless to is gone

	draining bool
	drained  int
}

// mostHeld is more than from can hold: a pty has 64 KiB and some, and a pipe 1
// MiB if the container has made it larger. What comes after that much was
// written when it was time to end.
const mostHeld = 1<<20 + 1<<18

var errStopped = errors.New("stopped")

// run copies until the end of data, a stop or an error in writing. A reader
// that is gone (EPIPE) is an end like any other.
func (s *stream) run() error {
	buf := make([]byte, 32<<10)
	var failed error
	for s.ready() {
		n, err := unix.Read(s.from, buf)
		if err == unix.EAGAIN || err == unix.EINTR {
			continue
		}
		if n <= 0 {
			// Other errors are ends too: EIO is what a pty's master reads when
			// the last process on the other side is gone, and what we read from
			// a terminal that hung up.
			break
		}
		if s.draining {
			s.drained += n
		}
		if failed != nil {
			continue
		}
		if failed = s.write(buf[:n]); failed != nil && (!s.sink || gone(failed)) {
			break
		}
	}
	if failed == unix.EPIPE || failed == errStopped {
		return nil
	}
	return failed
}

// gone is true if the other side of a pipe or a terminal is.
func gone(err error) bool { return err == unix.EPIPE || err == unix.EIO }

// ready waits for something to read, and is false when it is time to end.
func (s *stream) ready() bool {
	for {
		fds := []unix.PollFd{{Fd: int32(s.from), Events: unix.POLLIN}, {Fd: int32(s.stop), Events: unix.POLLIN}}
		wait := -1
		if s.draining {
			fds, wait = fds[:1], 0
		}
		if s.drained > mostHeld {
			return false
		}
		n, err := unix.Poll(fds, wait)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil || n == 0:
			return false
		case !s.draining && fds[1].Revents != 0:
			if !s.drain {
				return false
			}
			s.draining = true
			continue
		}
		return fds[0].Revents&unix.POLLNVAL == 0
	}
}

func (s *stream) write(data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(s.to, data)
		switch {
		case n > 0:
			data = data[n:]
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			if err := s.writable(); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
	return nil
}

// writable waits until to takes more, or fails if that is no longer wanted:
// input for a container that has ended need not be delivered, output must be.
func (s *stream) writable() error {
	fds := []unix.PollFd{{Fd: int32(s.to), Events: unix.POLLOUT}, {Fd: int32(s.stop), Events: unix.POLLIN}}
	if s.drain {
		fds = fds[:1]
	}
	if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
		return err
	}
	if !s.drain && fds[1].Revents != 0 {
		return errStopped
	}
	return nil
}
