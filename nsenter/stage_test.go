package nsenter

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// running is a sanitized stage and the parent's end of its channel.
type running struct {
	*Channel
	t        *testing.T
	cmd      *exec.Cmd
	out, err lockedBuffer
	ended    chan struct{}
	hint     []string // after the channel, on the command line
}

// startStage starts the stage with preserved files from fd 3 on and then its channel.
func startStage(t *testing.T, preserved ...*os.File) *running {
	t.Helper()
	r := &running{t: t, ended: make(chan struct{}), cmd: &exec.Cmd{Path: sanitizedStage(t), Env: sanitizerEnv}}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	r.start(preserved)
	return r
}

func (r *running) start(preserved []*os.File) {
	r.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "channel")
	defer theirs.Close()
	// A stage that says nothing fails its test, not the whole run.
	if err := unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		r.t.Fatal(err)
	}
	r.Channel = NewChannel(pair[0])
	r.cmd.ExtraFiles = append(slices.Clone(preserved), theirs)
	r.cmd.Args = append([]string{"rt", "init", strconv.Itoa(2 + len(r.cmd.ExtraFiles))}, r.hint...)
	if err := r.cmd.Start(); err != nil {
		r.Close()
		r.t.Fatal(err)
	}
	go func() {
		r.cmd.Wait()
		close(r.ended)
	}()
	r.t.Cleanup(r.stop)
}

// stop ends a stage that a failed test has left, and reports what the sanitizers said of any.
func (r *running) stop() {
	r.Close()
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		r.t.Error("the stage outlives its channel")
		r.cmd.Process.Kill()
		<-r.ended
	}
	if said := r.err.String(); said != "" {
		r.t.Errorf("the stage said on stderr: %s", said)
	}
}

// send sends the plan of these steps.
func (r *running) send(steps ...Step) {
	r.t.Helper()
	r.sendTraced(0, steps...)
}

func (r *running) sendTraced(trace int32, steps ...Step) {
	r.t.Helper()
	data, err := (&Plan{Steps: steps}).Encode()
	if err != nil {
		r.t.Fatal(err)
	}
	f, err := Memfd("rt:plan", data)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	code := trace | int32(len(r.cmd.ExtraFiles)-1)<<1
	r.say(MsgPlan, code, "", int(f.Fd()))
}

func (r *running) say(m MessageType, code int32, text string, fds ...int) {
	r.t.Helper()
	if err := r.Send(m, code, text, fds...); err != nil {
		r.t.Fatal(err)
	}
}

// feed hands over files as the steps take them.
func (r *running) feed(files ...*os.File) {
	r.t.Helper()
	var fds []int
	for _, f := range files {
		fds = append(fds, int(f.Fd()))
	}
	r.say(MsgFDs, 0, "", fds...)
}

// hear waits for a message of type want.
func (r *running) hear(want MessageType) *Message {
	r.t.Helper()
	m, err := r.Receive()
	if err != nil {
		r.t.Fatalf("waiting for message %d: %v", want, err)
	}
	if m.Type != want {
		r.t.Fatalf("message %d %d %q of step %d, not %d", m.Type, m.Code, m.Text, m.Step, want)
	}
	return m
}

// status waits for the end of the stage, or of the program it has become.
func (r *running) status() int {
	r.t.Helper()
	select {
	case <-r.ended:
	case <-time.After(10 * time.Second):
		r.t.Fatal("the stage does not end")
	}
	return r.cmd.ProcessState.ExitCode()
}

// failure is a MsgError, taken apart.
type failure struct {
	step         int
	errno        unix.Errno
	call, object string
}

// refused waits for the stage's last word and its end.
func (r *running) refused() failure {
	r.t.Helper()
	m := r.hear(MsgError)
	var e *StepError
	if !errors.As((&Plan{}).Failure(m), &e) {
		r.t.Fatal("no StepError")
	}
	if m, err := r.Receive(); !errors.Is(err, ErrGone) {
		r.t.Errorf("after its error the stage says %v, %v", m, err)
	}
	if code := r.status(); code != 1 {
		r.t.Errorf("exit status %d", code)
	}
	return failure{m.Step, e.Errno, e.Call, e.Object}
}

