package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"rt/tests/rttest"
)

// What the callers of a runtime parse, match on and pass: changing any of it breaks an engine.

// The options of each command, in runc's words. All are taken with one dash, too (go-runc).
var contractFlags = map[string]string{
	"create":   "bundle,b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds",
	"run":      "bundle,b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds detach,d keep no-subreaper",
	"start":    "",
	"state":    "",
	"exec":     "console-socket pidfd-socket cwd env,e tty,t user,u additional-gids,g process,p detach,d pid-file process-label apparmor no-new-privs cap,c preserve-fds cgroup ignore-paused",
	"kill":     "",
	"delete":   "force,f",
	"list":     "format,f quiet,q",
	"ps":       "format,f",
	"pause":    "",
	"resume":   "",
	"spec":     "bundle,b rootless",
	"features": "",
	"events":   "interval stats",
	"update": "resources,r blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpuset-cpus cpuset-mems " +
		"cpu-idle memory memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema",
}

func TestContractHelp(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	top := b.RT("--help").OK()
	for _, flag := range strings.Fields("--root --log --log-format --debug --systemd-cgroup --rootless --help --version") {
		if !strings.Contains(top.Stdout, flag) {
			t.Errorf("the help of all has no %s", flag)
		}
	}
	for command, flags := range contractFlags {
		if !regexp.MustCompile(`(?m)^\s+` + command + `\b`).MatchString(top.Stdout) {
			t.Errorf("the help of all has no %s", command)
		}
		for _, ask := range []string{"--help", "-h"} {
			res := b.RT(command, ask).OK()
			if res.Stderr != "" {
				t.Errorf("help on stderr: %s", res)
			}
			for flag := range strings.FieldsFuncSeq(flags, func(r rune) bool { return r == ' ' || r == ',' }) {
				dashes := "--"
				if len(flag) == 1 {
					dashes = "-"
				}
				if !regexp.MustCompile(`(^|[ ,])` + dashes + flag + `\b`).MatchString(res.Stdout) {
					t.Errorf("%s has no %s%s", command, dashes, flag)
				}
			}
		}
	}
}

// Wrong usage is status 1, exec's too: help on stdout, the fault on stderr.
func TestContractUsage(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	for command := range contractFlags {
		least, most := 1, 1
		switch command {
		case "list", "spec", "features":
			least, most = 0, 0
		case "kill":
			most = 2
		case "exec", "ps":
			most = 99
		}
		if least > 0 {
			usageError(t, b.RT(command), command+`\" requires `)
		}
		if most < 99 {
			usageError(t, b.RT(append([]string{command}, strings.Fields("a b c")[:most+1]...)...), command+`\" requires `)
		}
		usageError(t, b.RT(command, "--bogus"), "flag provided but not defined: -bogus")
	}
	usageError(t, b.RT("--bogus", "list"), "flag provided but not defined: -bogus")
	for _, line := range []string{"run --bundle", "exec --user", "list --format", "ps -f", "update --memory"} {
		usageError(t, b.RT(strings.Fields(line)...), "flag needs an argument")
	}
	for _, line := range []string{"delete a --bogus", "create a --bundle", "state a --force", "delete a -- --force"} {
		verb, _, _ := strings.Cut(line, " ")
		usageError(t, b.RT(strings.Fields(line)...), `\"`+verb+`\" requires exactly 1 argument(s)`)
	}
	if rttest.IsRT(t) { // runc ends with 3
		b.RT("nosuch").Fails("nosuch")
	}
}

func usageError(t *testing.T, res *rttest.Result, word string) {
	t.Helper()
	res.Fails(word)
	if !strings.HasPrefix(res.Stdout, "Incorrect Usage") || !strings.Contains(res.Stdout, "USAGE:") {
		t.Errorf("no help on stdout: %s", res)
	}
}

