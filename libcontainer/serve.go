package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/libcontainer/hooks"
	"rt/libcontainer/terminal"
	"rt/nsenter"
)

// TraceRow is the time that one step took.
type TraceRow struct {
	Index int
	Step  nsenter.Step
	Took  time.Duration
}

// serve walks the steps, the last of which waits, beside the stage: it opens what
// each takes and answers each question, in the plan's order and no other. The stage is
// treated as hostile: a message that the plan does not call for now ends the birth.
func (b *birth) serve(steps []nsenter.Step) error {
	for _, s := range steps {
		if err := b.supply(s); err != nil {
			return err
		}
		q, asks := question(s)
		if !asks {
			continue
		}
		if err := b.beforeAnswer(q); err != nil {
			return err
		}
		if err := b.answer(q, s.Op == nsenter.OpWait); err != nil {
			return err
		}
		if s.Op == nsenter.OpWait {
			return nil
		}
	}
	return errors.New("the plan does not wait for start")
}

// supplyAll opens what steps take that ask nothing.
func (b *birth) supplyAll(steps []nsenter.Step) error {
	for _, s := range steps {
		if err := b.supply(s); err != nil {
			return err
		}
	}
	return b.flush()
}

// batchSize is how many fds travel together: few enough that the stage goes on
// with the first while we open the next.
const batchSize = 5

// supply opens what a step takes and sends it on, a batch at a time: few fds are
// open here at once, however many mounts there are.
func (b *birth) supply(s nsenter.Step) error {
	if s.Feed.Kind == nsenter.NoSource {
		return nil
	}
	if err := b.beforeOpening(s.Feed); err != nil {
		return err
	}
	fd, err := b.open(s.Feed)
	if err != nil {
		b.flush()
		return fmt.Errorf("%s: %w", s.Title(), err)
	}
	b.batch = append(b.batch, fd)
	if len(b.batch) == batchSize {
		return b.flush()
	}
	return nil
}

// beforeOpening brings about what a source needs: init's user namespace for an
// id-mapped tree, the cgroup for what is part of it. The stage gets first what
// it can go on with meanwhile.
func (b *birth) beforeOpening(s nsenter.Source) error {
	if s.IDMap != nil {
		if err := errors.Join(b.flush(), b.awaitBirth()); err != nil {
			return err
		}
	}
	if (s.InCgroup || s.Kind == nsenter.CgroupTasks) && !b.inCgroup && b.guest == nil {
		return errors.Join(b.flush(), b.makeCgroup())
	}
	return nil
}

// beforeAnswer: what the stage needs to get to the question, and what we can do
// until it is there. Two questions come before init or its cgroup.
func (b *birth) beforeAnswer(q nsenter.Question) error {
	if err := b.flush(); err != nil {
		return err
	}
	if q == nsenter.AskTime || q == nsenter.AskUserMap {
		return nil
	}
	return b.settle()
}

func question(s nsenter.Step) (nsenter.Question, bool) {
	switch s.Op {
	case nsenter.OpAsk:
		return nsenter.Question(s.Num[0]), true
	case nsenter.OpConsole:
		return nsenter.AskConsole, true
	case nsenter.OpWait:
		return nsenter.AskNothing, true
	}
	return 0, false
}

// flush hands the batch over and closes it here.
func (b *birth) flush() error {
	if len(b.batch) == 0 {
		return nil
	}
	err := b.stage.Send(nsenter.MsgFDs, 0, "", b.batch...)
	for _, fd := range b.batch {
		unix.Close(fd)
	}
	b.batch = b.batch[:0]
	return b.lastWord(err)
}

// lastWord: when the stage has ended and nothing can be sent to it, what it said before says why.
func (b *birth) lastWord(err error) error {
	if !errors.Is(err, unix.EPIPE) && !errors.Is(err, unix.ECONNRESET) {
		return err
	}
	for {
		if err := b.hear(); err != nil {
			return err
		}
	}
}

// answer waits for the question that is due and answers it.
func (b *birth) answer(q nsenter.Question, ready bool) error {
	m, err := b.receive()
	if err != nil {
		return err
	}
	if ready {
		if m.Type != nsenter.MsgReady {
			return fmt.Errorf("the stage said %d instead of being ready", m.Type)
		}
		b.passwd = m.FD
		return b.raiseLimits()
	}
	if m.Type != nsenter.MsgAsk || nsenter.Question(m.Code) != q {
		return fmt.Errorf("the stage asked for %d, not for %v", m.Code, q)
	}
	switch q {
	case nsenter.AskUserMap:
		err = b.writeUserMap()
	case nsenter.AskTime:
		err = b.writeTimeOffsets()
	case nsenter.AskConsole:
		err = b.takeConsole(m.FD)
	case nsenter.AskHooks:
		err = b.runHooks()
	case nsenter.AskNetDevices:
		err = b.moveNetDevices()
	case nsenter.AskIntelRdt:
		err = b.joinIntelRdt()
	}
	if err != nil {
		return err
	}
	return b.reply(q)
}

