package differential

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// execs are the ways in which a second process comes into a container.
var execs = []func(*trial) seen{execPlain, execFlags, execProcess, execTerminal, execUser}

// execPlain is a command and nothing else, in the foreground.
func execPlain(c *trial) seen { return c.execForeground() }

func execFlags(c *trial) seen {
	return c.execForeground("--env", "X=y", "--env", "PATH=/bin", "--cwd", "/bin", "--user", "1000:1000", "--cap", "CAP_NET_RAW", "--no-new-privs")
}

// execProcess is what containerd and conmon do.
func execProcess(c *trial) seen {
	p := c.process()
	p.Env = append(p.Env, "EXEC=yes")
	return c.execDetached(p)
}

func execTerminal(c *trial) seen {
	p := c.process()
	if c.hasTerminals() {
		p.Terminal, p.ConsoleSize = true, &specs.Box{Height: 11, Width: 22}
	}
	return c.execDetached(p)
}

func execUser(c *trial) seen {
	p := c.process()
	p.Cwd = "/bin"
	p.OOMScoreAdj = nil
	p.Capabilities = &specs.LinuxCapabilities{Bounding: rttest.DefaultCaps[:3], Permitted: rttest.DefaultCaps[:3], Effective: rttest.DefaultCaps[:3]}
	if c.uids == nil || c.uids[0].Size > 1 {
		p.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}}
	}
	return c.execDetached(p)
}

// process is a copy of the config's, as engines use it.
func (c *trial) process() *specs.Process {
	p := *c.Spec.Process
	p.Terminal, p.ConsoleSize = false, nil
	p.Args = execArgs
	return &p
}

var execArgs = []string{"/bin/probe", "report", "/dev/null", "/dev/console", "/dev/full", "/proc/keys", "/proc/sys", "=/proc/self/cgroup"}

func (c *trial) execFile(name string) string { return filepath.Join(filepath.Dir(c.Dir), "exec-"+name) }

// execForeground runs the probe by flags and ends it.
func (c *trial) execForeground(flags ...string) seen {
	c.t.Helper()
	pidFile, stdout := c.execFile("pid"), c.execFile("stdout")
	args := slices.Concat([]string{"exec", "--pid-file", pidFile}, flags, []string{c.ID}, execArgs)
	ended := make(chan *rttest.Result, 1)
	go func() {
		ended <- c.RTWith(func(cmd *exec.Cmd) { c.prepare(cmd, stdout) }, args...)
	}()
	text := func() string { data, _ := os.ReadFile(stdout); return string(data) }
	var res *rttest.Result
	rttest.Eventually(c.t, "the second probe reports", func() bool {
		select {
		case res = <-ended:
			return true
		default:
			return complete(text())
		}
	})
	if res != nil {
		c.t.Logf("exec: %s", res)
		return seen{"status": strconv.Itoa(res.Code)}
	}
	rttest.Eventually(c.t, "the pid file is there", func() bool { return readPid(pidFile) > 0 })
	s := c.lookAt(readPid(pidFile), text())
	_ = unix.Kill(readPid(pidFile), unix.SIGTERM)
	s["status"] = strconv.Itoa((<-ended).Code)
	return s
}

// execDetached starts the process in the background and ends it.
func (c *trial) execDetached(p *specs.Process) seen {
	c.t.Helper()
	pidFile, stdout, file := c.execFile("pid"), c.execFile("stdout"), c.execFile("process.json")
	data, err := json.Marshal(p)
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	args := []string{"exec", "--pid-file", pidFile, "--process", file, "--detach"}
	var console *rttest.FDSocket
	if p.Terminal {
		console = rttest.ListenFD(c.t)
		args = append(args, "--console-socket", console.Path)
	}
	res := c.RTWith(func(cmd *exec.Cmd) { c.prepare(cmd, stdout) }, append(args, c.ID)...)
	if res.Code != 0 {
		c.t.Logf("exec: %s", res)
		return seen{"status": strconv.Itoa(res.Code)}
	}
	text := func() string { data, _ := os.ReadFile(stdout); return string(data) }
	if console != nil {
		text = readTerminal(console)
	}
	rttest.Eventually(c.t, "the second probe reports", func() bool { return complete(text()) })
	pid := readPid(pidFile)
	s := c.lookAt(pid, text())
	_ = unix.Kill(pid, unix.SIGTERM)
	s["status"] = strconv.Itoa(c.Wait(pid))
	return s
}

// lookAt is what the second probe said and what can be seen of it.
func (c *trial) lookAt(pid int, text string) seen {
	s := c.inside(text)
	s.add(c.proc(pid))
	for field, value := range c.cgroups(pid) {
		if strings.HasSuffix(field, " path") {
			s[field] = value
		}
	}
	return s
}

func readPid(file string) int {
	data, _ := os.ReadFile(file)
	pid, _ := strconv.Atoi(string(data))
	return pid
}