// program are the steps that become the test's program: its output says what it was given.
func program(t *testing.T, env ...string) []Step {
	return []Step{
		Simple(OpLookup, "process.args[0]", "find it", nil, sanitizedStage(t), ""),
		Simple(OpWait, "", "wait for start", nil),
		Simple(OpExec, "process.args", "execute it", nil, List([]string{"probe", "two words", ""}), List(append(sanitizerEnv, env...))),
	}
}

// runs lets the program run and returns the lines that it printed.
func (r *running) runs() []string {
	r.t.Helper()
	r.hear(MsgReady)
	r.say(MsgGo, 0, "")
	return r.printed()
}

func (r *running) printed() []string {
	r.t.Helper()
	if m, err := r.Receive(); !errors.Is(err, ErrGone) {
		r.t.Fatalf("instead of running the program: %v, %v", m, err)
	}
	if code := r.status(); code != 7 {
		r.t.Fatalf("the program's exit status is %d\n%s", code, r.err.String())
	}
	return strings.Split(strings.TrimSpace(r.out.String()), "\n")
}

// lines are those of a kind: fd=, env=.
func lines(all []string, kind string) []string {
	var some []string
	for _, l := range all {
		if v, ok := strings.CutPrefix(l, kind+"="); ok {
			some = append(some, v)
		}
	}
	return some
}

func want(t *testing.T, all []string, kind string, want ...string) {
	t.Helper()
	if got := lines(all, kind); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", kind, got, want)
	}
}

func open(t *testing.T, path string, flags int) *os.File {
	t.Helper()
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(&os.PathError{Op: "open", Path: path, Err: err})
	}
	f := os.NewFile(uintptr(fd), path)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestStageBecomesTheProgram(t *testing.T) {
	signal.Ignore(syscall.SIGUSR1, syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGUSR1, syscall.SIGPIPE)
	dir := t.TempDir()
	r := startStage(t)
	r.send(append([]Step{
		Take(OpRoot, "", "", Source{}, 0),
		Syscall("", "umask", unix.SYS_UMASK, Num(0o027)),
		Simple(OpChdir, "", "", []uint64{0}, dir),
	}, program(t, "A=1", "B=")...)...)
	r.feed(open(t, "/", unix.O_PATH))
	r.hear(MsgReady)
	r.say(MsgGo, 0, "HOME=/home/x")
	all := r.printed()
	want(t, all, "arg", "probe", "two words", "")
	want(t, all, "env", append(slices.Clone(sanitizerEnv), "A=1", "B=", "HOME=/home/x")...)
	want(t, all, "fd", "0", "1", "2")
	want(t, all, "ignored")
	want(t, all, "blocked")
	want(t, all, "umask", "027")
	want(t, all, "cwd", dir)
	want(t, all, "nnp", "0")
}

// Fds that are the user's keep their numbers; all others are gone, also those that somebody leaked to us.
func TestStageKeepsOnlyPreservedFDs(t *testing.T) {
	null := open(t, "/dev/null", unix.O_RDONLY)
	r := startStage(t, null, null)
	steps := []Step{Take(OpSlot, "", "", Source{}, uint64(SlotProc))}
	r.send(append(steps, program(t)...)...)
	r.feed(open(t, "/proc", unix.O_PATH))
	want(t, r.runs(), "fd", "0", "1", "2", "3", "4")
}

// A foreground run gives the program pipes for stdio: they come with the plan.
func TestPlanBringsStdio(t *testing.T) {
	out := open(t, t.TempDir(), unix.O_TMPFILE|unix.O_RDWR)
	plan := memfd(t, string(encode(t, program(t))))
	null := open(t, "/dev/null", unix.O_RDONLY)
	r := startStage(t)
	r.say(MsgPlan, 0, "", int(plan.Fd()), int(null.Fd()), int(out.Fd()), int(out.Fd()))
	if all := r.runs(); !slices.Equal(all, []string{""}) {
		t.Errorf("on the first stdout: %q", all)
	}
	b := make([]byte, 1<<16)
	n, _ := out.ReadAt(b, 0)
	want(t, strings.Split(string(b[:n]), "\n"), "fd", "0", "1", "2")
}