func (b *birth) reply(q nsenter.Question) error {
	if q != nsenter.AskHookFile {
		return b.stage.Send(nsenter.MsgContinue, 0, "")
	}
	files, err := b.hookFiles(specs.StateCreating)
	if err != nil {
		return err
	}
	defer files.state.Close()
	b.hookOutput = files.output
	return b.stage.Send(nsenter.MsgContinue, 0, "", int(files.state.Fd()), int(files.output.Fd()))
}

// receive gives the next message that answers the plan. Two processes write to
// the channel, so init's first word may come before the word of its birth.
func (b *birth) receive() (*nsenter.Message, error) {
	for {
		if m := b.early; m != nil && (b.pidfd >= 0 || !b.mustBeBorn(m)) {
			b.early = nil
			return m, nil
		}
		if err := b.hear(); err != nil {
			return nil, err
		}
	}
}

// awaitBirth returns when init is there.
func (b *birth) awaitBirth() error {
	for b.pidfd < 0 {
		if err := b.hear(); err != nil {
			return err
		}
	}
	return nil
}

// hear takes one message: births and times are noted, the end of the stage is an
// error, anything else waits in early for receive.
func (b *birth) hear() error {
	m, err := b.stage.Receive()
	if err != nil {
		return b.explainEnd(err)
	}
	switch m.Type {
	case nsenter.MsgBorn:
		return b.born(m)
	case nsenter.MsgTrace:
		b.trace(m)
	case nsenter.MsgError:
		return b.explain(m)
	default:
		if b.early != nil {
			return fmt.Errorf("the stage said %d before it had an answer", m.Type)
		}
		b.early = m
	}
	return nil
}

// mustBeBorn: everything after the clone is said by init.
func (b *birth) mustBeBorn(m *nsenter.Message) bool {
	for i, s := range b.plan.Steps {
		if s.Op == nsenter.OpClone {
			return m.Step > i
		}
	}
	return false
}

func (b *birth) trace(m *nsenter.Message) {
	if b.opts.Trace != nil && m.Step < len(b.plan.Steps) {
		b.opts.Trace(TraceRow{Index: m.Step, Step: b.plan.Steps[m.Step], Took: time.Duration(m.Code) * time.Microsecond})
	}
}

// born takes note of init and gives it what only we may: limits above our own are raised before anything depends on them.
func (b *birth) born(m *nsenter.Message) (err error) {
	if b.pidfd >= 0 || m.FD < 0 {
		return errors.New("the stage told of a birth twice or without a pidfd")
	}
	b.pidfd, b.record.Pid = m.FD, int(m.Code)
	if _, b.record.StartTime, err = processStat(b.record.Pid); err != nil {
		return fmt.Errorf("read the start time of init: %w", err)
	}
	return nil
}

// settle waits for init, whose pid only the stage can tell, and does what only
// we can while it goes on with its mounts.
func (b *birth) settle() error {
	if b.settled {
		return nil
	}
	b.settled = true
	if err := errors.Join(b.makeCgroup(), b.awaitBirth()); err != nil {
		return err
	}
	b.record.FirstLate, b.record.Late = lateSteps(b.plan)
	if b.guest != nil {
		return b.settleGuest()
	}
	// From now on delete can find init, and may kill what is in the cgroup: it is ours.
	b.record.Cgroup = b.cgroup.State()
	b.record.CgroupPaths = b.record.Cgroup.Paths
	if err := b.entry.write(&b.record); err != nil {
		return err
	}
	if err := b.cgroup.Settle(); err != nil {
		return err
	}
	if err := b.checkUserMap(); err != nil {
		return err
	}
	return b.setOOMScore()
}

// settleGuest gives a process that joins what is not in the plan.
func (b *birth) settleGuest() error {
	if b.record.IntelRdt != nil {
		if err := b.joinIntelRdt(); err != nil {
			return err
		}
	}
	return b.setOOMScore()
}

func (b *birth) setOOMScore() error {
	if b.spec.Process == nil || b.spec.Process.OOMScoreAdj == nil || b.opts.Rootless { // there the plan has it
		return nil
	}
	score := strconv.Itoa(*b.spec.Process.OOMScoreAdj)
	name := "/proc/" + strconv.Itoa(b.record.Pid) + "/oom_score_adj"
	if err := writeFile(name, score); err != nil {
		return hint(fmt.Errorf("process.oomScoreAdj: write %s: %w", score, err), "lowering it takes CAP_SYS_RESOURCE")
	}
	return nil
}

