package terminal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// rawSlave is a pty whose slave passes everything on unchanged, as a program in
// a container may set it.
func rawSlave(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, slave = openPTY(t)
	if _, err := makeRaw(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	check(t, BareNewlines(master))
	return master, slave
}

func mustClose(t *testing.T, r *Relay) {
	t.Helper()
	within(t, "Close", func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestTerminalBothWays(t *testing.T) {
	user, tty := openPTY(t)
	master, slave := rawSlave(t)
	before := termios(t, tty)
	r, err := Terminal(master, int(tty.Fd()), int(tty.Fd()))
	check(t, err)
	// Raw: keys arrive one by one, uninterpreted, and are not echoed by ours.
	_, err = user.WriteString("k\x03\x04\r")
	check(t, err)
	readExactly(t, slave, "k\x03\x04\r")
	_, err = slave.WriteString("one\ntwo\n")
	check(t, err)
	readExactly(t, user, "one\r\ntwo\r\n") // our own terminal makes CR LF
	slave.Close()
	mustClose(t, r)
	if after := termios(t, tty); after != before {
		t.Errorf("our terminal's mode was %+v and is %+v", before, after)
	}
	mustClose(t, r)
}

func TestTerminalRestoredAtOnce(t *testing.T) {
	_, tty := openPTY(t)
	master, slave := rawSlave(t)
	before := termios(t, tty)
	unread, stdout := pipeFDs(t)
	defer unix.Close(unread)
	r, err := Terminal(master, int(tty.Fd()), stdout)
	check(t, err)
	if termios(t, tty) == before {
		t.Error("our terminal is not raw")
	}
	fill(t, slave)
	closed := make(chan struct{})
	go func() { r.Close(); close(closed) }()
	for termios(t, tty) != before { // fails by the test's timeout
		time.Sleep(time.Millisecond)
	}
	select {
	case <-closed:
		t.Error("Close returned although output is not written")
	case <-time.After(50 * time.Millisecond):
	}
	r.Abandon()
	within(t, "an abandoned Close", func() { <-closed })
}

// fill writes to the slave until nothing moves any more, and closes it.
func fill(t *testing.T, slave *os.File) {
	t.Helper()
	var written atomic.Int64
	go func() {
		defer slave.Close()
		for range 1 << 10 {
			n, err := slave.Write(make([]byte, 4096))
			written.Add(int64(n))
			if err != nil {
				return
			}
		}
	}()
	for last := int64(-1); last != written.Load(); time.Sleep(100 * time.Millisecond) {
		last = written.Load()
	}
	if n := written.Load(); n == 0 || n >= 1<<20 {
		t.Errorf("%d bytes went into a relay that nobody reads: no back-pressure", n)
	}
}

func TestSlowReader(t *testing.T) {
	master, slave := rawSlave(t)
	out, stdout := pipeFDs(t)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), stdout)
	check(t, err)
	const size = 20 << 20
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	go func() {
		slave.Write(data)
		slave.Close()
	}()
	var got bytes.Buffer
	buf := make([]byte, 256<<10)
	within(t, "the copy", func() {
		for n := 0; got.Len() < size; n++ {
			k, err := unix.Read(out, buf)
			if err != nil || k == 0 {
				t.Errorf("after %d bytes: %d, %v", got.Len(), k, err)
				return
			}
			got.Write(buf[:k])
			if n%64 == 0 {
				time.Sleep(2 * time.Millisecond)
			}
		}
	})
	mustClose(t, r)
	if sha256.Sum256(got.Bytes()) != sha256.Sum256(data) {
		t.Error("what arrived differs from what was written")
	}
}

// When the reader goes away, the container's terminal hangs up.
func TestReaderGone(t *testing.T) {
	master, slave := rawSlave(t)
	out, stdout := pipeFDs(t)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), stdout)
	check(t, err)
	unix.Close(out)
	within(t, "writing", func() {
		var err error
		for err == nil {
			_, err = slave.Write(make([]byte, 1<<10))
		}
		if !errors.Is(err, unix.EIO) {
			t.Errorf("the container sees %v, want EIO", err)
		}
	})
	check(t, r.Resize())
	slave.Close()
	mustClose(t, r)
}

