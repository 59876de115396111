package clients

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode"

	"golang.org/x/sys/unix"

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
	ctr := engine{t: t, base: []string{"ctr", "--address", socket, "--namespace", strings.TrimPrefix(rttest.CgroupParent(), "/")}}
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
	name := strings.Join(strings.FieldsFunc(filepath.Base(e.t.Name()), func(r rune) bool { return r != '-' && !unicode.IsLetter(r) }), "-")
	e.ctrRun(append(append([]string{"-d"}, flags...), imageName, name, "sleep", "1000")...).OK()
	t := e.t
	t.Cleanup(func() {
		e.run("task", "kill", "-s", "KILL", name)
		e.run("task", "delete", "-f", name)
		e.run("container", "delete", name)
	})
	return name
}

// TestCtr takes Debian's.
func TestCtr(t *testing.T) { testCtr(t, ctrChecks) }

// TestContainerd2 takes the one that engines.sh builds.
func TestContainerd2(t *testing.T) {
	useBuilt(t, "containerd")
	testCtr(t, slices.Concat(ctrChecks, ctr2Checks))
}

func testCtr(t *testing.T, checks []check) {
	ctr := startContainerd(t)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(ctr.in(t)) })
	}
	t.Run("nothing left", func(t *testing.T) {
		ctr.in(t).says("TASK    PID    STATUS", "task", "ls")
		ctr.in(t).says("", "container", "ls", "-q")
	})
}

