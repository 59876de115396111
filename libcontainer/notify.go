package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A service in a container tells its manager that it is ready by a datagram to
// $NOTIFY_SOCKET (sd_notify(3)). The manager takes it from processes of the
// service only and by their pid, so the container gets a socket of ours, in a
// directory of its own, and rt passes on what is said there.
const (
	notifyDir    = "notify"      // of the container's entry
	notifyName   = "notify.sock" // in it
	notifyInside = "/run/notify" // where the container sees it
)

// notified are the messages that may pass. MAINPID would name a pid of another
// namespace, and fds to store or barriers are between the manager and us.
var notified = [...]string{"READY=", "STATUS=", "STOPPING=", "RELOADING=", "MONOTONIC_USEC=", "ERRNO=", "BUSERROR=",
	"EXIT_STATUS=", "WATCHDOG=", "EXTEND_TIMEOUT_USEC="}

// shareNotify shows the container a directory for the socket, if our own manager waits to be notified.
func (b *birth) shareNotify() error {
	ownMounts := sortNamespaces(b.spec)
	if b.store.NotifySocket == "" || b.spec.Process == nil || !ownMounts.has(unix.CLONE_NEWNS) {
		return nil
	}
	if err := unix.Mkdirat(int(b.entry.f.Fd()), notifyDir, 0o755); err != nil {
		return &os.PathError{Op: "mkdir", Path: b.entry.dir + "/" + notifyDir, Err: err}
	}
	spec, process := *b.spec, *b.spec.Process
	spec.Mounts = append(slices.Clip(spec.Mounts), specs.Mount{Destination: notifyInside, Type: "bind", Source: b.entry.dir + "/" + notifyDir,
		Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}})
	process.Env = append(slices.Clip(process.Env), "NOTIFY_SOCKET="+notifyInside+"/"+notifyName)
	spec.Process, b.spec = &process, &spec
	return nil
}

// notifier is both ends: the socket that the container sees, and one to speak to our manager.
type notifier struct {
	inside, out int
	manager     *unix.SockaddrUnix
}

// listenNotify makes the socket; it comes before the program, which may be quick. Nil if nobody wants to know.
func (c *Container) listenNotify() (*notifier, error) {
	path := c.entry.path(notifyDir + "/" + notifyName)
	if c.store.NotifySocket == "" || unix.Access(c.entry.path(notifyDir), unix.F_OK) != nil {
		return nil, nil
	}
	if err := unix.Unlink(path); err != nil && err != unix.ENOENT { // of a start that was killed
		return nil, &os.PathError{Op: "unlink", Path: notifyName, Err: err}
	}
	n := &notifier{inside: -1, out: -1, manager: &unix.SockaddrUnix{Name: c.store.NotifySocket}}
	err := n.open(path)
	if err != nil {
		n.close()
		return nil, fmt.Errorf("listen for the container's notifications: %w", err)
	}
	return n, nil
}

func (n *notifier) open(path string) (err error) {
	if n.inside, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err = unix.Bind(n.inside, &unix.SockaddrUnix{Name: path}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err = unix.Chmod(path, 0o777); err != nil { // whoever the service is
		return os.NewSyscallError("chmod", err)
	}
	n.out, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return os.NewSyscallError("socket", err)
}

func (n *notifier) close() {
	if n == nil {
		return
	}
	for _, fd := range []int{n.inside, n.out} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// relay passes messages on until init ends. With a main pid it only stays until the
// service is ready, and then tells the manager whom to watch once we are gone.
func (n *notifier) relay(pidfd, mainPid int) error {
	for {
		polled := []unix.PollFd{{Fd: int32(n.inside), Events: unix.POLLIN}, {Fd: int32(pidfd), Events: unix.POLLIN}}
		if _, err := unix.Poll(polled, -1); err != nil && err != unix.EINTR {
			return os.NewSyscallError("poll", err)
		}
		for text, ok := n.read(); ok; text, ok = n.read() {
			if text == "" {
				continue
			}
			if err := n.tell(text, nil); err != nil {
				return err
			}
			if mainPid != 0 && slices.Contains(strings.Split(text, "\n"), "READY=1") {
				return n.handOver(mainPid)
			}
		}
		if polled[1].Revents != 0 {
			return nil
		}
	}
}

// read takes a message without waiting, and of it what may pass. Fds that came along are closed,
// which answers the sender's barrier.
func (n *notifier) read() (text string, ok bool) {
	data, control := make([]byte, 8192), make([]byte, 4096)
	size, controls, flags, _, err := unix.Recvmsg(n.inside, data, control, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return "", err == unix.EINTR
	}
	closeRights(control[:controls])
	if flags&unix.MSG_TRUNC != 0 {
		return "", true
	}
	var pass []string
	for line := range strings.SplitSeq(string(data[:size]), "\n") {
		if slices.ContainsFunc(notified[:], func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			pass = append(pass, line)
		}
	}
	return strings.Join(pass, "\n"), true
}

func closeRights(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue
		}
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}

func (n *notifier) tell(text string, rights []byte) error {
	if err := unix.Sendmsg(n.out, []byte(text), rights, n.manager, unix.MSG_NOSIGNAL); err != nil {
		return &os.PathError{Op: "notify", Path: n.manager.Name, Err: err}
	}
	return nil
}

// handOver names the main process, and waits until the manager has read it: it looks us up by our pid.
func (n *notifier) handOver(mainPid int) error {
	if err := n.tell("MAINPID="+strconv.Itoa(mainPid), nil); err != nil {
		return err
	}
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(pipe[0])
	err := n.tell("BARRIER=1", unix.UnixRights(pipe[1]))
	unix.Close(pipe[1])
	if err != nil {
		return err
	}
	const patience = 30000 // ms
	if ended, err := unix.Poll([]unix.PollFd{{Fd: int32(pipe[0])}}, patience); err == nil && ended == 0 {
		return errors.New("NOTIFY_SOCKET: the manager does not read its messages")
	}
	return nil
}

// awaitReady returns when the service is ready, or has ended. That a manager cannot be told does not end a service.
func (c *Container) awaitReady(n *notifier) {
	if n == nil {
		return
	}
	pidfd, err := c.openInit()
	if errors.Is(err, ErrNotRunning) {
		return
	}
	if err == nil {
		defer unix.Close(pidfd)
		err = n.relay(pidfd, c.record.Pid)
	}
	if err != nil {
		c.store.warn(err.Error())
	}
}

// follow passes on what is said as long as init lives; call what it returns when it has ended.
func (c *Container) follow(n *notifier, pidfd int) (end func()) {
	if n == nil {
		return func() {}
	}
	done := make(chan error, 1)
	go func() { done <- n.relay(pidfd, 0) }()
	return func() {
		if err := <-done; err != nil {
			c.store.warn(err.Error())
		}
		n.close()
	}
}
