package clients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// eachDocker runs the test with every Docker there is.
func eachDocker(t *testing.T, test func(t *testing.T, d *dockerDaemon)) {
	t.Run("Debian", func(t *testing.T) {
		need(t, "dockerd", "docker", "containerd", "iptables")
		test(t, &dockerDaemon{everyCapability: true})
	})
	t.Run("29", func(t *testing.T) { test(t, docker29(t)) })
}

// docker29 is what `make engines` builds.
func docker29(t *testing.T) *dockerDaemon {
	t.Helper()
	need(t, "iptables")
	for _, part := range []string{"containerd", "docker", "docker-cli", "buildx"} {
		useBuilt(t, part)
	}
	return &dockerDaemon{newer: docker29Checks}
}

// A dockerDaemon is one that knows the runtime as "rt".
type dockerDaemon struct {
	everyCapability bool    // see engine
	newer           []check // what only it has
	byFlags         bool    // it is told of the runtime by flags, and not by daemon.json
	args            []string
	dir             string
	client          engine
	stop            func()
}

// start runs the daemon, with the image in it, and returns docker.
func (d *dockerDaemon) start(t *testing.T, flags ...string) engine {
	t.Helper()
	d.dir = workDir(t, "docker")
	socket := "unix://" + filepath.Join(d.dir, "s")
	config, plug := "{}", []string{"--add-runtime", "rt=" + rttest.Runtime(t), "--default-runtime", "rt"}
	if !d.byFlags {
		config, plug = fmt.Sprintf(`{"runtimes": {"rt": {"path": %q}, "peer": {"path": %q}}, "default-runtime": "rt"}`, rttest.Runtime(t), peer()), nil
	}
	d.args = slices.Concat([]string{"dockerd", "--config-file", writeFile(t, filepath.Join(d.dir, "daemon.json"), config), "--host", socket,
		"--data-root", filepath.Join(d.dir, "root"), "--exec-root", filepath.Join(d.dir, "x"), "--pidfile", filepath.Join(d.dir, "pid"),
		"--cgroup-parent", rttest.CgroupParent()}, plug, flags)
	d.client = engine{t: t, base: []string{"docker", "--config", d.dir, "--host", socket}, everyCapability: d.everyCapability}
	d.again(t)
	endWith(t, d.dir, func() { d.stop() })
	d.client.run("load", "-i", writeImage(t, d.dir)).OK()
	return d.client
}

// peer is the newest runc there is, or rt.
func peer() string {
	for _, name := range []string{"../../bin/peers/runc", "runc"} {
		if path, err := exec.LookPath(name); err == nil {
			path, _ = filepath.Abs(path)
			return path
		}
	}
	return ""
}

// again starts the daemon, which was stopped.
func (d *dockerDaemon) again(t *testing.T) {
	t.Helper()
	d.stop = launch(t, d.dir, d.args...)
	d.client.eventually("Server Version", "info")
}

func TestDocker(t *testing.T) {
	eachDocker(t, func(t *testing.T, d *dockerDaemon) {
		d.start(t).all(t, dockerChecks, d.newer, containerChecks, limitChecks)
	})
}

// dockerChecks are what Docker has of its own.
var dockerChecks = []check{
	{"info names the runtime, no warning", func(d engine) {
		res := d.run("info").OK()
		contains(d.t, res.Stdout, "Default Runtime: rt")
		for line := range strings.Lines(res.Stdout + res.Stderr) {
			line = strings.TrimSpace(line) // "runc version" is the commit that the default runtime's --version names
			if line == "runc version:" && rttest.IsRT(d.t) || strings.HasPrefix(line, "runc version: N/A") || strings.HasPrefix(line, "WARNING") && strings.Contains(line, "runtime") {
				d.t.Errorf("info: %s", line)
			}
		}
	}},
	{"run by name of the runtime", func(d engine) { d.once("echo hello", "--runtime", "rt").OK().Prints("hello") }},
	{"logs of a terminal have carriage returns", func(d engine) {
		id := d.detached("echo a; echo b", "-t")
		d.says("0", "wait", id)
		if got := d.run("logs", id).OK().Stdout; got != "a\r\nb\r\n" {
			d.t.Errorf("%q", got)
		}
	}},
	{"init", func(d engine) {
		rttest.Need(d.t, rttest.Command("docker-init"))
		contains(d.t, d.once("cat /proc/1/comm", "--init").OK().Stdout, "docker-init")
	}},
	{"no masks on demand", func(d engine) {
		d.once("cut -d ' ' -f 2 /proc/mounts | grep -c /proc/").OK()
		d.once("cut -d ' ' -f 2 /proc/mounts | grep -c /proc/", "--security-opt", "systempaths=unconfined").Exits(1).Prints("0")
	}},
	{"update of the pids limit", func(d engine) {
		id := d.sleeper("--pids-limit", "20")
		d.run("update", "--pids-limit", "30", id).OK()
		d.cgroupSays("30", "pids", id, "pids.max")
	}},
	{"out of memory is a state", func(d engine) { // it hears of it only while the container is there
		rttest.Need(d.t, metrics)
		id := d.detached("sh -c 'a=0123456789; while :; do a=$a$a; done'; code=$?; sleep 1; exit $code", "--memory", "16m", "--memory-swap", "16m")
		d.says("137", "wait", id)
		d.eventually("true", "inspect", "--format", "{{.State.OOMKilled}}", id)
	}},
	{"network", func(d engine) {
		contains(d.t, d.once("ip addr show eth0").OK().Stdout, "inet 172.")
		d.once("ls /sys/class/net", "--net", "none").OK().Prints("lo")
		contains(d.t, d.once("ls /sys/class/net", "--net", "host").OK().Stdout, "docker0")
	}},
	{"health check", func(d engine) {
		id := d.sleeper("--health-cmd", "test -e /healthy", "--health-interval", "500ms", "--health-retries", "1")
		d.eventually("unhealthy", "inspect", "--format", "{{.State.Health.Status}}", id)
		d.run("exec", id, "touch", "/healthy").OK()
		d.eventually("is healthy", "inspect", "--format", "is {{.State.Health.Status}}", id)
	}},
	{"build, the classic way", func(d engine) {
		d.run("build", "-t", "localhost/built", buildContext(d.t, dockerfile)).OK()
		d.says("built", "run", "--rm", "localhost/built", "cat", "/b")
	}},
}