// Flags of a command are taken after the id, too; exec and ps pass what follows it on.
func TestContractFlagsAfterTheID(t *testing.T) {
	t.Parallel()
	late := rttest.New(t).Args("sleep", "1000")
	late.WriteConfig()
	pidFile := filepath.Join(late.Mkdir("pids"), "pid")
	late.RT("create", late.ID, "--bundle", late.Dir, "--pid-file", pidFile).OK()
	pid := late.Pid()
	if read(t, pidFile) != strconv.Itoa(pid) {
		t.Errorf("pid file %q, want %d", read(t, pidFile), pid)
	}
	late.RT("start", late.ID, "--help").OK()
	late.RT("events", late.ID, "--stats").OK()
	late.RT("update", late.ID, "--pids-limit", "-1").OK()
	late.RT("kill", late.ID, "KILL", "--all").OK()
	late.Wait(pid)
	late.RT("delete", late.ID, "--force").OK()
	late.RT("delete", late.ID, "-f").OK()
	late.RT("run", late.ID, "--keep", "-b", late.Dir, "--detach").OK()

	b := sleeping(t, nil)
	execIn(b, "", "sh", "-c", "echo $1", "sh", "--tty").OK().Prints("--tty")
	execIn(b, "", "echo", "-n", "-e", "--help").OK().Prints("--help")
	if res := b.RT("ps", b.ID, "-o", "pid,comm").OK(); !strings.Contains(res.Stdout, "sleep") {
		t.Errorf("no process in %s", res)
	}
	b.RT("kill", b.ID, "-1").Exits(1)
	if s := b.State(); s.Status != "running" {
		t.Errorf("%+v", s)
	}
}

func TestContractContainerIDs(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.WriteConfig()
	for _, id := range []string{"", ".", "..", "a/b", "../a", "a b", "a\nb", "ä", "a:b", "a@b"} {
		for _, line := range []string{"create --bundle " + b.Dir, "run --bundle " + b.Dir, "state", "delete", "kill", "start", "exec"} {
			args := append(strings.Fields(line), id)
			if line == "exec" {
				args = append(args, "true")
			}
			if res := b.RT(args...); res.Code != 1 && !(line == "exec" && res.Code == 255) {
				t.Errorf("id %q: %s", id, res)
			}
		}
	}
	if entries, _ := os.ReadDir(b.Root); len(entries) > 0 {
		t.Errorf("the state root holds %v", entries)
	}
	for _, id := range []string{"a", "A.b_c+d-9", "_", strings.Repeat("x", 200)} {
		b.RT("state", id).Fails("container does not exist")
	}
}

// Each error text that an engine or a script looks for.
func TestContractErrorTexts(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	for _, line := range []string{"state", "start", "kill", "delete", "pause", "resume", "ps", "events --stats", "update --memory 1g"} {
		b.RT(append(strings.Fields(line), "nobody")...).Fails("container does not exist")
	}
	b.RT("delete", "--force", "nobody").OK()

	b.Create().OK()
	b.Create().Fails("container with given ID already exists")
	pid := b.Pid()
	b.Start().OK()
	b.Start().Fails("cannot start an already running container")
	b.Delete().Fails(fmt.Sprintf("cannot delete container %s that is not stopped: running", b.ID))
	b.RT("pause", b.ID).OK()
	refused(t, execIn(b, "", "true"), "cannot exec in a paused container (use --ignore-paused to override)")
	b.Delete().Fails(fmt.Sprintf("cannot delete container %s that is not stopped: paused", b.ID))
	b.RT("resume", b.ID).OK()
	b.Kill("KILL").OK().Prints("")
	b.Wait(pid)
	b.Kill("TERM").Fails("container not running")
	b.Start().Fails("cannot start a container that has stopped")
	refused(t, execIn(b, "", "true"), "cannot exec in a stopped container")
	b.RT("pause", b.ID).Fails("container not running")
}

func TestContractProgramErrors(t *testing.T) {
	t.Parallel()
	for arg, text := range map[string]string{ // Docker and Podman make 126 and 127 of them
		"nosuch":           "executable file not found in $PATH",
		"/no/such":         "no such file or directory",
		"/etc/passwd":      "permission denied",
		"/etc/passwd/prog": "not a directory",
	} {
		b := rttest.New(t).Args(arg)
		b.Run().Fails(text)
		b.Create().Fails(text)
		b.CheckGone()
	}
}

// `state` is indented JSON with these keys in this order and no newline at the end.
func TestContractState(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.Spec.Annotations = map[string]string{"k": "v"} })
	text := b.RT("state", b.ID).OK().Stdout
	var keys []string
	for _, m := range regexp.MustCompile(`(?m)^  "(\w+)":`).FindAllStringSubmatch(text, -1) {
		keys = append(keys, m[1])
	}
	if got := strings.Join(keys, " "); got != "ociVersion id pid status bundle rootfs created annotations owner" {
		t.Errorf("keys %s in %s", got, text)
	}
	if strings.HasSuffix(text, "\n") {
		t.Error("it ends with a newline")
	}
	s := b.State()
	if _, err := time.Parse(time.RFC3339Nano, s.Created); err != nil || s.Bundle != b.Dir || s.Rootfs != b.InRootfs() {
		t.Errorf("state %+v (%v)", s, err)
	}
}

