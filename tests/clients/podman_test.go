package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
		rttest.Eventually(t, "podman has cleaned up behind the last container", noProcess("conmon", "podman"))
		_ = unix.Unmount("/run/netns", unix.MNT_DETACH) // where netavark's namespaces have names
		removeCgroups(rttest.CgroupParent())
	})
	configurePodman(t)
	// conmon leaves a file where it is called: "oom", when the kernel kills something of the container.
	podman := podmanEngine(t, "env", "-C", dir, "podman", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run"), "--tmpdir", filepath.Join(dir, "tmp"))
	podman.runFlags = []string{"--cgroup-parent", rttest.CgroupParent()}
	res := podman.run("load", "-i", writeImage(t, dir)).OK()
	if !strings.Contains(res.Stdout, imageName) {
		t.Fatalf("no image of that name: %s", res)
	}
	return podman
}

// noProcess says whether no process of the sandbox has one of these names.
func noProcess(names ...string) func() bool {
	return func() bool {
		comms, _ := filepath.Glob("/proc/[0-9]*/comm")
		return !slices.ContainsFunc(comms, func(path string) bool {
			name, _ := os.ReadFile(path)
			return slices.Contains(names, strings.TrimSpace(string(name)))
		})
	}
}

func TestPodman(t *testing.T) {
	podman := startPodman(t)
	podman.all(t, podmanChecks, containerChecks, limitChecks)
}

// TestPodmanService has another process, without a terminal or our stdio, start the containers. What is exec'd through it
// is cleaned up after minutes only, so nothing is.
func TestPodmanService(t *testing.T) {
	podman := startPodman(t)
	dir := workDir(t, "service")
	address := "unix://" + filepath.Join(dir, "s")
	startDaemon(t, dir, podman.argv([]string{"system", "service", "--time", "0", address})...)
	podman.base = []string{"podman", "--remote", "--url", address}
	podman.eventually("Server:", "version")
	podman.all(t, []check{
		{"exit status", func(p engine) { p.once("echo hello; exit 42").Exits(42).Prints("hello") }},
		{"no such program is 127", func(p engine) { p.runIt([]string{"/no/such"}).Exits(127) }},
		{"terminal", func(p engine) { contains(p.t, p.onceOnTerminal("echo $((6*7)); exit\n", "sh -i", "-i"), "42") }},
		{"logs, stop", func(p engine) {
			id := p.detached("echo said; exec sleep 1000")
			p.eventually("said", "logs", id)
			p.run("stop", "-t", "0", id).OK()
			p.says("137", "wait", id)
		}},
	})
}

// podmanEngine is podman with these words before every command. Its containers have no network but on demand.
func podmanEngine(t *testing.T, base ...string) engine {
	return engine{t: t, base: base, netFlags: []string{"--net", "none"}, rmFlags: []string{"-t", "0"}, cgroupPrefix: "libpod-", everyCapability: true}
}

var podmanChecks = []check{
	{"info names the runtime", func(p engine) {
		p.says("rt", "info", "--format", "{{.Host.OCIRuntime.Name}}")
		if p.run("info", "--format", "{{.Host.OCIRuntime.Version}}").OK().Stdout == "" {
			p.t.Error("no version")
		}
	}},
	{"runtime by path", func(p engine) {
		p.base = append(p.base, "--runtime", rttest.Runtime(p.t))
		p.once("echo hello").OK().Prints("hello")
	}},
	{"runtime flags", func(p engine) {
		log := filepath.Join(p.t.TempDir(), "log")
		p.base = append(p.base, "--runtime-flag", "debug", "--runtime-flag", "log="+log)
		p.once("true").OK()
		if missing := rttest.File(log)(); missing != "" {
			p.t.Error("the runtime was not told of its log:", missing)
		}
	}},
	{"top, what of a process", func(p engine) {
		id := p.sleeper()
		contains(p.t, p.run("top", id, "pid", "capeff", "seccomp", "user").OK().Stdout, "filter", "root")
	}},
	{"without cgroups", withoutCgroups},
	{"init", func(p engine) {
		rttest.Need(p.t, rttest.File("/usr/libexec/podman/catatonit"))
		contains(p.t, p.once("cat /proc/1/comm", "--init").OK().Stdout, "podman-init")
	}},
	{"user namespace", func(p engine) {
		p.once("cat /proc/self/uid_map | tr -s ' '; touch /x; stat -c %u /x", "--uidmap", "0:300000:65536", "--gidmap", "0:300000:65536").
			OK().Prints("0 300000 65536\n0")
	}},
	{"network", func(p engine) {
		rttest.Need(p.t, rttest.File("/usr/lib/podman/netavark"))
		contains(p.t, p.onceAlone("ip addr show eth0").OK().Stdout, "inet 10.88.")
	}},
	{"pod", podmanPod},
	{"play kube", func(p engine) {
		podmanKube(p, kubePod+kubeLimits)
	}},
	{"health check", podmanHealth},
	{"build", func(p engine) {
		p.run("build", "--isolation", "oci", "--runtime", rttest.Runtime(p.t), "--net", "none",
			"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--pull=never", "-t", "localhost/built", buildContext(p.t, dockerfile)).OK()
		p.says("built", slices.Concat([]string{"run", "--rm"}, p.runFlags, p.netFlags, []string{"localhost/built", "cat", "/b"})...)
	}},
}

