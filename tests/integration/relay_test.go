package integration

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// A foreground rt stands between its caller and a program. It must not hang, spin, lose a byte or leave the caller's
// terminal raw, whatever becomes of either side.

// way is how the program comes to be there.
type way struct{ exec, tty bool }

func (w way) String() string {
	return map[bool]string{false: "run", true: "exec"}[w.exec] + map[bool]string{false: "", true: " with a terminal"}[w.tty]
}

var (
	everyWay  = []way{{}, {exec: true}, {tty: true}, {exec: true, tty: true}}
	terminals = everyWay[2:]
)

func inEveryWay(t *testing.T, ways []way, test func(t *testing.T, w way)) {
	for _, w := range ways {
		t.Run(w.String(), func(t *testing.T) { t.Parallel(); test(t, w) })
	}
}

// relay is a rt in the foreground.
type relay struct {
	t   *testing.T
	b   *rttest.Bundle
	cmd *exec.Cmd
}

// start runs a shell script that way. Its output goes nowhere unless edit says where.
func (w way) start(t *testing.T, script string, edit func(cmd *exec.Cmd)) *relay {
	t.Helper()
	b := rttest.New(t).AddProbe().Sh(script)
	line := []string{"run", "--bundle", b.Dir, b.ID}
	if w.exec {
		b.Args("sleep", "1000").RunDetached().OK()
		line = []string{"exec", "--tty=" + strconv.FormatBool(w.tty), b.ID, "sh", "-c", script}
	} else {
		b.Spec.Process.Terminal = w.tty
		b.WriteConfig()
	}
	args := b.Command(line...)
	r := &relay{t, b, exec.Command(args[0], args[1:]...)}
	if edit != nil {
		edit(r.cmd)
	}
	if w.tty && r.cmd.Stdin == nil && !rttest.IsRT(t) { // runc insists on a terminal
		_, r.cmd.Stdin = rttest.OpenPty(t)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

// ends waits for rt, which must not take long, and wants its status.
func (r *relay) ends(status int) {
	r.t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- r.cmd.Wait() }()
	select {
	case err := <-ended:
		if r.cmd.ProcessState == nil {
			r.t.Fatal(err)
		}
	case <-time.After(rttest.Stretch(60 * time.Second)):
		_ = r.cmd.Process.Kill()
		r.t.Fatalf("%s does not end", r.cmd)
	}
	if got := r.cmd.ProcessState.ExitCode(); got != status {
		r.t.Errorf("status %d (%v), want %d", got, r.cmd.ProcessState, status)
	}
}

// status is a line of /proc/PID/status of rt.
func (r *relay) status(field string) string {
	return rttest.Status(rttest.ProcFile(r.t, r.cmd.Process.Pid, "status"))[field]
}

// cpu is the time that rt has spent on a processor.
func (r *relay) cpu() time.Duration {
	f := strings.Fields(rttest.ProcFile(r.t, r.cmd.Process.Pid, "stat"))
	user, _ := strconv.Atoi(f[13])
	system, _ := strconv.Atoi(f[14])
	return time.Duration(user+system) * 10 * time.Millisecond
}

func (r *relay) signal(sig syscall.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		r.t.Fatal(err)
	}
}

// on puts all of a command's stdio on a terminal, which becomes that of its session.
func on(tty *os.File) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	}
}

func typed(t *testing.T, master *os.File, keys string) {
	t.Helper()
	if _, err := master.WriteString(keys); err != nil {
		t.Fatal(err)
	}
}

const (
	longText = "0123456789abcde."
	longSize = 100 << 20
)

// printLong prints longText again and again, without newlines, which a terminal changes.
const printLong = "yes " + longText + " | tr -d '\\n' | head -c 104857600"

func wantLong(t *testing.T, n int64, sum hash.Hash) {
	t.Helper()
	want := sha256.New()
	block := bytes.Repeat([]byte(longText), 1<<16)
	for range longSize / len(block) {
		want.Write(block)
	}
	if n != longSize || !bytes.Equal(sum.Sum(nil), want.Sum(nil)) {
		t.Errorf("%d of %d bytes came through, or not the same", n, longSize)
	}
}

