package cli

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestArity(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"create"}, `rt: "create" requires exactly 1 argument(s)`},
		{[]string{"create", "a", "--bundle"}, `rt: "create" requires exactly 1 argument(s)`},
		{[]string{"start"}, `rt: "start" requires exactly 1 argument(s)`},
		{[]string{"start", "a", "b"}, `rt: "start" requires exactly 1 argument(s)`},
		{[]string{"run"}, `rt: "run" requires exactly 1 argument(s)`},
		{[]string{"run", "a", "--", "-d"}, `rt: "run" requires exactly 1 argument(s)`},
		{[]string{"state"}, `rt: "state" requires exactly 1 argument(s)`},
		{[]string{"state", "a", "b"}, `rt: "state" requires exactly 1 argument(s)`},
		{[]string{"state", "a", "--", "b"}, `rt: "state" requires exactly 1 argument(s)`},
		{[]string{"kill"}, `rt: "kill" requires a minimum of 1 argument(s)`},
		{[]string{"kill", "a", "9", "-9"}, `rt: "kill" requires a maximum of 2 argument(s)`},
		{[]string{"delete"}, `rt: "delete" requires exactly 1 argument(s)`},
		{[]string{"delete", "a", "--forced"}, `rt: "delete" requires exactly 1 argument(s)`},
		{[]string{"list", "a"}, `rt: "list" requires exactly 0 argument(s)`},
		{[]string{"spec", "a"}, `rt: "spec" requires exactly 0 argument(s)`},
		{[]string{"plan", "a"}, `rt: "plan" requires exactly 0 argument(s)`},
		{[]string{"features", "a"}, `rt: "features" requires exactly 0 argument(s)`},
	} {
		status, out, errOut := rt(c.args...)
		if status != 1 {
			t.Errorf("%q: status %d", c.args, status)
		}
		if help := "Incorrect Usage.\n\nNAME:\n   rt " + c.args[0] + " - "; !strings.HasPrefix(out, help) {
			t.Errorf("%q: stdout %q", c.args, out)
		}
		if msg := onlyMessage(t, errOut); msg != c.want {
			t.Errorf("%q: error %q, want %q", c.args, msg, c.want)
		}
	}
}

func TestUnknownFlag(t *testing.T) {
	for _, verb := range verbs() {
		status, out, errOut := rt(verb, "--nope", "a")
		if status != 1 {
			t.Errorf("%s: status %d", verb, status)
		}
		if help := "Incorrect Usage: flag provided but not defined: -nope\n\nNAME:\n   rt " + verb + " - "; !strings.HasPrefix(out, help) {
			t.Errorf("%s: stdout %q", verb, out)
		}
		if msg := onlyMessage(t, errOut); msg != "flag provided but not defined: -nope" {
			t.Errorf("%s: error %q", verb, msg)
		}
	}
}

func TestFlagWithoutValue(t *testing.T) {
	for _, args := range [][]string{{"create", "--bundle"}, {"list", "-f"}, {"--root"}} {
		status, out, errOut := rt(args...)
		if status != 1 || !strings.HasPrefix(out, "Incorrect Usage: flag needs an argument: -") {
			t.Errorf("%q: status %d, stdout %q", args, status, out)
		}
		if msg := onlyMessage(t, errOut); !strings.HasPrefix(msg, "flag needs an argument: -") {
			t.Errorf("%q: error %q", args, msg)
		}
	}
}

