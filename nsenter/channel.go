package nsenter

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// MessageType says what a message is. The numbers are those of stage.h.
type MessageType uint32

// Messages to the stage, then from it.
const (
	MsgPlan MessageType = 1 + iota
	MsgFDs
	MsgContinue
	MsgGo
	MsgPark
)

// What the stage says.
const (
	MsgBorn MessageType = 16 + iota
	MsgAsk
	MsgReady
	MsgTrace
	MsgError
)

const (
	messageHead = 16
	// MaxFDs travel in one message; few at a time keep the fd table small, whose growth costs a grace period.
	MaxFDs      = 16
	messageText = 4096
)

// Message is one packet of the channel.
type Message struct {
	Type MessageType
	Step int
	Code int32
	Text []byte
	FD   int // -1 for none
}

// Channel is the parent's end of the socket between rt and its stage.
type Channel struct{ fd int }

// NewChannel takes over fd, a connected SOCK_SEQPACKET socket.
func NewChannel(fd int) *Channel { return &Channel{fd: fd} }

// Close ends the conversation; a stage that still listens then ends itself.
func (c *Channel) Close() error {
	if c.fd < 0 {
		return nil
	}
	err := unix.Close(c.fd)
	c.fd = -1
	return os.NewSyscallError("close", err)
}

// Send sends one message with up to MaxFDs fds, which stay open here.
func (c *Channel) Send(t MessageType, code int32, text string, fds ...int) error {
	if len(text) >= messageText || len(fds) > MaxFDs {
		return fmt.Errorf("send to stage: %d bytes and %d fds are too much for one message", len(text), len(fds))
	}
	b := make([]byte, messageHead, messageHead+len(text))
	native.PutUint32(b, uint32(t))
	native.PutUint32(b[8:], uint32(code))
	b = append(b, text...)
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	for {
		err := unix.Sendmsg(c.fd, b, oob, nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// HangUp says nothing more: a stage that waits for us ends, and what it says until then can be heard.
func (c *Channel) HangUp() {
	if c.fd >= 0 {
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
	}
}

// ErrGone means that nobody is left at the stage's end.
var ErrGone = errors.New("the stage has ended")

// Receive waits for one message; ErrGone at the end of the channel.
func (c *Channel) Receive() (*Message, error) {
	buf := make([]byte, messageHead+messageText)
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, flags, err := receive(c.fd, buf, oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	if n == 0 {
		return nil, ErrGone
	}
	fd := oneFD(oob[:oobn])
	m, err := parseMessage(buf[:n])
	if err != nil || flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		closeAll(fd)
		return nil, errors.New("receive from stage: not a message")
	}
	m.FD = fd
	return m, nil
}

func receive(fd int, buf, oob []byte) (n, oobn, flags int, err error) {
	for {
		n, oobn, flags, _, err = unix.Recvmsg(fd, buf, oob, unix.MSG_CMSG_CLOEXEC)
		// ECONNRESET, told once, says that the stage ended with words of ours unread; its own last word comes next.
		if err != unix.EINTR && err != unix.ECONNRESET {
			return n, oobn, flags, err
		}
	}
}

func parseMessage(b []byte) (*Message, error) {
	if len(b) < messageHead {
		return nil, errors.New("short message")
	}
	m := &Message{Type: MessageType(native.Uint32(b)), Step: int(native.Uint32(b[4:])), Code: int32(native.Uint32(b[8:])), FD: -1}
	if m.Type < MsgBorn || m.Type > MsgError {
		return nil, fmt.Errorf("message of type %d", m.Type)
	}
	m.Text = b[messageHead:]
	return m, nil
}

func oneFD(oob []byte) int {
	if len(oob) == 0 {
		return -1
	}
	scms, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(scms) != 1 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&scms[0])
	if err != nil || len(fds) != 1 {
		closeAll(fds...)
		return -1
	}
	return fds[0]
}

// closeAll closes what a stage sent and nobody asked for.
func closeAll(fds ...int) {
	for _, fd := range fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// StepError is a step of the plan that the kernel refused.
type StepError struct {
	Step   Step
	Call   string // the system call, when the step is more than one
	Object string // what it was applied to, when it differs from the step's own words
	Errno  unix.Errno
}

// Unwrap gives the kernel's errno.
func (e *StepError) Unwrap() error { return e.Errno }

// Error is one line: the config field, the step, the call and the kernel's word.
func (e *StepError) Error() string {
	b := e.Step.Title()
	if e.Call != "" {
		b += ": " + e.Call
		if e.Object != "" {
			b += " " + e.Object
		}
	}
	return b + ": " + e.Errno.Error()
}

// Failure makes the error that a MsgError speaks of.
func (p *Plan) Failure(m *Message) error {
	e := &StepError{Errno: unix.Errno(m.Code)}
	if m.Step < len(p.Steps) {
		e.Step = p.Steps[m.Step]
	}
	call, object, _ := bytes.Cut(m.Text, []byte{0})
	e.Call, e.Object = string(call), string(bytes.TrimRight(object, "\x00"))
	return e
}

// Memfd puts data into a sealed memfd that nobody can change any more.
func Memfd(name string, data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := unix.Write(fd, data); err != nil {
		f.Close()
		return nil, os.NewSyscallError("write", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		f.Close()
		return nil, os.NewSyscallError("fcntl F_ADD_SEALS", err)
	}
	runtime.KeepAlive(f)
	return f, nil
}
