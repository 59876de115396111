package clients

import (
	"encoding/json"
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

// Builders call the runtime in ways of their own: BuildKit has `run` in the foreground, Buildah asks for `state` until
// the step has ended.

// dockerfile is built by every engine that builds.
const dockerfile = "FROM " + imageName + "\nRUN echo built > /b && test -c /dev/null\nRUN cat /b\n"

// buildContext is a directory with a Dockerfile.
func buildContext(t *testing.T, dockerfile string) string {
	t.Helper()
	dir := openDir(t)
	writeFile(t, filepath.Join(dir, "Dockerfile"), dockerfile)
	return dir
}

// startBuildKit runs a buildkitd whose steps are rt's, and returns `buildctl build` of the directory it is given, with
// the image as a local layout.
func startBuildKit(t *testing.T) (build func(t *testing.T, dockerfile string) []string) {
	t.Helper()
	useBuilt(t, "buildkit")
	dir := workDir(t, "buildkit")
	address := "unix://" + filepath.Join(dir, "s")
	config := writeFile(t, filepath.Join(dir, "buildkitd.toml"), fmt.Sprintf(
		"root = %q\n[grpc]\naddress = [%q]\n[worker.containerd]\nenabled = false\n[worker.oci]\nbinary = %q\ndefaultCgroupParent = %q\nsnapshotter = \"native\"\n",
		filepath.Join(dir, "root"), address, rttest.Runtime(t), rttest.CgroupParent()))
	t.Cleanup(func() { removeCgroups(rttest.CgroupParent()) }) // a step that ended with the daemon leaves its parents
	startDaemon(t, dir, "buildkitd", "--config", config)
	buildctl := engine{t: t, base: []string{"buildctl", "--addr", address}}
	buildctl.eventually("linux/amd64", "debug", "workers")
	layout := unpackLayout(t, dir)
	return func(t *testing.T, dockerfile string) []string {
		context := buildContext(t, dockerfile)
		return buildctl.argv([]string{"build", "--progress", "plain", "--frontend", "dockerfile.v0", "--local", "context=" + context,
			"--local", "dockerfile=" + context, "--oci-layout", "base=" + layout,
			"--opt", "context:" + imageName + "=oci-layout://base@" + manifestDigest(t, layout),
			"--output", "type=local,dest=" + filepath.Join(context, "out")})
	}
}

// unpackLayout is the image as an OCI layout.
func unpackLayout(t *testing.T, dir string) string {
	t.Helper()
	layout := filepath.Join(dir, "layout")
	must(t, os.Mkdir(layout, 0o755))
	rttest.Exec(t, nil, "tar", "-xf", writeImage(t, dir), "-C", layout).OK()
	return layout
}

func manifestDigest(t *testing.T, layout string) string {
	t.Helper()
	var index struct{ Manifests []struct{ Digest string } }
	data, err := os.ReadFile(filepath.Join(layout, "index.json"))
	must(t, err)
	must(t, json.Unmarshal(data, &index))
	return index.Manifests[0].Digest
}

func TestBuildKit(t *testing.T) {
	build := startBuildKit(t)
	t.Run("steps", func(t *testing.T) {
		args := build(t, dockerfile)
		rttest.Exec(t, nil, args...).OK()
		data, err := os.ReadFile(strings.TrimPrefix(args[len(args)-1], "type=local,dest=") + "/b")
		if string(data) != "built\n" {
			t.Errorf("%q, %v", data, err)
		}
	})
	for _, c := range []struct {
		name, steps string
		says        string // with a status of 1, when it begins with an error's "exit code"
	}{
		{"exit status of a step", "RUN exit 7", "exit code: 7"},
		{"no such program", `RUN ["/no/such"]`, "no such file or directory"},
		{"user, directory, environment", "ENV A=b\nUSER 1000:1000\nWORKDIR /home\nRUN echo $A $PWD $(id -u):$(id -g)", "b /home 1000:1000"},
		{"mounts", "RUN --mount=type=cache,target=/c --mount=type=tmpfs,target=/t touch /c/f && stat -f -c %T /t", "tmpfs"},
		{"no network", "RUN --network=none ls /sys/class/net | tr '\\n' ' ' && echo only", "lo only"},
		{"seccomp", "RUN grep ^Seccomp: /proc/self/status", "Seccomp:\t2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			res := rttest.Exec(t, nil, build(t, "FROM "+imageName+"\n"+c.steps+"\n")...)
			contains(t, res.Stderr, c.says)
			if failed := strings.HasPrefix(c.says, "exit code") || strings.HasPrefix(c.says, "no such"); failed != (res.Code == 1) {
				t.Errorf("exit status %d: %s", res.Code, res)
			}
		})
	}
	t.Run("a build that is broken off", func(t *testing.T) { breakOff(t, build(t, "FROM "+imageName+"\nRUN exec sleep 1234\n")) })
}

