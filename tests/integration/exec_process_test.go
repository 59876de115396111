package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// execStatus is /proc/self/status of a command.
func execStatus(b *rttest.Bundle, flags string) map[string]string {
	return rttest.Status(execIn(b, flags, "cat", "/proc/self/status").OK().Stdout)
}

func wantFields(t *testing.T, got, want map[string]string) {
	t.Helper()
	for field, value := range want {
		if got[field] != value {
			t.Errorf("%s: got %q, want %q", field, got[field], value)
		}
	}
}

func TestExecUser(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.Spec.Process.User = specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{9}} })
	for flags, want := range map[string]string{
		"":                      "7 8 9",
		"--user 1":              "1 0 9", // the gid is not the config's; runc keeps that
		"--user 1:2":            "1 2 9",
		"-u 0":                  "0 0 9",
		"--user 4294967294":     "4294967294 0 9",
		"--additional-gids 5":   "7 8 5,9",
		"-g 5 -g 4 -u 1000:100": "1000 100 4,5,9",
	} {
		if !rttest.IsRT(t) && (strings.Contains(want, " 0 ") || strings.Contains(want, "5")) {
			continue // it sets groups twice, too
		}
		s := execStatus(b, flags)
		uid, _, _ := strings.Cut(s["Uid"], " ")
		gid, _, _ := strings.Cut(s["Gid"], " ")
		if got := uid + " " + gid + " " + strings.ReplaceAll(s["Groups"], " ", ","); got != want {
			t.Errorf("%q: got %s, want %s", flags, got, want)
		}
	}
	if !rttest.IsRT(t) {
		return // runc takes "" as not given, and others as what Go's parser makes of them
	}
	for _, user := range []string{"", "1:", ":1", "1x", "-1", "4294967295", "1:4294967295", "1:2:3", "root", " 1", "+1", "0x1"} {
		res := b.RT("exec", "--user="+user, b.ID, "id")
		refused(t, res, "--user")
	}
	for _, gid := range []string{"", "x", "-1", "4294967295", "1,2"} {
		refused(t, b.RT("exec", "--additional-gids="+gid, b.ID, "id"), "--additional-gids")
	}
}

func TestExecEnvironment(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.Spec.Process.Env = []string{"PATH=/bin", "A=config", "B=config"} })
	environ := func(flags string) string {
		return strings.ReplaceAll(execIn(b, flags, "cat", "/proc/self/environ").OK().Stdout, "\x00", " ")
	}
	for flags, want := range map[string][]string{
		"":                         {"A=config ", "B=config ", "HOME=/root "},
		"--env A=1,2":              {"A=1,2 ", "B=config "},
		"-e A=1 -e A=2":            {"A=2 "},
		"-e A=b=c -e C=":           {"A=b=c ", "C= "},
		"--user 1000":              {"HOME=/home "},
		"--user 77":                {"HOME=/ "},
		"--user 1000 -e HOME=/x":   {"HOME=/x "},
		"--user 1000 -e HOME=":     {"HOME=/home "},
		"-e PATH=/nowhere:/bin":    {"PATH=/nowhere:/bin "},
		"--env=X=1 --env TERM=dup": {"X=1 ", "TERM=dup "},
	} {
		got := environ(flags)
		for _, w := range want {
			if !strings.Contains(" "+got, " "+w) {
				t.Errorf("%q: no %q in %q", flags, w, got)
			}
			name, _, _ := strings.Cut(w, "=")
			if strings.Count(" "+got, " "+name+"=") != 1 {
				t.Errorf("%q: %s more than once in %q", flags, name, got)
			}
		}
	}
	refused(t, execIn(b, "--env NOVALUE", "true"))
	refused(t, execIn(b, "--env PATH=/nowhere", "true"), "executable file not found in $PATH")
}

func TestExecWorkingDirectory(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.Spec.Process.Cwd = "/etc" })
	execIn(b, "", "pwd").OK().Prints("/etc")
	execIn(b, "--cwd /bin", "pwd").OK().Prints("/bin")
	refused(t, execIn(b, "--cwd /missing", "pwd"), "/missing", "no such file or directory")
	if _, err := os.Stat(b.InRootfs("missing")); err == nil {
		t.Error("a missing directory was made")
	}
	refused(t, execIn(b, "--cwd /etc/passwd", "pwd"), "not a directory")
	refused(t, execIn(b, "--cwd relative", "pwd"))
	// Each fd that the runtime may have open there (CVE-2024-21626).
	for fd := 3; fd < 20; fd++ {
		if res := execIn(b, "--cwd /proc/self/fd/"+strconv.Itoa(fd), "pwd"); res.Code != 255 {
			res.OK().Prints("/") // one is the container's own root
		}
	}
	replace(t, b, "var", "/proc/self/fd/8/../../../..")
	if res := execIn(b, "--cwd /var", "pwd"); res.Code == 0 {
		res.Prints("/")
	}
}

