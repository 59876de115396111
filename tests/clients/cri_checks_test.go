package clients

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// TestCRI takes the containerd that engines.sh builds.
func TestCRI(t *testing.T) {
	useBuilt(t, "containerd")
	testCRI(t, criConfig, slices.Concat(criChecks, cri2Checks))
}

// TestCRI16 takes Debian's.
func TestCRI16(t *testing.T) {
	need(t, "containerd", "ctr")
	testCRI(t, criConfig16, criChecks)
}

func testCRI(t *testing.T, config string, checks []criCheck) {
	k := startCRI(t, config)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(k.in(t)) })
	}
	t.Run("containerd is killed and starts again", func(t *testing.T) {
		criRestart(k.in(t), func() { startDaemon(k.t, k.dir, "containerd", "--config", filepath.Join(k.dir, "config.toml")) })
	})
	t.Run("nothing left", func(t *testing.T) {
		k := k.in(t)
		for method, list := range map[string]string{"ListPodSandbox": "items", "ListContainers": "containers"} {
			if got := k.call(method, nil).get(list); got != "[]" {
				t.Errorf("%s: %s", method, got)
			}
		}
		k.ctr.says("", "container", "ls", "-q")
	})
}

type criCheck struct {
	name  string
	check func(kubelet)
}

// criChecks are what a kubelet asks for, in about the order of a pod's life.
var criChecks = []criCheck{
	{"a pod's life", criLife},
	{"exit statuses", criExits},
	{"a program that cannot start", criCannotStart},
	{"out of memory", func(k kubelet) {
		id := k.pod(nil).start("a=0123456789; while :; do a=$a$a; done", resources(object{"memoryLimitInBytes": 16 << 20, "memorySwapLimitInBytes": 16 << 20}))
		if got := k.ended(id); got != "137 OOMKilled" {
			k.t.Error(got)
		}
	}},
	{"logs", criLogs},
	{"exec sync", criExecSync},
	{"exec over a stream", criExecStream},
	{"exec on a terminal", criTerminal},
	{"attach", criAttach},
	{"exec where it cannot be", criExecNowhere},
	{"port forward", func(k kubelet) {
		p := k.pod(nil)
		p.start("exec nc -ll -p 8080 -e cat", nil)
		time.Sleep(300 * time.Millisecond)
		k.fed("there and back\n", "forward", p.id, "8080").OK().Prints("there and back")
	}},
	{"stats", criStats},
	{"limits and update", criUpdate},
	{"stop", criStop},
	{"process ids", criPIDs},
	{"network", criNetwork},
	{"volumes", criVolumes},
	{"mount propagation", criPropagation},
	{"seccomp", criSeccomp},
	{"capabilities", criCapabilities},
	{"privileged", func(k kubelet) {
		privileged := security(object{"privileged": true})
		k.pod(privileged).prints("0\nmounted", "awk '/^Seccomp:/ {print $2}' /proc/self/status; mount -t tmpfs x /home && echo mounted", privileged)
	}},
	{"users and groups", criUsers},
	{"sysctls, hostname", func(k kubelet) {
		p := k.pod(object{"hostname": "box", "linux": object{"sysctls": object{"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"}}})
		p.prints("1\n1\nbox", "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced; hostname", nil)
	}},
	{"environment, working directory", func(k kubelet) {
		k.pod(nil).prints("yes b /home", "echo $FROM_IMAGE $A $PWD",
			object{"envs": []object{{"key": "A", "value": base64.StdEncoding.EncodeToString([]byte("b"))}}, "workingDir": "/home"})
	}},
	{"read-only root, masked paths, devices", criPaths},
	{"checkpoint", func(k kubelet) {
		rttest.OnlyRT(k.t, "it has no checkpoints, and says so")
		id := k.pod(nil).start("exec sleep 1000", nil)
		k.try("CheckpointContainer", object{"containerId": id, "location": filepath.Join(k.t.TempDir(), "c.tar")}).Fails()
		k.sees(id, "alive", "echo alive")
	}},
	{"many pods at a time", criMany},
}