// A process may close its terminal and open it again.
func TestSlaveReopened(t *testing.T) {
	master, slave := rawSlave(t)
	out, stdout := pipeFDs(t)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), stdout)
	check(t, err)
	again, err := openSlave(int(master.Fd()))
	check(t, err)
	check(t, again.Close())
	check(t, slave.Close())
	before := cpuTime(t)
	time.Sleep(300 * time.Millisecond)
	if used := cpuTime(t) - before; used > 100*time.Millisecond {
		t.Errorf("without a slave it used %v of CPU time in 300ms", used)
	}
	again, err = openSlave(int(master.Fd()))
	check(t, err)
	got := collect(out)
	_, err = again.WriteString("again")
	check(t, err)
	check(t, again.Close())
	mustClose(t, r)
	unix.Close(stdout)
	if data := <-got; string(data) != "again" {
		t.Errorf("got %q", data)
	}
}

// Somebody who writes on and on does not keep the relay from ending.
func TestEndlessOutput(t *testing.T) {
	master, slave := rawSlave(t)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), devNull(t, unix.O_WRONLY))
	check(t, err)
	go func() {
		defer slave.Close()
		for err := error(nil); err == nil; {
			_, err = slave.Write(make([]byte, 4<<10))
		}
	}()
	time.Sleep(20 * time.Millisecond)
	mustClose(t, r)
}

func TestOutputNotWritable(t *testing.T) {
	full, err := unix.Open("/dev/full", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	check(t, err)
	defer unix.Close(full)
	master, slave := rawSlave(t)
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), full)
	check(t, err)
	_, err = slave.WriteString("lost")
	check(t, err)
	slave.Close()
	within(t, "Close", func() {
		if err := r.Close(); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("Close: %v, want ENOSPC", err)
		}
	})
}

func TestStdinClosed(t *testing.T) {
	for name, stdin := range map[string]func() int{
		"at its end": func() int { return devNull(t, unix.O_RDONLY) },
		"no such fd": func() int { return 1 << 20 },
		"not readable": func() int {
			return devNull(t, unix.O_WRONLY)
		},
	} {
		t.Run(name, func(t *testing.T) {
			master, slave := rawSlave(t)
			out, stdout := pipeFDs(t)
			r, err := Terminal(master, stdin(), stdout)
			check(t, err)
			time.Sleep(10 * time.Millisecond)
			got := collect(out)
			_, err = slave.WriteString("still here")
			check(t, err)
			slave.Close()
			mustClose(t, r)
			unix.Close(stdout)
			if data := <-got; string(data) != "still here" {
				t.Errorf("got %q", data)
			}
		})
	}
}

// stdin that never says anything does not hold Close up.
func TestSilentStdin(t *testing.T) {
	master, slave := rawSlave(t)
	stdin, w := pipeFDs(t)
	defer unix.Close(w)
	r, err := Terminal(master, stdin, devNull(t, unix.O_WRONLY))
	check(t, err)
	slave.Close()
	mustClose(t, r)
}

// A program that does not read its terminal holds up neither Close nor output.
func TestInputNotRead(t *testing.T) {
	master, slave := rawSlave(t)
	stdin, w := pipeFDs(t)
	out, stdout := pipeFDs(t)
	r, err := Terminal(master, stdin, stdout)
	check(t, err)
	go func() {
		file := os.NewFile(uintptr(w), "typist")
		file.Write(make([]byte, 1<<20))
		file.Close()
	}()
	time.Sleep(50 * time.Millisecond)
	got := collect(out)
	_, err = slave.WriteString("output")
	check(t, err)
	mustClose(t, r) // although the slave is still open
	unix.Close(stdout)
	if data := <-got; string(data) != "output" {
		t.Errorf("got %q", data)
	}
	unix.Close(stdin)
}

