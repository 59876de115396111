package cli

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

var logfmt = regexp.MustCompile(`^time="[^"]+" level=error msg="((?:[^"\\]|\\.)*)"\n$`)

// onlyMessage is the message of the one text record that s must be.
func onlyMessage(t *testing.T, s string) string {
	t.Helper()
	m := logfmt.FindStringSubmatch(s)
	if m == nil {
		t.Fatalf("not one error record: %q", s)
	}
	return strings.ReplaceAll(m[1], `\"`, `"`)
}

type record struct{ Level, Msg, Time, File string }

// records decodes a JSON log, refusing anything else in it.
func records(t *testing.T, log string) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(log) {
		var r record
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := time.Parse(time.RFC3339, r.Time); err != nil {
			t.Error(err)
		}
		all = append(all, r)
	}
	return all
}

// Podman reads the whole file as one JSON object, containerd takes the last
// error record.
func TestJSONLogHasOneRecord(t *testing.T) {
	const state = `rt: "state" requires exactly 1 argument(s)`
	for _, c := range []struct {
		name, want string
		args       []string
	}{
		{"arity", state, []string{"state"}},
		{"unknown command", `unknown command "nope"`, []string{"nope"}},
		{"unknown flag", "flag provided but not defined: -nope", []string{"state", "--nope"}},
		{"unknown global", "flag provided but not defined: -nope", []string{"--nope"}},
		{"unknown container", "state nosuch: ", []string{"state", "nosuch"}},
		{"bad global", "--rootless", []string{"--rootless=x", "state", "a"}},
		{"no config.json", "config.json: no such file or directory", []string{"create", "-b", t.TempDir(), "a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "log.json")
			status, _, errOut := rt(append([]string{"--root", t.TempDir(), "--log-format=json", "--log", file}, c.args...)...)
			log := records(t, readFile(t, file))
			if status != 1 || len(log) != 1 {
				t.Fatalf("status %d, records %+v", status, log)
			}
			if log[0].Level != "error" || !strings.Contains(log[0].Msg, c.want) || log[0].File != "" {
				t.Errorf("record %+v, want %q", log[0], c.want)
			}
			if want := "rt: " + strings.TrimPrefix(log[0].Msg, "rt: ") + "\n"; errOut != want {
				t.Errorf("stderr %q, want %q", errOut, want)
			}
		})
	}
}

func TestTextLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	for range 2 { // the second must append
		if status, _, errOut := rt("--log", file, "nope"); status != 1 || !strings.HasPrefix(errOut, "rt: unknown command") {
			t.Errorf("status %d, stderr %q", status, errOut)
		}
	}
	lines := strings.SplitAfter(readFile(t, file), "\n")
	if len(lines) != 3 || onlyMessage(t, lines[0]) != onlyMessage(t, lines[1]) {
		t.Errorf("log %q", lines)
	}
}

func TestJSONOnStderr(t *testing.T) {
	_, _, errOut := rt("--log-format", "json", "nope")
	if log := records(t, errOut); len(log) != 1 || log[0].Level != "error" {
		t.Errorf("stderr %q", errOut)
	}
}

func TestQuietSuccess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	status, _, errOut := rt("--root", t.TempDir(), "--log", file, "list")
	if status != 0 || errOut != "" || readFile(t, file) != "" {
		t.Errorf("status %d, stderr %q, log %q", status, errOut, readFile(t, file))
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode()&^0o644 != 0 {
		t.Errorf("log has mode %v", info.Mode())
	}
}

func TestDebugLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "log")
	rt("--root", t.TempDir(), "--log", file, "--log-format=json", "--debug", "create", "-b", "/nonexistent", "a")
	log := records(t, readFile(t, file))
	if len(log) != 2 || log[0].Level != "debug" || log[1].Level != "error" {
		t.Fatalf("log %+v", log)
	}
	for _, r := range log {
		if !regexp.MustCompile(`^cli\.go:\d+$`).MatchString(r.File) {
			t.Errorf("record %+v does not say where it comes from", r)
		}
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	status, _, errOut := rt("--log", "/dev/full", "nope")
	if status != 1 || !strings.Contains(errOut, "unknown command") || !strings.Contains(errOut, "no space left on device") {
		t.Errorf("status %d, stderr %q", status, errOut)
	}
}

// Errors may quote what an image or a hook wrote.
func TestHostileMessage(t *testing.T) {
	const msg = "hook: \x1b[2J\"x\"\nlevel=info\xff\tz\n"
	var errOut strings.Builder
	file := filepath.Join(t.TempDir(), "log")
	l := newLogger(&errOut)
	if err := l.open(file); err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.fatal(errors.New(msg))
	l.json = true
	l.fatal(errors.New(msg))

	if want := strings.Repeat(`rt: hook: \x1b[2J"x"; level=info`+"\uFFFD"+`\tz`+"\n", 2); errOut.String() != want {
		t.Errorf("stderr %q, want %q", errOut.String(), want)
	}
	text, inJSON, _ := strings.Cut(readFile(t, file), "\n")
	if !logfmt.MatchString(text + "\n") {
		t.Errorf("text record %q", text)
	}
	if got, want := records(t, inJSON)[0].Msg, "hook: \x1b[2J\"x\"; level=info\uFFFD\tz"; got != want {
		t.Errorf("JSON message %q, want %q", got, want)
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
