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

// podmanConfig is what /etc/containers/containers.conf has to say: the runtime by name, so that podman asks conmon for a
// JSON log and allows --cgroups=disabled, and, for this sandbox, no systemd, no journal, and limits that root may set.
const podmanConfig = `[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
log_driver = "k8s-file"
cgroupns = "private"
[engine]
runtime = "rt"
cgroup_manager = "cgroupfs"
events_logger = "file"
infra_image = "` + imageName + `"
runtime_supports_json = ["rt"]
runtime_supports_nocgroup = ["rt"]
[engine.runtimes]
rt = ["%s"]
`

// configurePodman writes what it reads below /etc.
func configurePodman(t *testing.T) {
	t.Helper()
	must(t, os.MkdirAll("/etc/containers", 0o755))
	writeFile(t, "/etc/containers/containers.conf", fmt.Sprintf(podmanConfig, rttest.Runtime(t)))
	writeFile(t, "/etc/containers/policy.json", `{"default":[{"type":"insecureAcceptAnything"}]}`)
}

// startPodman configures podman, which has no daemon, and loads the image.
func startPodman(t *testing.T) engine {
	t.Helper()
	need(t, "podman", "conmon")
	dir := workDir(t, "podman")
	t.Cleanup(func() {
		_ = unix.Unmount("/run/netns", unix.MNT_DETACH) // where netavark's namespaces have names
		removeCgroups(rttest.CgroupParent())
	})
	configurePodman(t)
	podman := engine{t, []string{"podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp")}}
	res := podman.run("load", "-i", writeImage(t, dir)).OK()
	if !strings.Contains(res.Stdout, imageName) {
		t.Fatalf("no image of that name: %s", res)
	}
	return podman
}

func TestPodman(t *testing.T) {
	podman := startPodman(t)
	for _, c := range podmanChecks {
		t.Run(c.name, func(t *testing.T) { c.check(podman.in(t)) })
	}
}

// local are the flags of a container without a network of its own, in our cgroup.
func local(flags ...string) []string {
	return append([]string{"--net", "none", "--cgroup-parent", rttest.CgroupParent()}, flags...)
}

func (e engine) podOnce(script string, flags ...string) *rttest.Result {
	e.t.Helper()
	return e.once(script, local(flags...)...)
}

// podSleeper starts a container that runs until the test ends, and returns its id.
func (e engine) podSleeper(flags ...string) string {
	e.t.Helper()
	return e.podDetached("exec sleep 1000", flags...)
}

func (e engine) podDetached(script string, flags ...string) string {
	e.t.Helper()
	res := e.run(append(append([]string{"run", "-d"}, local(flags...)...), imageName, "sh", "-c", script)...).OK()
	id := strings.TrimSpace(res.Stdout)
	e.t.Cleanup(func() { e.run("rm", "-f", "-t", "0", id).OK() })
	return id
}

