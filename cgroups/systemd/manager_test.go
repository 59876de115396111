package systemd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// peer is the other end of a connection: it answers as the test says. The messages are real, over a real socket.
type peer struct {
	t      *testing.T
	conn   net.Conn
	in     *bufio.Reader
	serial uint32
}

// answer gives the replies to a call, in order; no reply at all is possible, too.
type answer func(p *peer, call *dbus.Message)

// serve listens on a socket and answers calls of the methods named; it gives the socket's name.
func serve(t *testing.T, methods map[string]answer) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "socket")
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{t: t, conn: conn, in: bufio.NewReader(conn)}
			go p.run(methods)
		}
	}()
	return name
}

func (p *peer) run(methods map[string]answer) {
	defer func() { _ = p.conn.Close() }()
	if !p.authenticate() {
		return
	}
	for {
		call, err := dbus.DecodeMessage(p.in)
		if err != nil {
			return
		}
		member, _ := call.Headers[dbus.FieldMember].Value().(string)
		if a := methods[member]; a != nil {
			a(p, call)
		} else {
			p.fail(call, "org.freedesktop.DBus.Error.UnknownMethod")
		}
	}
}

// authenticate plays the server of SASL EXTERNAL (D-Bus specification, "Authentication Protocol").
func (p *peer) authenticate() bool {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return false
		}
		switch line = strings.Trim(line, "\x00\r\n"); {
		case line == "AUTH":
			_, _ = io.WriteString(p.conn, "REJECTED EXTERNAL\r\n")
		case line == "AUTH EXTERNAL": // as whom, the socket tells
			_, _ = io.WriteString(p.conn, "DATA\r\n")
		case line == "DATA":
			_, _ = io.WriteString(p.conn, "OK 0123456789abcdef0123456789abcdef\r\n")
		case line == "BEGIN":
			return true
		default:
			_, _ = io.WriteString(p.conn, "ERROR\r\n")
		}
	}
}

func (p *peer) send(kind dbus.Type, headers map[dbus.HeaderField]dbus.Variant, body ...any) {
	if len(body) > 0 {
		headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	p.serial++
	m := &dbus.Message{Type: kind, Headers: headers, Body: body}
	// A serial of its own: the package gives none to messages that it does not send itself.
	var wire strings.Builder
	if err := m.EncodeTo(&wire, binary.LittleEndian); err != nil {
		p.t.Error(err)
	}
	bytes := []byte(wire.String())
	binary.LittleEndian.PutUint32(bytes[8:], p.serial)
	_, _ = p.conn.Write(bytes)
}

func (p *peer) reply(call *dbus.Message, body ...any) {
	p.send(dbus.TypeMethodReply, map[dbus.HeaderField]dbus.Variant{dbus.FieldReplySerial: dbus.MakeVariant(call.Serial())}, body...)
}

func (p *peer) fail(call *dbus.Message, name string) {
	p.send(dbus.TypeError, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldReplySerial: dbus.MakeVariant(call.Serial()), dbus.FieldErrorName: dbus.MakeVariant(name),
	}, "in other words, "+name)
}

func (p *peer) removed(job dbus.ObjectPath, unit, result string) {
	p.send(dbus.TypeSignal, map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath(managerPath)), dbus.FieldInterface: dbus.MakeVariant(managerInterface),
		dbus.FieldMember: dbus.MakeVariant("JobRemoved"),
	}, uint32(1), job, unit, result)
}

// done answers with a job that ends with a result.
func done(result string) answer {
	return func(p *peer, call *dbus.Message) {
		p.removed("/other", "other.service", "failed")
		p.reply(call, dbus.ObjectPath("/job"))
		p.removed("/job", "x.scope", result)
	}
}

func refused(name string) answer { return func(p *peer, call *dbus.Message) { p.fail(call, name) } }

func fine(p *peer, call *dbus.Message) { p.reply(call) }

// open connects to the methods of a manager, for as long as ctx lasts.
func open(t *testing.T, wait time.Duration, methods map[string]answer) (context.Context, *Manager) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	t.Cleanup(cancel)
	m, err := connect(ctx, address{serve(t, methods), false})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return ctx, m
}

const long = 20 * time.Second

func TestStart(t *testing.T) {
	t.Parallel()
	called := make(chan []any, 1)
	ctx, m := open(t, long, map[string]answer{"StartTransientUnit": func(p *peer, call *dbus.Message) {
		called <- call.Body
		done("done")(p, call)
	}})
	if err := m.Start(ctx, "x.scope", []Property{NewProperty("PIDs", []uint32{7})}); err != nil {
		t.Fatal(err)
	}
	if got := <-called; len(got) != 4 || got[0] != "x.scope" || got[1] != "fail" {
		t.Errorf("called with %v", got)
	}
}

// The signal may be there before the reply.
func TestSignalBeforeReply(t *testing.T) {
	t.Parallel()
	ctx, m := open(t, long, map[string]answer{"StartTransientUnit": func(p *peer, call *dbus.Message) {
		p.removed("/job", "x.scope", "done")
		p.reply(call, dbus.ObjectPath("/job"))
	}})
	if err := m.Start(ctx, "x.scope", nil); err != nil {
		t.Error(err)
	}
}

