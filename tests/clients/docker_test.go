package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// startDocker runs a dockerd that knows the runtime as "rt", with the image in it, and returns docker.
func startDocker(t *testing.T, flags ...string) engine {
	t.Helper()
	need(t, "dockerd", "docker", "containerd", "iptables")
	dir := workDir(t, "docker")
	socket := "unix://" + filepath.Join(dir, "s")
	config := writeFile(t, filepath.Join(dir, "daemon.json"),
		fmt.Sprintf(`{"runtimes": {"rt": {"path": %q}}, "default-runtime": "rt"}`, rttest.Runtime(t)))
	startDaemon(t, dir, append([]string{"dockerd", "--config-file", config, "--host", socket, "--data-root", filepath.Join(dir, "root"),
		"--exec-root", filepath.Join(dir, "x"), "--pidfile", filepath.Join(dir, "pid"), "--cgroup-parent", rttest.CgroupParent()},
		flags...)...)
	docker := engine{t, []string{"docker", "--config", dir, "--host", socket}}
	docker.eventually("Server Version", "info")
	docker.run("load", "-i", writeImage(t, dir)).OK()
	return docker
}

// once is `docker run --rm` of a shell script.
func (e engine) once(script string, flags ...string) *rttest.Result {
	e.t.Helper()
	return e.run(append(append([]string{"run", "--rm"}, flags...), imageName, "sh", "-c", script)...)
}

// sleeper starts a container that runs until the test ends, and returns its id.
func (e engine) sleeper(flags ...string) string {
	e.t.Helper()
	return e.detached("sleep 1000", flags...)
}

// detached starts a container with a shell script in the background, and returns its id.
func (e engine) detached(script string, flags ...string) string {
	e.t.Helper()
	res := e.run(append(append([]string{"run", "-d"}, flags...), imageName, "sh", "-c", script)...).OK()
	id := strings.TrimSpace(res.Stdout)
	e.t.Cleanup(func() { e.run("rm", "-f", id).OK() })
	return id
}

// inspect is one field of the container.
func (e engine) inspect(id, format string) string {
	e.t.Helper()
	return strings.TrimSpace(e.run("inspect", "--format", format, id).OK().Stdout)
}

func TestDocker(t *testing.T) {
	docker := startDocker(t)
	for _, c := range dockerChecks {
		t.Run(c.name, func(t *testing.T) { c.check(docker.in(t)) })
	}
}

// A check is one thing that an engine's user does.
type check struct {
	name  string
	check func(engine)
}