var podmanChecks = []check{
	{"info names the runtime", func(p engine) {
		p.says("rt", "info", "--format", "{{.Host.OCIRuntime.Name}}")
		if p.run("info", "--format", "{{.Host.OCIRuntime.Version}}").OK().Stdout == "" {
			p.t.Error("no version")
		}
	}},
	{"run", func(p engine) { p.podOnce("echo hello").OK().Prints("hello") }},
	{"runtime by path", func(p engine) {
		p.says("hello", append(append([]string{"--runtime", rttest.Runtime(p.t), "run", "--rm"}, local()...), imageName, "echo", "hello")...)
	}},
	{"exit status", func(p engine) { p.podOnce("exit 42").Exits(42) }},
	{"killed by a signal", func(p engine) { p.podOnce("sh -c 'kill -9 $$'; exit $?").Exits(137) }},
	{"program not found is 127", func(p engine) {
		p.run(append(append([]string{"run", "--rm"}, local()...), imageName, "/no/such")...).Exits(127)
	}},
	{"program not executable is 126", func(p engine) {
		p.run(append(append([]string{"run", "--rm"}, local()...), imageName, "/etc/passwd")...).Exits(126)
	}},
	{"terminal", func(p engine) {
		args := append([]string{"run", "--rm", "-it"}, local(imageName, "sh")...)
		contains(p.t, p.onTerminal("echo $((6*7)); exit\n", args...), "42")
		args = append([]string{"run", "--rm", "-t"}, local(imageName, "sh", "-c", "sleep 1; stty size; sleep 0.5")...)
		contains(p.t, p.onTerminal("", args...), "31 97")
	}},
	{"environment, cwd, user, hostname", func(p engine) {
		p.podOnce("echo $FROM_IMAGE $A $PWD $(id -u):$(id -g) $(hostname)", "-e", "A=b", "-w", "/home", "-u", "1000:1000", "-h", "box").
			OK().Prints("yes b /home 1000:1000 box")
	}},
	{"exec", podmanExec},
	{"logs", func(p engine) {
		id := p.podDetached("echo out; echo err >&2; exit 5")
		p.says("5", "wait", id)
		res := p.run("logs", id).OK().Prints("out")
		contains(p.t, res.Stderr, "err")
	}},
	{"stop", func(p engine) {
		id := p.podDetached("trap 'exit 9' TERM; while :; do sleep 0.1; done")
		time.Sleep(500 * time.Millisecond) // the trap comes after the start
		p.run("stop", id).OK()
		p.says("9", "inspect", "--format", "{{.State.ExitCode}}", id)
	}},
	{"kill", func(p engine) {
		id := p.podSleeper()
		p.run("kill", id).OK()
		p.says("137", "wait", id)
	}},
	{"pause", func(p engine) {
		id := p.podSleeper()
		p.run("pause", id).OK()
		p.says("paused", "inspect", "--format", "{{.State.Status}}", id)
		if p.run("exec", id, "true").Code == 0 {
			p.t.Error("exec in a paused container")
		}
		p.run("unpause", id).OK()
		p.run("exec", id, "true").OK()
	}},
	{"start again, restart", func(p engine) {
		id := p.podDetached("echo once")
		p.says("0", "wait", id)
		p.says("once", "start", "-a", id)
		id = p.podSleeper()
		before := p.inspect(id, "{{.State.Pid}}")
		p.run("restart", "-t", "0", id).OK()
		if p.inspect(id, "{{.State.Pid}}") == before || p.inspect(id, "{{.State.Running}}") != "true" {
			p.t.Error("it is the same process, or none")
		}
	}},
	{"restart policy", func(p engine) {
		id := p.podDetached("exit 1", "--restart", "on-failure:2")
		p.eventually("2", "inspect", "--format", "{{.RestartCount}}", id)
	}},
	{"top, stats", func(p engine) {
		id := p.podSleeper()
		contains(p.t, p.run("top", id).OK().Stdout, "sleep 1000")
		contains(p.t, p.run("top", id, "pid", "capeff", "seccomp", "user").OK().Stdout, "filter", "root")
		contains(p.t, p.run("stats", "--no-stream", id).OK().Stdout, "MEM")
	}},
	{"limits", func(p engine) {
		id := p.podSleeper("--memory", "32m", "--cpus", "0.5", "--pids-limit", "20")
		dockerLimits(p, "libpod-"+id, "33554432", "50000", "20")
	}},
	{"update", func(p engine) {
		id := p.podSleeper("--memory", "32m")
		p.run("update", "--memory", "64m", "--cpus", "0.25", id).OK()
		dockerLimits(p, "libpod-"+id, "67108864", "25000", "2048")
	}},
	{"without cgroups", func(p engine) {
		rttest.OnlyRT(p.t, "podman asks for --cgroup-manager=disabled, as crun has it")
		args := []string{"run", "--rm", "--net", "none", "--cgroups=disabled", imageName, "cat", "/proc/self/cgroup"}
		if out := p.run(args...).OK().Stdout; strings.Contains(out, "libpod") {
			p.t.Errorf("it is in a cgroup of its own: %q", out)
		}
		id := strings.TrimSpace(p.run("run", "-d", "--net", "none", "--cgroups=disabled", imageName, "sleep", "1000").OK().Stdout)
		p.says("in", "exec", id, "echo", "in")
		p.run("rm", "-f", "-t", "0", id).OK()
	}},
	{"read-only root", func(p engine) {
		contains(p.t, p.podOnce("touch /x", "--read-only").Exits(1).Stderr, "Read-only file system")
	}},
	{"capabilities, seccomp, no new privileges", func(p engine) {
		p.podOnce("grep ^CapEff /proc/self/status", "--cap-drop", "all", "--cap-add", "net_admin").OK().Prints("CapEff:\t0000000000001000")
		p.podOnce("grep ^Seccomp: /proc/self/status").OK().Prints("Seccomp:\t2")
		p.podOnce("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges").OK().Prints("NoNewPrivs:\t1")
	}},
	{"privileged", func(p engine) {
		rttest.Need(p.t, rttest.Capability(unix.CAP_SYS_RESOURCE))
		p.podOnce("true", "--privileged").OK()
	}},
	{"init", func(p engine) {
		rttest.Need(p.t, rttest.File("/usr/libexec/podman/catatonit"))
		contains(p.t, p.podOnce("cat /proc/1/comm", "--init").OK().Stdout, "catatonit")
	}},
	{"volumes", func(p engine) {
		dir := p.t.TempDir()
		writeFile(p.t, filepath.Join(dir, "in"), "text")
		p.podOnce("cat /v/in", "-v", dir+":/v:ro").OK().Prints("text")
		p.podOnce("echo kept > /v/f", "-v", "named:/v").OK()
		p.podOnce("cat /v/f", "-v", "named:/v").OK().Prints("kept")
		p.run("volume", "rm", "named").OK()
	}},
	{"user namespace", func(p engine) {
		p.podOnce("cat /proc/self/uid_map | tr -s ' '; touch /x; stat -c %u /x", "--uidmap", "0:300000:65536", "--gidmap", "0:300000:65536").
			OK().Prints("0 300000 65536\n0")
	}},
	{"network", func(p engine) {
		rttest.Need(p.t, rttest.File("/usr/lib/podman/netavark"))
		contains(p.t, p.once("ip addr show eth0", "--cgroup-parent", rttest.CgroupParent()).OK().Stdout, "inet 10.88.")
	}},
	{"pod", podmanPod},
	{"play kube", podmanKube},
	{"health check", func(p engine) {
		id := p.podSleeper("--health-cmd", "true", "--health-interval", "disable")
		p.run("healthcheck", "run", id).OK()
		p.says("healthy", "inspect", "--format", "{{.State.Health.Status}}", id)
	}},
	{"build", func(p engine) {
		dir := p.t.TempDir()
		writeFile(p.t, filepath.Join(dir, "Dockerfile"), "FROM "+imageName+"\nRUN echo built > /b && test -c /dev/null\nRUN cat /b\n")
		p.run("build", "--isolation", "oci", "--runtime", rttest.Runtime(p.t), "--net", "none",
			"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--pull=never", "-t", "localhost/built", dir).OK()
		p.says("built", append(append([]string{"run", "--rm"}, local()...), "localhost/built", "cat", "/b")...)
	}},
	{"nothing left running", func(p engine) { p.says("", "ps", "-aq") }},
}