// breakOff interrupts a build while its step sleeps.
func breakOff(t *testing.T, args []string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	must(t, cmd.Start())
	rttest.Eventually(t, "the step runs", func() bool { return !noProcess("sleep")() })
	time.Sleep(200 * time.Millisecond)
	must(t, cmd.Process.Signal(unix.SIGINT))
	if err := cmd.Wait(); err == nil {
		t.Error("the build ended well")
	}
	rttest.Eventually(t, "the step has ended", noProcess("sleep"))
}

// recordedRuntime is the runtime behind a script that keeps its command lines: a builder that is told of a runtime in
// a way that it does not listen to takes another, and says nothing.
func recordedRuntime(t *testing.T) (command string, calls func() string) {
	t.Helper()
	dir := openDir(t)
	list := filepath.Join(dir, "calls")
	command = filepath.Join(dir, "command")
	must(t, os.WriteFile(command, fmt.Appendf(nil, "#!/bin/sh\necho \"$@\" >>%s\nexec %s \"$@\"\n", list, rttest.Runtime(t)), 0o755))
	return command, func() string {
		said, _ := os.ReadFile(list) // nothing was said without it
		return string(said)
	}
}

// Docker's own builder is a BuildKit that runs what an environment variable of the daemon names (20.10 has no such thing).
func TestDockerBuildKit(t *testing.T) {
	daemon := docker29(t)
	command, calls := recordedRuntime(t)
	t.Setenv("DOCKER_BUILDKIT_RUNC_COMMAND", command)
	d := daemon.start(t)
	t.Cleanup(func() { removeCgroups(rttest.CgroupParent()) })
	buildx, err := exec.LookPath("buildx")
	must(t, err)
	must(t, os.Mkdir(filepath.Join(daemon.dir, "cli-plugins"), 0o755))
	must(t, os.Symlink(buildx, filepath.Join(daemon.dir, "cli-plugins/docker-buildx")))
	d.run("build", "-t", "localhost/built", buildContext(t, dockerfile)).OK()
	d.says("built", "run", "--rm", "localhost/built", "cat", "/b")
	res := d.run("build", buildContext(t, "FROM "+imageName+"\nRUN exit 7\n")).Exits(1)
	contains(t, res.Stderr, "exit code: 7")
	contains(t, calls(), "run --bundle")
}

// startBuildah configures buildah, which has no daemon, and pulls the image.
func startBuildah(t *testing.T) engine {
	t.Helper()
	need(t, "buildah")
	dir := workDir(t, "buildah")
	configurePodman(t)
	buildah := engine{t: t, base: []string{"env", "-C", dir, "BUILDAH_ISOLATION=oci",
		"buildah", "--root", filepath.Join(dir, "root"), "--runroot", filepath.Join(dir, "run")}}
	buildah.run("pull", "oci-archive:"+writeImage(t, dir)).OK()
	return buildah
}

func TestBuildah(t *testing.T) {
	buildah := startBuildah(t)
	for _, c := range buildahChecks {
		t.Run(c.name, func(t *testing.T) { c.check(buildah.in(t)) })
	}
}