// 100 MB come through to a reader that stops now and then, and rt keeps none of them.
func TestRelaySlowReader(t *testing.T) {
	t.Parallel()
	inEveryWay(t, everyWay, func(t *testing.T, w way) {
		out, stdout := pipe(t)
		r := w.start(t, printLong, func(cmd *exec.Cmd) { cmd.Stdout = stdout })
		stdout.Close()
		sum, n, peak := sha256.New(), int64(0), ""
		for {
			m, err := io.CopyN(sum, out, 5<<20)
			if n += m; err != nil {
				break
			}
			if n == longSize {
				peak = r.status("VmHWM")
			}
			time.Sleep(5 * time.Millisecond)
		}
		wantLong(t, n, sum)
		r.ends(0)
		if kb, _, _ := strings.Cut(peak, " "); len(kb) > 5 {
			t.Errorf("rt had %s of memory", peak)
		}
	})
}

// Without a terminal for the program, but with one of ours, pipes stand in between.
func TestRelayLongOutputToOurTerminal(t *testing.T) {
	t.Parallel()
	inEveryWay(t, everyWay[:2], func(t *testing.T, w way) {
		master, slave := rttest.OpenPty(t)
		r := w.start(t, printLong, func(cmd *exec.Cmd) { cmd.Stdout = slave })
		slave.Close()
		sum := sha256.New()
		n, _ := io.Copy(sum, master)
		wantLong(t, n, sum)
		r.ends(0)
	})
}

// A reader that goes away takes the program with it, as in a pipeline of a shell: by SIGPIPE, or as its terminal hangs up.
func TestRelayReaderGone(t *testing.T) {
	t.Parallel()
	inEveryWay(t, everyWay, func(t *testing.T, w way) {
		rttest.OnlyRT(t, "runc dies of a SIGPIPE of its own, and leaves the container")
		out, stdout := pipe(t)
		r := w.start(t, "trap : HUP; yes; exit 5", func(cmd *exec.Cmd) { cmd.Stdout = stdout })
		stdout.Close()
		_, _ = io.ReadFull(out, make([]byte, 1000))
		out.Close()
		r.ends(5)
	})
}

// stdin that is closed, at its end or full disturbs nobody.
func TestRelayStdin(t *testing.T) {
	t.Parallel()
	for name, stdin := range map[string]func(t *testing.T) *os.File{
		"/dev/null": func(t *testing.T) *os.File {
			null, err := os.Open("/dev/null")
			if err != nil {
				t.Fatal(err)
			}
			return null
		},
		"a pipe without a writer": func(t *testing.T) *os.File {
			r, w := pipe(t)
			w.Close()
			return r
		},
		"a silent pipe": func(t *testing.T) *os.File {
			r, _ := pipe(t)
			return r
		},
		"a pipe full of what nobody reads": func(t *testing.T) *os.File {
			r, w := pipe(t)
			go func() { _, _ = io.CopyN(w, zeros{}, 1<<30) }()
			return r
		},
		"closed": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inEveryWay(t, everyWay, func(t *testing.T, w way) {
				onlyRTWithoutATerminal(t, w)
				out, stdout := pipe(t)
				r := w.start(t, "sleep 1; echo said; exit 3", func(cmd *exec.Cmd) {
					cmd.Stdout = stdout
					if stdin != nil {
						cmd.Stdin = stdin(t)
						return
					}
					cmd.Args = append([]string{"sh", "-c", "exec \"$@\" <&-", "sh"}, cmd.Args...)
					cmd.Path = "/bin/sh"
				})
				stdout.Close()
				time.Sleep(500 * time.Millisecond)
				busy := r.cpu()
				if text, err := io.ReadAll(out); !strings.Contains(string(text), "said\n") { // a terminal echoes
					t.Errorf("it said %.100q (%v)", text, err)
				}
				r.ends(3)
				if busy > rttest.Stretch(300*time.Millisecond) {
					t.Errorf("rt was busy for %v", busy)
				}
			})
		})
	}
}

