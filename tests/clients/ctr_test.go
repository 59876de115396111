package clients

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"rt/tests/rttest"
)

// startContainerd runs a containerd with the image in it and returns ctr.
func startContainerd(t *testing.T) engine {
	t.Helper()
	need(t, "containerd", "ctr")
	dir := workDir(t, "ctr")
	socket := filepath.Join(dir, "s")
	config := writeFile(t, filepath.Join(dir, "config.toml"), fmt.Sprintf(
		"version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket))
	startDaemon(t, dir, "containerd", "--config", config)
	ctr := engine{t, []string{"ctr", "--address", socket, "--namespace", strings.TrimPrefix(rttest.CgroupParent(), "/")}}
	ctr.eventually("Server:", "version")
	ctr.run("image", "import", writeImage(t, dir)).OK()
	return ctr
}

// runArgs are the words of `ctr run` that plug the runtime in, before the caller's.
func runArgs(t *testing.T, args ...string) []string {
	return append([]string{"run", "--runtime", "io.containerd.runc.v2", "--runc-binary", rttest.Runtime(t)}, args...)
}

func (e engine) ctrRun(args ...string) *rttest.Result {
	e.t.Helper()
	return e.run(runArgs(e.t, args...)...)
}

// sleeper is a container that runs until the test ends; it returns its name.
func (e engine) ctrSleeper(flags ...string) string {
	e.t.Helper()
	name := strings.ToLower(strings.ReplaceAll(filepath.Base(e.t.Name()), "_", "-"))
	e.ctrRun(append(append([]string{"-d"}, flags...), imageName, name, "sleep", "1000")...).OK()
	t := e.t
	t.Cleanup(func() {
		e.run("task", "kill", "-s", "KILL", name)
		e.run("task", "delete", "-f", name)
		e.run("container", "delete", name)
	})
	return name
}

func TestCtr(t *testing.T) {
	ctr := startContainerd(t)
	t.Run("run", func(t *testing.T) {
		ctr.in(t).ctrRun("--rm", imageName, "c1", "echo", "hello").OK().Prints("hello")
	})
	t.Run("exit status", func(t *testing.T) {
		ctr.in(t).ctrRun("--rm", imageName, "c2", "sh", "-c", "exit 42").Exits(42)
	})
	t.Run("killed by a signal", func(t *testing.T) {
		ctr.in(t).ctrRun("--rm", imageName, "c3", "sh", "-c", "kill -9 $$").Exits(0) // PID 1 is not killed by its own
	})
	t.Run("program not found", func(t *testing.T) {
		res := ctr.in(t).ctrRun("--rm", imageName, "c4", "/no/such").Fails()
		contains(t, res.Stderr, "/no/such", "no such file or directory")
	})
	t.Run("terminal", func(t *testing.T) {
		out := ctr.in(t).onTerminal("", runArgs(t, "--rm", "-t", imageName, "c5", "sh", "-c", "sleep 1; stty size")...)
		contains(t, out, "31 97")
	})
	t.Run("environment, cwd", func(t *testing.T) {
		ctr.in(t).ctrRun("--rm", "--env", "A=b", "--cwd", "/home", imageName, "c6",
			"sh", "-c", "echo $FROM_IMAGE $A $PWD").OK().Prints("yes b /home")
	})
	t.Run("read-only root", func(t *testing.T) {
		res := ctr.in(t).ctrRun("--rm", "--read-only", imageName, "c7", "touch", "/x").Exits(1)
		contains(t, res.Stderr, "Read-only file system")
	})
	t.Run("mount", func(t *testing.T) {
		dir := t.TempDir()
		ctr.in(t).ctrRun("--rm", "--mount", "type=bind,src="+dir+",dst=/data,options=rbind:rw", imageName, "c8",
			"touch", "/data/made").OK()
		if missing := rttest.File(filepath.Join(dir, "made"))(); missing != "" {
			t.Error("not made:", missing)
		}
	})
	t.Run("seccomp", func(t *testing.T) {
		ctr.in(t).ctrRun("--rm", "--seccomp", imageName, "c9", "grep", "^Seccomp:", "/proc/self/status").OK().Prints("Seccomp:\t2")
	})
	t.Run("privileged, host network", func(t *testing.T) {
		ctr.in(t).ctrRun("--rm", "--net-host", "--privileged", imageName, "c10", "true").OK()
	})
	t.Run("memory limit", func(t *testing.T) {
		c := ctr.in(t)
		name := c.ctrSleeper("--memory-limit", "33554432")
		cgroupSays(t, "33554432", "memory", name, "memory.limit_in_bytes")
	})
	t.Run("exec", func(t *testing.T) { ctrExec(ctr.in(t)) })
	t.Run("pause", func(t *testing.T) { ctrPause(ctr.in(t)) })
	t.Run("kill", func(t *testing.T) { ctrKill(ctr.in(t)) })
	t.Run("metrics and ps", func(t *testing.T) {
		c := ctr.in(t)
		name := c.ctrSleeper()
		contains(t, c.run("task", "metrics", name).OK().Stdout, "memory.usage_in_bytes", "pids.current")
		contains(t, c.run("task", "ps", name).OK().Stdout, "PID")
		contains(t, c.run("task", "ls").OK().Stdout, name, "RUNNING")
	})
	t.Run("a name used again", func(t *testing.T) {
		for range 3 {
			ctr.in(t).ctrRun("--rm", imageName, "again", "true").OK()
		}
	})
	t.Run("nothing left", func(t *testing.T) {
		ctr.in(t).says("TASK    PID    STATUS", "task", "ls")
		ctr.in(t).says("", "container", "ls", "-q")
	})
}

func ctrExec(c engine) {
	name := c.ctrSleeper()
	c.says("hello", "task", "exec", "--exec-id", "e1", name, "echo", "hello")
	c.run("task", "exec", "--exec-id", "e2", name, "sh", "-c", "exit 17").Exits(17)
	c.run("task", "exec", "--exec-id", "e3", name, "/no/such").Fails("no such file or directory")
	c.says("1000:1000 /home", "task", "exec", "--exec-id", "e4", "--user", "1000:1000", "--cwd", "/home", name,
		"sh", "-c", "echo $(id -u):$(id -g) $PWD")
	out := c.onTerminal("echo $((6*7)); exit\n", "task", "exec", "-t", "--exec-id", "e5", name, "sh")
	contains(c.t, out, "42")
}

func ctrPause(c engine) {
	name := c.ctrSleeper()
	c.run("task", "pause", name).OK()
	c.eventually("PAUSED", "task", "ls")
	c.run("task", "exec", "--exec-id", "p1", name, "true").Fails()
	c.run("task", "resume", name).OK()
	c.eventually("RUNNING", "task", "ls")
	c.run("task", "exec", "--exec-id", "p2", name, "true").OK()
}

func ctrKill(c engine) {
	name := c.ctrSleeper()
	c.run("task", "exec", "-d", "--exec-id", "other", name, "sleep", "1000").OK()
	c.run("task", "kill", "--exec-id", "other", "-s", "TERM", name).OK()
	c.run("task", "kill", "-a", "-s", "KILL", name).OK()
	c.eventually("STOPPED", "task", "ls")
	c.run("task", "delete", name)
}