// steps is `buildah run` in a container of its own.
func (e engine) steps(flags []string, words ...string) *rttest.Result {
	e.t.Helper()
	return e.run(slices.Concat([]string{"run"}, flags, []string{e.working(), "--"}, words)...)
}

// working makes a working container.
func (e engine) working() string {
	e.t.Helper()
	name := strings.TrimSpace(e.run("from", "--net", "none", "--pull-never", imageName).OK().Stdout)
	e.t.Cleanup(func() { e.run("rm", name).OK() })
	return name
}

var buildahChecks = []check{
	{"bud", func(b engine) {
		b.run("bud", "--isolation", "oci", "--runtime", rttest.Runtime(b.t), "--net", "none", "--pull-never", "-t", "localhost/built",
			buildContext(b.t, dockerfile)).OK()
		contains(b.t, b.run("images").OK().Stdout, "localhost/built")
	}},
	{"bud, a step that fails", func(b engine) {
		res := b.run("bud", "--net", "none", "--pull-never", buildContext(b.t, "FROM "+imageName+"\nRUN exit 7\n"))
		contains(b.t, res.Stderr, "exit status 7")
	}},
	{"the runtime by flags", func(b engine) {
		command, calls := recordedRuntime(b.t)
		b.run("bud", "--isolation", "oci", "--runtime", command, "--net", "none", "--pull-never", buildContext(b.t, dockerfile)).OK()
		contains(b.t, calls(), "create --bundle")
		command, calls = recordedRuntime(b.t)
		b.steps([]string{"--isolation", "oci", "--runtime", command}, "true").OK()
		contains(b.t, calls(), "create --bundle")
	}},
	{"the runtime by environment", func(b engine) {
		command, calls := recordedRuntime(b.t)
		b.base = append([]string{"env", "BUILDAH_RUNTIME=" + command}, b.base...)
		b.steps(nil, "true").OK()
		contains(b.t, calls(), "create --bundle")
	}},
	{"run", func(b engine) { b.steps(nil, "echo", "hello").OK().Prints("hello") }},
	{"exit status", func(b engine) { b.steps(nil, "sh", "-c", "exit 42").Exits(42) }},
	{"no such program", func(b engine) {
		res := b.steps(nil, "/no/such")
		contains(b.t, res.Stderr, "no such file or directory")
		if res.Code == 0 {
			b.t.Error("it ended well")
		}
	}},
	{"user, directory, environment, hostname", func(b engine) {
		b.steps([]string{"--user", "1000:1000", "--workingdir", "/home", "--env", "A=b", "--hostname", "box"},
			"sh", "-c", "echo $A $PWD $(id -u):$(id -g) $(hostname)").OK().Prints("b /home 1000:1000 box")
	}},
	{"volume", func(b engine) {
		dir := openDir(b.t)
		b.steps([]string{"-v", dir + ":/v"}, "sh", "-c", "echo out >/v/out").OK()
		if missing := rttest.File(filepath.Join(dir, "out"))(); missing != "" {
			b.t.Error("not written:", missing)
		}
	}},
	{"capabilities, seccomp", func(b engine) {
		b.steps([]string{"--cap-drop", "ALL"}, "grep", "-E", "^(CapEff|Seccomp):", "/proc/self/status").OK().
			Prints("CapEff:\t0000000000000000\nSeccomp:\t2")
	}},
	{"terminal", func(b engine) {
		out := b.onTerminal("echo $((6*7)); exit\n", "run", "-t", b.working(), "--", "sh")
		contains(b.t, out, "42")
	}},
	{"what a step did is in the image", func(b engine) {
		name := b.working()
		b.run("run", name, "--", "sh", "-c", "echo kept >/k").OK()
		b.run("commit", "--format", "oci", name, "localhost/kept").OK()
		other := strings.TrimSpace(b.run("from", "--net", "none", "--pull-never", "localhost/kept").OK().Stdout)
		b.says("kept", "run", other, "--", "cat", "/k")
		b.run("rm", other).OK()
	}},
	{"nothing left", func(b engine) { b.says("", "containers", "-q") }},
}