func onlyRTWithoutATerminal(t *testing.T, w way) {
	t.Helper()
	if w.tty {
		rttest.OnlyRT(t, "a terminal for the program needs none of ours")
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// A program may close its terminal and open it again: rt goes on, and waits without turning in circles.
func TestRelayTerminalReopened(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "runc stops reading for good")
	inEveryWay(t, terminals, func(t *testing.T, w way) {
		out, stdout := pipe(t)
		script := "t=$(tty); echo first; exec >&- 2>&- <&-; sleep 1; exec >$t; head -c 100000 /dev/zero | tr '\\0' x; echo; echo second"
		r := w.start(t, script, func(cmd *exec.Cmd) { cmd.Stdout = stdout })
		stdout.Close()
		time.Sleep(700 * time.Millisecond)
		busy := r.cpu()
		text, _ := io.ReadAll(out)
		if want := "first\n" + strings.Repeat("x", 100000) + "\nsecond\n"; string(text) != want {
			t.Errorf("%d bytes came, want %d: %.100q", len(text), len(want), text)
		}
		r.ends(0)
		if busy > rttest.Stretch(300*time.Millisecond) {
			t.Errorf("rt was busy for %v", busy)
		}
	})
}

// An rt that waits uses no processor time.
func TestRelayIdle(t *testing.T) {
	t.Parallel()
	inEveryWay(t, everyWay, func(t *testing.T, w way) {
		master, slave := rttest.OpenPty(t)
		r := w.start(t, "echo up; read x; exit 4", on(slave))
		rttest.ReadTerminal(t, master, "up")
		time.Sleep(100 * time.Millisecond)
		before := r.cpu()
		time.Sleep(time.Second)
		if used := r.cpu() - before; used > 50*time.Millisecond {
			t.Errorf("it used %v in a second", used)
		}
		typed(t, master, "x\r")
		r.ends(4)
	})
}

// Whatever the program prints before it ends comes through.
func TestRelayLastWords(t *testing.T) {
	t.Parallel()
	inEveryWay(t, everyWay, func(t *testing.T, w way) {
		for range 10 {
			out, stdout := pipe(t)
			r := w.start(t, "seq 2000; echo the end", func(cmd *exec.Cmd) { cmd.Stdout = stdout })
			stdout.Close()
			text, _ := io.ReadAll(out)
			if lines := strings.Split(string(text), "\n"); len(lines) != 2002 || lines[1999] != "2000" || lines[2000] != "the end" {
				t.Errorf("%d lines", len(lines))
			}
			r.ends(0)
		}
	})
}

// The flags of the caller's files are shared with the caller and stay, and do not matter.
func TestRelayStdioFlags(t *testing.T) {
	t.Parallel()
	for _, nonblock := range []bool{false, true} {
		t.Run(fmt.Sprintf("nonblock %v", nonblock), func(t *testing.T) {
			t.Parallel()
			ways := everyWay
			if nonblock { // without a terminal they would be the program's own, which has to cope
				ways = terminals
			}
			inEveryWay(t, ways, func(t *testing.T, w way) {
				onlyRTWithoutATerminal(t, w)
				in, stdin := pipe(t)
				out, stdout := pipe(t)
				for _, f := range []*os.File{in, stdout} {
					if err := unix.SetNonblock(int(f.Fd()), nonblock); err != nil {
						t.Fatal(err)
					}
				}
				flags := func() [2]int { return [2]int{fileFlags(t, in), fileFlags(t, stdout)} }
				before := flags()
				r := w.start(t, "read x; yes "+longText+" | head -n 20000; echo $x", func(cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = in, stdout })
				typed(t, stdin, "typed\n")
				_, _ = io.ReadFull(out, make([]byte, 10))
				time.Sleep(100 * time.Millisecond) // it is stuck now
				during := flags()
				ended := make(chan string)
				go func() {
					text, _ := io.ReadAll(out)
					ended <- string(text)
				}()
				r.ends(0)
				if after := flags(); during != before || after != before {
					t.Errorf("flags were %#x, then %#x, are %#x", before, during, after)
				}
				stdout.Close()
				if text := <-ended; !strings.HasSuffix(text, longText+"\ntyped\n") || strings.Count(text, longText+"\n") < 19999 {
					t.Errorf("%d bytes came, ending in %q", len(text), text[max(0, len(text)-20):])
				}
			})
		})
	}
}

func fileFlags(t *testing.T, f *os.File) int {
	t.Helper()
	n, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The program's window has the size of ours, at first and whenever it changes; 0 and 65535 are sizes, too.
func TestRelayWindowSize(t *testing.T) {
	t.Parallel()
	inEveryWay(t, terminals, func(t *testing.T, w way) {
		master, slave := rttest.OpenPty(t)
		resize := func(rows, columns uint16) {
			t.Helper()
			if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
				t.Fatal(err)
			}
		}
		resize(65535, 65535)
		r := w.start(t, "trap 'probe winsize; echo changed' WINCH; trap 'exit 6' TERM; probe winsize; echo up; while :; do sleep 0.05; done", on(slave))
		if text := rttest.ReadTerminal(t, master, "up"); !strings.Contains(text, "65535 65535") {
			t.Errorf("at first %q", text)
		}
		for _, size := range [][2]uint16{{0, 0}, {24, 80}, {1, 65535}} {
			resize(size[0], size[1])
			if text := rttest.ReadTerminal(t, master, "changed"); !strings.Contains(text, fmt.Sprintf("%d %d", size[0], size[1])) {
				t.Errorf("resized to %v: %q", size, text)
			}
		}
		r.signal(unix.SIGTERM)
		r.ends(6)
	})
}

// Job control of a shell in the container: what is typed there stops, continues and interrupts its jobs, not rt.
func TestRelayJobControl(t *testing.T) {
	t.Parallel()
	inEveryWay(t, terminals, func(t *testing.T, w way) {
		master, slave := rttest.OpenPty(t)
		before := termios(t, slave)
		r := w.start(t, "PS1='> ' exec sh -i", on(slave))
		rttest.ReadTerminal(t, master, "> ")
		for _, step := range [][2]string{
			{"echo $((6*7)); sleep 1000\r", "42"},
			{"\x1a", "Stopped"},
			{"echo alive $((3*3))\r", "alive 9"},
			{"fg\r", "sleep 1000"},
			{"\x03", "> "},
			{"echo status $?\r", "status 130"},
			{"sleep 1000 &\r", "> "},
			{"kill %1; wait; echo reaped $((4*4))\r", "reaped 16"},
			{"cat\r", "cat"}, {"line\r", "line"}, {"\x04", "> "},
		} {
			time.Sleep(100 * time.Millisecond) // a key that comes before the job has the terminal is the shell's
			typed(t, master, step[0])
			rttest.ReadTerminal(t, master, step[1])
		}
		typed(t, master, "exit 7\r")
		r.ends(7)
		if after := termios(t, slave); *after != *before {
			t.Errorf("the terminal's mode was %+v, is %+v", before, after)
		}
	})
}

// Without a terminal for the program ours still makes signals of keys, which rt passes on.
func TestRelayKeysOfOurTerminal(t *testing.T) {
	t.Parallel()
	inEveryWay(t, everyWay[:2], func(t *testing.T, w way) {
		master, slave := rttest.OpenPty(t)
		before := termios(t, slave)
		r := w.start(t, "trap 'echo stop' TSTP; trap 'echo int; exit 42' INT; trap 'echo cont' CONT; echo up; while :; do sleep 0.05; done", on(slave))
		rttest.ReadTerminal(t, master, "up")
		if now := termios(t, slave); *now != *before {
			t.Errorf("the terminal's mode was %+v, is %+v", before, now)
		}
		typed(t, master, "\x1a")
		rttest.ReadTerminal(t, master, "stop")
		if state := r.status("State"); strings.HasPrefix(state, "T") {
			t.Errorf("rt stopped itself: %s", state)
		}
		r.signal(unix.SIGCONT)
		rttest.ReadTerminal(t, master, "cont")
		typed(t, master, "\x03")
		r.ends(42)
	})
}

// The terminal's mode comes back however it ends.
func TestRelayRestoresTheTerminal(t *testing.T) {
	t.Parallel()
	kill := func(sig syscall.Signal) func(r *relay) { return func(r *relay) { r.signal(sig) } }
	trap := func(name string) string { return "trap 'exit 9' " + name + "; echo up; while :; do sleep 0.05; done" }
	for name, end := range map[string]struct {
		script string
		do     func(r *relay)
		status int
	}{
		"by itself":      {"echo up; read x; exit 9", func(r *relay) {}, 9},
		"SIGTERM":        {trap("TERM"), kill(unix.SIGTERM), 9},
		"SIGINT":         {trap("INT"), kill(unix.SIGINT), 9},
		"SIGHUP":         {trap("HUP"), kill(unix.SIGHUP), 9},
		"SIGQUIT":        {trap("QUIT"), kill(unix.SIGQUIT), 9},
		"delete --force": {"echo up; exec sleep 1000", func(r *relay) { r.b.Delete("--force").OK() }, 128 + 9},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if name == "SIGINT" {
				rttest.OnlyRT(t, "a SIGINT is the program's; runc with a terminal ends by it")
			}
			inEveryWay(t, terminals, func(t *testing.T, w way) {
				master, slave := rttest.OpenPty(t)
				before := termios(t, slave)
				r := w.start(t, end.script, on(slave))
				rttest.ReadTerminal(t, master, "up")
				if now := termios(t, slave); *now == *before {
					t.Error("it is not raw meanwhile")
				}
				end.do(r)
				if end.status == 9 {
					typed(t, master, "\r")
				}
				r.ends(end.status)
				if after := termios(t, slave); *after != *before {
					t.Errorf("the terminal's mode was %+v, is %+v", before, after)
				}
			})
		})
	}
}

