package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/libcontainer"
)

func TestListEmptyRoot(t *testing.T) {
	root := t.TempDir()
	const header = "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"list"}, header},
		{[]string{"list", "--format", "table"}, header},
		{[]string{"list", "-f", "json"}, "null\n"},
		{[]string{"list", "-q"}, ""},
		{[]string{"list", "--quiet", "--format=json"}, ""},
	} {
		status, out, errOut := rt(append([]string{"--root", root}, c.args...)...)
		if status != 0 || out != c.want || errOut != "" {
			t.Errorf("%q: status %d, stdout %q, stderr %q", c.args, status, out, errOut)
		}
	}
}

func TestListMissingRoot(t *testing.T) {
	status, out, errOut := rt("--root", filepath.Join(t.TempDir(), "nope"), "list")
	if msg := onlyMessage(t, errOut); status != 1 || out != "" || !strings.Contains(msg, "nope: no such file or directory") {
		t.Errorf("status %d, stdout %q, error %q", status, out, msg)
	}
}

func TestBadFormats(t *testing.T) {
	for _, args := range [][]string{{"list", "-f", "xml"}, {"list", "--format="}, {"plan", "--format", "yaml"}} {
		status, out, errOut := rt(args...)
		if msg := onlyMessage(t, errOut); status != 1 || out != "" || !strings.HasPrefix(msg, "--format ") {
			t.Errorf("%q: status %d, stdout %q, error %q", args, status, out, msg)
		}
	}
}

var twoStates = []libcontainer.State{
	{OCIVersion: "1.3.0", ID: "web1", Pid: 4711, Status: "running", Bundle: "/srv/a-rather-long-name", Rootfs: "/srv/a-rather-long-name/rootfs",
		Created: time.Date(2026, 11, 21, 8, 0, 0, 12345000, time.UTC), Annotations: map[string]string{"b": "2", "a": "1"}, Owner: "root"},
	{OCIVersion: "1.3.0", ID: "web2", Status: "stopped", Bundle: "/b", Rootfs: "/b/rootfs", Created: time.Date(2026, 11, 21, 8, 0, 1, 0, time.UTC), Owner: "joe"},
}

func TestTable(t *testing.T) {
	var b strings.Builder
	if err := printTable(&b, twoStates); err != nil {
		t.Fatal(err)
	}
	want := `ID          PID         STATUS      BUNDLE                    CREATED                       OWNER
web1        4711        running     /srv/a-rather-long-name   2026-11-21T08:00:00.012345Z   root
web2        0           stopped     /b                        2026-11-21T08:00:01Z          joe
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestListJSON(t *testing.T) {
	var b strings.Builder
	if err := printStates(&b, twoStates); err != nil {
		t.Fatal(err)
	}
	want := `[{"ociVersion":"1.3.0","id":"web1","pid":4711,"status":"running","bundle":"/srv/a-rather-long-name","rootfs":"/srv/a-rather-long-name/rootfs",` +
		`"created":"2026-11-21T08:00:00.012345Z","annotations":{"a":"1","b":"2"},"owner":"root"},` +
		`{"ociVersion":"1.3.0","id":"web2","pid":0,"status":"stopped","bundle":"/b","rootfs":"/b/rootfs","created":"2026-11-21T08:00:01Z","owner":"joe"}]` + "\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestStateJSON(t *testing.T) {
	var b strings.Builder
	if err := printState(&b, twoStates[1]); err != nil {
		t.Fatal(err)
	}
	want := `{
  "ociVersion": "1.3.0",
  "id": "web2",
  "pid": 0,
  "status": "stopped",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-11-21T08:00:01Z",
  "owner": "joe"
}`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownContainer(t *testing.T) {
	root := t.TempDir()
	for _, args := range [][]string{{"state", "x"}, {"start", "x"}, {"kill", "x"}, {"kill", "--all", "x", "9"}, {"delete", "x"}} {
		status, out, errOut := rt(append([]string{"--root", root}, args...)...)
		msg := onlyMessage(t, errOut)
		if status != 1 || out != "" || !strings.HasPrefix(msg, args[0]+" x: ") || !strings.Contains(msg, "container does not exist") {
			t.Errorf("%q: status %d, stdout %q, error %q", args, status, out, msg)
		}
	}
	if status, out, errOut := rt("--root", root, "delete", "--force", "x"); status != 0 || out+errOut != "" {
		t.Errorf("delete --force: status %d, stdout %q, stderr %q", status, out, errOut)
	}
}

func TestBadID(t *testing.T) {
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a b", "é", "a\n", strings.Repeat("x", 300)} {
		for _, args := range [][]string{{"create"}, {"run"}, {"start"}, {"state"}, {"kill"}, {"delete"}, {"delete", "-f"}} {
			root := filepath.Join(t.TempDir(), "root")
			status, _, errOut := rt(append(append([]string{"--root", root}, args...), id)...)
			if msg := onlyMessage(t, errOut); status != 1 || !strings.HasPrefix(msg, args[0]+": invalid container ID format: ") {
				t.Errorf("%q %q: status %d, error %q", args, id, status, msg)
			}
			if _, err := os.Stat(root); !os.IsNotExist(err) {
				t.Errorf("%q %q left %s behind", args, id, root)
			}
		}
	}
}

func TestKillUnknownSignal(t *testing.T) {
	for _, sig := range []string{"NOSUCH", "", "-1", "0x9", "99", "--every"} {
		status, _, errOut := rt("--root", t.TempDir(), "kill", "x", sig)
		msg := onlyMessage(t, errOut)
		if status != 1 || !strings.HasPrefix(msg, "kill x: ") || strings.Contains(msg, "does not exist") {
			t.Errorf("%q: status %d, error %q", sig, status, msg)
		}
	}
}

func TestSpec(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("b", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args   []string
		file   string
		userNS bool
	}{
		{[]string{"spec"}, "config.json", false},
		{[]string{"spec", "--rootless", "-b", "b"}, "b/config.json", true},
	} {
		if status, out, errOut := rt(c.args...); status != 0 || out+errOut != "" {
			t.Fatalf("%q: status %d, stdout %q, stderr %q", c.args, status, out, errOut)
		}
		text := readFile(t, c.file)
		var spec specs.Spec
		if err := json.Unmarshal([]byte(text), &spec); err != nil {
			t.Fatal(err)
		}
		if spec.Version != specs.Version || hasUserNS(&spec) != c.userNS || !strings.HasPrefix(text, "{\n\t\"ociVersion\": ") {
			t.Errorf("%q wrote %s", c.args, text)
		}

		status, _, errOut := rt(c.args...)
		if msg := onlyMessage(t, errOut); status != 1 || !strings.Contains(msg, "config.json: file exists (remove it first)") {
			t.Errorf("%q again: status %d, error %q", c.args, status, msg)
		}
		if readFile(t, c.file) != text {
			t.Errorf("%q again changed the file", c.args)
		}
	}
}

// What we write has to be what encoding/json would, for which the tags of the
// spec's types are made.
func TestJSONIsThatOfEncodingJSON(t *testing.T) {
	v := specs.Process{Terminal: false, Args: nil, Env: []string{}, Cwd: "/<&>\xff", User: specs.User{UID: 0}}
	want, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := printJSON(&b, v, "  ", ""); err != nil {
		t.Fatal(err)
	}
	var a, c any
	if json.Unmarshal(want, &a) != nil || json.Unmarshal([]byte(b.String()), &c) != nil {
		t.Fatalf("%s", b.String())
	}
	if diff := cmp.Diff(a, c); diff != "" {
		t.Error(diff)
	}
}

// plan needs no rights and makes nothing, for a bundle of root's and for one of a user's.
func TestPlan(t *testing.T) {
	for _, spec := range [][]string{{"spec"}, {"spec", "--rootless"}} {
		bundle, root := t.TempDir(), filepath.Join(t.TempDir(), "root")
		if status, _, errOut := rt(append(spec, "-b", bundle)...); status != 0 {
			t.Fatal(errOut)
		}
		global := []string{"--root", root, "--cgroup-manager", "disabled"}
		_, text, errText := rt(append(global, "plan", "-b", bundle)...)
		status, out, errOut := rt(append(global, "plan", "-b", bundle, "--format=json")...)
		var steps any
		if err := json.Unmarshal([]byte(out), &steps); err != nil || status != 0 {
			t.Fatalf("%q: status %d, %v, stderr %q, stdout %s", spec, status, err, errOut, out)
		}
		if !strings.Contains(text, `mount proc on /proc  # mounts[0] "/proc"`) || errText != "" {
			t.Errorf("%q: stderr %q, stdout %s", spec, errText, text)
		}
		if _, err := os.Stat(root); !os.IsNotExist(err) {
			t.Errorf("%q: plan left %s behind", spec, root)
		}
	}
}