// dockerChecks are in the order in which a reader looks for them.
var dockerChecks = []check{
	{"info names the runtime, no warning", func(d engine) {
		res := d.run("info").OK()
		contains(d.t, res.Stdout, "Default Runtime: rt")
		for line := range strings.Lines(res.Stdout + res.Stderr) {
			line = strings.TrimSpace(line) // "runc version" is the commit that the default runtime's --version names
			if line == "runc version:" || strings.HasPrefix(line, "runc version: N/A") || strings.HasPrefix(line, "WARNING") && strings.Contains(line, "runtime") {
				d.t.Errorf("info: %s", line)
			}
		}
	}},
	{"run", func(d engine) { d.once("echo hello").OK().Prints("hello") }},
	{"run by name of the runtime", func(d engine) { d.once("echo hello", "--runtime", "rt").OK().Prints("hello") }},
	{"exit status", func(d engine) { d.once("exit 42").Exits(42) }},
	{"killed by a signal", func(d engine) { d.once("sh -c 'kill -9 $$'; exit $?").Exits(137) }},
	{"program not found is 127", func(d engine) {
		d.run("run", "--rm", imageName, "/no/such").Exits(127)
		d.run("run", "--rm", imageName, "nosuch").Exits(127)
	}},
	{"program not executable is 126", func(d engine) { d.run("run", "--rm", imageName, "/etc/passwd").Exits(126) }},
	{"stdin", func(d engine) {
		d.says("5 words of stdin", "run", "--rm", imageName, "echo", "5 words of stdin")
		contains(d.t, d.onTerminal("exit 3\n", "run", "--rm", "-i", "-t", imageName, "sh", "-c", "read a; echo got $a"), "got exit 3")
	}},
	{"terminal", func(d engine) {
		contains(d.t, d.onTerminal("echo $((6*7)); exit\n", "run", "--rm", "-it", imageName, "sh"), "42")
		contains(d.t, d.onTerminal("", "run", "--rm", "-t", imageName, "sh", "-c", "sleep 1; stty size"), "31 97")
	}},
	{"environment, cwd, user, hostname", func(d engine) {
		d.once("echo $FROM_IMAGE $A $PWD $(id -u):$(id -g) $(hostname)", "-e", "A=b", "-w", "/home", "-u", "1000:1000", "-h", "box").
			OK().Prints("yes b /home 1000:1000 box")
	}},
	{"exec", dockerExec},
	{"exec in a paused container fails", func(d engine) {
		id := d.sleeper()
		d.run("pause", id).OK()
		d.says("paused", "inspect", "--format", "{{.State.Status}}", id)
		d.run("exec", id, "true").Fails("paused")
		d.run("unpause", id).OK()
		d.run("exec", id, "true").OK()
	}},
	{"logs", func(d engine) {
		id := d.detached("echo out; echo err >&2; exit 5")
		d.says("5", "wait", id)
		res := d.run("logs", id).OK().Prints("out")
		contains(d.t, res.Stderr, "err")
	}},
	{"logs of a terminal have carriage returns", func(d engine) {
		id := d.detached("echo a; echo b", "-t")
		d.says("0", "wait", id)
		if got := d.run("logs", id).OK().Stdout; got != "a\r\nb\r\n" {
			d.t.Errorf("%q", got)
		}
	}},
	{"logs, a megabyte whole", func(d engine) {
		id := d.detached("yes 0123456789abcde | head -c 1048576")
		d.says("0", "wait", id)
		if n := len(d.run("logs", id).OK().Stdout); n != 1<<20 {
			d.t.Errorf("%d bytes", n)
		}
	}},
	{"stop", func(d engine) {
		id := d.detached("trap 'exit 9' TERM; while :; do sleep 0.1; done")
		d.eventually("sh", "top", id)
		time.Sleep(300 * time.Millisecond) // the trap comes after the start
		d.run("stop", id).OK()
		if got := d.inspect(id, "{{.State.ExitCode}}"); got != "9" {
			d.t.Errorf("exit status %s", got)
		}
	}},
	{"kill", func(d engine) {
		id := d.sleeper()
		d.run("kill", id).OK()
		d.says("137", "wait", id)
		id = d.detached("trap 'exit 7' USR1; while :; do sleep 0.1; done")
		time.Sleep(500 * time.Millisecond)
		d.run("kill", "-s", "USR1", id).OK()
		d.says("7", "wait", id)
	}},
	{"start again, restart", func(d engine) {
		id := d.detached("echo once")
		d.says("0", "wait", id)
		d.says("once", "start", "-a", id)
		id = d.sleeper()
		before := d.inspect(id, "{{.State.Pid}}")
		d.run("restart", "-t", "0", id).OK()
		if d.inspect(id, "{{.State.Pid}}") == before || d.inspect(id, "{{.State.Running}}") != "true" {
			d.t.Error("it is the same process, or none")
		}
	}},
	{"restart policy", func(d engine) {
		id := d.detached("exit 1", "--restart", "on-failure:2")
		d.eventually("2", "inspect", "--format", "{{.RestartCount}}", id)
	}},
	{"top, stats", func(d engine) {
		id := d.sleeper()
		contains(d.t, d.run("top", id).OK().Stdout, "sleep 1000")
		contains(d.t, d.run("stats", "--no-stream", "--format", "{{.PIDs}} {{.MemUsage}}", id).OK().Stdout, "1 ", "iB")
	}},
	{"limits", func(d engine) {
		id := d.sleeper("--memory", "32m", "--cpus", "0.5", "--cpu-shares", "512", "--pids-limit", "20", "--cpuset-cpus", "0")
		dockerLimits(d, id, "33554432", "50000", "20")
		cgroupSays(d.t, "512", "cpu", id, "cpu.shares")
		cgroupSays(d.t, "0", "cpuset", id, "cpuset.cpus")
	}},
	{"update", func(d engine) {
		id := d.sleeper("--memory", "32m", "--memory-swap", "32m")
		d.run("update", "--memory", "64m", "--memory-swap", "64m", "--cpus", "0.25", "--pids-limit", "30", id).OK()
		dockerLimits(d, id, "67108864", "25000", "30")
	}},
	{"pids limit holds", func(d engine) {
		res := d.once("for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; wait", "--pids-limit", "5")
		contains(d.t, res.Stderr, "can't fork")
	}},
	{"out of memory", func(d engine) {
		res := d.run("run", "--name", "oom", "--memory", "16m", "--memory-swap", "16m", imageName, "sh", "-c",
			"a=0123456789; while :; do a=$a$a; done")
		d.t.Cleanup(func() { d.run("rm", "-f", "oom").OK() })
		if res.Code == 0 {
			d.t.Error("it ended well")
		}
		d.eventually("true", "inspect", "--format", "{{.State.OOMKilled}}", "oom")
	}},
	{"read-only root", func(d engine) {
		contains(d.t, d.once("touch /x; touch /run/y && echo ok", "--read-only", "--tmpfs", "/run").OK().Stderr, "Read-only file system")
	}},
	{"capabilities", func(d engine) {
		d.once("chown 1 /etc/passwd").OK()
		contains(d.t, d.once("chown 1 /etc/passwd", "--cap-drop", "CHOWN").Exits(1).Stderr, "Operation not permitted")
		d.once("grep ^CapEff /proc/self/status", "--cap-drop", "ALL").OK().Prints("CapEff:\t0000000000000000")
		d.once("grep ^CapEff /proc/self/status", "--cap-drop", "ALL", "--cap-add", "NET_ADMIN").OK().Prints("CapEff:\t0000000000001000")
	}},
	{"seccomp", dockerSeccomp},
	{"no new privileges", func(d engine) {
		d.once("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges").OK().Prints("NoNewPrivs:\t1")
	}},
	{"masked and read-only paths", func(d engine) {
		d.once("cat /proc/kcore | wc -c").OK().Prints("0")
		contains(d.t, d.once("echo 1 >/proc/sys/kernel/panic").Exits(1).Stderr, "Read-only file system")
	}},
	{"init", func(d engine) {
		rttest.Need(d.t, rttest.Command("docker-init"))
		contains(d.t, d.once("cat /proc/1/comm", "--init").OK().Stdout, "docker-init")
	}},
	{"volumes", dockerVolumes},
	{"mount propagation", dockerPropagation},
	{"network", func(d engine) {
		contains(d.t, d.once("ip addr show eth0").OK().Stdout, "inet 172.")
		d.once("ls /sys/class/net", "--net", "none").OK().Prints("lo")
		contains(d.t, d.once("ls /sys/class/net", "--net", "host").OK().Stdout, "docker0")
	}},
	{"another container's namespaces", func(d engine) {
		id := d.sleeper("--ipc", "shareable")
		contains(d.t, d.once("ps", "--pid", "container:"+id).OK().Stdout, "sleep 1000")
		const namespaces = "cd /proc/self/ns; readlink net; readlink ipc"
		want := d.run("exec", id, "sh", "-c", namespaces).OK().Stdout
		d.says(strings.TrimSpace(want), "run", "--rm", "--net", "container:"+id, "--ipc", "container:"+id, imageName,
			"sh", "-c", namespaces)
	}},
	{"the host's namespaces", func(d engine) {
		d.once("cat /proc/1/comm", "--pid", "host").OK()
		d.once("true", "--ipc", "host", "--uts", "host", "--cgroupns", "host").OK()
	}},
	{"sysctl, ulimit, shm, device, oom score", func(d engine) {
		d.once("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax; ulimit -n; df -k /dev/shm | tail -1 | awk '{print $2}'; test -c /dev/fuse2 && cat /proc/self/oom_score_adj",
			"--sysctl", "net.ipv4.ip_forward=0", "--sysctl", "kernel.msgmax=8000", "--ulimit", "nofile=100:200", "--shm-size", "8m",
			"--device", "/dev/null:/dev/fuse2", "--oom-score-adj", "500").OK().Prints("0\n8000\n100\n8192\n500")
	}},
	{"health check", func(d engine) {
		id := d.sleeper("--health-cmd", "true", "--health-interval", "500ms")
		d.eventually("healthy", "inspect", "--format", "{{.State.Health.Status}}", id)
	}},
	{"cp, commit, diff", func(d engine) {
		id := d.sleeper()
		from := writeFile(d.t, filepath.Join(d.t.TempDir(), "f"), "text")
		d.run("cp", from, id+":/f").OK()
		d.says("text", "exec", id, "cat", "/f")
		contains(d.t, d.run("diff", id).OK().Stdout, "A /f")
		d.run("commit", id, "localhost/committed").OK()
		d.says("text", "run", "--rm", "localhost/committed", "cat", "/f")
	}},
	{"build", func(d engine) {
		dir := d.t.TempDir()
		writeFile(d.t, filepath.Join(dir, "Dockerfile"), "FROM "+imageName+"\nRUN echo built > /b && test -c /dev/null\nRUN cat /b\n")
		d.run("build", "-t", "localhost/built", dir).OK()
		d.says("built", "run", "--rm", "localhost/built", "cat", "/b")
	}},
	{"nothing left running", func(d engine) { d.says("", "ps", "-q") }},
}