func withoutCgroups(p engine) {
	rttest.OnlyRT(p.t, "podman asks for --cgroup-manager=disabled, as crun has it")
	p.runFlags = []string{"--cgroups=disabled"}
	if out := p.once("cat /proc/self/cgroup").OK().Stdout; strings.Contains(out, "libpod") {
		p.t.Errorf("it is in a cgroup of its own: %q", out)
	}
	id := p.sleeper()
	p.says("in", "exec", id, "echo", "in")
}

// podmanHealth runs the health check by hand: what does it by the clock is systemd.
func podmanHealth(p engine) {
	id := p.sleeper("--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1")
	p.run("healthcheck", "run", id).Exits(1)
	p.says("unhealthy", "inspect", "--format", "{{.State.Health.Status}}", id)
	p.run("exec", id, "touch", "/healthy").OK()
	p.run("healthcheck", "run", id).OK()
	p.says("healthy", "inspect", "--format", "{{.State.Health.Status}}", id)
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
`

const kubeLimits = `    resources:
      limits:
        memory: 32Mi
`

func podmanKube(p engine, pod string) {
	file := writeFile(p.t, filepath.Join(openDir(p.t), "pod.yaml"), pod)
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
	podman := podmanEngine(t, "setpriv", "--reuid", "64001", "--regid", "64001", "--clear-groups", "env", "-C", dir, "HOME="+dir,
		"USER=rootless", "XDG_RUNTIME_DIR="+filepath.Join(dir, "run"), "podman")
	t.Cleanup(func() {
		podman.run("system", "migrate") // ends the process that keeps its user namespace
		rttest.Eventually(t, "podman has cleaned up behind the last container", noProcess("conmon", "podman"))
	})
	podman.run("load", "-i", image).OK()
	return podman
}

func TestPodmanRootless(t *testing.T) {
	podman := startRootless(t)
	podman.all(t, rootlessChecks, containerChecks)
}

var rootlessChecks = []check{
	{"info names the runtime", func(p engine) {
		p.says("rt true", "info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.Security.Rootless}}")
	}},
	{"ids", func(p engine) {
		p.once("cat /proc/self/uid_map | tr -s ' '").OK().Prints("0 64001 1\n 1 400000 65536")
		p.once("id -u", "--user", "1000").OK().Prints("1000")
		p.once("id -u", "--userns", "keep-id").OK().Prints("64001")
		// the ids in such a list are those of podman's own user namespace, which the container's is in
		p.once("cat /proc/self/uid_map | tr -s ' '; touch /x; stat -c %u /x", "--uidmap", "0:1:1000", "--gidmap", "0:1:1000").
			OK().Prints("0 1 1000\n0")
	}},
	{"without cgroups", withoutCgroups},
	{"pod", func(p engine) {
		p.run("pod", "create", "--name", "pod", "--net", "none").OK()
		p.t.Cleanup(func() { p.run("pod", "rm", "-f", "-t", "0", "pod").OK() })
		p.run("run", "-d", "--pod", "pod", "--name", "one", imageName, "sleep", "1000").OK()
		want := strings.TrimSpace(p.run("exec", "one", "readlink", "/proc/self/ns/ipc").OK().Stdout)
		p.says(want, "run", "--rm", "--pod", "pod", imageName, "readlink", "/proc/self/ns/ipc")
	}},
	{"play kube", func(p engine) { podmanKube(p, kubePod) }},
	{"health check", podmanHealth},
	{"network", func(p engine) {
		rttest.Need(p.t, rttest.Command("slirp4netns"), openTun)
		contains(p.t, p.onceAlone("ip addr show tap0").OK().Stdout, "inet 10.0.2.100")
	}},
}

// openTun is a /dev/net/tun that everybody may use.
func openTun() string {
	if info, err := os.Stat("/dev/net/tun"); err != nil || info.Mode()&0o006 != 0o006 {
		return "/dev/net/tun for everybody"
	}
	return ""
}