func TestFeatures(t *testing.T) {
	status, out, errOut := rt("features")
	if status != 0 || errOut != "" {
		t.Fatalf("status %d, stderr %q", status, errOut)
	}
	var f struct{ OCIVersionMin, OCIVersionMax string }
	if err := json.Unmarshal([]byte(out), &f); err != nil || f.OCIVersionMin != "1.0.0" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestLastCap(t *testing.T) {
	if got, want := strconv.Itoa(lastCap())+"\n", readFile(t, "/proc/sys/kernel/cap_last_cap"); got != want {
		t.Errorf("last capability %q, the kernel says %q", got, want)
	}
}

func TestTerminalRule(t *testing.T) {
	for _, c := range []struct {
		terminal, socket, detach, ok bool
	}{
		{false, false, false, true},
		{false, false, true, true},
		{true, false, false, true},
		{true, true, true, true},
		{true, false, true, false},
		{true, true, false, false},
		{false, true, true, false},
		{false, true, false, false},
	} {
		spec := &specs.Spec{Process: &specs.Process{Terminal: c.terminal}}
		if err := checkTerminal(spec, c.socket, c.detach); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestCreateFaults(t *testing.T) {
	empty, bad := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "config.json"), []byte("{\n  \"ociVersion\": 1,\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"create", "-b", empty, "x"}, "create x: open " + empty + "/config.json: no such file or directory"},
		{[]string{"run", "-b", empty, "x"}, "run x: open " + empty + "/config.json: no such file or directory"},
		{[]string{"plan", "-b", empty}, "plan: open " + empty + "/config.json: no such file or directory"},
		{[]string{"create", "-b", bad, "x"}, bad + "/config.json:2:"},
		{[]string{"create", "-b", empty, "--preserve-fds", "-1", "x"}, "--preserve-fds -1"},
	} {
		root := filepath.Join(t.TempDir(), "root")
		status, out, errOut := rt(append([]string{"--root", root}, c.args...)...)
		if msg := onlyMessage(t, errOut); status != 1 || out != "" || !strings.Contains(msg, c.want) {
			t.Errorf("%q: status %d, stdout %q, error %q", c.args, status, out, msg)
		}
		if _, err := os.Stat(root); !os.IsNotExist(err) {
			t.Errorf("%q left %s behind", c.args, root)
		}
	}
}