var ctrChecks = []check{
	{"run", func(c engine) {
		c.ctrRun("--rm", imageName, "c1", "echo", "hello").OK().Prints("hello")
	}},
	{"exit status", func(c engine) {
		c.ctrRun("--rm", imageName, "c2", "sh", "-c", "exit 42").Exits(42)
	}},
	{"killed by a signal", func(c engine) {
		c.ctrRun("--rm", imageName, "c3", "sh", "-c", "kill -9 $$").Exits(0) // PID 1 is not killed by its own
	}},
	{"program not found", func(c engine) {
		res := c.ctrRun("--rm", imageName, "c4", "/no/such").Fails()
		contains(c.t, res.Stderr, "/no/such", "no such file or directory")
	}},
	{"terminal", func(c engine) {
		// ctr may lose what comes out of a terminal at its very end.
		out := c.onTerminal("", runArgs(c.t, "--rm", "-t", imageName, "c5", "sh", "-c", "sleep 1; stty size; sleep 0.5")...)
		contains(c.t, out, "31 97")
	}},
	{"environment, cwd", func(c engine) {
		c.ctrRun("--rm", "--env", "A=b", "--cwd", "/home", imageName, "c6",
			"sh", "-c", "echo $FROM_IMAGE $A $PWD").OK().Prints("yes b /home")
	}},
	{"read-only root", func(c engine) {
		res := c.ctrRun("--rm", "--read-only", imageName, "c7", "touch", "/x").Exits(1)
		contains(c.t, res.Stderr, "Read-only file system")
	}},
	{"mount", func(c engine) {
		dir := c.t.TempDir()
		c.ctrRun("--rm", "--mount", "type=bind,src="+dir+",dst=/data,options=rbind:rw", imageName, "c8",
			"touch", "/data/made").OK()
		if missing := rttest.File(filepath.Join(dir, "made"))(); missing != "" {
			c.t.Error("not made:", missing)
		}
	}},
	{"seccomp", func(c engine) {
		c.ctrRun("--rm", "--seccomp", imageName, "c9", "grep", "^Seccomp:", "/proc/self/status").OK().Prints("Seccomp:\t2")
	}},
	{"privileged, host network", func(c engine) {
		c.ctrRun("--rm", "--net-host", "--privileged", imageName, "c10", "true").OK()
	}},
	{"memory limit", func(c engine) {
		name := c.ctrSleeper("--memory-limit", "33554432")
		cgroupSays(c.t, "33554432", "memory", name, "memory.limit_in_bytes")
	}},
	{"exec", ctrExec},
	{"pause", ctrPause},
	{"kill", ctrKill},
	{"metrics and ps", func(c engine) {
		name := c.ctrSleeper()
		contains(c.t, c.run("task", "metrics", name).OK().Stdout, "memory.usage_in_bytes", "pids.current")
		contains(c.t, c.run("task", "ps", name).OK().Stdout, "PID")
		contains(c.t, c.run("task", "ls").OK().Stdout, name, "RUNNING")
	}},
	{"a name used again", func(c engine) {
		for range 3 {
			c.ctrRun("--rm", imageName, "again", "true").OK()
		}
	}},
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

// ctr2Checks use what the ctr of containerd 1.6 does not have, or ask for more than it does.
var ctr2Checks = []check{
	{"metrics have numbers", func(c engine) {
		name := c.ctrSleeper("--memory-limit", "33554432")
		var metrics struct {
			Memory struct {
				Usage struct{ Usage, Limit uint64 }
			}
			CPU struct {
				Usage struct{ Total uint64 }
			}
			Pids struct{ Current uint64 }
		}
		rttest.Eventually(c.t, "memory, processor time and one process in the metrics", func() bool {
			out := c.run("task", "metrics", "--format", "json", name).OK().Stdout
			must(c.t, json.Unmarshal([]byte(out), &metrics))
			return metrics.Memory.Usage.Usage > 0 && metrics.CPU.Usage.Total > 0 && metrics.Pids.Current == 1
		})
		if got := metrics.Memory.Usage.Limit; got != 33554432 {
			c.t.Errorf("memory limit %d", got)
		}
	}},
	{"processors, capabilities, user, hostname", func(c engine) {
		name := c.ctrSleeper("--cpu-quota", "50000", "--cpu-period", "100000", "--cpuset-cpus", "0", "--cap-drop", "CAP_CHOWN",
			"--user", "1000:1000", "--hostname", "box")
		cgroupSays(c.t, "50000", "cpu", name, "cpu.cfs_quota_us")
		cgroupSays(c.t, "0", "cpuset", name, "cpuset.cpus")
		c.says("1000 box 0000000000000000", "task", "exec", "--exec-id", "e", name,
			"sh", "-c", "echo $(id -u) $(hostname) $(awk '/^CapEff/ {print $2}' /proc/self/status)")
	}},
	{"user namespace", func(c engine) {
		c.ctrRun("--rm", "--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536", imageName, "userns",
			"sh", "-c", "cat /proc/self/uid_map | tr -s ' '; touch /x && stat -c %u /x /etc/passwd").OK().Prints("0 100000 65536\n0\n0")
	}},
	{"root of its own", func(c engine) {
		dir := c.t.TempDir()
		name := c.ctrSleeper("--runc-root", dir)
		if missing, _ := filepath.Glob(filepath.Join(dir, "*", name)); len(missing) != 1 {
			c.t.Error("no state below", dir)
		}
	}},
	{"another container's namespace", func(c engine) {
		name := c.ctrSleeper()
		path := fmt.Sprintf("pid:/proc/%d/ns/pid", c.taskPid(name))
		contains(c.t, c.ctrRun("--rm", "--with-ns", path, imageName, "joins", "ps").OK().Stdout, "sleep 1000")
	}},
	{"checkpoint", func(c engine) {
		rttest.OnlyRT(c.t, "it has no checkpoints, and says so")
		name := c.ctrSleeper()
		contains(c.t, c.run("task", "checkpoint", "--image-path", c.t.TempDir(), name).Fails().Stderr, "checkpoint", "not supported")
		c.says("still there", "task", "exec", "--exec-id", "e", name, "echo", "still there")
	}},
	{"the shim is killed", func(c engine) {
		name := c.ctrSleeper()
		pid := c.taskPid(name)
		must(c.t, unix.Kill(parentOf(c.t, pid), unix.SIGKILL))
		rttest.Eventually(c.t, "the task is gone", func() bool {
			return !strings.Contains(c.run("task", "ls").Stdout, name) && rttest.File(fmt.Sprintf("/proc/%d/exe", pid))() != ""
		})
		c.run("container", "delete", name).OK()
		rttest.Eventually(c.t, "the name is free again", func() bool {
			return strings.TrimSpace(c.ctrRun("--rm", imageName, name, "echo", "again").Stdout) == "again"
		})
	}},
	{"eight at a time", func(c engine) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for j := range 3 {
					word := fmt.Sprintf("c%d-%d", i, j)
					if res := c.ctrRun("--rm", imageName, word, "echo", word); strings.TrimSpace(res.Stdout) != word {
						c.t.Error(res)
					}
				}
			})
		}
		all.Wait()
	}},
}

// taskPid is the container's init on the machine.
func (e engine) taskPid(name string) (pid int) {
	e.t.Helper()
	for line := range strings.Lines(e.run("task", "ls").OK().Stdout) {
		if f := strings.Fields(line); f[0] == name {
			pid, _ = strconv.Atoi(f[1])
		}
	}
	if pid == 0 {
		e.t.Fatal("no such task:", name)
	}
	return pid
}

func parentOf(t *testing.T, pid int) (parent int) {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	must(t, err)
	_, rest, _ := strings.Cut(string(data), ") ")
	if _, err := fmt.Sscanf(rest, "%c %d", new(rune), &parent); err != nil {
		t.Fatal(err)
	}
	return parent
}