func podmanExec(p engine) {
	id := p.podSleeper("-e", "A=b")
	p.says("hello", "exec", id, "echo", "hello")
	p.run("exec", id, "sh", "-c", "exit 17").Exits(17)
	p.run("exec", id, "/no/such").Exits(127)
	p.run("exec", id, "/etc/passwd").Exits(126)
	p.says("b c 1000 /home", "exec", "-e", "C=c", "-u", "1000", "-w", "/home", id, "sh", "-c", "echo $A $C $(id -u) $PWD")
	contains(p.t, p.onTerminal("echo $((6*7)); exit\n", "exec", "-it", id, "sh"), "42")
	p.run("exec", "-d", id, "sleep", "2000").OK()
	p.eventually("sleep 2000", "top", id)
}

func podmanPod(p engine) {
	p.run("pod", "create", "--name", "pod", "--net", "none", "--cgroup-parent", rttest.CgroupParent()).OK()
	p.t.Cleanup(func() { p.run("pod", "rm", "-f", "-t", "0", "pod").OK() })
	run := func(args ...string) *rttest.Result {
		return p.run(append([]string{"run", "--pod", "pod"}, args...)...).OK()
	}
	run("-d", "--name", "one", imageName, "sleep", "1000")
	want := strings.TrimSpace(p.run("exec", "one", "readlink", "/proc/self/ns/ipc").OK().Stdout)
	run("--rm", imageName, "readlink", "/proc/self/ns/ipc").Prints(want)
	contains(p.t, p.run("pod", "top", "pod").OK().Stdout, "sleep 1000")
	p.run("pod", "pause", "pod").OK()
	p.run("pod", "unpause", "pod").OK()
	p.run("pod", "stop", "-t", "0", "pod").OK()
	p.run("pod", "start", "pod").OK()
	p.says("true", "inspect", "--format", "{{.State.Running}}", "one")
}

const kubePod = `apiVersion: v1
kind: Pod
metadata:
  name: kube
spec:
  containers:
  - name: main
    image: ` + imageName + `
    imagePullPolicy: Never
    command: ["sh", "-c", "echo from kube; sleep 1000"]
    resources:
      limits:
        memory: 32Mi
`

func podmanKube(p engine) {
	file := writeFile(p.t, filepath.Join(p.t.TempDir(), "pod.yaml"), kubePod)
	p.t.Cleanup(func() { // it takes no --cgroup-parent
		p.run("play", "kube", "--down", file).OK()
		removeCgroups("/libpod_parent")
	})
	p.run("play", "kube", "--net", "none", file).OK()
	p.eventually("from kube", "logs", "kube-main")
}