const (
	capsDefault = "00000000a80425fb"
	capsAdmin   = "00000000a82425fb" // and CAP_SYS_ADMIN
	capsNone    = "0000000000000000"
)

func TestExecCapabilities(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	wantFields(t, execStatus(b, ""), map[string]string{
		"CapBnd": capsDefault, "CapEff": capsDefault, "CapPrm": capsDefault, "CapInh": capsNone, "CapAmb": capsNone,
	})
	// Never inheritable, and ambient only with inheritable ones (CVE-2022-29162).
	wantFields(t, execStatus(b, "--cap CAP_SYS_ADMIN"), map[string]string{
		"CapBnd": capsAdmin, "CapEff": capsAdmin, "CapPrm": capsAdmin, "CapInh": capsNone, "CapAmb": capsNone,
	})
	wantFields(t, execStatus(b, "--cap CAP_SYS_ADMIN -u 1000"), map[string]string{
		"CapBnd": capsAdmin, "CapEff": capsNone, "CapPrm": capsNone, "CapInh": capsNone, "CapAmb": capsNone,
	})
	if rttest.IsRT(t) {
		refused(t, execIn(b, "--cap CAP_NOSUCH", "true"), "--cap", "CAP_NOSUCH")
	}
	inheriting := sleeping(t, func(b *rttest.Bundle) {
		b.Spec.Process.Capabilities.Inheritable = []string{"CAP_KILL"}
		b.Spec.Process.Capabilities.Ambient = []string{"CAP_KILL"}
	})
	wantFields(t, execStatus(inheriting, "-u 1000 --cap CAP_KILL"), map[string]string{
		"CapInh": "0000000000000020", "CapAmb": "0000000000000020", "CapEff": "0000000000000020",
	})
}

func TestExecNoNewPrivileges(t *testing.T) {
	t.Parallel()
	b := sleeping(t, func(b *rttest.Bundle) { b.Spec.Process.NoNewPrivileges = false })
	wantFields(t, execStatus(b, ""), map[string]string{"NoNewPrivs": "0"})
	wantFields(t, execStatus(b, "--no-new-privs"), map[string]string{"NoNewPrivs": "1"})
	wantFields(t, execStatus(sleeping(t, nil), ""), map[string]string{"NoNewPrivs": "1"})
}

// A label of a module that the kernel does not run confines nothing, so it is an error.
func TestExecLabels(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/sys/fs/selinux/enforce"); err == nil {
		t.Skip("this machine runs SELinux")
	}
	if data, _ := os.ReadFile("/sys/module/apparmor/parameters/enabled"); len(data) > 0 && data[0] == 'Y' {
		t.Skip("this machine runs AppArmor")
	}
	b := sleeping(t, nil)
	refused(t, execIn(b, "--apparmor nosuch", "true"), "apparmor")
	refused(t, execIn(b, "--process-label a:b:c:d", "true"), "selinux")
	if rttest.IsRT(t) {
		refused(t, execIn(b, "--apparmor nosuch", "true"), "process.apparmorProfile: AppArmor is not enabled")
		refused(t, execIn(b, "--process-label a:b:c:d", "true"), "process.selinuxLabel: SELinux is not enabled")
	}
}

// execFile runs the process of a JSON file.
func execFile(t *testing.T, b *rttest.Bundle, flags string, p *specs.Process) *rttest.Result {
	t.Helper()
	data, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	file := b.WriteFile("process.json", string(data))
	return b.RT(append(append([]string{"exec"}, strings.Fields(flags)...), "--process", file, b.ID)...)
}

