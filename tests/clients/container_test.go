package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// What Docker and Podman have in common: the words of their command lines, and what a user does with a container.

// runIt is `run --rm` of a program.
func (e engine) runIt(program []string, flags ...string) *rttest.Result {
	e.t.Helper()
	return e.run(slices.Concat([]string{"run", "--rm"}, e.runFlags, e.netFlags, flags, []string{imageName}, program)...)
}

// once is `run --rm` of a shell script.
func (e engine) once(script string, flags ...string) *rttest.Result {
	e.t.Helper()
	return e.runIt([]string{"sh", "-c", script}, flags...)
}

// onceOnTerminal is the same with a terminal that the input is typed into.
func (e engine) onceOnTerminal(input, script string, flags ...string) string {
	e.t.Helper()
	return e.onTerminal(input, slices.Concat([]string{"run", "--rm", "-t"}, e.runFlags, e.netFlags, flags, []string{imageName, "sh", "-c", script})...)
}

// sleeper starts a container that runs until the test ends, and returns its id.
func (e engine) sleeper(flags ...string) string {
	e.t.Helper()
	return e.detached("exec sleep 1000", flags...)
}

// detached starts a container with a shell script in the background, and returns its id.
func (e engine) detached(script string, flags ...string) string {
	e.t.Helper()
	res := e.run(slices.Concat([]string{"run", "-d"}, e.runFlags, e.netFlags, flags, []string{imageName, "sh", "-c", script})...).OK()
	id := strings.TrimSpace(res.Stdout)
	e.t.Cleanup(func() { e.remove(id).OK() })
	return id
}

// remove ends a container, if it runs, and removes it.
func (e engine) remove(id string) *rttest.Result {
	e.t.Helper()
	return e.run(slices.Concat([]string{"rm", "-f"}, e.rmFlags, []string{id})...)
}

// inspect is one field of the container.
func (e engine) inspect(id, format string) string {
	e.t.Helper()
	return strings.TrimSpace(e.run("inspect", "--format", format, id).OK().Stdout)
}

// A check is one thing that an engine's user does.
type check struct {
	name  string
	check func(engine)
}

// all runs the checks, one subtest each, and at last looks for what they left running.
func (e engine) all(t *testing.T, tables ...[]check) {
	t.Helper()
	for _, table := range append(tables, []check{{"nothing left running", func(e engine) { e.says("", "ps", "-q") }}}) {
		for _, c := range table {
			t.Run(c.name, func(t *testing.T) { c.check(e.in(t)) })
		}
	}
}

