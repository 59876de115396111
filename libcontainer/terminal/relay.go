package terminal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Relay copies between a container in the foreground and our own stdio.
//
// When the container has ended, call Close, which gives our terminal its mode
// back and returns when all output is written. Methods may be called from any
// goroutine.
type Relay struct {
	master *os.File // of the container's pty; nil for pipes
	slave  *os.File // its other side, which we hold, so that the container may close and open it as it likes
	window int      // our terminal, which has the size to pass on; -1 if none

	raw       int // our terminal in raw mode; -1 if none
	saved     *unix.Termios
	stop      int // eventfd
	stopInput func() error

	copying   sync.WaitGroup // users of master
	users     sync.WaitGroup // of stop
	outputs   sync.WaitGroup
	mu        sync.Mutex
	ended     bool // master may be closed
	failed    []error
	abandoned chan struct{}
	abandon   func()
}

func newRelay() (*Relay, error) {
	stop, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd2", err)
	}
	r := &Relay{window: -1, raw: -1, stop: stop, abandoned: make(chan struct{})}
	r.stopInput = sync.OnceValue(r.endInput)
	r.abandon = sync.OnceFunc(func() { close(r.abandoned) })
	r.users.Add(1) // for Close, which uses stop
	return r, nil
}

// Terminal relays between the master of a container's pty and our stdin and
// stdout, which may be anything. Our own terminal, if stdin is one, is put into
// raw mode; the container's gets the size of ours.
//
// The relay owns master from now on, unless there is an error.
func Terminal(master *os.File, stdin, stdout int) (*Relay, error) {
	r, err := newRelay()
	if err != nil {
		return nil, err
	}
	r.master, r.window = master, firstTerminal(stdin, stdout)
	fd := -1
	err = control(master, func(n int) error {
		fd = n
		// This end is ours alone.
		return os.NewSyscallError("fcntl", unix.SetNonblock(n, true))
	})
	if err == nil {
		r.slave, err = openSlave(fd)
	}
	if err == nil {
		err = r.Resize()
	}
	if err == nil && isTerminal(stdin) {
		r.saved, err = makeRaw(stdin)
		r.raw = stdin
	}
	if err != nil {
		closeFiles([]*os.File{r.slave})
		unix.Close(r.stop)
		return nil, fmt.Errorf("relay a terminal: %w", err)
	}
	r.copying.Go(func() { r.copyInput(stdin, fd) })
	r.copyOutput(fd, stdout, true, r.hangUp)
	r.closeWhenUnused()
	return r, nil
}

// hangUp is for when nobody reads the container's terminal any more: ours is
// gone, or the reader of our output. Closing the master tells the container,
// as it would be told by a terminal of its own.
func (r *Relay) hangUp() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	_ = r.signalStop() // input has to let go of the master first
}

// Pipes relays between a container without a terminal and those of our stdio
// that are terminals: a container must not hold ours, where it could type for
// us (TIOCSTI) or change modes. It returns what the container gets in place of
// each, nil where it can have ours; the caller closes these after the start.
func Pipes(stdin, stdout, stderr int) (_ *Relay, theirs [3]*os.File, err error) {
	r, err := newRelay()
	if err != nil {
		return nil, theirs, err
	}
	var ours [3]*os.File
	for i, fd := range []int{stdin, stdout, stderr} {
		if !isTerminal(fd) {
			continue
		}
		if ours[i], theirs[i], err = pipe(i == 0); err != nil {
			closeFiles(ours[:])
			closeFiles(theirs[:])
			unix.Close(r.stop)
			return nil, [3]*os.File{}, fmt.Errorf("relay stdio: %w", err)
		}
	}
	if file := ours[0]; file != nil {
		r.copying.Go(func() {
			defer file.Close() // the end of our input is the end of the container's
			r.copyInput(stdin, int(file.Fd()))
		})
	}
	for i, fd := range []int{1: stdout, 2: stderr} {
		if file := ours[i]; i > 0 && file != nil {
			// A reader that is gone is passed on: closing has the container find
			// its own pipe broken.
			r.copyOutput(int(file.Fd()), fd, false, func() { file.Close() })
		}
	}
	r.closeWhenUnused()
	return r, theirs, nil
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		if f != nil {
			f.Close()
		}
	}
}

// pipe makes a pipe of which our end does not block.
func pipe(input bool) (ours, theirs *os.File, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, os.NewSyscallError("pipe2", err)
	}
	our, their := fds[0], fds[1]
	if input {
		our, their = their, our
	}
	// Wrapped before O_NONBLOCK is set, so that the Go runtime leaves it alone.
	ours, theirs = os.NewFile(uintptr(our), "pipe"), os.NewFile(uintptr(their), "pipe")
	if err := unix.SetNonblock(our, true); err != nil {
		closeFiles([]*os.File{ours, theirs})
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return ours, theirs, nil
}

func (r *Relay) copyInput(stdin, to int) {
	// Whatever happens to input, the container may go on without it.
	_ = (&stream{from: stdin, to: to, stop: r.stop}).run()
}

func (r *Relay) copyOutput(from, to int, sink bool, atEnd func()) {
	r.outputs.Add(1)
	r.copying.Go(func() {
		defer r.outputs.Done()
		defer atEnd()
		err := (&stream{from: from, to: to, stop: r.stop, drain: true, sink: sink}).run()
		if err != nil {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.failed = append(r.failed, fmt.Errorf("write the container's output: %w", os.NewSyscallError("write", err)))
		}
	})
}

// closeWhenUnused closes what the copying goroutines share after the last of
// them has ended. One may be stuck in a read of our stdin, so Close cannot.
func (r *Relay) closeWhenUnused() {
	go func() {
		r.copying.Wait()
		closeFiles([]*os.File{r.slave, r.master})
		r.users.Wait()
		unix.Close(r.stop)
	}()
}

// Resize gives the container's terminal the size of ours. Without a terminal on
// either side, or after the end, there is nothing to do.
func (r *Relay) Resize() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.master == nil || r.window < 0 || r.ended {
		return nil
	}
	size, err := unix.IoctlGetWinsize(r.window, unix.TIOCGWINSZ)
	if err != nil {
		return os.NewSyscallError("ioctl TIOCGWINSZ", err)
	}
	return control(r.master, func(fd int) error {
		return os.NewSyscallError("ioctl TIOCSWINSZ", unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size))
	})
}

// endInput stops reading stdin, has the outputs end when they have nothing more
// to read, and restores our terminal.
func (r *Relay) endInput() error {
	defer r.users.Done()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	err := r.signalStop()
	if r.raw >= 0 {
		err = errors.Join(err, restore(r.raw, r.saved))
	}
	return err
}

func (r *Relay) signalStop() error {
	_, err := unix.Write(r.stop, binary.NativeEndian.AppendUint64(nil, 1))
	return os.NewSyscallError("write", err)
}

// Close is for when the container has ended, or will not start: it restores our
// terminal at once, waits until all output of the container is written, and
// says what kept it from being written. Output ends when those that still have
// the other side open are silent, if anybody has. It may be called again.
func (r *Relay) Close() error {
	restored := r.stopInput()
	written := make(chan struct{})
	go func() {
		r.outputs.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-r.abandoned:
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return errors.Join(append([]error{restored}, r.failed...)...)
}

// Abandon has Close return without waiting for a reader that has stopped
// reading.
func (r *Relay) Abandon() { r.abandon() }