func TestExecProcessFile(t *testing.T) {
	t.Parallel()
	score := 300
	b := sleeping(t, func(b *rttest.Bundle) {
		own := 77
		b.Spec.Process.OOMScoreAdj = &own
		b.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: "LINUX32"}
	})
	umask := uint32(0o077)
	p := &specs.Process{
		User: specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}, Umask: &umask}, Cwd: "/tmp",
		Args: []string{"sh", "-c", "cat /proc/self/status; cat /proc/self/oom_score_adj; pwd; ulimit -n; ulimit -Hn; echo $A; uname -m"},
		Env:  []string{"PATH=/bin", "A=b"}, OOMScoreAdj: &score,
		Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 50, Hard: 60}},
		Capabilities: &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}}, NoNewPrivileges: true,
	}
	res := execFile(t, b, "", p).OK()
	if rttest.IsRT(t) { // runc does not know process.user.umask here
		wantFields(t, rttest.Status(res.Stdout), map[string]string{"Umask": "0077"})
	}
	wantFields(t, rttest.Status(res.Stdout), map[string]string{
		"Uid": "5 5 5 5", "Gid": "6 6 6 6", "Groups": "7", "CapBnd": "0000000000000020", "CapEff": capsNone, "NoNewPrivs": "1",
	})
	want := "\n300\n/tmp\n50\n60\nb\n"
	if !rttest.IsRT(t) {
		want = "\n/tmp\n50\n60\nb\n" // runc knows the container's score only
	}
	if !strings.Contains(res.Stdout, want) {
		t.Errorf("no %q in %q", want, res.Stdout)
	}
	if rttest.IsRT(t) && !strings.HasSuffix(res.Stdout, "i686\n") {
		t.Errorf("the container's personality is not its own: %q", res.Stdout)
	}
	// What the file leaves out is the container's.
	p = &specs.Process{Args: []string{"sh", "-c", "grep Cap /proc/self/status; cat /proc/self/oom_score_adj"}, Cwd: "/", Env: []string{"PATH=/bin"}}
	res = execFile(t, b, "", p).OK()
	wantFields(t, rttest.Status(res.Stdout), map[string]string{"CapEff": capsDefault, "CapInh": capsNone})
	if !strings.HasSuffix(res.Stdout, "\n77\n") {
		t.Errorf("oom_score_adj in %q, want 77", res.Stdout)
	}
}

func TestExecBadProcessFile(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	refused(t, b.RT("exec", "--process", "/nonexistent.json", b.ID), "/nonexistent.json")
	for text, word := range map[string]string{
		`{"args":["true"],"cwd":"relative"}`: "absolute path",
		`{"args":[],"cwd":"/"}`:              "args",
		`{"args":["true"],"cwd":""}`:         "",
		`not JSON`:                           "",
		`{"args":["true"],"cwd":"/","rlimits":[{"type":"RLIMIT_NO"}]}`:  "RLIMIT_NO",
		`{"args":["true"],"cwd":"/","user":{"uid":-1}}`:                 "",
		`{"args":["/no/such"],"cwd":"/","env":["PATH=/bin"]}`:           "/no/such",
		`{"args":["true"],"cwd":"/","scheduler":{"policy":"SCHED_NO"}}`: "SCHED_NO",
	} {
		refused(t, b.RT("exec", "--process", b.WriteFile("p.json", text), b.ID), word)
	}
	if !rttest.IsRT(t) {
		return // runc ignores the rest of the command line
	}
	good := b.WriteFile("p.json", `{"args":["true"],"cwd":"/","env":["PATH=/bin"]}`)
	refused(t, b.RT("exec", "--process", good, b.ID, "false"), "--process")
	refused(t, b.RT("exec", "--process", good, "--user", "1", "-e", "A=b", b.ID), "--user", "--env")
	refused(t, b.RT("exec", "--process", good, "--tty", b.ID), "--tty")
}

// The process files of real engines, as they run them: detached with a pid file, and as CRI-O does, streaming.
func TestExecEnginesProcessFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"containerd", "docker", "podman"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := read(t, "../testdata/configs/"+name+"-exec-process.json")
			var p map[string]any
			if err := json.Unmarshal([]byte(data), &p); err != nil {
				t.Fatal(err)
			}
			p["args"] = []string{"echo", "in"} // the rest is the engine's
			own, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			b := sleeping(t, nil)
			file := b.WriteFile("process.json", string(own))
			pidFile := filepath.Join(b.Mkdir("pids"), "pid")
			b.RT("exec", "--process", file, b.ID).OK().Prints("in")
			b.RT("exec", "--process", file, "--detach", "--pid-file", pidFile, b.ID).OK()
			pid, err := strconv.Atoi(read(t, pidFile))
			if err != nil {
				t.Fatal(err)
			}
			if status := b.Wait(pid); status != 0 {
				t.Errorf("it ended with %d", status)
			}
		})
	}
}

