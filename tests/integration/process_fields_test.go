package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// Each capability by its name, in each set: what the kernel says of a process that has that one alone.
func TestEveryCapability(t *testing.T) {
	t.Parallel()
	names := rttest.AllCaps()
	if len(names) < 41 {
		t.Fatalf("only %d capabilities", len(names))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			rttest.Need(t, rttest.Capability(capNumber(name)))
			one := []string{name}
			b := rttest.New(t)
			b.Spec.Process.User.UID = 1000 // root would have in permitted what is in bounding
			b.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: one, Effective: one, Inheritable: one, Permitted: one, Ambient: one}
			s, want := ownStatus(t, b), fmt.Sprintf("%016x", uint64(1)<<capNumber(name))
			for _, set := range []string{"CapBnd", "CapEff", "CapInh", "CapPrm", "CapAmb"} {
				if s[set] != want {
					t.Errorf("%s is %s, want %s", set, s[set], want)
				}
			}
		})
	}
}

// The terminal has the size that is asked for; without a terminal the size is nobody's, whatever it is.
func TestConsoleSize(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("stty size; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo terminal")
	b.Spec.Process.Terminal, b.Spec.Process.ConsoleSize = true, &specs.Box{Height: 33, Width: 99}
	socket := rttest.ListenFD(t)
	b.Create("--console-socket", socket.Path).OK()
	master, _ := socket.Receive()
	b.Start().OK()
	if got := strings.Join(strings.Fields(rttest.ReadTerminal(t, master, "terminal")), " "); got != "33 99 terminal" {
		t.Errorf("got %q", got)
	}
	b.Delete("--force").OK()
	b.Sh("[ -t 0 ] || echo none")
	b.Spec.Process.Terminal, b.Spec.Process.ConsoleSize = false, &specs.Box{Height: 1 << 20, Width: 99}
	b.Run().OK().Prints("none")
}

// root.path is absolute or relative to the bundle, and has to be a directory that is there.
func TestRootPath(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /here")
	b.WriteFile("rootfs/here", "this root\n")
	for _, path := range []string{"rootfs", "./rootfs/", b.InRootfs(), "../bundle/rootfs"} {
		b.Spec.Root.Path = path
		b.Run().OK().Prints("this root")
	}
	for _, path := range []string{"nosuch", "/no/such/dir", "config.json"} {
		b.Spec.Root.Path = path
		b.Create().FailsNaming("root.path")
		b.CheckGone()
	}
	b.Edit = func(m map[string]any) { delete(m, "root") }
	b.Create().FailsNaming("root")
}

// Without process.oomScoreAdj the score is the caller's.
func TestOOMScoreUnset(t *testing.T) {
	t.Parallel()
	own, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t).Args("cat", "/proc/self/oom_score_adj")
	b.Spec.Process.OOMScoreAdj = nil
	b.Run().OK().Prints(strings.TrimSpace(string(own)))
}