// cri2Checks are what containerd 1.6 does not have.
var cri2Checks = []criCheck{
	{"the handler's features", criFeatures},
	{"user namespace", criUserns},
	{"recursively read-only", criReadonly},
	{"an image as a volume", func(k kubelet) {
		k.pod(nil).prints("root:x:0:0:root:/root:/bin/sh\nro", "head -1 /image/etc/passwd; touch /image/x 2>/dev/null || echo ro",
			object{"mounts": []object{{"containerPath": "/image", "image": object{"image": imageName}, "readonly": true}}})
	}},
	{"a stop signal of its own", func(k kubelet) {
		p := k.pod(nil)
		id := p.start("trap 'exit 8' USR1; "+ready, object{"stopSignal": "SIGNAL_SIGUSR1"})
		p.stopped(id, 10, "8 Error")
	}},
	{"groups in the status", func(k kubelet) {
		id := k.pod(nil).start("exec sleep 1000", security(object{"runAsUser": object{"value": 1000}, "supplementalGroups": []int{3000}}))
		if got := k.status(id).get("status.user.linux.supplementalGroups"); !strings.Contains(got, "3000") {
			k.t.Error("groups:", got)
		}
	}},
}

// criRestart is a pod that containerd finds again.
func criRestart(k kubelet, start func()) {
	p := k.pod(nil)
	id := p.start("trap 'exit 6' TERM; "+ready, nil)
	pids, err := exec.Command("pidof", "containerd").Output()
	must(k.t, err)
	var pid int
	_, err = fmt.Sscan(string(pids), &pid)
	must(k.t, err)
	must(k.t, unix.Kill(pid, unix.SIGKILL))
	start()
	rttest.Eventually(k.t, "containerd answers", func() bool { return k.try("Version", nil).Code == 0 })
	if got := k.status(id).get("status.state"); got != "CONTAINER_RUNNING" {
		k.t.Error(got)
	}
	k.sees(id, "alive", "echo alive")
	p.stopped(id, 10, "6 Error")
}

func criFeatures(k kubelet) {
	a := k.call("Status", nil)
	for i := 0; ; i++ {
		at := fmt.Sprintf("runtimeHandlers.%d.", i)
		switch a.get(at + "name") {
		case "rt":
			for _, f := range []string{"recursiveReadOnlyMounts", "userNamespaces"} {
				if a.get(at+"features."+f) != "true" {
					k.t.Error(f, "is not supported")
				}
			}
			return
		case "":
			if i > 5 {
				k.t.Fatal("no handler rt in", a.get("runtimeHandlers"))
			}
		}
	}
}

func criLife(k kubelet) {
	p := k.pod(nil)
	if got := k.call("PodSandboxStatus", object{"podSandboxId": p.id}); got.get("status.state") != "SANDBOX_READY" || got.get("status.runtimeHandler") != "rt" {
		k.t.Error(got)
	}
	id := p.create("echo hello", nil)
	if got := k.status(id).get("status.state"); got != "CONTAINER_CREATED" {
		k.t.Error(got)
	}
	k.call("StartContainer", object{"containerId": id})
	if got := k.ended(id); got != "0 Completed" {
		k.t.Error(got)
	}
	if got := p.logOf(id); got != "stdout F hello" {
		k.t.Error(got)
	}
	s := k.status(id)
	if created := s.number("status.createdAt"); created == 0 || created >= s.number("status.startedAt") || created >= s.number("status.finishedAt") {
		k.t.Error("times:", s)
	}
	k.call("RemoveContainer", object{"containerId": id})
	k.try("ContainerStatus", object{"containerId": id}).Fails("not found")
}

func criExits(k kubelet) {
	p := k.pod(nil)
	for script, want := range map[string]string{
		"exit 0":                          "0 Completed",
		"exit 42":                         "42 Error",
		"sh -c 'kill -9 $$'; exit $?":     "137 Error",
		"nosuch":                          "127 Error",
		"/etc/passwd":                     "126 Error",
		"trap 'exit 3' TERM; kill -15 $$": "3 Error",
	} {
		if got := k.ended(p.start(script, nil)); got != want {
			k.t.Errorf("%s: %s, want %s", script, got, want)
		}
	}
}

func criCannotStart(k kubelet) {
	p := k.pod(nil)
	for program, text := range map[string]string{
		"/no/such":    "no such file or directory",
		"nosuch":      "executable file not found",
		"/etc/passwd": "permission denied",
	} {
		id := p.create("", object{"command": []string{program}})
		contains(k.t, k.try("StartContainer", object{"containerId": id}).Fails().Stderr, program, text)
		if got := k.ended(id); got != "128 StartError" {
			k.t.Errorf("%s: %s", program, got)
		}
	}
	id := p.create("", object{"workingDir": "/etc/passwd"})
	k.try("StartContainer", object{"containerId": id}).Fails("not a directory")
	k.try("RunPodSandbox", object{"config": k.podConfig(nil), "runtimeHandler": "none"}).Fails("/no/such/runtime")
	k.try("RunPodSandbox", object{"config": k.podConfig(nil), "runtimeHandler": "nosuch"}).Fails("nosuch")
}