// Flags may come after the arguments, but for exec and ps, whose arguments may be anybody's.
func TestFlagsFirst(t *testing.T) {
	app := (&app{}).command(nil)
	for line, want := range map[string]string{
		"":                                   "",
		"list":                               "list",
		"delete x --force":                   "delete --force x",
		"delete x -f=true":                   "delete -f=true x",
		"--root delete delete x -f":          "--root delete delete -f x",
		"-debug --log=l kill x 9 --all":      "-debug --log=l kill --all x 9",
		"create x -b B --pid-file F":         "create -b B --pid-file F x",
		"run x --bundle --no-pivot -d":       "run --bundle --no-pivot -d x",
		"update x --cpu-quota -1 --memory 9": "update --cpu-quota -1 --memory 9 x",
		"update -r - x":                      "update -r - x",
		"delete x -- --force":                "delete x -- --force",
		"delete x --bundle B":                "delete x --bundle B",
		"create x --bundle":                  "create x --bundle",
		"kill x -9":                          "kill x -9",
		"exec -e A=1 x sh -e":                "exec -e A=1 x sh -e",
		"exec x --tty":                       "exec x --tty",
		"ps x -f":                            "ps x -f",
		"state x --help":                     "state --help",
		"exec -h x":                          "exec -h",
		"nope x --force":                     "nope x --force",
	} {
		args := append([]string{"rt"}, strings.Fields(line)...)
		if got := strings.Join(flagsFirst(app, args)[1:], " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

// Podman takes the success of the first line for support, and of the last a flag that needs an argument.
func TestNoCheckpoint(t *testing.T) {
	for _, args := range [][]string{{"checkpoint", "--help"}, {"checkpoint", "a"}, {"restore", "a"}, {"restore", "--lsm-mount-context"}} {
		status, out, errOut := rt(args...)
		if msg := onlyMessage(t, errOut); status != 1 || out != "" || !strings.HasPrefix(msg, args[0]+": not supported") {
			t.Errorf("%q: status %d, stdout %q, error %q", args, status, out, msg)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, verb := range []string{"nope", "restores", "creat"} {
		status, out, errOut := rt(verb, "a")
		want := `unknown command "` + verb + `" (rt --help lists the commands)`
		if msg := onlyMessage(t, errOut); status != 1 || out != "" || msg != want {
			t.Errorf("%s: status %d, stdout %q, error %q", verb, status, out, msg)
		}
	}
}

// Without the C stage nothing of ours may answer to init.
func TestInitIsNoCommand(t *testing.T) {
	status, out, errOut := rt("init")
	if msg := onlyMessage(t, errOut); status != 1 || out != "" || !strings.Contains(msg, "init") {
		t.Errorf("status %d, stdout %q, error %q", status, out, msg)
	}
}

// The library gives each command a subcommand help, h unless it is told not to.
func TestContainerNamedHelp(t *testing.T) {
	for _, id := range []string{"help", "h"} {
		status, out, errOut := rt("--root", t.TempDir(), "state", id)
		if status != 1 || out != "" || !strings.HasPrefix(onlyMessage(t, errOut), "state "+id+": ") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", id, status, out, errOut)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"--version", "-v", "-version"} {
		status, out, errOut := rt(flag)
		if status != 0 || errOut != "" {
			t.Errorf("%s: status %d, stderr %q", flag, status, errOut)
		}
		lines := strings.Split(out, "\n")
		want := []string{"rt version " + version, "commit: ", "spec: 1.3.0", "go: " + runtime.Version(), "libseccomp: 2.", ""}
		if len(lines) != len(want) {
			t.Fatalf("%s: %q", flag, out)
		}
		for i := range want {
			if !strings.HasPrefix(lines[i], want[i]) {
				t.Errorf("%s: line %q, want %q", flag, lines[i], want[i])
			}
		}
	}
}

// Every flag that callers pass, as the contract lists them.
func TestHelp(t *testing.T) {
	create := []string{"--bundle DIR, -b DIR", "--console-socket", "--pidfd-socket", "--pid-file", "--no-pivot", "--no-new-keyring", "--preserve-fds N"}
	for verb, flags := range map[string][]string{
		"":         {"--root", "--log ", "--log-format", "--log-level", "--debug", "--systemd-cgroup", "--cgroup-manager", "--rootless", "--version, -v", "--help, -h"},
		"create":   create,
		"run":      append(slices.Clone(create), "--detach, -d", "--keep", "--no-subreaper"),
		"start":    nil,
		"state":    nil,
		"kill":     nil,
		"delete":   {"--force, -f"},
		"list":     {"--format FORMAT, -f FORMAT", "--quiet, -q"},
		"spec":     {"--bundle DIR, -b DIR", "--rootless"},
		"plan":     {"--bundle DIR, -b DIR", "--format FORMAT"},
		"features": nil,
	} {
		args := strings.Fields(verb + " --help")
		status, out, errOut := rt(args...)
		if status != 0 || errOut != "" || !strings.HasPrefix(out, "NAME:\n   rt ") {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, out, errOut)
		}
		for _, flag := range flags {
			if !strings.Contains(out, "   "+flag) {
				t.Errorf("%q does not show %s", args, flag)
			}
		}
	}
}

func TestGlobalFaults(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--root", ""}, "--root is empty"},
		{[]string{"--root", "/"}, "--root is /"},
		{[]string{"--root", "//tmp/.."}, "--root is /"},
		{[]string{"--log-format", "xml"}, `--log-format "xml"`},
		{[]string{"--log-level", "loud"}, `--log-level "loud"`},
		{[]string{"--debug", "--log-level", "error"}, "contradict"},
		{[]string{"--log", "/nonexistent/log"}, "--log: open /nonexistent/log: no such file or directory"},
		{[]string{"--cgroup-manager", "none"}, `--cgroup-manager "none"`},
		{[]string{"--systemd-cgroup", "--cgroup-manager", "cgroupfs"}, "contradict"},
		{[]string{"--rootless", "maybe"}, `--rootless "maybe"`},
		{[]string{"--criu", "criu"}, "flag provided but not defined: -criu"},
	} {
		status, _, errOut := rt(append(c.args, "list")...)
		if msg := onlyMessage(t, errOut); status != 1 || !strings.Contains(msg, c.want) {
			t.Errorf("%q: status %d, error %q", c.args, status, msg)
		}
	}
}

func TestGlobals(t *testing.T) {
	root := t.TempDir()
	for _, args := range [][]string{
		{"--debug", "--log-level", "debug"},
		{"--systemd-cgroup", "--cgroup-manager=systemd"},
		{"-systemd-cgroup"},
		{"--cgroup-manager", "disabled", "--rootless=true"},
		{"--rootless=false"},
		{"--rootless=auto", "--log-level=warn"},
	} {
		args = append(append([]string{"--root", root}, args...), "list", "-q")
		if status, out, errOut := rt(args...); status != 0 || out != "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q", args, status, out, errOut)
		}
	}
}

// Data that could not be written must not look like success.
func TestFullStdout(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"--version"}, {"--help"}, {"features"}, {"--root", t.TempDir(), "list"}} {
		var errOut strings.Builder
		status := Main(append([]string{"rt"}, args...), full, &errOut)
		if status != 1 || !strings.Contains(errOut.String(), "no space left on device") {
			t.Errorf("%q: status %d, stderr %q", args, status, errOut.String())
		}
	}
}

func verbs() []string {
	var names []string
	for _, c := range new(app).commands(nil) {
		names = append(names, c.Name)
	}
	return names
}