// A program that cannot be executed changes nothing either.
func TestRelayOfNothing(t *testing.T) {
	t.Parallel()
	master, slave := rttest.OpenPty(t)
	before := termios(t, slave)
	b := rttest.New(t).Args("/no/such")
	b.Spec.Process.Terminal = true
	b.Setup = on(slave)
	b.Run().Exits(1)
	rttest.ReadTerminal(t, master, "no such file or directory")
	inside := sleeping(t, nil)
	execWith(inside, on(slave), "--tty", "/no/such").Exits(255)
	rttest.ReadTerminal(t, master, "no such file or directory")
	if after := termios(t, slave); *after != *before {
		t.Errorf("the terminal's mode was %+v, is %+v", before, after)
	}
}

// SIGKILL gives rt no time to restore anything. The terminal works on, the program's hangs up, and the container can be deleted.
func TestRelayKilled(t *testing.T) {
	t.Parallel()
	inEveryWay(t, terminals, func(t *testing.T, w way) {
		master, slave := rttest.OpenPty(t)
		flags := fileFlags(t, slave)
		r := w.start(t, "trap '' HUP; echo up; read x; echo left >/left", on(slave))
		rttest.ReadTerminal(t, master, "up")
		init, command := r.b.Pid(), 0
		for _, pid := range cgroupPids(t, r.b) {
			if w.exec && pid != init {
				command = pid
			}
		}
		r.signal(unix.SIGKILL)
		r.ends(-1)
		if command > 0 {
			rttest.WaitPid(t, command)
		}
		rttest.Eventually(t, "the program sees its terminal hang up", func() bool {
			_, err := os.Stat(r.b.InRootfs("left"))
			return err == nil
		})
		if now := fileFlags(t, slave); now != flags {
			t.Errorf("flags were %#x, are %#x", flags, now)
		}
		rttest.Exec(t, on(slave), "stty", "sane").OK()
		if mode := termios(t, slave); mode.Lflag&unix.ICANON == 0 || mode.Lflag&unix.ECHO == 0 {
			t.Errorf("the terminal is not sane: %+v", mode)
		}
	})
}