func criLogs(k kubelet) {
	p := k.pod(nil)
	id := p.start("echo out; sleep 0.2; echo err >&2; sleep 0.2; printf %020000d 7; sleep 0.2; printf end", nil)
	k.ended(id)
	long := strings.Repeat("0", 16384)
	want := []string{"stdout F out", "stderr F err", "stdout P " + long, "stdout P " + strings.Repeat("0", 3615) + "7end"}
	if got := p.logOf(id); strings.ReplaceAll(got, "stdout F 0", "stdout P 0") != strings.Join(want, "\n") {
		k.t.Errorf("%.200q … %.60q", got, got[max(0, len(got)-60):])
	}
	data, err := os.ReadFile(k.status(id).get("status.logPath"))
	must(k.t, err)
	if !regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z stdout F out\n`).Match(data) {
		k.t.Errorf("%.80s", data)
	}

	id = p.start("echo before; while ! test -e /go; do sleep 0.1; done; echo after; exec sleep 1000", nil)
	path := k.status(id).get("status.logPath")
	rttest.Eventually(k.t, "the first line", func() bool { return p.logOf(id) == "stdout F before" })
	must(k.t, os.Rename(path, path+".1")) // as the kubelet rotates it
	k.call("ReopenContainerLog", object{"containerId": id})
	k.sees(id, "", "touch /go")
	rttest.Eventually(k.t, "the second line, in the new file", func() bool { return p.logOf(id) == "stdout F after" })
}

func criExecSync(k kubelet) {
	id := k.pod(nil).start("exec sleep 1000", object{"envs": []object{{"key": "A", "value": base64.StdEncoding.EncodeToString([]byte("b"))}}})
	out, errs, status := k.execSync(id, "echo $A; echo err >&2; exit 17")
	if out != "b" || errs != "err" || status != 17 {
		k.t.Errorf("%q, %q, %d", out, errs, status)
	}
	if out, _, _ := k.execSync(id, "yes 0123456789abcde | head -c 1048576"); len(out) != 1<<20-1 {
		k.t.Error(len(out), "bytes")
	}
	k.try("ExecSync", object{"containerId": id, "cmd": []string{"/no/such"}, "timeout": 20}).Fails("no such file or directory")
	began := time.Now()
	k.try("ExecSync", object{"containerId": id, "cmd": []string{"sleep", "2000"}, "timeout": 1}).Fails("timeout")
	if took := time.Since(began); took > 8*time.Second {
		k.t.Error("it took", took)
	}
	k.sees(id, "0", "ps | grep -c '[s]leep 2000' || true")
}

func criExecStream(k kubelet) {
	id := k.pod(nil).start("exec sleep 1000", nil)
	res := k.fed("words\n", "exec", "-i", id, "sh", "-c", "cat; echo err >&2; exit 9").Exits(9).Prints("words")
	contains(k.t, res.Stderr, "err")
	if n := len(k.run("exec", id, "sh", "-c", "yes 0123456789abcde | head -c 8388608").OK().Stdout); n != 8<<20 {
		k.t.Error(n, "bytes")
	}
	contains(k.t, k.run("exec", id, "/no/such").Fails().Stderr, "no such file or directory")
}

// fed runs the client with this as its stdin.
func (k kubelet) fed(stdin string, args ...string) *rttest.Result {
	k.t.Helper()
	return rttest.Exec(k.t, func(c *exec.Cmd) { c.Stdin = strings.NewReader(stdin) }, k.argv(args)...)
}

// criTerminal types into a shell whose terminal changes its size.
func criTerminal(k kubelet) {
	id := k.pod(nil).start("exec sleep 1000", nil)
	master, slave := rttest.OpenPty(k.t)
	size := func(row, col uint16) {
		must(k.t, unix.IoctlSetWinsize(int(slave.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: row, Col: col}))
	}
	size(31, 97)
	cmd := exec.Command(k.base[0], k.argv([]string{"exec", "-i", "-t", id, "sh"})[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	must(k.t, cmd.Start())
	rttest.ReadTerminal(k.t, master, "# ")
	say := func(line, want string) {
		fmt.Fprint(master, line+"\n")
		rttest.ReadTerminal(k.t, master, want)
	}
	rttest.Eventually(k.t, "the size has come", func() bool {
		out, _, _ := k.execSync(id, "for t in /dev/pts/*; do stty -F $t size; done 2>/dev/null")
		return strings.Contains(out, "31 97")
	})
	size(12, 34)
	rttest.Eventually(k.t, "the new size has come", func() bool {
		out, _, _ := k.execSync(id, "for t in /dev/pts/*; do stty -F $t size; done 2>/dev/null")
		return strings.Contains(out, "12 34")
	})
	say("echo $((6*7))$(tty)", "42/dev/pts/")
	say("sleep 2000", "sleep 2000")
	time.Sleep(300 * time.Millisecond)
	fmt.Fprint(master, "\x03") // Ctrl-C
	say("echo status $?", "status 130")
	fmt.Fprint(master, "exit 5\n")
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 5 {
		k.t.Error(err)
	}
}

func criAttach(k kubelet) {
	p := k.pod(nil)
	id := p.start("while read a; do echo got $a; done; exit 4", object{"stdin": true, "stdinOnce": true})
	k.fed("one\ntwo\n", "attach", "-i", id)
	if got := k.ended(id); got != "4 Error" {
		k.t.Error(got)
	}
	if got := p.logOf(id); got != "stdout F got one\nstdout F got two" {
		k.t.Error(got)
	}

	id = p.start("read a; echo got $a; stty size", object{"stdin": true, "tty": true})
	contains(k.t, k.onTerminal("typed\n", "attach", "-i", "-t", id), "got typed", "31 97")
	k.ended(id)
	contains(k.t, p.logOf(id), "stdout F got typed")
}

func criExecNowhere(k kubelet) {
	p := k.pod(nil)
	id := p.start("exec sleep 1000", nil)
	k.ctr.run("task", "pause", id).OK()
	k.try("ExecSync", object{"containerId": id, "cmd": []string{"true"}, "timeout": 20}).Fails("paused")
	k.ctr.run("task", "resume", id).OK()
	k.sees(id, "", "true")
	k.call("StopContainer", object{"containerId": id, "timeout": 0})
	k.try("ExecSync", object{"containerId": id, "cmd": []string{"true"}, "timeout": 20}).Fails("CONTAINER_EXITED")
	id = p.create("true", nil)
	k.try("ExecSync", object{"containerId": id, "cmd": []string{"true"}, "timeout": 20}).Fails()
}

func criStats(k kubelet) {
	p := k.pod(nil)
	id := p.start("i=0; while test $i -lt 20000; do i=$((i+1)); done; exec sleep 1000", nil)
	rttest.Eventually(k.t, "the container's numbers", func() bool {
		a := k.call("ContainerStats", object{"containerId": id})
		return a.number("stats.memory.workingSetBytes.value") > 0 && a.number("stats.memory.usageBytes.value") > 0 &&
			a.number("stats.cpu.usageCoreNanoSeconds.value") > 1e6 && a.number("stats.writableLayer.inodesUsed.value") > 0
	})
	rttest.Eventually(k.t, "the pod's numbers", func() bool {
		a := k.call("PodSandboxStats", object{"podSandboxId": p.id})
		return a.number("stats.linux.memory.usageBytes.value") > 0 && a.number("stats.linux.process.processCount.value") == 1 &&
			a.get("stats.linux.containers.0.attributes.id") == id && a.get("stats.linux.network.defaultInterface.name") == "eth0"
	})
	if a := k.call("ListContainerStats", nil); a.get("stats.0.attributes.id") != id {
		k.t.Error(a)
	}
}

func criUpdate(k kubelet) {
	id := k.pod(nil).start("exec sleep 1000", resources(object{
		"memoryLimitInBytes": 64 << 20, "cpuQuota": 20000, "cpuPeriod": 100000, "cpuShares": 512, "cpusetCpus": "0-1", "oomScoreAdj": 500}))
	limits := func(memory, quota, shares, cpus string) {
		k.t.Helper()
		cgroupSays(k.t, memory, "memory", id, "memory.limit_in_bytes")
		cgroupSays(k.t, quota, "cpu", id, "cpu.cfs_quota_us")
		cgroupSays(k.t, shares, "cpu", id, "cpu.shares")
		cgroupSays(k.t, cpus, "cpuset", id, "cpuset.cpus")
	}
	limits("67108864", "20000", "512", "0-1")
	k.sees(id, "500", "cat /proc/1/oom_score_adj")
	k.call("UpdateContainerResources", object{"containerId": id, "linux": object{
		"memoryLimitInBytes": 128 << 20, "cpuQuota": 50000, "cpuPeriod": 100000, "cpuShares": 1024, "cpusetCpus": "0"}})
	limits("134217728", "50000", "1024", "0")
	if got := k.status(id).number("status.resources.linux.memoryLimitInBytes"); got != 128<<20 {
		k.t.Error("the status says", got)
	}
	k.sees(id, "Cpus_allowed_list:\t0", "grep Cpus_allowed_list /proc/self/status")
}

// ready says that the script's traps are set, and waits.
const ready = "echo ready; while :; do sleep 0.1; done"

// stopped stops a container that is ready, twice, and compares its end.
func (p pod) stopped(id string, timeout int, want string) {
	p.t.Helper()
	rttest.Eventually(p.t, "the trap is set", func() bool { return strings.Contains(p.logOf(id), "ready") })
	p.call("StopContainer", object{"containerId": id, "timeout": timeout})
	if got := p.ended(id); got != want {
		p.t.Errorf("%s, want %s", got, want)
	}
	p.call("StopContainer", object{"containerId": id, "timeout": 0}) // again is no error
}

func criStop(k kubelet) {
	p := k.pod(nil)
	p.stopped(p.start("trap 'exit 9' TERM; "+ready, nil), 10, "9 Error")
	p.stopped(p.start("trap '' TERM; "+ready, nil), 1, "137 Error")
	p.stopped(p.start("trap 'exit 7' TERM; "+ready, nil), 0, "137 Error")
}

// namespaces is a pod's or container's configuration with these namespaces.
func namespaces(options object) object { return security(object{"namespaceOptions": options}) }

func criPIDs(k kubelet) {
	k.pod(nil).prints("1", "echo $$", nil)

	shared := namespaces(object{"pid": "POD"})
	p := k.pod(shared)
	id := p.start("sleep 3000 & exec sleep 1000", shared)
	contains(k.t, fmt.Sprint(k.execSync(id, "ps -o args")), "sleep 100000", "sleep 1000")
	other := p.start("sleep 4000 & exec sleep 2000", shared)
	contains(k.t, fmt.Sprint(k.execSync(id, "ps -o args")), "sleep 2000", "sleep 4000")
	k.call("StopContainer", object{"containerId": other, "timeout": 0}) // its init is no PID 1: all of it has to go
	rttest.Eventually(k.t, "only the other container has processes left", func() bool {
		out, _, _ := k.execSync(id, "ps -o args")
		return !strings.Contains(out, "sleep 2000") && !strings.Contains(out, "sleep 4000") && strings.Contains(out, "sleep 3000")
	})
	debug := p.start("exec sleep 5000", namespaces(object{"pid": "TARGET", "targetId": id}))
	contains(k.t, fmt.Sprint(k.execSync(debug, "ps -o args")), "sleep 1000")

	host := namespaces(object{"pid": "NODE", "ipc": "NODE"})
	id = k.pod(host).start("exec sleep 1000", host)
	contains(k.t, fmt.Sprint(k.execSync(id, "ps -o args")), "containerd", filepath.Base(os.Args[0]))
}

func criNetwork(k kubelet) {
	p := k.pod(nil)
	address := k.call("PodSandboxStatus", object{"podSandboxId": p.id}).get("status.network.ip")
	if !strings.HasPrefix(address, "10.88.") {
		k.t.Error("address", address)
	}
	p.prints(address, "ip -4 addr show eth0 | sed -n 's/.*inet \\([0-9.]*\\).*/\\1/p'", nil)
	q := k.pod(nil)
	q.prints("0", "ping -c 1 -W 5 "+address+" >/dev/null; echo $?", nil)

	host := namespaces(object{"network": "NODE"})
	h := k.pod(merged(host, object{"hostname": ""}))
	id := h.start("exec sleep 1000", host)
	out, _, _ := k.execSync(id, "ls /sys/class/net")
	contains(k.t, out, "pods0")
	want, err := os.Hostname()
	must(k.t, err)
	k.sees(id, want, "hostname")
}
