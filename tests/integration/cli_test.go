package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "its own version lines")
	b := rttest.New(t)
	for _, flag := range []string{"--version", "-v"} {
		lines := strings.Split(strings.TrimSpace(b.RT(flag).OK().Stdout), "\n")
		for i, prefix := range []string{"rt version ", "commit: ", "spec: 1.", "go: go1.", "libseccomp: 2."} {
			if i >= len(lines) || !strings.HasPrefix(lines[i], prefix) || lines[i] == prefix {
				t.Errorf("%s, line %d: want %q in %q", flag, i+1, prefix, lines)
			}
		}
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	for _, args := range [][]string{{"--help"}, {"-h"}, {"create", "--help"}, {"run", "-h"}} {
		b.RT(args...).OK()
	}
}

// Wrong usage: the help on stdout, the error on stderr, status 1.
func TestUsage(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	for line, word := range map[string]string{
		"create":                  "exactly 1 argument",
		"start":                   "exactly 1 argument",
		"state":                   "exactly 1 argument",
		"delete":                  "exactly 1 argument",
		"run":                     "exactly 1 argument",
		"run a b":                 "exactly 1 argument",
		"list x":                  "exactly 0 argument",
		"kill":                    "minimum of 1 argument",
		"kill a TERM more":        "maximum of 2 argument",
		"create --no-such-flag x": "no-such-flag",
	} {
		res := b.RT(strings.Fields(line)...).Fails(word)
		if !strings.Contains(res.Stdout, "Incorrect Usage") {
			t.Errorf("no help on stdout: %s", res)
		}
	}
	b.RT("--criu", "x", "list").Fails("criu")
	b.RT("list", "-format", "json").Fails(b.Root) // one dash will do: the root does not exist, the flag does
}

func TestRootOption(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "an empty --root and / are refused")
	b := rttest.New(t)
	b.Root = ""
	b.RT("list").Exits(1)
	b.Root = "/"
	b.RT("list").Exits(1)
	b.Root = b.Mkdir("state")
}

// The JSON log holds exactly one error record, and stderr says the same: podman and containerd parse them.
func TestJSONLog(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("/no/such/program")
	log := filepath.Join(b.Dir, "log.json")
	b.Flags = []string{"--log", log, "--log-format", "json"}
	res := b.Run().Fails("/no/such/program", "no such file or directory")
	records := logRecords(t, log)
	if len(records) != 1 || records[0]["level"] != "error" {
		t.Fatalf("want one error record: %v", records)
	}
	msg := records[0]["msg"].(string)
	if !strings.Contains(res.Stderr, msg) || !strings.Contains(msg, "no such file or directory") {
		t.Errorf("log says %q, stderr %q", msg, res.Stderr)
	}
	if _, err := time.Parse(time.RFC3339, records[0]["time"].(string)); err != nil {
		t.Error(err)
	}
	b.RT("state", "nobody").Exits(1)
	if n := len(logRecords(t, log)); n != 2 {
		t.Errorf("%d records after a second command, want the log appended to", n)
	}
}

func logRecords(t *testing.T, path string) []map[string]any {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []map[string]any
	for line := range strings.Lines(string(data)) {
		var r map[string]any
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		records = append(records, r)
	}
	return records
}

func TestLogOptions(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Flags = []string{"--log-format", "yaml"}
	b.RT("list").Fails("yaml")
	b.Flags = []string{"--debug"}
	if res := b.Run().OK(); res.Stdout != "" {
		t.Errorf("debug output on stdout: %q", res.Stdout)
	}
	b.Flags = nil
	if res := b.Run().OK(); res.Stdout != "" || res.Stderr != "" {
		t.Errorf("a quiet run says %s", res)
	}
}