func dockerExec(d engine) {
	id := d.sleeper("-e", "A=b")
	d.says("hello", "exec", id, "echo", "hello")
	d.run("exec", id, "sh", "-c", "exit 17").Exits(17)
	if code := d.run("exec", id, "/no/such").Code; code != 126 && code != 127 { // 20.10 says 126, later ones 127
		d.t.Errorf("exec of what is not there: exit status %d", code)
	}
	d.run("exec", id, "/etc/passwd").Exits(126)
	d.says("b c 1000 /home", "exec", "-e", "C=c", "-u", "1000", "-w", "/home", id, "sh", "-c", "echo $A $C $(id -u) $PWD")
	contains(d.t, d.onTerminal("echo $((6*7)); exit\n", "exec", "-it", id, "sh"), "42")
	d.run("exec", "-d", id, "sleep", "2000").OK()
	d.eventually("sleep 2000", "top", id)
}

// dockerLimits compares memory, cpu quota (period 100000) and pids of the container's cgroup.
func dockerLimits(d engine, id, memory, quota, pids string) {
	d.t.Helper()
	cgroupSays(d.t, memory, "memory", id, "memory.limit_in_bytes")
	cgroupSays(d.t, quota, "cpu", id, "cpu.cfs_quota_us")
	cgroupSays(d.t, pids, "pids", id, "pids.max")
}

