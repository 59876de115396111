package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
)

// ErrUnreachable is wrapped by errors that say that no manager answers at all.
var ErrUnreachable = errors.New("systemd is not reachable")

// ErrLost is wrapped when the connection breaks off, as it does when the manager or the bus starts anew.
var ErrLost = errors.New("the connection to systemd broke off")

// address is one way to a manager.
type address struct {
	name string // of a socket; abstract ones begin with "@"
	bus  bool   // a message bus in between, not the manager itself
}

// addresses lists the ways to a manager, the best first. The manager's own socket is the shorter way and is there
// without a message bus; only the manager's own user may use it.
func addresses(user bool, uid int) []address {
	if !user {
		list := []address{{"/run/systemd/private", false}}
		list = append(list, busAddresses(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"))...)
		return append(list, address{"/run/dbus/system_bus_socket", true})
	}
	run := os.Getenv("XDG_RUNTIME_DIR")
	if run == "" {
		run = "/run/user/" + strconv.Itoa(uid)
	}
	list := []address{{run + "/systemd/private", false}}
	list = append(list, busAddresses(os.Getenv("DBUS_SESSION_BUS_ADDRESS"))...)
	return append(list, address{run + "/bus", true})
}

// busAddresses understands the sockets among the addresses of a bus (D-Bus specification, "Server Addresses").
func busAddresses(text string) []address {
	var list []address
	for one := range strings.SplitSeq(text, ";") {
		options, ok := strings.CutPrefix(one, "unix:")
		if !ok {
			continue
		}
		for option := range strings.SplitSeq(options, ",") {
			key, value, _ := strings.Cut(option, "=")
			name, err := url.PathUnescape(value)
			switch {
			case err != nil || name == "":
			case key == "path":
				list = append(list, address{name, true})
			case key == "abstract":
				list = append(list, address{"@" + name, true})
			}
		}
	}
	return list
}

// dial connects and authenticates, as whom the socket tells: our own number for that would be wrong in a user namespace,
// and package dbus does not send it.
func dial(ctx context.Context, a address, signals dbus.SignalHandler) (*dbus.Conn, error) {
	var d net.Dialer
	sock, err := d.DialContext(ctx, "unix", a.name)
	if err != nil {
		return nil, err
	}
	return handshake(ctx, sock.(*net.UnixConn), a.bus, signals)
}

func handshake(ctx context.Context, sock *net.UnixConn, bus bool, signals dbus.SignalHandler) (*dbus.Conn, error) {
	if end, ok := ctx.Deadline(); ok {
		_ = sock.SetDeadline(end)
	}
	conn, err := dbus.DialUnix(sock, dbus.WithContext(ctx), dbus.WithSignalHandler(signals))
	if err != nil {
		_ = sock.Close()
		return nil, err
	}
	err = conn.Auth([]dbus.Auth{dbus.AuthExternal("")})
	if err == nil && bus {
		err = conn.Hello()
	}
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s: %w", sock.RemoteAddr(), err)
	}
	_ = sock.SetReadDeadline(time.Time{}) // from here on replies are waited for with the context
	return conn, nil
}

// jobs takes note of the jobs that have ended; it is the connection's signal handler.
type jobs struct {
	mu     sync.Mutex
	result map[dbus.ObjectPath]string
	news   chan struct{} // has room for one: something has ended
	closed chan struct{}
}

func newJobs() *jobs {
	return &jobs{result: map[dbus.ObjectPath]string{}, news: make(chan struct{}, 1), closed: make(chan struct{})}
}

// DeliverSignal implements dbus.SignalHandler. The manager's own socket tells of every unit of the machine.
func (j *jobs) DeliverSignal(iface, name string, signal *dbus.Signal) {
	if iface != managerInterface || name != "JobRemoved" || len(signal.Body) < 4 {
		return
	}
	job, ok1 := signal.Body[1].(dbus.ObjectPath)
	result, ok2 := signal.Body[3].(string)
	if !ok1 || !ok2 {
		return
	}
	j.mu.Lock()
	j.result[job] = result
	j.mu.Unlock()
	select {
	case j.news <- struct{}{}:
	default:
	}
}

// Terminate implements dbus.Terminator: the connection has ended.
func (j *jobs) Terminate() { close(j.closed) }

// wait gives the result of a job. The signal may have come before the reply that names the job.
func (j *jobs) wait(ctx context.Context, job dbus.ObjectPath) (string, error) {
	for {
		j.mu.Lock()
		result, ok := j.result[job]
		j.mu.Unlock()
		if ok {
			return result, nil
		}
		select {
		case <-j.news:
		case <-ctx.Done():
			return "", ctx.Err()
		case <-j.closed:
			return "", ErrLost
		}
	}
}