// Under script(1), in a session without a terminal, and on a terminal that is not the session's.
func TestRelaySessions(t *testing.T) {
	t.Parallel()
	const script = "tty >/dev/null && echo in a terminal; exit 3"
	t.Run("script", func(t *testing.T) {
		t.Parallel()
		rttest.Need(t, rttest.Command("script"))
		inEveryWay(t, terminals, func(t *testing.T, w way) {
			out, stdout := pipe(t)
			r := w.start(t, script, func(cmd *exec.Cmd) {
				quoted := "'" + strings.Join(cmd.Args[:len(cmd.Args)-1], "' '") + "' \"" + cmd.Args[len(cmd.Args)-1] + "\""
				cmd.Args = []string{"script", "--quiet", "--return", "--command", quoted, "/dev/null"}
				cmd.Path, _ = exec.LookPath("script")
				cmd.Stdout = stdout
			})
			stdout.Close()
			if text, err := io.ReadAll(out); !strings.Contains(string(text), "in a terminal") {
				t.Errorf("it said %q (%v)", text, err)
			}
			r.ends(3)
		})
	})
	for name, attr := range map[string]*syscall.SysProcAttr{"a session of its own": {Setsid: true}, "a background group": {Setpgid: true}} {
		for _, tty := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, terminal %v", name, tty), func(t *testing.T) {
				t.Parallel()
				inEveryWay(t, terminals, func(t *testing.T, w way) {
					if !tty {
						onlyRTWithoutATerminal(t, w)
					}
					out, stdout := pipe(t)
					_, slave := rttest.OpenPty(t)
					before := termios(t, slave)
					r := w.start(t, script, func(cmd *exec.Cmd) {
						cmd.Stdout, cmd.SysProcAttr = stdout, attr
						if tty {
							cmd.Stdin = slave
						}
					})
					stdout.Close()
					if text, err := io.ReadAll(out); string(text) != "in a terminal\n" {
						t.Errorf("it said %q (%v)", text, err)
					}
					r.ends(3)
					if after := termios(t, slave); *after != *before {
						t.Errorf("the terminal's mode was %+v, is %+v", before, after)
					}
				})
			})
		}
	}
}