func TestContractList(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	lines := strings.Split(b.RT("list").OK().Stdout, "\n")
	if got := strings.Join(strings.Fields(lines[0]), " "); got != "ID PID STATUS BUNDLE CREATED OWNER" {
		t.Errorf("the table begins with %q", lines[0])
	}
	if got := strings.Fields(lines[1]); len(got) != 6 || got[0] != b.ID || got[1] != strconv.Itoa(b.Pid()) || got[2] != "running" || got[5] != "root" {
		t.Errorf("a line of the table: %q", got)
	}
	b.RT("list", "-q").OK().Prints(b.ID)
	var list []rttest.State
	for _, flag := range []string{"--format=json", "-f=json", "-format=json"} {
		if err := json.Unmarshal([]byte(b.RT("list", flag).OK().Stdout), &list); err != nil || len(list) != 1 {
			t.Fatalf("%s: %v (%v)", flag, list, err)
		}
		want := b.State()
		want.Owner = "root" // runc's state leaves it empty in a static binary
		if !reflect.DeepEqual(list[0], want) {
			t.Errorf("%s: %v", flag, list)
		}
	}
	b.RT("list", "--format", "yaml").Exits(1)
	b.Delete("--force").OK()
	b.RT("list", "--format", "json").OK().Prints("null")
	b.RT("list", "-q").OK().Prints("")
}

// The fatal error goes to the log and to stderr, whatever the format; stdout is for data only.
func TestContractLog(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("/no/such/program")
	plain := b.Run().Fails("/no/such/program")
	if !regexp.MustCompile(`(?m)^time="[^"]+" level=error msg="`).MatchString(plain.Stderr) {
		t.Errorf("stderr %q", plain.Stderr)
	}
	for format, pattern := range map[string]string{
		"text": `^time="[^"]+" level=error msg=".*/no/such/program.*"\n$`,
		"json": `^\{"level":"error","msg":".*/no/such/program.*","time":"[^"]+"\}\n$`,
	} {
		log := filepath.Join(b.Dir, "log."+format)
		b.Flags = []string{"--log", log, "--log-format", format}
		res := b.Run().Fails("/no/such/program")
		if text := read(t, log); !regexp.MustCompile(pattern).MatchString(text) {
			t.Errorf("the log is %q", text)
		}
		if res.Stdout != "" || strings.Count(res.Stderr, "\n") != 1 {
			t.Errorf("want one line on stderr: %s", res)
		}
		if info, err := os.Stat(log); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("mode %v (%v)", info.Mode(), err)
		}
	}
	b.Flags = []string{"--log", "/nonexistent/dir/log"}
	b.RT("list").Fails("/nonexistent/dir/log")
	b.Flags = nil
}

// What succeeds says nothing, but for what it was asked to print.
func TestContractSilence(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	silent := func(res *rttest.Result) {
		t.Helper()
		if res.OK(); res.Stdout != "" || res.Stderr != "" {
			t.Errorf("not silent: %s", res)
		}
	}
	silent(b.Create())
	pid := b.Pid()
	silent(b.Start())
	silent(b.RT("pause", b.ID))
	silent(b.RT("resume", b.ID))
	silent(b.RT("update", "--pids-limit", "100", b.ID))
	silent(execIn(b, "", "true"))
	silent(b.Kill("KILL"))
	b.Wait(pid)
	silent(b.Delete())
	silent(b.Delete("--force"))
}

