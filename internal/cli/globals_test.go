package cli

import (
	"os"
	"path/filepath"
	"testing"

	"rt/internal/sys"
)

func TestRootIsMadeAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	g := globals{root: "state/../s"}
	if err := g.settle(true); err == nil {
		t.Fatal("an empty --rootless passed")
	}
	if want := filepath.Join(dir, "s"); g.root != want {
		t.Errorf("root %s, want %s", g.root, want)
	}
}

func TestManager(t *testing.T) {
	for _, c := range []struct {
		systemd       bool
		manager, want string
	}{
		{false, "", "cgroupfs"},
		{false, "cgroupfs", "cgroupfs"},
		{false, "systemd", "systemd"},
		{false, "disabled", "disabled"},
		{true, "", "systemd"},
		{true, "systemd", "systemd"},
	} {
		g := globals{systemd: c.systemd, manager: c.manager}
		if err := g.settleManager(); err != nil || g.manager != c.want {
			t.Errorf("%+v: %q, %v", c, g.manager, err)
		}
	}
}

func TestRootless(t *testing.T) {
	auto := os.Geteuid() != 0 || sys.InUserNamespace()
	for value, want := range map[string]bool{"true": true, "1": true, "false": false, "auto": auto} {
		g := globals{rootless: value}
		if got := g.isRootless(); got != want {
			t.Errorf("--rootless=%s: %v", value, got)
		}
	}
}

// The default root needs a user who is not the real root: root of a user
// namespace. list works on a root that is not there yet, and makes nothing.
func TestDefaultRoot(t *testing.T) {
	run := t.TempDir()
	for _, c := range []struct {
		name string
		env  []string
		root string
	}{
		{"user", []string{"USER=joe", "XDG_RUNTIME_DIR=" + run}, run + "/rt"},
		{"no USER", []string{"XDG_RUNTIME_DIR=" + run}, run + "/rt"},
		{"root by name", []string{"USER=root", "XDG_RUNTIME_DIR=" + run}, systemRoot},
		{"no XDG_RUNTIME_DIR", []string{"USER=joe"}, systemRoot},
		{"relative XDG_RUNTIME_DIR", []string{"USER=joe", "XDG_RUNTIME_DIR=run"}, systemRoot},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, errOut, err := rtInUserNS(t, c.env, "--debug", "--log-format=json", "features")
			if err != nil {
				t.Fatalf("%v: %s", err, errOut)
			}
			want := "rt " + version + ", state root " + c.root + `, arguments ["features"]`
			if log := records(t, errOut); len(log) != 1 || log[0].Msg != want {
				t.Errorf("log %+v, want %s", log, want)
			}
		})
	}
	out, errOut, err := rtInUserNS(t, []string{"XDG_RUNTIME_DIR=" + run}, "list", "--format=json")
	if err != nil || out != "null\n" {
		t.Errorf("list: %v, stdout %q, stderr %q", err, out, errOut)
	}
	if _, err := os.Stat(run + "/rt"); !os.IsNotExist(err) {
		t.Errorf("list made the root: %v", err)
	}
}

func TestMakeRoot(t *testing.T) {
	g := globals{root: filepath.Join(t.TempDir(), "rt"), rootXDG: true}
	for range 2 {
		if err := g.makeRoot(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(g.root)
	if err != nil {
		t.Fatal(err)
	}
	if want := os.ModeDir | os.ModeSticky | 0o700; info.Mode() != want {
		t.Errorf("mode %v, want %v", info.Mode(), want)
	}
}