// startRootless is podman as an ordinary user with a range of subordinate ids.
func startRootless(t *testing.T) engine {
	t.Helper()
	need(t, "podman", "conmon", "newuidmap", "setpriv")
	configurePodman(t)
	dir := workDir(t, "rootless")
	appendFile(t, "/etc/passwd", "rootless:x:64001:64001::"+dir+":/bin/sh\n")
	appendFile(t, "/etc/group", "rootless:x:64001:\n")
	appendFile(t, "/etc/subuid", "rootless:400000:65536\n")
	appendFile(t, "/etc/subgid", "rootless:400000:65536\n")
	image := writeImage(t, dir)
	must(t, os.Mkdir(filepath.Join(dir, "run"), 0o700))
	must(t, os.Chown(filepath.Join(dir, "run"), 64001, 64001))
	must(t, os.Chown(dir, 64001, 64001))
	podman := engine{t, []string{"setpriv", "--reuid", "64001", "--regid", "64001", "--clear-groups", "env", "-C", dir, "HOME=" + dir,
		"USER=rootless", "XDG_RUNTIME_DIR=" + filepath.Join(dir, "run"), "podman"}}
	t.Cleanup(func() { podman.run("system", "migrate") }) // ends the process that keeps its user namespace
	podman.run("load", "-i", image).OK()
	return podman
}

func TestPodmanRootless(t *testing.T) {
	podman := startRootless(t)
	for _, c := range rootlessChecks {
		t.Run(c.name, func(t *testing.T) { c.check(podman.in(t)) })
	}
}

// alone is a container's flag list: no network.
var alone = []string{"--net", "none"}

var rootlessChecks = []check{
	{"info names the runtime", func(p engine) {
		p.says("rt true", "info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.Security.Rootless}}")
	}},
	{"run", func(p engine) { p.once("echo $(id -u) $((40+2)); exit 3", alone...).Exits(3).Prints("0 42") }},
	{"ids", func(p engine) {
		p.once("cat /proc/self/uid_map | tr -s ' '", alone...).OK().Prints("0 64001 1\n 1 400000 65536")
		p.once("id -u", "--net", "none", "--user", "1000").OK().Prints("1000")
		p.once("id -u", "--net", "none", "--userns", "keep-id").OK().Prints("64001")
	}},
	{"terminal", func(p engine) {
		contains(p.t, p.onTerminal("echo $((6*7)); exit\n", "run", "--rm", "-it", "--net", "none", imageName, "sh"), "42")
	}},
	{"exec, top, stop, logs", func(p engine) {
		id := p.detached("echo said; exec sleep 1000", alone...)
		p.says("hello", "exec", id, "echo", "hello")
		p.run("exec", id, "sh", "-c", "exit 17").Exits(17)
		contains(p.t, p.run("top", id).OK().Stdout, "sleep 1000")
		p.says("said", "logs", id)
		p.run("stop", "-t", "0", id).OK()
		p.says("137", "wait", id)
	}},
	{"program not found is 127", func(p engine) {
		p.run("run", "--rm", "--net", "none", imageName, "/no/such").Exits(127)
	}},
	{"volume, read-only root, tmpfs", func(p engine) {
		p.once("echo kept > /v/f", "--net", "none", "-v", "named:/v").OK()
		p.once("cat /v/f", "--net", "none", "-v", "named:/v:ro").OK().Prints("kept")
		res := p.once("touch /t/y && touch /x", "--net", "none", "--read-only", "--tmpfs", "/t").Exits(1)
		contains(p.t, res.Stderr, "/x: Read-only file system")
	}},
	{"capabilities and seccomp", func(p engine) {
		p.once("grep -E '^(CapEff|Seccomp):' /proc/self/status", "--net", "none", "--cap-drop", "all").OK().
			Prints("CapEff:\t0000000000000000\nSeccomp:\t2")
	}},
	{"without cgroups", func(p engine) {
		rttest.OnlyRT(p.t, "podman asks for --cgroup-manager=disabled, as crun has it")
		p.once("echo in", "--net", "none", "--cgroups=disabled").OK().Prints("in")
	}},
	{"pod", func(p engine) {
		p.run("pod", "create", "--name", "pod", "--net", "none").OK()
		p.t.Cleanup(func() { p.run("pod", "rm", "-f", "-t", "0", "pod").OK() })
		p.run("run", "-d", "--pod", "pod", "--name", "one", imageName, "sleep", "1000").OK()
		want := strings.TrimSpace(p.run("exec", "one", "readlink", "/proc/self/ns/ipc").OK().Stdout)
		p.says(want, "run", "--rm", "--pod", "pod", imageName, "readlink", "/proc/self/ns/ipc")
	}},
	{"network", func(p engine) {
		rttest.Need(p.t, rttest.Command("slirp4netns"), openTun)
		contains(p.t, p.once("ip addr show tap0").OK().Stdout, "inet 10.0.2.100")
	}},
	{"nothing left running", func(p engine) { p.says("", "ps", "-aq") }},
}

// openTun is a /dev/net/tun that everybody may use.
func openTun() string {
	if info, err := os.Stat("/dev/net/tun"); err != nil || info.Mode()&0o006 != 0o006 {
		return "/dev/net/tun for everybody"
	}
	return ""
}