func TestExecConsoleSize(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	socket := rttest.ListenFD(t)
	p := &specs.Process{Args: []string{"stty", "size"}, Cwd: "/", Env: []string{"PATH=/bin"}, Terminal: true, ConsoleSize: &specs.Box{Height: 33, Width: 99}}
	pidFile := filepath.Join(b.Mkdir("pids"), "pid")
	execFile(t, b, "--detach --pid-file "+pidFile+" --console-socket "+socket.Path, p).OK()
	master, _ := socket.Receive()
	if text := rttest.ReadTerminal(t, master, ""); strings.TrimSpace(text) != "33 99" {
		t.Errorf("terminal says %q", text)
	}
	pid, _ := strconv.Atoi(read(t, pidFile))
	b.Wait(pid)
}

// What the file of a process leaves out of its scheduling it has as the container has it.
func TestExecIsScheduledAsTheContainer(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).AddProbe().Args("sleep", "1000")
	b.Spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0"}
	b.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
	b.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE, Priority: 3}
	b.Spec.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "0"}
	b.RunDetached().OK()
	for call, want := range map[string]string{
		"probe mempolicy": "2 0x1", "probe sched": "3 0 5 0 ", "probe syscall 252 1 0": "24579 0",
		"grep Cpus_allowed_list: /proc/self/status": "Cpus_allowed_list:\t0",
	} {
		p := &specs.Process{Args: strings.Fields(call), Cwd: "/", Env: []string{"PATH=/bin"}}
		if got := execFile(t, b, "", p).OK().Stdout; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", call, got, want)
		}
	}
	p := &specs.Process{Args: []string{"probe", "sched"}, Cwd: "/", Env: []string{"PATH=/bin"}, Scheduler: &specs.Scheduler{Policy: specs.SchedIdle}}
	if got := execFile(t, b, "", p).OK().Stdout; !strings.HasPrefix(got, "5 0 0 0 ") {
		t.Errorf("its own scheduler: %s", got)
	}
}

// final is where the process runs; where there is only initial, that is the kernel's to say: it stays since 6.2.
func TestExecCPUAffinity(t *testing.T) {
	t.Parallel()
	b := sleeping(t, nil)
	p := &specs.Process{Args: []string{"grep", "Cpus_allowed_list", "/proc/self/status"}, Cwd: "/", Env: []string{"PATH=/bin"}}
	for _, a := range []specs.CPUAffinity{{Final: "0"}, {Initial: "1", Final: "0"}, {Initial: "0", Final: "1"}, {Initial: "0"}} {
		p.ExecCPUAffinity = &a
		want := a.Final
		if want == "" && rttest.Kernel("6.2")() == "" {
			want = a.Initial
		}
		if got := rttest.Status(execFile(t, b, "", p).OK().Stdout)["Cpus_allowed_list"]; want != "" && got != want {
			t.Errorf("%+v: it may run on %s, want %s", a, got, want)
		}
	}
	for _, a := range []specs.CPUAffinity{{Final: "x"}, {Initial: "3-1"}, {Final: "5000"}} {
		p.ExecCPUAffinity = &a
		refused(t, execFile(t, b, "", p))
	}
}

// initial holds before the process is in the container's cgroup, final after it.
func TestExecCPUAffinityOrder(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "one process that does both")
	rttest.Need(t, rttest.Command("strace"), rttest.CgroupV1)
	b := sleeping(t, nil)
	p := &specs.Process{Args: []string{"true"}, Cwd: "/", Env: []string{"PATH=/bin"}, ExecCPUAffinity: &specs.CPUAffinity{Initial: "1", Final: "0"}}
	data, err := json.Marshal(p)
	must(t, err)
	trace, file := filepath.Join(b.Dir, "trace"), b.WriteFile("process.json", string(data))
	b.RTWith(func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"strace", "-f", "-o", trace, "-e", "trace=sched_setaffinity,write"}, cmd.Args...)
		cmd.Path = "/usr/bin/strace"
	}, "exec", "--process", file, b.ID).OK()
	calls := regexp.MustCompile(`sched_setaffinity\(0, 8, \[[01]\]\)|write\(\d+, "0", 1\)`).FindAllString(read(t, trace), -1)
	for i, c := range calls {
		calls[i] = strings.NewReplacer("sched_setaffinity(0, 8, ", "", ")", "").Replace(c[:min(len(c), 30)])
	}
	order := slices.Compact(strings.Fields(regexp.MustCompile(`write\S+ "0", 1`).ReplaceAllString(strings.Join(calls, " "), "join")))
	if got := strings.Join(order, " "); !strings.HasSuffix(got, "[1] join [0]") {
		t.Errorf("in this order: %s", got)
	}
}