func TestJobFails(t *testing.T) {
	t.Parallel()
	reset := make(chan bool, 1)
	ctx, m := open(t, long, map[string]answer{"StartTransientUnit": done("failed"), "ResetFailedUnit": func(p *peer, call *dbus.Message) {
		reset <- true
		p.reply(call)
	}})
	err := m.Start(ctx, "x.scope", nil)
	if err == nil || !strings.Contains(err.Error(), "x.scope") || !strings.Contains(err.Error(), `"failed"`) || len(reset) == 0 {
		t.Errorf("%v; reset: %d", err, len(reset))
	}
}

// A failed unit of that name makes way; one that is in use does not.
func TestUnitExists(t *testing.T) {
	t.Parallel()
	var failed atomic.Bool
	failed.Store(true)
	exists := func(p *peer, call *dbus.Message) {
		if failed.Load() {
			p.fail(call, "org.freedesktop.systemd1.UnitExists")
			return
		}
		done("done")(p, call)
	}
	reset := func(p *peer, call *dbus.Message) { failed.Store(false); p.reply(call) }
	ctx, m := open(t, long, map[string]answer{"StartTransientUnit": exists, "ResetFailedUnit": reset})
	if err := m.Start(ctx, "x.scope", nil); err != nil {
		t.Errorf("a failed unit: %v", err)
	}
	failed.Store(true)
	ctx, m = open(t, long, map[string]answer{"StartTransientUnit": exists, "ResetFailedUnit": fine})
	if err := m.Start(ctx, "x.scope", nil); !IsUnitExists(err) {
		t.Errorf("a unit in use: %v", err)
	}
}

// Every call has an end, whatever the other side does.
func TestDeadline(t *testing.T) {
	t.Parallel()
	const short = 100 * time.Millisecond
	silent := func(*peer, *dbus.Message) {}
	for name, methods := range map[string]map[string]answer{
		"no reply":  {"StartTransientUnit": silent, "ResetFailedUnit": silent},
		"no signal": {"StartTransientUnit": func(p *peer, call *dbus.Message) { p.reply(call, dbus.ObjectPath("/job")) }},
	} {
		ctx, m := open(t, short, methods)
		begin := time.Now()
		err := m.Start(ctx, "x.scope", nil)
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) > 10*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(begin))
		}
	}
	// A socket whose owner never accepts, and one that says nothing.
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithTimeout(context.Background(), short)
	defer cancel()
	if m, err := connect(ctx, address{l.Addr().String(), false}); err == nil {
		t.Errorf("connected to %v", m)
	}
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	hangUp := func(p *peer, _ *dbus.Message) { _ = p.conn.Close() }
	replyAndHangUp := func(p *peer, call *dbus.Message) { p.reply(call, dbus.ObjectPath("/job")); _ = p.conn.Close() }
	for name, a := range map[string]answer{"before the reply": hangUp, "before the job's end": replyAndHangUp} {
		ctx, m := open(t, long, map[string]answer{"StartTransientUnit": a})
		if err := m.Start(ctx, "x.scope", nil); !errors.Is(err, ErrLost) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	const noUnit = "org.freedesktop.systemd1.NoSuchUnit"
	for name, methods := range map[string]map[string]answer{
		"running":     {"StopUnit": done("done"), "ResetFailedUnit": refused(noUnit)},
		"failed":      {"StopUnit": done("done"), "ResetFailedUnit": fine},
		"not there":   {"StopUnit": refused(noUnit)},
		"not allowed": {"StopUnit": refused("org.freedesktop.DBus.Error.AccessDenied"), "ResetFailedUnit": fine},
	} {
		ctx, m := open(t, long, methods)
		if err := m.Stop(ctx, "x.scope"); (err != nil) != (name == "not allowed") || err != nil && !IsDenied(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProperties(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{"252.38-1~deb12u1": 252, "v255": 255, "260": 260, "": 0, "x": 0} {
		ctx, m := open(t, long, map[string]answer{"Get": func(p *peer, call *dbus.Message) { p.reply(call, dbus.MakeVariant(text)) }})
		if got, err := m.Version(ctx); got != want || (err != nil) != (want == 0) {
			t.Errorf("version %q: %d, %v", text, got, err)
		}
		if got, err := m.ControlGroup(ctx); got != text || err != nil {
			t.Errorf("control group %q: %q, %v", text, got, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+dir+"/session%2dbus,guid=1")
	_, err := Connect(context.Background(), true, os.Getuid())
	for _, word := range []string{dir + "/systemd/private", dir + "/session-bus", dir + "/bus"} {
		if !errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), word) {
			t.Errorf("%v: nothing about %s", err, word)
		}
	}
	// A bus that systemd is not on.
	const unknown = "org.freedesktop.DBus.Error.ServiceUnknown"
	name := serve(t, map[string]answer{
		"Hello":     func(p *peer, call *dbus.Message) { p.reply(call, ":1.1") },
		"AddMatch":  fine,
		"Subscribe": refused(unknown),
	})
	if _, err := connect(context.Background(), address{name, true}); !errors.Is(err, ErrUnreachable) {
		t.Errorf("a bus without systemd: %v", err)
	}
}

func TestBusAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]address{
		"":                               nil,
		"unix:path=/a":                   {{"/a", true}},
		"unix:path=/a%20b,guid=00":       {{"/a b", true}},
		"unix:abstract=/x;unix:path=/y":  {{"@/x", true}, {"/y", true}},
		"tcp:host=h,port=1;unix:path=/y": {{"/y", true}},
		"unix:runtime=yes":               nil,
		"unix:path=%zz":                  nil,
	} {
		got := busAddresses(text)
		if len(got) != len(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: %v, want %v", text, got, want)
			}
		}
	}
}