func dockerSeccomp(d engine) {
	d.once("grep ^Seccomp: /proc/self/status").OK().Prints("Seccomp:\t2")
	d.once("grep ^Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined").OK().Prints("Seccomp:\t0")
	profile := writeFile(d.t, filepath.Join(d.t.TempDir(), "p.json"),
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`)
	contains(d.t, d.once("mkdir /x", "--security-opt", "seccomp="+profile).Exits(1).Stderr, "Operation not permitted")
	contains(d.t, d.once("unshare -m true").Exits(1).Stderr, "Operation not permitted")
}

func dockerVolumes(d engine) {
	dir := d.t.TempDir()
	writeFile(d.t, filepath.Join(dir, "in"), "text")
	d.once("cat /v/in; echo out > /v/out", "-v", dir+":/v").OK().Prints("text")
	if data, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(data) != "out\n" {
		d.t.Errorf("%q, %v", data, err)
	}
	contains(d.t, d.once("touch /v/x", "-v", dir+":/v:ro").Exits(1).Stderr, "Read-only file system")
	d.once("echo kept > /v/f", "-v", "named:/v").OK()
	d.once("cat /v/f", "-v", "named:/v").OK().Prints("kept")
	d.run("volume", "rm", "named").OK()
	d.once("stat -f -c %T /v; cat /f", "--tmpfs", "/v:size=1m", "-v", dir+"/in:/f").OK().Prints("tmpfs\ntext")
}

// dockerPropagation mounts something on the host below what a running container has of it.
func dockerPropagation(d engine) {
	dir := filepath.Join("/tmp", rttest.CgroupParent(), "shared")
	must(d.t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	must(d.t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	must(d.t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	d.t.Cleanup(func() {
		must(d.t, unix.Unmount(dir, unix.MNT_DETACH))
		must(d.t, os.RemoveAll(dir))
	})
	private := d.sleeper("-v", dir+":/v")
	slave := d.sleeper("-v", dir+":/v:rslave")
	must(d.t, unix.Mount("tmpfs", filepath.Join(dir, "sub"), "tmpfs", 0, ""))
	must(d.t, os.WriteFile(filepath.Join(dir, "sub/later"), nil, 0o644))
	d.says("later", "exec", slave, "ls", "/v/sub")
	d.says("", "exec", private, "ls", "/v/sub")
}

func TestDockerUserns(t *testing.T) {
	need(t, "dockerd", "newuidmap")
	appendFile(t, "/etc/subuid", "remapped:200000:65536\n")
	appendFile(t, "/etc/subgid", "remapped:200000:65536\n")
	appendFile(t, "/etc/passwd", "remapped:x:64000:64000::/:/bin/false\n")
	appendFile(t, "/etc/group", "remapped:x:64000:\n")
	docker := startDocker(t, "--userns-remap", "remapped")
	for _, c := range []check{
		{"ids", func(d engine) {
			d.once("cat /proc/self/uid_map | tr -s ' '").OK().Prints("0 200000 65536")
			d.once("id -u; touch /x; stat -c %u /x /etc/passwd").OK().Prints("0\n0\n0")
		}},
		{"exec, user, kill", func(d engine) {
			id := d.sleeper("--memory", "32m")
			d.says("1000", "exec", "-u", "1000", id, "id", "-u")
			d.run("pause", id).OK()
			d.run("unpause", id).OK()
			d.run("kill", id).OK()
		}},
		{"network and volume", func(d engine) {
			contains(d.t, d.once("ip addr show eth0; echo x > /v/f", "-v", "vol:/v").OK().Stdout, "inet 172.")
		}},
		{"the host's user namespace", func(d engine) {
			d.once("cat /proc/self/uid_map | tr -s ' '", "--userns", "host").OK().Prints("0 0 4294967295")
		}},
	} {
		t.Run(c.name, func(t *testing.T) { c.check(docker.in(t)) })
	}
}

// appendFile adds to a file of the sandbox's /etc.
func appendFile(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = fmt.Fprint(f, text)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}