func TestStageTrace(t *testing.T) {
	r := startStage(t)
	r.sendTraced(1, append([]Step{Syscall("", "", unix.SYS_UMASK, Num(0o22))}, program(t)...)...)
	for step := range 2 {
		if m := r.hear(MsgTrace); m.Step != step || m.Code < 0 {
			t.Errorf("step %d, %d µs", m.Step, m.Code)
		}
	}
	r.hear(MsgReady)
	r.say(MsgGo, 0, "")
	if m := r.hear(MsgTrace); m.Step != 2 {
		t.Errorf("step %d", m.Step)
	}
	r.printed()
}

// A stage must not outlive its creator: wherever it waits, the end of the channel is its own.
func TestStageEndsWithItsChannel(t *testing.T) {
	for name, to := range map[string]func(*running){
		"before the plan": func(*running) {},
		"waiting for an fd": func(r *running) {
			r.send(Take(OpSlot, "", "", Source{}, uint64(SlotProc)))
		},
		"waiting for an answer": func(r *running) {
			r.send(Ask("", "", AskHooks))
			r.hear(MsgAsk)
		},
		"waiting for start": func(r *running) {
			r.send(program(r.t)...)
			r.hear(MsgReady)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := startStage(t)
			to(r)
			r.Close()
			if code := r.status(); code != 1 {
				t.Errorf("exit status %d", code)
			}
		})
	}
}