// docker29Checks are for what 20.10 lacks.
var docker29Checks = []check{
	{"a time namespace of its own", func(d engine) {
		ours, err := os.Readlink("/proc/self/ns/time")
		must(d.t, err)
		if got := d.once("readlink /proc/self/ns/time").OK().Stdout; strings.TrimSpace(got) == ours {
			d.t.Error("it is the host's")
		}
	}},
	{"a read-only bind is so all the way down", func(d engine) { // it asks `rt features` whether that is to be had
		dir := filepath.Join(openDir(d.t), "top")
		must(d.t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
		must(d.t, unix.Mount("tmpfs", filepath.Join(dir, "sub"), "tmpfs", 0, ""))
		d.t.Cleanup(func() { must(d.t, unix.Unmount(filepath.Join(dir, "sub"), 0)) })
		contains(d.t, d.once("touch /v/sub/x", "-v", dir+":/v:ro").Exits(1).Stderr, "Read-only file system")
		mount := "type=bind,src=" + dir + ",dst=/v,readonly,bind-propagation=rprivate,bind-recursive="
		contains(d.t, d.once("touch /v/sub/x", "--mount", mount+"readonly").Exits(1).Stderr, "Read-only file system")
		d.once("touch /v/sub/x", "--mount", mount+"writable").OK()
		d.once("ls /v/sub", "--mount", mount+"disabled").OK().Prints("")
	}},
	{"an image as a volume, a part of a volume", func(d engine) {
		d.once("ls /i/bin/busybox", "--mount", "type=image,src="+imageName+",dst=/i").OK().Prints("/i/bin/busybox")
		d.once("mkdir /v/part && echo kept >/v/part/f", "-v", "parts:/v").OK()
		d.once("cat /p/f", "--mount", "type=volume,src=parts,dst=/p,volume-subpath=part").OK().Prints("kept")
		d.run("volume", "rm", "parts").OK()
	}},
}

// TestDockerLiveRestore ends the daemon while containers run, and starts it again.
func TestDockerLiveRestore(t *testing.T) {
	eachDocker(t, func(t *testing.T, daemon *dockerDaemon) {
		d := daemon.start(t, "--live-restore")
		stays := d.detached("echo before; exec sleep 1000")
		ends := d.detached("sleep 2; exit 7")
		comesBack := d.sleeper("--restart", "always")
		pid := d.inspect(stays, "{{.State.Pid}}")
		daemon.stop()
		if missing := rttest.File("/proc/" + pid)(); missing != "" {
			t.Fatal("the container ended with the daemon")
		}
		time.Sleep(2 * time.Second)
		daemon.again(t)
		if got := d.inspect(stays, "{{.State.Pid}} {{.State.Status}}"); got != pid+" running" {
			t.Errorf("it was process %s, now: %s", pid, got)
		}
		d.says("in", "exec", stays, "echo", "in")
		d.says("before", "logs", stays)
		d.run("wait", ends).OK() // its status is lost with containerd 2, which forgets a shim whose container has ended
		d.says("exited", "inspect", "--format", "{{.State.Status}}", ends)
		d.run("pause", stays).OK()
		d.run("unpause", stays).OK()
		d.run("stop", "-t", "0", stays).OK()
		d.says("137", "wait", stays)
		d.says("running", "inspect", "--format", "{{.State.Status}}", comesBack)
		d.says("new", "run", "--rm", imageName, "echo", "new")
	})
}

func TestDockerUserns(t *testing.T) {
	need(t, "newuidmap")
	appendFile(t, "/etc/subuid", "remapped:200000:65536\n")
	appendFile(t, "/etc/subgid", "remapped:200000:65536\n")
	appendFile(t, "/etc/passwd", "remapped:x:64000:64000::/:/bin/false\n")
	appendFile(t, "/etc/group", "remapped:x:64000:\n")
	eachDocker(t, func(t *testing.T, d *dockerDaemon) {
		d.start(t, "--userns-remap", "remapped").all(t, remappedChecks, containerChecks)
	})
}

var remappedChecks = []check{
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
