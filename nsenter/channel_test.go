package nsenter

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// channelPair is a channel and the raw socket at its other end.
func channelPair(t *testing.T) (*Channel, int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := NewChannel(pair[0])
	t.Cleanup(func() { c.Close(); unix.Close(pair[1]) })
	return c, pair[1]
}

func packet(m MessageType, step uint32, code int32, text string) []byte {
	b := native.AppendUint32(nil, uint32(m))
	b = native.AppendUint32(b, step)
	b = native.AppendUint32(b, uint32(code))
	return append(native.AppendUint32(b, 0), text...)
}

// The stage may be in the hands of the image: what it says is taken apart with care.
func TestReceive(t *testing.T) {
	null := int(open(t, "/dev/null", unix.O_RDONLY).Fd())
	for name, test := range map[string]struct {
		packet []byte
		fds    []int
		ok     bool
	}{
		"born":                    {packet(MsgBorn, 3, 1234, ""), []int{null}, true},
		"without fd":              {packet(MsgReady, 3, 0, ""), nil, true},
		"with text":               {packet(MsgError, 3, 2, "openat2\x00/x\x00"), nil, true},
		"the longest":             {packet(MsgError, 3, 2, strings.Repeat("x", messageText)), nil, true},
		"too long":                {packet(MsgError, 3, 2, strings.Repeat("x", messageText+1)), nil, false},
		"truncated head":          {packet(MsgError, 3, 2, "")[:15], nil, false},
		"one byte":                {[]byte{1}, nil, false},
		"a message to the stage":  {packet(MsgGo, 0, 0, ""), nil, false},
		"a type of nobody":        {packet(MsgError+1, 0, 0, ""), nil, false},
		"type 0":                  {packet(0, 0, 0, ""), nil, false},
		"two fds":                 {packet(MsgBorn, 0, 0, ""), []int{null, null}, true}, // closed again (TestMain): no message has two
		"more fds than are taken": {packet(MsgBorn, 0, 0, ""), []int{null, null, null, null}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c, other := channelPair(t)
			var oob []byte
			if len(test.fds) > 0 {
				oob = unix.UnixRights(test.fds...)
			}
			if err := unix.Sendmsg(other, test.packet, oob, nil, 0); err != nil {
				t.Fatal(err)
			}
			m, err := c.Receive()
			if (err == nil) != test.ok {
				t.Fatalf("%v, %v", m, err)
			}
			if err != nil {
				return
			}
			if m.Type != MessageType(native.Uint32(test.packet)) || string(m.Text) != string(test.packet[16:]) || (m.FD >= 0) != (len(test.fds) == 1) {
				t.Errorf("%+v", m)
			}
			if m.FD >= 0 {
				unix.Close(m.FD)
			}
		})
	}
}

func TestReceiveAtTheEnd(t *testing.T) {
	c, other := channelPair(t)
	if err := unix.Sendmsg(other, packet(MsgReady, 9, 0, ""), nil, nil, 0); err != nil {
		t.Fatal(err)
	}
	unix.Shutdown(other, unix.SHUT_RDWR)
	if m, err := c.Receive(); err != nil || m.Step != 9 {
		t.Errorf("%v, %v", m, err)
	}
	for range 2 {
		if m, err := c.Receive(); !errors.Is(err, ErrGone) {
			t.Errorf("%v, %v", m, err)
		}
	}
	if err := c.Send(MsgGo, 0, ""); !errors.Is(err, unix.EPIPE) {
		t.Errorf("send to nobody: %v", err)
	}
	if err := errors.Join(c.Close(), c.Close()); err != nil {
		t.Errorf("closed twice: %v", err)
	}
}

func TestSendRefusesWhatIsTooMuch(t *testing.T) {
	c, _ := channelPair(t)
	if err := c.Send(MsgGo, 0, strings.Repeat("x", messageText)); err == nil {
		t.Error("a text that the stage cannot take is sent")
	}
	if err := c.Send(MsgFDs, 0, "", make([]int, MaxFDs+1)...); err == nil {
		t.Error("more fds than the stage takes are sent")
	}
	if err := c.Send(MsgGo, 0, strings.Repeat("x", messageText-1)); err != nil {
		t.Error(err)
	}
}