// containerChecks hold for every engine, root or not, with or without cgroups.
var containerChecks = []check{
	{"run", func(e engine) { e.once("echo hello").OK().Prints("hello") }},
	{"exit status", func(e engine) { e.once("exit 42").Exits(42) }},
	{"killed by a signal", func(e engine) { e.once("sh -c 'kill -9 $$'; exit $?").Exits(137) }},
	{"125, 126 and 127", func(e engine) {
		e.once("true", "--no-such-flag").Exits(125)
		e.runIt([]string{"/etc/passwd"}).Exits(126)
		e.runIt([]string{"/no/such"}).Exits(127)
		e.runIt([]string{"nosuch"}).Exits(127)
	}},
	{"stdin", func(e engine) {
		contains(e.t, e.onceOnTerminal("5 words of stdin\n", "read a; echo got $a", "-i"), "got 5 words of stdin")
	}},
	{"terminal", func(e engine) {
		contains(e.t, e.onceOnTerminal("echo $((6*7)); exit\n", "sh", "-i"), "42")
		contains(e.t, e.onceOnTerminal("", "sleep 1; stty size; sleep 0.5"), "31 97")
	}},
	{"environment, cwd, user, hostname", func(e engine) {
		e.once("echo $FROM_IMAGE $A $PWD $(id -u):$(id -g) $(hostname)", "-e", "A=b", "-w", "/home", "-u", "1000:1000", "-h", "box").
			OK().Prints("yes b /home 1000:1000 box")
	}},
	{"group-add", func(e engine) {
		e.once("id -G", "-u", "1000:1000", "--group-add", "7", "--group-add", "8").OK().Prints("1000 7 8")
	}},
	{"exec", execChecks},
	{"logs", func(e engine) {
		id := e.detached("echo out; echo err >&2; exit 5")
		e.says("5", "wait", id)
		res := e.run("logs", id).OK().Prints("out")
		contains(e.t, res.Stderr, "err")
	}},
	{"logs, a megabyte whole", func(e engine) {
		id := e.detached("yes 0123456789abcde | head -c 1048576")
		e.says("0", "wait", id)
		if n := len(e.run("logs", id).OK().Stdout); n != 1<<20 {
			e.t.Errorf("%d bytes", n)
		}
	}},
	{"stop", func(e engine) {
		id := e.detached("trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done")
		e.eventually("ready", "logs", id)
		e.run("stop", id).OK()
		if got := e.inspect(id, "{{.State.ExitCode}}"); got != "9" {
			e.t.Errorf("exit status %s", got)
		}
	}},
	{"kill", func(e engine) {
		id := e.sleeper()
		e.run("kill", id).OK()
		e.says("137", "wait", id)
		id = e.detached("trap 'exit 7' USR1; echo ready; while :; do sleep 0.1; done")
		e.eventually("ready", "logs", id)
		e.run("kill", "-s", "USR1", id).OK()
		e.says("7", "wait", id)
	}},
	{"start again, restart", func(e engine) {
		id := e.detached("echo once")
		e.says("0", "wait", id)
		e.says("once", "start", "-a", id)
		id = e.sleeper()
		before := e.inspect(id, "{{.State.Pid}}")
		e.run("restart", "-t", "0", id).OK()
		if e.inspect(id, "{{.State.Pid}}") == before || e.inspect(id, "{{.State.Running}}") != "true" {
			e.t.Error("it is the same process, or none")
		}
	}},
	{"restart policy", func(e engine) {
		id := e.detached("exit 1", "--restart", "on-failure:2")
		e.eventually("2", "inspect", "--format", "{{.RestartCount}}", id)
	}},
	{"top", func(e engine) { e.eventually("sleep 1000", "top", e.sleeper()) }}, // runc's init may not have become it yet
	{"read-only root, tmpfs", func(e engine) {
		res := e.once("stat -f -c %T /t; touch /t/y && touch /x", "--read-only", "--tmpfs", "/t:size=1m").Exits(1).Prints("tmpfs")
		contains(e.t, res.Stderr, "/x: Read-only file system")
	}},
	{"capabilities", func(e engine) {
		e.once("chown 1 /etc/passwd").OK()
		contains(e.t, e.once("chown 1 /etc/passwd", "--cap-drop", "CHOWN").Exits(1).Stderr, "Operation not permitted")
		e.once("grep ^CapEff /proc/self/status", "--cap-drop", "ALL").OK().Prints("CapEff:\t0000000000000000")
		e.once("grep ^CapEff /proc/self/status", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN").OK().Prints("CapEff:\t0000000000001000")
	}},
	{"seccomp", seccompCheck},
	{"no new privileges", func(e engine) {
		e.once("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges").OK().Prints("NoNewPrivs:\t1")
	}},
	{"masked and read-only paths", func(e engine) {
		e.once("cat /proc/kcore | wc -c").OK().Prints("0")
		contains(e.t, e.once("echo 1 >/proc/sys/kernel/panic").Exits(1).Stderr, "Read-only file system")
	}},
	{"volumes", volumesCheck},
	{"another container's namespaces", joinedNamespaces},
	{"ulimit, shm size, device, oom score", func(e engine) {
		e.once("ulimit -n; df -k /dev/shm | tail -1 | awk '{print $2}'; test -c /dev/loop-control && cat /proc/self/oom_score_adj",
			"--ulimit", "nofile=100:200", "--ulimit", "nproc=4096:4096", "--shm-size", "8m", "--device", "/dev/loop-control", "--oom-score-adj", "500").
			OK().Prints("100\n8192\n500")
	}},
	{"sysctl", func(e engine) {
		e.once("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax", "--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "kernel.msgmax=8000").
			OK().Prints("0\n8000")
	}},
	{"cp, diff, commit", func(e engine) {
		id := e.sleeper()
		dir := openDir(e.t)
		e.run("cp", writeFile(e.t, filepath.Join(dir, "f"), "text"), id+":/f").OK()
		e.says("text", "exec", id, "cat", "/f")
		e.run("cp", id+":/f", filepath.Join(dir, "back")).OK()
		if missing := rttest.File(filepath.Join(dir, "back"))(); missing != "" {
			e.t.Error("not copied:", missing)
		}
		contains(e.t, e.run("diff", id).OK().Stdout, "A /f")
		e.run("commit", id, "localhost/committed").OK()
		e.run("rmi", "-f", "localhost/committed").OK()
	}},
	{"eight at once", func(e engine) {
		var group sync.WaitGroup
		for i := range 8 {
			wait := rttest.Async(func() *rttest.Result { return e.once(fmt.Sprintf("echo %d; exit %d", i, i)) })
			group.Go(func() { wait().Exits(i).Prints(fmt.Sprint(i)) })
		}
		group.Wait()
	}},
}

// limitChecks want an engine that may write to cgroups.
var limitChecks = []check{
	{"limits", func(e engine) {
		id := e.sleeper("--memory", "32m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "20", "--cpuset-cpus", "0")
		e.limits(id, "33554432", "50000", "20")
		e.cgroupSays("512", "cpu", id, "cpu.shares")
		e.cgroupSays("0", "cpuset", id, "cpuset.cpus")
	}},
	{"rarer limits", func(e engine) {
		id := e.sleeper("--memory-reservation", "16m", "--memory-swappiness", "10", "--cpu-period", "50000", "--cpu-quota", "20000", "--cpuset-mems", "0")
		e.cgroupSays("16777216", "memory", id, "memory.soft_limit_in_bytes")
		e.cgroupSays("10", "memory", id, "memory.swappiness")
		e.cgroupSays("50000", "cpu", id, "cpu.cfs_period_us")
		e.cgroupSays("20000", "cpu", id, "cpu.cfs_quota_us")
		e.cgroupSays("0", "cpuset", id, "cpuset.mems")
	}},
	{"update", func(e engine) {
		id := e.sleeper("--memory", "32m", "--memory-swap", "32m", "--pids-limit", "20")
		e.run("update", "--memory", "64m", "--memory-swap", "64m", "--cpus", "0.25", id).OK()
		e.limits(id, "67108864", "25000", "20")
	}},
	{"pids limit holds", func(e engine) {
		res := e.once("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait", "--pids-limit", "5")
		contains(e.t, res.Stderr, "can't fork")
	}},
	{"out of memory", func(e engine) {
		e.once("a=0123456789; while :; do a=$a$a; done", "--memory", "16m", "--memory-swap", "16m").Exits(137)
	}},
	{"pause", func(e engine) {
		id := e.sleeper()
		e.run("pause", id).OK()
		e.says("paused", "inspect", "--format", "{{.State.Status}}", id)
		if res := e.run("exec", id, "true"); res.Code == 0 {
			e.t.Errorf("exec in a paused container: %s", res)
		}
		e.run("unpause", id).OK()
		e.run("exec", id, "true").OK()
	}},
	{"stats", func(e engine) {
		rttest.Need(e.t, metrics)
		id := e.sleeper()
		contains(e.t, e.run("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", id).OK().Stdout, "1 ", "B / ")
	}},
	{"device by another name", func(e engine) { // in a user namespace runtimes look for it by the new name
		e.once(": </dev/other", "--device", "/dev/loop-control:/dev/other:r").OK()
		contains(e.t, e.once(": >/dev/other", "--device", "/dev/loop-control:/dev/other:r").Exits(1).Stderr, "Operation not permitted")
	}},
	{"device rules", func(e engine) {
		const full = "mknod /n c 1 7 && head -c 3 /n | wc -c" // every container may make any node and use /dev/full
		e.once(full, "--cap-add", "MKNOD").OK().Prints("3")
		const autofs = "mknod /n c 10 235 && : </n"
		contains(e.t, e.once(autofs, "--cap-add", "MKNOD").Exits(1).Stderr, "Operation not permitted")
		e.once(autofs, "--cap-add", "MKNOD", "--device-cgroup-rule", "c 10:235 r").OK()
	}},
	{"privileged", func(e engine) {
		if e.everyCapability && !rttest.IsRT(e.t) { // rt warns, and gives what there is
			rttest.Need(e.t, rttest.Capability(unix.CAP_SYS_RESOURCE))
		}
		e.once("grep ^Seccomp: /proc/self/status; mount -t tmpfs none /home", "--privileged").OK().Prints("Seccomp:\t0")
		e.run("exec", "--privileged", e.sleeper("--security-opt", "seccomp=unconfined"), "mount", "-t", "tmpfs", "none", "/home").OK()
	}},
	{"the host's namespaces", hostNamespaces},
	{"mount propagation", propagationCheck},
}

func execChecks(e engine) {
	id := e.sleeper("-e", "A=b")
	e.says("hello", "exec", id, "echo", "hello")
	e.run("exec", id, "sh", "-c", "exit 17").Exits(17)
	if code := e.run("exec", id, "/no/such").Code; code != 126 && code != 127 { // Docker 20.10 says 126
		e.t.Errorf("exec of what is not there: exit status %d", code)
	}
	e.run("exec", id, "/etc/passwd").Exits(126)
	e.says("b c 1000 /home", "exec", "-e", "C=c", "-u", "1000", "-w", "/home", id, "sh", "-c", "echo $A $C $(id -u) $PWD")
	contains(e.t, e.onTerminal("echo $((6*7)); exit\n", "exec", "-it", id, "sh"), "42")
	e.run("exec", "-d", id, "sleep", "2000").OK()
	e.eventually("sleep 2000", "top", id)
}

// limits compares memory, cpu quota (period 100000) and pids of the container's cgroup.
func (e engine) limits(id, memory, quota, pids string) {
	e.t.Helper()
	e.cgroupSays(memory, "memory", id, "memory.limit_in_bytes")
	e.cgroupSays(quota, "cpu", id, "cpu.cfs_quota_us")
	e.cgroupSays(pids, "pids", id, "pids.max")
}

// cgroupSays fails the test unless the container's cgroup file holds the text.
func (e engine) cgroupSays(want, controller, id, file string) {
	e.t.Helper()
	cgroupSays(e.t, want, controller, e.cgroupPrefix+id, file)
}

func seccompCheck(e engine) {
	e.once("grep ^Seccomp: /proc/self/status").OK().Prints("Seccomp:\t2")
	e.once("grep ^Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined").OK().Prints("Seccomp:\t0")
	profile := writeFile(e.t, filepath.Join(openDir(e.t), "profile.json"),
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`)
	contains(e.t, e.once("mkdir /x", "--security-opt", "seccomp="+profile).Exits(1).Stderr, "Operation not permitted")
	contains(e.t, e.once("unshare -m true").Exits(1).Stderr, "Operation not permitted")
}

func volumesCheck(e engine) {
	dir := openDir(e.t)
	writeFile(e.t, filepath.Join(dir, "in"), "text")
	e.once("cat /v/in; echo out > /v/out", "-v", dir+":/v").OK().Prints("text")
	if data, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(data) != "out\n" {
		e.t.Errorf("%q, %v", data, err)
	}
	contains(e.t, e.once("touch /v/x", "-v", dir+":/v:ro").Exits(1).Stderr, "Read-only file system")
	e.once("cat /f", "-v", dir+"/in:/f").OK().Prints("text")
	e.once("echo kept > /v/f", "-v", "named:/v").OK()
	e.once("cat /v/f", "-v", "named:/v").OK().Prints("kept")
	e.run("volume", "rm", "named").OK()
}

// joinedNamespaces joins another container's namespaces one by one and all at once. Docker 29 asks for a time namespace
// besides, which a process that has joined a PID namespace cannot make for itself.
func joinedNamespaces(e engine) {
	id := e.sleeper("--ipc", "shareable")
	kinds := []string{"pid", "net", "ipc"}
	read := func(kind string) string { return "readlink /proc/self/ns/" + kind }
	var flags, want []string
	for _, kind := range kinds {
		theirs := strings.TrimSpace(e.run("exec", id, "sh", "-c", read(kind)).OK().Stdout)
		flag := []string{"--" + kind, "container:" + id}
		if kind == "net" {
			e.onceAlone(read(kind), flag...).OK().Prints(theirs)
		} else {
			e.once(read(kind), flag...).OK().Prints(theirs)
		}
		flags, want = append(flags, flag...), append(want, theirs)
	}
	e.onceAlone(read("pid")+"; "+read("net")+"; "+read("ipc"), flags...).OK().Prints(strings.Join(want, "\n"))
	contains(e.t, e.once("ps", "--pid", "container:"+id).OK().Stdout, "sleep 1000")
}

// hostNamespaces compares with this process's own, which the engine shares.
func hostNamespaces(e engine) {
	for _, kind := range []string{"pid", "net", "ipc", "uts"} {
		ours, err := os.Readlink("/proc/self/ns/" + kind)
		must(e.t, err)
		e.onceAlone("readlink /proc/self/ns/"+kind, "--"+kind, "host").OK().Prints(ours)
	}
	e.onceAlone("true", "--pid", "host", "--net", "host", "--ipc", "host", "--uts", "host", "--cgroupns", "host").OK()
}

// onceAlone is once without the network that every container of this engine is given.
func (e engine) onceAlone(script string, flags ...string) *rttest.Result {
	e.t.Helper()
	e.netFlags = nil
	return e.once(script, flags...)
}

// propagationCheck mounts something on the host below what a running container has of it, and the other way round.
func propagationCheck(e engine) {
	dir := filepath.Join("/tmp", rttest.CgroupParent(), "shared")
	must(e.t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	must(e.t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	must(e.t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	e.t.Cleanup(func() {
		must(e.t, unix.Unmount(dir, unix.MNT_DETACH))
		must(e.t, os.RemoveAll(dir))
	})
	private := e.sleeper("-v", dir+":/v")
	slave := e.sleeper("-v", dir+":/v:rslave")
	must(e.t, unix.Mount("tmpfs", filepath.Join(dir, "sub"), "tmpfs", 0, ""))
	must(e.t, os.WriteFile(filepath.Join(dir, "sub/later"), nil, 0o644))
	e.says("later", "exec", slave, "ls", "/v/sub")
	e.says("", "exec", private, "ls", "/v/sub")

	must(e.t, os.Mkdir(filepath.Join(dir, "up"), 0o755))
	e.once("mount -t tmpfs none /v/up && touch /v/up/there", "-v", dir+":/v:rshared", "--cap-add", "SYS_ADMIN",
		"--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined").OK()
	if missing := rttest.File(filepath.Join(dir, "up/there"))(); missing != "" {
		e.t.Error("what the container mounted did not come up:", missing)
	}
	e.says("there", "exec", slave, "ls", "/v/up")
}
