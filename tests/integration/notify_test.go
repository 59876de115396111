package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rt/tests/rttest"
)

// manager is a service manager's end of sd_notify(3).
type manager struct {
	t    *testing.T
	path string
	conn *net.UnixConn
}

func newManager(t *testing.T, b *rttest.Bundle) *manager {
	t.Helper()
	path := filepath.Join(b.Dir, "manager")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, path, conn}
}

// tell gives a command the manager's socket.
func (m *manager) tell(cmd *exec.Cmd) { cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+m.path) }

// hears returns the next message; what came with it is closed.
func (m *manager) hears(within time.Duration) string {
	_ = m.conn.SetReadDeadline(time.Now().Add(within))
	text := make([]byte, 1000)
	n, _, _, _, err := m.conn.ReadMsgUnix(text, nil)
	if err != nil {
		return ""
	}
	return string(text[:n])
}

func (m *manager) wants(texts ...string) {
	m.t.Helper()
	for _, want := range texts {
		if got := m.hears(20 * time.Second); got != want {
			m.t.Errorf("the manager heard %q, want %q", got, want)
		}
	}
}

// ready says where its socket is, and after the file /go comes that it is ready.
const ready = `ls -l $NOTIFY_SOCKET | cut -c1-10; while [ ! -e /go ]; do sleep 0.01; done
	probe notify 'STATUS=warm
MAINPID=4711'; probe notify READY=1; sleep 1000`

func readyBundle(t *testing.T) *rttest.Bundle {
	b := rttest.New(t).AddProbe().Sh(ready)
	b.Spec.Process.User.UID = 1000
	return b
}

// start returns when the service is ready, having told the manager so and whom to watch.
func TestNotifyOfStart(t *testing.T) {
	t.Parallel()
	b := readyBundle(t)
	m := newManager(t, b)
	b.Setup = m.tell
	b.Create().OK()
	pid := b.Pid()
	if text := m.hears(50 * time.Millisecond); text != "" {
		t.Errorf("create said %q", text)
	}
	done := make(chan *rttest.Result, 1)
	go func() { done <- b.RTWith(m.tell, "start", b.ID) }()
	rttest.Eventually(t, "it runs", func() bool { return b.Output() != "" })
	time.Sleep(100 * time.Millisecond)
	select {
	case res := <-done:
		t.Fatalf("start did not wait: %s", res)
	default:
	}
	b.WriteFile("rootfs/go", "")
	if rttest.IsRT(t) {
		m.wants("STATUS=warm")
	}
	wantsReady(m, pid)
	(<-done).OK()
	if out := b.Output(); out != "srwxrwxrwx\n" {
		t.Errorf("the container sees %q", out)
	}
}

// wantsReady: READY and MAINPID in this order, with barriers.
func wantsReady(m *manager, pid int) {
	m.t.Helper()
	var heard []string
	for {
		text := strings.TrimSpace(m.hears(2 * time.Second))
		if text == "" {
			break
		}
		if text != "BARRIER=1" {
			heard = append(heard, text)
		}
	}
	if got := strings.Join(heard, " "); got != "READY=1 MAINPID="+strconv.Itoa(pid) {
		m.t.Errorf("the manager heard %q", got)
	}
}

func TestNotifyOfDetachedRun(t *testing.T) {
	t.Parallel()
	b := readyBundle(t)
	m := newManager(t, b)
	b.Setup = m.tell
	b.WriteFile("rootfs/go", "")
	done := make(chan *rttest.Result, 1)
	go func() { done <- b.RunDetached() }()
	if rttest.IsRT(t) {
		m.wants("STATUS=warm")
	}
	m.wantsPrefix("READY=1")
	m.wantsPrefix("BARRIER=1", "MAINPID=")
	m.wantsPrefix("BARRIER=1", "MAINPID=")
	(<-done).OK()
}

func (m *manager) wantsPrefix(any ...string) {
	m.t.Helper()
	got := m.hears(20 * time.Second)
	for _, prefix := range any {
		if strings.HasPrefix(got, prefix) {
			return
		}
	}
	m.t.Errorf("the manager heard %q, want one of %q", got, any)
}

// In the foreground rt is the main process itself, and passes on all that it may until the end.
func TestNotifyOfForegroundRun(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "it passes on more than READY")
	b := rttest.New(t).AddProbe().Sh(`probe notify READY=1; probe notify 'MAINPID=1'; probe notify 'FDSTORE=1
WATCHDOG=1'; probe notify STOPPING=1; exit 3`)
	m := newManager(t, b)
	b.Setup = m.tell
	b.Run().Exits(3)
	m.wants("READY=1", "WATCHDOG=1", "STOPPING=1")
	if text := m.hears(50 * time.Millisecond); text != "" {
		t.Errorf("the manager heard %q, too", text)
	}
}

// A service that ends without being ready, and a manager that is gone, hold nobody up.
func TestNotifyOfNobody(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "runc takes a zombie for a service that will be ready")
	b := rttest.New(t).AddProbe().Sh("exit 5")
	m := newManager(t, b)
	b.Setup = m.tell
	b.RunDetached().OK()
	b.Delete("--force").OK()
	m.conn.Close()
	b.Sh("probe notify READY=1; exit 4")
	b.Run().Exits(4)
	b.Setup = nil
	b.Sh("echo $NOTIFY_SOCKET; ls -d /run/notify 2>&1").Run()
}