func TestFailure(t *testing.T) {
	plan := &Plan{Steps: []Step{
		{Op: OpSyscall, From: "hostname", What: "set the host name web1"},
		{Op: OpMount, From: `mounts[3] "/dev/mqueue"`, What: "mount mqueue on /dev/mqueue"},
		{Op: OpWait, What: "wait for start"},
	}}
	for _, test := range []struct {
		step  int
		errno unix.Errno
		text  string
		want  string
	}{
		{0, unix.EPERM, "", "hostname: set the host name web1: operation not permitted"},
		{0, unix.EPERM, "\x00\x00", "hostname: set the host name web1: operation not permitted"},
		{1, unix.ENODEV, "fsopen\x00mqueue\x00", `mounts[3] "/dev/mqueue": mount mqueue on /dev/mqueue: fsopen mqueue: no such device`},
		{1, unix.EINVAL, "fsmount", `mounts[3] "/dev/mqueue": mount mqueue on /dev/mqueue: fsmount: invalid argument`},
		{1, unix.EINVAL, "move_mount\x00", `mounts[3] "/dev/mqueue": mount mqueue on /dev/mqueue: move_mount: invalid argument`},
		{2, unix.EPROTO, "recvmsg\x00channel\x00", "wait for start: recvmsg channel: protocol error"},
	} {
		err := plan.Failure(&Message{Type: MsgError, Step: test.step, Code: int32(test.errno), Text: []byte(test.text)})
		if err.Error() != test.want {
			t.Errorf("%q, want %q", err, test.want)
		}
		var step *StepError
		if !errors.Is(err, test.errno) || !errors.As(err, &step) || step.Step.What != plan.Steps[test.step].What {
			t.Errorf("%v: errno or step is lost", err)
		}
	}
	if !errors.Is(plan.Failure(&Message{Code: int32(unix.ENOENT)}), os.ErrNotExist) {
		t.Error("ENOENT is not os.ErrNotExist")
	}
}

// A step number that the plan does not have is told by a stage that is not ours any more.
func TestFailureOfNoStep(t *testing.T) {
	for _, step := range []int{1, 1 << 31, 1<<32 - 1} {
		err := (&Plan{Steps: []Step{{What: "x"}}}).Failure(&Message{Step: step, Code: int32(unix.EIO), Text: []byte("read\x00it\x00")})
		if !errors.Is(err, unix.EIO) {
			t.Errorf("step %d: %v", step, err)
		}
	}
}

// Start re-executes the test itself, whose constructor is the stage's.
func TestStart(t *testing.T) {
	s, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	data := encode(t, []Step{Ask("", "", AskNothing)})
	if err := s.Send(MsgPlan, 0, "", int(memfd(t, string(data)).Fd())); err != nil {
		t.Fatal(err)
	}
	if m, err := s.Receive(); err != nil || m.Type != MsgAsk {
		t.Fatalf("%v, %v", m, err)
	}
	fd, err := unix.Open("/proc/"+strconv.Itoa(s.Pid)+"/exe", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == nil {
		defer unix.Close(fd)
		defer sealed(t, fd)
	} else if err != unix.EACCES || os.Geteuid() == 0 { // not dumpable: only root sees it at all
		t.Error(err)
	}
	s.Close()
	var status unix.WaitStatus
	if _, err := unix.Wait4(s.Pid, &status, 0, nil); err != nil || status.ExitStatus() != 1 {
		t.Errorf("after the end of its channel: %v, %v", status, err)
	}
}

// sealed: the binary of a stage cannot be written to, not even when it runs no more (CVE-2019-5736).
func sealed(t *testing.T, exe int) {
	t.Helper()
	again := "/proc/self/fd/" + strconv.Itoa(exe)
	to, err := os.Readlink(again)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(to, "/memfd:") {
		// Not opened: this test runs from the same file, which is ETXTBSY for as long as it does.
		if err := unix.Access(again, unix.W_OK); err != unix.EROFS {
			t.Errorf("write access to %s: %v", to, err)
		}
		return
	}
	fd, err := unix.Open(again, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPERM {
		t.Errorf("the copy is written to: %v", err)
	}
}