func TestFeatures(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	var f struct {
		OCIVersionMin, OCIVersionMax string
		Hooks, MountOptions          []string
		Linux                        struct {
			Namespaces, Capabilities []string
			Cgroup                   struct{ V1, V2, Systemd bool }
			Seccomp                  struct {
				Enabled                   bool
				Actions, Operators, Archs []string
			}
			MountExtensions struct{ Idmap struct{ Enabled bool } }
		}
		Annotations map[string]string
	}
	if err := json.Unmarshal([]byte(b.RT("features").OK().Stdout), &f); err != nil {
		t.Fatal(err)
	}
	for what, missing := range map[string][]string{
		"hooks": lacking(f.Hooks, "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"),
		"mount options": lacking(f.MountOptions, "bind", "rbind", "ro", "rw", "rro", "nosuid", "noexec", "nodev", "rnosuid",
			"rprivate", "rslave", "rshared", "private", "unbindable", "tmpcopyup", "remount", "nosymfollow"),
		"namespaces":   lacking(f.Linux.Namespaces, "cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"),
		"capabilities": lacking(f.Linux.Capabilities, append(slices.Clone(rttest.DefaultCaps), "CAP_CHECKPOINT_RESTORE")...),
		"actions":      lacking(f.Linux.Seccomp.Actions, "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_NOTIFY", "SCMP_ACT_LOG"),
		"operators":    lacking(f.Linux.Seccomp.Operators, "SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ", "SCMP_CMP_GE"),
		"archs":        lacking(f.Linux.Seccomp.Archs, "SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"),
	} {
		if len(missing) > 0 {
			t.Errorf("%s lack %v", what, missing)
		}
	}
	if f.OCIVersionMin != "1.0.0" || f.OCIVersionMax == "" || !f.Linux.Cgroup.V1 || !f.Linux.Seccomp.Enabled || !f.Linux.MountExtensions.Idmap.Enabled {
		t.Errorf("features: %+v", f)
	}
}

func lacking(list []string, wants ...string) []string {
	return slices.DeleteFunc(wants, func(w string) bool { return slices.Contains(list, w) })
}

// The plan names what is written into the cgroup, and that is what create writes.
func TestPlanOfTheCgroup(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "rt plan")
	rttest.Need(t, rttest.Controller("pids"), rttest.Controller("memory"))
	b := rttest.New(t)
	pids, memory := int64(77), int64(64<<20)
	b.Spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &pids}, Memory: &specs.LinuxMemory{Limit: &memory}}
	b.WriteConfig()
	var plan struct {
		Cgroup struct {
			Make  []string
			Write []struct {
				Field, File, Value string
				Program            bool
			}
		}
	}
	if err := json.Unmarshal([]byte(b.RT("plan", "-b", b.Dir, "--format", "json").OK().Stdout), &plan); err != nil {
		t.Fatal(err)
	}
	text := b.RT("plan", "-b", b.Dir).OK().Stdout
	b.Create().OK()
	for _, dir := range plan.Cgroup.Make {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() || !strings.Contains(text, "make "+dir+"  # linux.cgroupsPath") {
			t.Errorf("%s: %v", dir, err)
		}
	}
	compared := 0
	for _, w := range plan.Cgroup.Write {
		if !strings.Contains(text, w.File+"  # "+w.Field) {
			t.Errorf("the text has no %+v", w)
		}
		if w.Field == "linux.resources.devices" {
			continue // what is written there reads otherwise
		}
		if got := strings.TrimSpace(read(t, w.File)); got != w.Value {
			t.Errorf("%s holds %q, the plan says %q", w.File, got, w.Value)
		}
		compared++
	}
	if compared < 2 || len(plan.Cgroup.Make) == 0 {
		t.Errorf("the plan has %+v", plan.Cgroup)
	}
}

// rt plan prints the steps of a bundle and runs nothing, for anybody.
func TestPlan(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "rt plan")
	b := rttest.New(t)
	b.WriteConfig()
	text := b.RT("plan", "--bundle", b.Dir).OK().Stdout
	for _, word := range []string{"/dev/mqueue", "pivot_root", "/proc/kcore", "rttest", "/bin/true"} {
		if !strings.Contains(text, word) {
			t.Errorf("no %q in the plan:\n%s", word, text)
		}
	}
	var any any
	if err := json.Unmarshal([]byte(b.RT("plan", "-b", b.Dir, "--format", "json").OK().Stdout), &any); err != nil {
		t.Error(err)
	}
	b.RT("plan", "-b", b.Dir, "--format", "yaml").Fails("yaml")
	b.CheckGone()
	if entries, _ := os.ReadDir(b.Root); len(entries) != 0 {
		t.Errorf("plan left %v in the state root", entries)
	}
}