// Everything that a process writes just before it dies is read, although
// nothing wakes the relay in between.
func TestLastWords(t *testing.T) {
	for i := range 30 {
		master, slave := openPTY(t)
		check(t, BareNewlines(master))
		out, stdout := pipeFDs(t)
		got := collect(out)
		r, err := Terminal(master, devNull(t, unix.O_RDONLY), stdout)
		check(t, err)
		cmd := exec.Command("/bin/sh", "-c", "seq 500; echo the end")
		cmd.Stdout = slave
		check(t, cmd.Run())
		if i%2 == 0 {
			slave.Close() // else somebody else keeps it open
		}
		mustClose(t, r)
		unix.Close(stdout)
		if data := string(<-got); !strings.HasSuffix(data, "499\n500\nthe end\n") {
			t.Fatalf("run %d: the output ends in %q", i, data[max(0, len(data)-20):])
		}
	}
}

// The flags of what we inherited belong to the open file, which others share.
func TestStdioFlagsUntouched(t *testing.T) {
	for _, nonblock := range []bool{false, true} {
		t.Run(fmt.Sprintf("nonblock %v", nonblock), func(t *testing.T) {
			stdin, in := pipeFDs(t)
			out, stdout := pipeFDs(t)
			check(t, unix.SetNonblock(stdin, nonblock))
			check(t, unix.SetNonblock(stdout, nonblock))
			want := [2]int{status(t, stdin), status(t, stdout)}
			same := func(when string) {
				if got := [2]int{status(t, stdin), status(t, stdout)}; got != want {
					t.Errorf("%s: flags %#o, were %#o", when, got, want)
				}
			}
			master, slave := rawSlave(t)
			r, err := Terminal(master, stdin, stdout)
			check(t, err)
			same("at the start")
			ended := make(chan struct{})
			go func() { // more than the pipe holds: writing meets EAGAIN
				defer close(ended)
				slave.Write(bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
				slave.Close()
			}()
			time.Sleep(100 * time.Millisecond)
			same("when output is stuck")
			got := collect(out)
			_, err = unix.Write(in, []byte("x"))
			check(t, err)
			<-ended
			mustClose(t, r)
			same("at the end")
			unix.Close(stdout)
			if data := <-got; len(data) != 1<<20 {
				t.Errorf("%d of %d bytes arrived", len(data), 1<<20)
			}
			unix.Close(in)
		})
	}
}

// Waiting for a slow reader, or for nothing, uses no CPU time.
func TestNoSpinning(t *testing.T) {
	master, slave := rawSlave(t)
	stdin, in := pipeFDs(t)
	defer unix.Close(in)
	out, stdout := pipeFDs(t)
	check(t, unix.SetNonblock(stdout, true))
	r, err := Terminal(master, stdin, stdout)
	check(t, err)
	fill(t, slave)
	before := cpuTime(t)
	time.Sleep(300 * time.Millisecond)
	if used := cpuTime(t) - before; used > 100*time.Millisecond {
		t.Errorf("an idle relay used %v of CPU time in 300ms", used)
	}
	collect(out)
	mustClose(t, r)
}

func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage unix.Rusage
	check(t, unix.Getrusage(unix.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestResize(t *testing.T) {
	user, tty := openPTY(t)
	master, slave := rawSlave(t)
	set := func(rows uint16) {
		check(t, unix.IoctlSetWinsize(int(user.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: 80}))
	}
	want := func(rows uint16) {
		t.Helper()
		size, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ)
		check(t, err)
		if size.Row != rows || size.Col != 80 {
			t.Errorf("the container's window is %d x %d, want %d x 80", size.Row, size.Col, rows)
		}
	}
	set(25)
	// Only stdout is a terminal: its size counts all the same.
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), int(tty.Fd()))
	check(t, err)
	want(25)
	set(50)
	want(25)
	check(t, r.Resize())
	want(50)
	slave.Close()
	mustClose(t, r)
	for range 100 {
		check(t, r.Resize()) // also when the master is closed
	}
}