// raiseLimits lifts hard limits above what init inherited: that takes a
// capability of the host's, which init may not have. The exact values it sets itself.
func (b *birth) raiseLimits() error {
	if b.spec.Process == nil {
		return nil
	}
	for i, l := range b.spec.Process.Rlimits {
		if err := raiseLimit(b.record.Pid, l); err != nil {
			return hint(fmt.Errorf("process.rlimits[%d]: raise the hard limit of %s to %d: %w", i, l.Type, l.Hard, err),
				"raising a hard limit takes CAP_SYS_RESOURCE")
		}
	}
	return nil
}

func (b *birth) writeTimeOffsets() error {
	var text strings.Builder
	for clock, o := range b.spec.Linux.TimeOffsets {
		fmt.Fprintf(&text, "%s %d %d\n", clock, o.Secs, o.Nanosecs)
	}
	pid := b.stage.Pid
	if b.record.Pid != 0 { // it is init who asks
		pid = b.record.Pid
	}
	err := writeFile("/proc/"+strconv.Itoa(pid)+"/timens_offsets", text.String())
	if err != nil {
		return hint(fmt.Errorf("linux.timeOffsets: %w", err), "the kernel refuses an offset that would make a clock negative or overflow")
	}
	return nil
}

func (b *birth) takeConsole(fd int) error {
	if fd < 0 {
		return errors.New("process.terminal: the stage sent no terminal")
	}
	master := os.NewFile(uintptr(fd), "ptmx")
	err := terminal.SetSize(master, b.spec.Process.ConsoleSize)
	if err == nil && b.opts.ConsoleSocket == "" {
		err = terminal.BareNewlines(master)
	}
	if err != nil {
		master.Close()
		return fmt.Errorf("process.terminal: %w", err)
	}
	b.master = master
	if b.opts.ConsoleSocket == "" {
		return nil
	}
	if err := terminal.SendFD(b.opts.ConsoleSocket, "/dev/ptmx", master.Fd()); err != nil {
		return fmt.Errorf("--console-socket: %w", err)
	}
	return nil
}

// runHooks runs the hooks of the runtime's namespaces. They may ask `rt state` about the container, so its record, written at birth, comes first.
func (b *birth) runHooks() error {
	if err := b.awaitBirth(); err != nil {
		return err
	}
	// Prestart hooks come from a time when `start` ran them, on a created container.
	created := b.ociState(specs.StateCreated)
	if err := hooks.Run("prestart", b.spec.Hooks.Prestart, created); err != nil { //nolint:staticcheck // deprecated, not gone
		return err
	}
	return hooks.Run("createRuntime", b.spec.Hooks.CreateRuntime, b.ociState(specs.StateCreating))
}

// hookFiles are the stdin and the output of hooks that the stage runs.
type hookFiles struct{ state, output *os.File }

func (c *Container) hookFiles(status specs.ContainerState) (hookFiles, error) {
	state := c.ociState(status)
	if c.record.OwnPidNS {
		state.Pid = 1 // as the container itself sees it
	}
	data, err := json.Marshal(state)
	if err != nil {
		return hookFiles{}, err
	}
	in, err := nsenter.Memfd("rt:state", data)
	if err != nil {
		return hookFiles{}, err
	}
	fd, err := unix.MemfdCreate("rt:hook", unix.MFD_CLOEXEC)
	if err != nil {
		in.Close()
		return hookFiles{}, os.NewSyscallError("memfd_create", err)
	}
	return hookFiles{state: in, output: os.NewFile(uintptr(fd), "rt:hook")}, nil
}

// homeVariable answers the question for HOME from the image's passwd: a file
// that may be anything, read with a limit and by numbers only (CVE-2016-3697).
func (b *birth) homeVariable() string {
	if b.spec.Process == nil || hasHome(b.spec.Process.Env) {
		return ""
	}
	home := "/"
	if b.passwd >= 0 {
		if h := readHome(b.passwd, b.spec.Process.User.UID); h != "" {
			home = h
		}
	}
	return "HOME=" + home
}

const maxPasswd = 1 << 20

func readHome(fd int, uid uint32) string {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ""
	}
	data := make([]byte, min(st.Size, maxPasswd))
	n, err := unix.Pread(fd, data, 0)
	if err != nil && err != io.EOF {
		return ""
	}
	return homeOf(data[:max(n, 0)], uid)
}

// homeOf finds the home of uid in the text of a passwd(5) file.
func homeOf(passwd []byte, uid uint32) string {
	want := strconv.FormatUint(uint64(uid), 10)
	for line := range bytes.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(string(line)), ":")
		if len(f) >= 6 && f[2] == want && strings.HasPrefix(f[5], "/") && len(f[5]) < 4000 {
			return f[5]
		}
	}
	return ""
}

func writeFile(name, text string) error {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte(text)); err != nil {
		return &os.PathError{Op: "write", Path: name, Err: err}
	}
	return nil
}