// Every signal that can be caught is passed on, real-time ones too, but those that are about rt itself.
func TestRelayForwardsEverySignal(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "SIGPIPE of rt's own output stays with it")
	inEveryWay(t, everyWay, func(t *testing.T, w way) {
		var signals []string
		for n := 1; n <= 64; n++ {
			switch syscall.Signal(n) {
			case unix.SIGKILL, unix.SIGSTOP, unix.SIGCHLD, unix.SIGURG, unix.SIGPIPE, unix.SIGTTIN, unix.SIGTTOU, unix.SIGWINCH, 32, 33, 34:
			default:
				signals = append(signals, strconv.Itoa(n))
			}
		}
		out, stdout := pipe(t)
		script := "for n in " + strings.Join(signals, " ") + "; do trap \"echo got $n\" $n; done; echo up; while [ ! -e /end ]; do sleep 0.02; done; exit 2"
		if !w.tty { // crun 1442: WINCH is for terminals; a program without one is not disturbed
			script = "trap 'echo winch' WINCH; " + script
		}
		r := w.start(t, script, func(cmd *exec.Cmd) { cmd.Stdout = stdout })
		stdout.Close()
		wantLine(t, out, "up")
		for _, s := range signals {
			n, _ := strconv.Atoi(s)
			r.signal(syscall.Signal(n))
			wantLine(t, out, "got "+s)
		}
		for _, n := range []syscall.Signal{unix.SIGURG, unix.SIGWINCH} {
			r.signal(n)
		}
		time.Sleep(50 * time.Millisecond)
		r.b.WriteFile("rootfs/end", "")
		r.ends(2)
		if rest, _ := io.ReadAll(out); len(rest) > 0 {
			t.Errorf("it got more: %q", rest)
		}
	})
}

func wantLine(t *testing.T, from *os.File, want string) {
	t.Helper()
	_ = from.SetReadDeadline(time.Now().Add(rttest.Stretch(20 * time.Second)))
	line := make([]byte, len(want)+1)
	if _, err := io.ReadFull(from, line); err != nil || string(line) != want+"\n" {
		t.Fatalf("got %q (%v), want %q", line, err, want)
	}
}

// Without a terminal of ours the window has the size that the config asks for.
func TestRelayConsoleSize(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a terminal for the program needs none of ours")
	b := rttest.New(t).AddProbe().Args("probe", "winsize")
	b.Spec.Process.Terminal = true
	for want, size := range map[string]*specs.Box{"0 0": nil, "33 99": {Height: 33, Width: 99}, "65535 65535": {Height: 65535, Width: 65535}} {
		b.Spec.Process.ConsoleSize = size
		b.Run().OK().Prints(want)
	}
	b.Spec.Process.ConsoleSize = &specs.Box{Height: 65536, Width: 80}
	b.Run().FailsNaming("process.consoleSize", "65536")
	b.CheckGone()
}
