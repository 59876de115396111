package terminal

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestSetSize(t *testing.T) {
	master, slave := openPTY(t)
	before := termios(t, slave)
	check(t, SetSize(master, nil))
	check(t, SetSize(master, &specs.Box{Height: 33, Width: 111}))
	size, err := unix.IoctlGetWinsize(int(slave.Fd()), unix.TIOCGWINSZ)
	check(t, err)
	if size.Row != 33 || size.Col != 111 {
		t.Errorf("the window has %d rows and %d columns", size.Row, size.Col)
	}
	if got := termios(t, slave); got != before {
		t.Errorf("mode %+v became %+v", before, got)
	}
}

func TestBareNewlines(t *testing.T) {
	master, slave := openPTY(t)
	before := termios(t, slave)
	check(t, BareNewlines(master))
	want := before
	want.Oflag &^= unix.ONLCR
	if got := termios(t, slave); got != want || before.Oflag&unix.ONLCR == 0 {
		t.Errorf("mode %+v became %+v", before, got)
	}
	_, err := slave.WriteString("a\nb\n")
	check(t, err)
	readExactly(t, master, "a\nb\n")
}

func TestSetSizeFaults(t *testing.T) {
	master, _ := openPTY(t)
	for _, size := range []specs.Box{{Height: 65536, Width: 1}, {Height: 1, Width: 1 << 40}} {
		if err := SetSize(master, &size); err == nil || !strings.HasPrefix(err.Error(), "process.consoleSize: ") {
			t.Errorf("%v: %v", size, err)
		}
	}
	null, err := os.Open("/dev/null")
	check(t, err)
	defer null.Close()
	if err := BareNewlines(null); !errors.Is(err, unix.ENOTTY) {
		t.Errorf("/dev/null: %v, want ENOTTY", err)
	}
}

// receive accepts one connection and returns what came in its first message.
func receive(t *testing.T, l *net.UnixListener) (payload string, file *os.File) {
	t.Helper()
	conn, err := l.AcceptUnix()
	check(t, err)
	defer conn.Close()
	data, rights := make([]byte, 4096), make([]byte, unix.CmsgSpace(4*4))
	n, rn, _, _, err := conn.ReadMsgUnix(data, rights)
	check(t, err)
	messages, err := unix.ParseSocketControlMessage(rights[:rn])
	check(t, err)
	if len(messages) != 1 {
		t.Fatalf("%d control messages, want 1", len(messages))
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	check(t, err)
	if len(fds) != 1 {
		t.Fatalf("descriptors %v, want one", fds)
	}
	return string(data[:n]), os.NewFile(uintptr(fds[0]), "received")
}

func TestSendFD(t *testing.T) {
	for name, dir := range map[string]string{"short": ".", "long path": strings.Repeat("d", 120)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), dir, "sock")
			check(t, os.MkdirAll(filepath.Dir(path), 0o700))
			t.Chdir(filepath.Dir(path)) // net has no way around the limit
			l, err := net.ListenUnix("unix", &net.UnixAddr{Name: "sock", Net: "unix"})
			check(t, err)
			defer l.Close()
			master, slave := openPTY(t)
			check(t, SendFD(path, "/dev/pts/7", master.Fd()))
			payload, got := receive(t, l)
			defer got.Close()
			if payload != "/dev/pts/7" {
				t.Errorf("payload %q", payload)
			}
			_, err = slave.WriteString("hello")
			check(t, err)
			readExactly(t, got, "hello")
		})
	}
}

// More payload than a socket takes at once arrives whole.
func TestSendFDLongPayload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	check(t, err)
	defer l.Close()
	want := strings.Repeat("0123456789abcdef", 1<<16)
	sent := make(chan error, 1)
	go func() { sent <- SendFD(path, want, 0) }()
	conn, err := l.AcceptUnix()
	check(t, err)
	defer conn.Close()
	got, err := io.ReadAll(conn)
	check(t, err)
	check(t, <-sent)
	if string(got) != want {
		t.Errorf("%d of %d bytes arrived", len(got), len(want))
	}
}

func TestSendFDFaults(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	check(t, os.WriteFile(file, nil, 0o600))
	for path, want := range map[string]error{
		filepath.Join(dir, "none"): unix.ENOENT,
		file:                       unix.ECONNREFUSED,
		filepath.Join(dir, strings.Repeat("x", 200), "sock"): unix.ENOENT,
	} {
		err := SendFD(path, "name", 0)
		var at *fs.PathError
		if !errors.Is(err, want) || !errors.As(err, &at) || !strings.HasPrefix(path, at.Path) {
			t.Errorf("%s: %v, want a PathError with %v", path, err, want)
		}
	}
	if err := SendFD(file, "", 0); !errors.Is(err, errNoName) {
		t.Errorf("without a name: %v", err)
	}
}
