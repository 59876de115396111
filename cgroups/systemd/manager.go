package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/godbus/dbus/v5"
)

const (
	busName          = "org.freedesktop.systemd1"
	managerPath      = "/org/freedesktop/systemd1"
	managerInterface = "org.freedesktop.systemd1.Manager"
)

// Manager is a connection to a service manager. Every call ends with its context at the latest.
type Manager struct {
	conn    *dbus.Conn
	manager dbus.BusObject
	jobs    *jobs
}

// Connect reaches the system's manager, or with user that of the user whose id outside of our user namespace is uid.
// The error wraps ErrUnreachable and tells of each way that was tried.
func Connect(ctx context.Context, user bool, uid int) (*Manager, error) {
	err := ErrUnreachable
	for _, a := range addresses(user, uid) {
		m, failed := connect(ctx, a)
		if failed == nil {
			return m, nil
		}
		err = fmt.Errorf("%w; %w", err, failed)
	}
	return nil, err
}

func connect(ctx context.Context, a address) (*Manager, error) {
	j := newJobs()
	conn, err := dial(ctx, a, j)
	if err != nil {
		return nil, err
	}
	m := newManager(conn, j)
	if a.bus {
		if err := m.subscribe(ctx); err != nil {
			m.Close()
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return m, nil
}

func newManager(conn *dbus.Conn, j *jobs) *Manager {
	return &Manager{conn: conn, manager: conn.Object(busName, managerPath), jobs: j}
}

// subscribe asks for signals, which a bus passes on to nobody who did not ask. It also finds a bus without systemd.
func (m *Manager) subscribe(ctx context.Context) error {
	err := m.conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(managerInterface), dbus.WithMatchMember("JobRemoved"))
	if err != nil {
		return err
	}
	return m.call(ctx, "Subscribe", "").Err
}

// Close ends the connection.
func (m *Manager) Close() { _ = m.conn.Close() }

// auxiliary is a further unit of StartTransientUnit: there are none.
type auxiliary struct {
	Name       string
	Properties []Property
}

// Start makes a unit and waits until it is there. Remains of a failed unit of that name make way.
func (m *Manager) Start(ctx context.Context, unit string, properties []Property) error {
	start := func() error {
		return m.job(ctx, "StartTransientUnit", unit, unit, "fail", properties, []auxiliary{})
	}
	err := start()
	if IsUnitExists(err) && m.reset(ctx, unit) == nil {
		err = start()
	}
	if err != nil && !IsUnitExists(err) {
		_ = m.reset(ctx, unit) // most often there is nothing to reset
	}
	return err
}

// Stop ends a unit, waits until it is gone, and has the manager forget that it failed. One that is not there is fine.
func (m *Manager) Stop(ctx context.Context, unit string) error {
	err := m.job(ctx, "StopUnit", unit, unit, "replace")
	if isNoUnit(err) {
		return nil
	}
	if reset := m.reset(ctx, unit); err == nil && !isNoUnit(reset) {
		err = reset
	}
	return err
}

// Set changes properties of a unit until it ends.
func (m *Manager) Set(ctx context.Context, unit string, properties []Property) error {
	return m.call(ctx, "SetUnitProperties", unit, unit, true, properties).Err
}

// Attach moves a process into a unit that delegates its cgroup, at the path sub ("/x", or "") below it. A user's manager
// asks the system's where the user may not do so.
func (m *Manager) Attach(ctx context.Context, unit, sub string, pid int) error {
	return m.call(ctx, "AttachProcessesToUnit", unit, unit, sub, []uint32{uint32(pid)}).Err
}

// Version is the manager's: 252 of "252.38-1~deb12u1".
func (m *Manager) Version(ctx context.Context) (int, error) {
	var v dbus.Variant
	c := m.call(ctx, "org.freedesktop.DBus.Properties.Get", "", managerInterface, "Version")
	if err := c.Store(&v); err != nil {
		return 0, err
	}
	text, _ := v.Value().(string)
	digits := strings.TrimLeft(text, "v")
	if end := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); end >= 0 {
		digits = digits[:end]
	}
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0, fmt.Errorf("systemd: version %q: %w", text, err)
	}
	return n, nil
}

// ControlGroup is the manager's own cgroup, below which its units lie: "" for the system's, as a rule.
func (m *Manager) ControlGroup(ctx context.Context) (string, error) {
	var v dbus.Variant
	c := m.call(ctx, "org.freedesktop.DBus.Properties.Get", "", managerInterface, "ControlGroup")
	if err := c.Store(&v); err != nil {
		return "", err
	}
	path, _ := v.Value().(string)
	return strings.TrimSuffix(path, "/"), nil
}

func (m *Manager) reset(ctx context.Context, unit string) error {
	return m.call(ctx, "ResetFailedUnit", unit, unit).Err
}

// job calls a method that starts a job, and waits until the job has ended.
func (m *Manager) job(ctx context.Context, method, unit string, args ...any) error {
	var job dbus.ObjectPath
	if err := m.call(ctx, method, unit, args...).Store(&job); err != nil {
		return err
	}
	result, err := m.jobs.wait(ctx, job)
	switch {
	case err != nil:
		return wrap(ctx, "the job of "+method, unit, err)
	case result != "done":
		return fmt.Errorf("systemd %s %s: the job ended with %q (systemctl status %s may say why)", method, unit, result, unit)
	}
	return nil
}

// call calls a method of the manager. The call's error names method and unit.
func (m *Manager) call(ctx context.Context, method, unit string, args ...any) *dbus.Call {
	full := method
	if !strings.Contains(method, ".") {
		full = managerInterface + "." + method
	}
	c := m.manager.CallWithContext(ctx, full, 0, args...)
	if c.Err != nil {
		c.Err = wrap(ctx, method, unit, c.Err)
	}
	return c
}

func wrap(ctx context.Context, method, unit string, err error) error {
	what := strings.TrimSuffix("systemd "+method+" "+unit, " ")
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: no answer in time: %w", what, os.ErrDeadlineExceeded)
	case isLost(err):
		return fmt.Errorf("%s: %w: %w", what, ErrLost, err)
	case isError(err, "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.DBus.Error.Spawn."):
		return fmt.Errorf("%s: %w: %w", what, ErrUnreachable, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

func isLost(err error) bool {
	return errors.Is(err, ErrLost) || errors.Is(err, dbus.ErrClosed) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || isError(err, "org.freedesktop.DBus.Error.Disconnected")
}

// isError tells whether the other side answered with an error of one of these names.
func isError(err error, names ...string) bool {
	var e dbus.Error
	if !errors.As(err, &e) {
		return false
	}
	for _, name := range names {
		if e.Name == name || strings.HasSuffix(name, ".") && strings.HasPrefix(e.Name, name) {
			return true
		}
	}
	return false
}

func isNoUnit(err error) bool { return isError(err, "org.freedesktop.systemd1.NoSuchUnit") }

// IsDenied tells whether the manager or the bus does not let us do that.
func IsDenied(err error) bool {
	return isError(err, "org.freedesktop.DBus.Error.AccessDenied", "org.freedesktop.DBus.Error.AuthFailed",
		"org.freedesktop.DBus.Error.InteractiveAuthorizationRequired")
}

// IsUnitExists tells whether a unit of that name is there already.
func IsUnitExists(err error) bool { return isError(err, "org.freedesktop.systemd1.UnitExists") }
