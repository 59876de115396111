package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"rt/internal/sys"
)

const systemRoot = "/run/rt"

// globals are the options before the verb.
type globals struct {
	root     string
	rootSet  bool // --root was given
	rootXDG  bool // root is our directory under $XDG_RUNTIME_DIR
	logFile  string
	format   string
	level    string
	debug    bool
	systemd  bool
	manager  string // cgroupfs, systemd or disabled
	rootless string // true, false or auto
}

func (g *globals) flags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "root", Usage: "keep the state of containers in `DIR` (default: " + systemRoot + ", or $XDG_RUNTIME_DIR/rt when not root)", Destination: &g.root},
		&cli.StringFlag{Name: "log", Usage: "append log records to `FILE` instead of stderr", Destination: &g.logFile},
		&cli.StringFlag{Name: "log-format", Usage: "`FORMAT` of log records: text or json", Value: "text", Destination: &g.format},
		&cli.BoolFlag{Name: "debug", Usage: "short for --log-level=debug", Destination: &g.debug, DisableDefaultText: true},
		&cli.StringFlag{Name: "log-level", Usage: "least `LEVEL` to log: debug, info, warn or error (default: warn on stderr, error in a file)", Destination: &g.level},
		&cli.BoolFlag{Name: "systemd-cgroup", Usage: "short for --cgroup-manager=systemd; linux.cgroupsPath is then slice:prefix:name", Destination: &g.systemd, DisableDefaultText: true},
		&cli.StringFlag{Name: "cgroup-manager", Usage: "make cgroups by `MANAGER`: cgroupfs, systemd, or disabled, which touches none (default: cgroupfs)", Destination: &g.manager},
		&cli.StringFlag{Name: "rootless", Usage: "whether to do without what only root may do: `MODE` true, false or auto", Value: "auto", Destination: &g.rootless},
	}
}

// settle checks the globals that are not about logging and fills in defaults.
func (g *globals) settle(rootSet bool) error {
	g.rootSet = rootSet
	return firstError(g.settleRoot, g.settleManager, g.checkRootless)
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (g *globals) settleRoot() error {
	if !g.rootSet {
		g.root, g.rootXDG = defaultRoot()
		return nil
	}
	if g.root == "" {
		return errors.New("--root is empty")
	}
	abs, err := filepath.Abs(g.root)
	if err != nil {
		return fmt.Errorf("--root %s: %w", g.root, err)
	}
	if abs == "/" {
		return errors.New("--root is /: every directory there would be taken for a container")
	}
	g.root = abs
	return nil
}

// defaultRoot is where state lives when --root is not given: a user who is not
// root, or who is root of a user namespace only, cannot write /run.
func defaultRoot() (dir string, xdg bool) {
	run := os.Getenv("XDG_RUNTIME_DIR")
	if run == "" || !filepath.IsAbs(run) {
		return systemRoot, false
	}
	if os.Geteuid() == 0 && (os.Getenv("USER") == "root" || !sys.InUserNamespace()) {
		return systemRoot, false
	}
	return filepath.Join(run, "rt"), true
}

// makeRoot makes the default root of a user, sticky, which tells cleaners of
// XDG_RUNTIME_DIR to leave it alone (XDG Base Directory Specification).
func (g *globals) makeRoot() error {
	if !g.rootXDG {
		return nil
	}
	if err := os.MkdirAll(g.root, 0o700); err != nil {
		return err
	}
	return os.Chmod(g.root, 0o700|os.ModeSticky)
}

func (g *globals) settleManager() error {
	switch {
	case g.systemd && g.manager != "" && g.manager != "systemd":
		return fmt.Errorf("--systemd-cgroup and --cgroup-manager=%s contradict each other", g.manager)
	case g.systemd:
		g.manager = "systemd"
	case g.manager == "":
		g.manager = "cgroupfs"
	}
	switch g.manager {
	case "cgroupfs", "systemd", "disabled":
		return nil
	}
	return fmt.Errorf("--cgroup-manager %q: must be cgroupfs, systemd or disabled", g.manager)
}

func (g *globals) checkRootless() error {
	if _, err := strconv.ParseBool(g.rootless); err != nil && g.rootless != "auto" {
		return fmt.Errorf("--rootless %q: must be true, false or auto", g.rootless)
	}
	return nil
}

// isRootless tells whether to run without the rights of the real root. In a
// user namespace nothing says beforehand which cgroups may be written.
func (g *globals) isRootless() bool {
	if b, err := strconv.ParseBool(g.rootless); err == nil {
		return b
	}
	return os.Geteuid() != 0 || sys.InUserNamespace()
}