// The command lines of containerd's shim (go-runc), one by one.
func TestContractContainerdShim(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	log := filepath.Join(b.Dir, "log.json")
	pidFile := filepath.Join(b.Dir, "init.pid")
	b.Flags = []string{"--log", log, "--log-format", "json"}
	b.RT("--version").OK()
	b.RT("features").OK()
	b.Create("--pid-file", pidFile).OK()
	pid := b.Pid()
	if read(t, pidFile) != strconv.Itoa(pid) {
		t.Errorf("pid file %q, pid %d", read(t, pidFile), pid)
	}
	b.Start().OK()
	process := b.WriteFile("exec.json", `{"user":{"uid":0,"gid":0},"args":["sh","-c","exit 3"],"env":["PATH=/bin"],"cwd":"/"}`)
	execPid := filepath.Join(b.Dir, "exec.pid")
	b.RT("exec", "--process", process, "--detach", "--pid-file", execPid, b.ID).OK().Prints("")
	child, err := strconv.Atoi(read(t, execPid))
	if err != nil {
		t.Fatal(err)
	}
	if status := b.Wait(child); status != 3 {
		t.Errorf("exec ended with %d", status)
	}
	var stats struct{ Type, ID string }
	if err := json.Unmarshal([]byte(b.RT("events", "--stats", b.ID).OK().Stdout), &stats); err != nil || stats.Type != "stats" || stats.ID != b.ID {
		t.Errorf("events: %+v (%v)", stats, err)
	}
	b.RT("pause", b.ID).OK()
	b.RT("resume", b.ID).OK()
	b.RT("ps", "--format", "json", b.ID).OK().Prints(fmt.Sprintf("[%d]", pid))
	b.RT("list", "--format=json").OK()
	b.RTWith(func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(`{"pids":{"limit":50}}`) }, "update", "--resources=-", b.ID).OK()
	b.RT("kill", "--all", b.ID, "9").OK()
	b.Wait(pid)
	b.RT("kill", b.ID, "9").Fails("container not running")
	records := logRecords(t, log)
	if last := records[len(records)-1]; last["level"] != "error" || !strings.Contains(last["msg"].(string), "container not running") {
		t.Errorf("the last record is %v", last)
	}
	b.RT("delete", b.ID).OK()
	b.RT("delete", "--force", b.ID).OK()
}

// conmon's command lines.
func TestContractConmon(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	b.Spec.Process.Terminal = true
	pidFile, execPid := filepath.Join(b.Dir, "pidfile"), filepath.Join(b.Dir, "exec.pid")
	socket := rttest.ListenFD(t)
	b.Create("--pid-file", pidFile, "--console-socket", socket.Path).OK()
	socket.Receive()
	b.Start().OK()
	process := b.WriteFile("exec.json", `{"terminal":true,"user":{"uid":0,"gid":0},"args":["echo","here"],"env":["PATH=/bin"],"cwd":"/"}`)
	second := rttest.ListenFD(t)
	b.RT("exec", "--pid-file", execPid, "--process", process, "--detach", "--console-socket", second.Path, b.ID).OK()
	master, _ := second.Receive()
	if text := rttest.ReadTerminal(t, master, ""); strings.TrimSpace(text) != "here" {
		t.Errorf("terminal says %q", text)
	}
	child, _ := strconv.Atoi(read(t, execPid))
	b.Wait(child)
}

// CRI-O's, which streams its execs and names signals.
func TestContractCRIO(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	pid := b.Pid()
	process := b.WriteFile("exec.json", `{"user":{"uid":0,"gid":0},"args":["sh","-c","cat; exit 5"],"env":["PATH=/bin"],"cwd":"/"}`)
	b.RTWith(func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader("probe\n") }, "exec", "--process", process, b.ID).Exits(5).Prints("probe")
	b.RTWith(func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(`{"pids":{"limit":50}}`) }, "update", "--resources", "-", b.ID).OK()
	b.RT("kill", b.ID, "SIGKILL").OK()
	b.Wait(pid)
	b.RT("kill", "-a", b.ID, "KILL").OK()
	b.RT("kill", b.ID, "SIGTERM").Fails("container not running")
	b.RT("delete", "--force", b.ID).OK()
}

// BuildKit's and Podman's.
func TestContractBuildKitAndPodman(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat; exit 9")
	b.Setup = func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader("step\n") }
	b.Run("--keep").Exits(9).Prints("step")
	b.RT("delete", b.ID).OK()
	b = sleeping(t, nil)
	file := b.WriteFile("resources.json", `{"pids":{"limit":50}}`)
	b.RT("update", "--resources="+file, b.ID).OK()
	b.RT("kill", "--all", b.ID, "9").OK()
	b.RT("delete", "--force", b.ID).OK()
}

// Docker looks for a line "commit:" in --version; Moby reads features.
func TestContractVersion(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a commit; go install leaves runc's out")
	b := rttest.New(t)
	lines := strings.Split(b.RT("--version").OK().Stdout, "\n")
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "commit: ") }) {
		t.Errorf("no commit in %q", lines)
	}
}
