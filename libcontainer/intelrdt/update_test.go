package intelrdt

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A plain file keeps all that was written, one line after the other.
func TestUpdate(t *testing.T) {
	mount := t.TempDir()
	group(t, mount, "gold", shownByKernel)
	g := New(mount, "box", &specs.LinuxIntelRdt{ClosID: "gold"})
	undo, err := g.Update(&specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := content(t, mount, "gold/schemata"), shownByKernel+"L3:0=f\nMB:0=20\n"; got != want {
		t.Errorf("schemata %q, want %q", got, want)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, mount, "gold/schemata"); !strings.HasSuffix(got, "MB:0=20\nL3:0=7ff;1=00f\nMB:0=100;1=70\n") {
		t.Errorf("taken back: %q", got)
	}
}

func TestUpdateOfAGroupThatIsGone(t *testing.T) {
	g := New(t.TempDir(), "box", &specs.LinuxIntelRdt{})
	if _, err := g.Update(&specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}); !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "linux.intelRdt: ") {
		t.Error(err)
	}
}

func TestUpdateRefused(t *testing.T) {
	mount := t.TempDir()
	if err := os.MkdirAll(mount+"/box/schemata", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := New(mount, "box", &specs.LinuxIntelRdt{}).Update(&specs.LinuxIntelRdt{MemBwSchema: "MB:0=1"}); err == nil {
		t.Error("no error")
	}
}