func TestStageRefusesMessages(t *testing.T) {
	null := open(t, "/dev/null", unix.O_RDONLY)
	raw := func(b []byte, oob []byte) func(*running) {
		return func(r *running) {
			if err := unix.Sendmsg(r.fd, b, oob, nil, 0); err != nil {
				r.t.Fatal(err)
			}
		}
	}
	head := func(m MessageType) []byte { return append(native.AppendUint32(nil, uint32(m)), make([]byte, 12)...) }
	many := make([]int, MaxFDs+1)
	for i := range many {
		many[i] = int(null.Fd())
	}
	protocol := failure{0, unix.EPROTO, "recvmsg", "channel"}
	for name, test := range map[string]struct {
		do   func(*running)
		want failure
	}{
		"go before the plan":       {func(r *running) { r.say(MsgGo, 0, "") }, protocol},
		"unknown type":             {raw(head(99), nil), protocol},
		"a stage's own type":       {raw(head(MsgReady), nil), protocol},
		"short":                    {raw([]byte{1, 0, 0}, nil), protocol},
		"too long":                 {raw(append(head(MsgPlan), make([]byte, 8192)...), nil), protocol},
		"too many fds":             {raw(head(MsgPlan), unix.UnixRights(many...)), protocol},
		"no fd where one is due":   {func(r *running) { r.say(MsgPlan, 0, ""); r.say(MsgFDs, 0, "") }, failure{0, unix.EPROTO, "recvmsg", "channel: no fds"}},
		"a plan that is no memory": {func(r *running) { r.say(MsgPlan, 0, "", int(null.Fd())) }, failure{0, unix.EINVAL, "mmap", "plan"}},
		"continue instead of fds": {func(r *running) {
			r.send(Syscall("", "", unix.SYS_UMASK), Take(OpSlot, "", "", Source{}, 1))
			r.say(MsgContinue, 0, "")
		}, failure{1, unix.EPROTO, "recvmsg", "channel"}},
		"fds instead of continue": {func(r *running) {
			r.send(Syscall("", "", unix.SYS_UMASK), Ask("", "", AskTime))
			r.hear(MsgAsk)
			r.feed(null)
		}, failure{1, unix.EPROTO, "recvmsg", "channel"}},
		"continue instead of go": {func(r *running) {
			r.send(program(r.t)...)
			r.hear(MsgReady)
			r.say(MsgContinue, 0, "")
		}, failure{1, unix.EPROTO, "recvmsg", "channel"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := startStage(t)
			test.do(r)
			if got := r.refused(); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// Fds are sent ahead of the steps that take them. A stage that ends before has
// them unread in its socket, which resets the connection: its last word must
// be heard all the same, not taken for a stage that is gone without one.
func TestErrorIsHeardBeforeReset(t *testing.T) {
	null := open(t, "/dev/null", unix.O_RDONLY)
	r := startStage(t)
	r.send(Ask("", "", AskHooks), Simple(OpMask, "", "", nil, "/x"), Take(OpSlot, "", "", Source{}, 1))
	r.hear(MsgAsk)
	r.say(MsgContinue, 0, "")
	r.Send(MsgFDs, 0, "", int(null.Fd())) // may come too late: that is no fault
	r.status()
	if got, want := r.refused(), (failure{1, unix.EBADF, "openat2", "/x"}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// What is not a plan is the last thing a stage hears.
func TestStageRefusesPlans(t *testing.T) {
	for name, test := range map[string]struct {
		plan []byte
		want failure
	}{
		"not a plan":             {[]byte("this is not a plan"), failure{0, unix.EPROTO, "decode", "plan"}},
		"a step that is damaged": {append(encode(t, []Step{{Op: OpWait}})[:20], 200, 0, 0, 0), failure{0, unix.EPROTO, "decode", "plan"}},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Memfd("plan", test.plan)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r := startStage(t)
			r.say(MsgPlan, 0, "", int(f.Fd()))
			if got := r.refused(); got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

// A plan comes in parts; steps keep their numbers of the whole.
func TestPlanInParts(t *testing.T) {
	all := append([]Step{Syscall("", "", unix.SYS_UMASK, Num(0o77)), Ask("", "", AskHooks)}, program(t)...)
	r := startStage(t)
	for from := range all {
		part, err := (&Plan{Steps: all[from : from+1], First: from}).Encode()
		if err != nil {
			t.Fatal(err)
		}
		r.say(MsgPlan, 0, "", int(memfd(t, string(part)).Fd()))
		switch all[from].Op {
		case OpAsk:
			if m := r.hear(MsgAsk); m.Step != from {
				t.Errorf("step %d, not %d", m.Step, from)
			}
			r.say(MsgContinue, 0, "")
		case OpWait:
			if m := r.hear(MsgReady); m.Step != from {
				t.Errorf("step %d, not %d", m.Step, from)
			}
			r.say(MsgGo, 0, "")
		}
	}
	want(t, r.printed(), "umask", "077")
}

// Anything but `rt init FD` with a channel on FD is no stage and goes on to main.
func TestStageOnlyForItsCall(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	stream := os.NewFile(uintptr(pair[0]), "stream")
	defer unix.Close(pair[1])
	defer stream.Close()
	for _, args := range []string{"", "init", "init 3", "init 0", "init 2", "init -1", "init x", "init 3x", "init 99999", "init 99999999999999999999", "init 3 4", "Init 3", "initial 3"} {
		cmd := &exec.Cmd{Path: sanitizedStage(t), Args: append([]string{"rt"}, strings.Fields(args)...), Env: sanitizerEnv, ExtraFiles: []*os.File{stream}}
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != 7 {
			t.Errorf("rt %s: %v\n%s", args, err, out)
		}
	}
}

// park leaves a stage that waits on a socket, and returns the socket's path.
func park(t *testing.T, r *running) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), path)
	defer socket.Close()
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 8)); err != nil {
		t.Fatal(err)
	}
	r.send(append([]Step{Take(OpSlot, "", "", Source{}, uint64(SlotListen))}, program(t, "A=1")...)...)
	r.feed(socket)
	r.hear(MsgReady)
	r.say(MsgPark, 0, "HOME=/parked")
	if m, err := r.Receive(); !errors.Is(err, ErrGone) {
		t.Fatalf("a parked stage says %v, %v", m, err)
	}
	return path
}

func dial(t *testing.T, path string) *Channel {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := NewChannel(fd)
	t.Cleanup(func() { c.Close() })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParkedStageWaitsForGo(t *testing.T) {
	r := startStage(t)
	path := park(t, r)
	r.Close() // rt create has ended
	dial(t, path).Close()
	for _, wrong := range []MessageType{MsgPark, MsgContinue, MsgReady, 77} {
		c := dial(t, path)
		c.Send(wrong, 0, "")
		if m, err := c.Receive(); !errors.Is(err, ErrGone) {
			t.Errorf("message %d is answered by %v, %v", wrong, m, err)
		}
	}
	select {
	case <-r.ended:
		t.Fatalf("it has ended without being started: %s", r.err.String())
	default:
	}
	r.Channel = dial(t, path)
	r.say(MsgGo, 0, "")
	all := r.printed()
	want(t, all, "env", append(slices.Clone(sanitizerEnv), "A=1", "HOME=/parked")...)
	want(t, all, "fd", "0", "1", "2")
}

// What fails after start is told to who started it.
func TestParkedStageReportsToStart(t *testing.T) {
	r := startStage(t)
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("no program"), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: path}), unix.Listen(fd, 8)); err != nil {
		t.Fatal(err)
	}
	steps := program(t)
	steps[0].Text[0] = script
	r.send(append([]Step{Take(OpSlot, "", "", Source{}, uint64(SlotListen))}, steps...)...)
	r.say(MsgFDs, 0, "", fd)
	r.hear(MsgReady)
	r.say(MsgPark, 0, "")
	r.Close()
	r.Channel = dial(t, path)
	r.say(MsgGo, 0, "")
	if got, want := r.refused(), (failure{3, unix.ENOEXEC, "execve", script}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A process of a namespace that the stage joins must not look into it (CVE-2016-9962).
func TestStageIsNotDumpable(t *testing.T) {
	if err := os.Chmod(scratch, 0o711); err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, ended: make(chan struct{}), cmd: &exec.Cmd{Path: sanitizedStage(t), Env: sanitizerEnv}}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	if os.Geteuid() == 0 {
		r.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	r.start(nil)
	r.send(program(t)...)
	r.hear(MsgReady)
	proc := "/proc/" + strconv.Itoa(r.cmd.Process.Pid)
	var st unix.Stat_t
	if err := unix.Stat(proc+"/environ", &st); err != nil || st.Uid != 0 {
		t.Errorf("its /proc belongs to uid %d (%v): it can be traced", st.Uid, err)
	}
	comm, _ := os.ReadFile(proc + "/comm")
	tasks, _ := os.ReadDir(proc + "/task")
	if string(comm) != "rt:stage\n" || len(tasks) != 1 {
		t.Errorf("it is called %q and has %d threads", comm, len(tasks))
	}
}

// CLONE_PARENT: the container's init is a child of whoever started the stage.
func TestCloneMakesOurChild(t *testing.T) {
	r := startStage(t)
	r.send(append([]Step{Simple(OpClone, "", "", []uint64{0, 0})}, program(t)...)...)
	var born *Message
	for range 2 { // both processes write to the same channel: READY may come first
		m, err := r.Receive()
		switch {
		case err != nil:
			t.Fatal(err)
		case m.Type == MsgBorn:
			born = m
		case m.Type != MsgReady:
			t.Fatalf("message %d %d %q", m.Type, m.Code, m.Text)
		}
	}
	if born == nil || born.FD < 0 || int(born.Code) == r.cmd.Process.Pid {
		t.Fatalf("born: %+v", born)
	}
	defer unix.Close(born.FD)
	r.say(MsgGo, 0, "")
	if m, err := r.Receive(); !errors.Is(err, ErrGone) {
		t.Fatalf("%v, %v", m, err)
	}
	if code := r.status(); code != 0 {
		t.Errorf("the first process ends with %d", code)
	}
	var status unix.WaitStatus
	if pid, err := unix.Wait4(int(born.Code), &status, 0, nil); err != nil || pid != int(born.Code) || status.ExitStatus() != 7 {
		t.Errorf("wait: pid %d, status %d, %v", pid, status.ExitStatus(), err)
	}
}