func TestResizeWithoutTerminal(t *testing.T) {
	master, slave := rawSlave(t)
	check(t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 7, Col: 9}))
	r, err := Terminal(master, devNull(t, unix.O_RDONLY), devNull(t, unix.O_WRONLY))
	check(t, err)
	check(t, r.Resize())
	if size, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ); err != nil || size.Row != 7 || size.Col != 9 {
		t.Errorf("the window is %+v, %v", size, err)
	}
	slave.Close()
	mustClose(t, r)
}

func TestPipesOnlyForTerminals(t *testing.T) {
	user, tty := openPTY(t)
	null := devNull(t, unix.O_RDWR)
	r, theirs, err := Pipes(null, int(tty.Fd()), null)
	check(t, err)
	if theirs[0] != nil || theirs[1] == nil || theirs[2] != nil {
		t.Fatalf("pipes for %v, want one for stdout", theirs)
	}
	if status(t, int(theirs[1].Fd()))&unix.O_NONBLOCK != 0 {
		t.Error("the container's end does not block")
	}
	_, err = theirs[1].WriteString("hello\n")
	check(t, err)
	theirs[1].Close()
	readExactly(t, user, "hello\r\n")
	mustClose(t, r)
}

func TestPipesNone(t *testing.T) {
	null := devNull(t, unix.O_RDWR)
	r, theirs, err := Pipes(null, null, null)
	check(t, err)
	if theirs != [3]*os.File{} {
		t.Errorf("pipes for %v, want none", theirs)
	}
	check(t, r.Resize())
	mustClose(t, r)
}

func TestPipesAllWays(t *testing.T) {
	user, tty := openPTY(t)
	before := termios(t, tty)
	fd := int(tty.Fd())
	r, theirs, err := Pipes(fd, fd, fd)
	check(t, err)
	if termios(t, tty) != before {
		t.Error("our terminal's mode changed, though it still edits lines")
	}
	_, err = user.WriteString("line\n\x04") // ^D is the end of input
	check(t, err)
	within(t, "reading stdin", func() {
		if data, err := io.ReadAll(theirs[0]); err != nil || string(data) != "line\n" {
			t.Errorf("the container read %q, %v", data, err)
		}
	})
	readExactly(t, user, "line\r\n") // our echo
	for _, f := range theirs[1:] {
		_, err := f.WriteString("x\n")
		check(t, err)
		readExactly(t, user, "x\r\n")
	}
	theirs[1].Close() // stderr stays open, as a daemon would keep it
	mustClose(t, r)
	theirs[0].Close()
	theirs[2].Close()
}

// When our terminal hangs up, the container's pipe breaks.
func TestPipesHangup(t *testing.T) {
	user, tty := openPTY(t)
	fd := int(tty.Fd())
	r, theirs, err := Pipes(fd, fd, fd)
	check(t, err)
	user.Close()
	within(t, "writing", func() {
		for {
			if _, err := theirs[1].Write(make([]byte, 4096)); err != nil {
				if !errors.Is(err, unix.EPIPE) {
					t.Errorf("the container sees %v, want EPIPE", err)
				}
				return
			}
		}
	})
	within(t, "Close", func() { r.Close() })
	closeFiles(theirs[:])
}

func TestNoFDLeak(t *testing.T) {
	_, tty := openPTY(t)
	fd := int(tty.Fd())
	stdin, stdout := devNull(t, unix.O_RDONLY), devNull(t, unix.O_WRONLY)
	before := openFDs(t)
	for range 10 {
		master, slave := openPTY(t)
		r, err := Terminal(master, stdin, stdout)
		check(t, err)
		slave.Close()
		mustClose(t, r)
		r, theirs, err := Pipes(fd, fd, fd)
		check(t, err)
		closeFiles(theirs[:])
		mustClose(t, r)
	}
	for range 200 {
		if openFDs(t) <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d descriptors before, %d after", before, openFDs(t))
}

func openFDs(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	check(t, err)
	return len(files)
}
