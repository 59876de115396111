package differential

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// A trial is one configuration for one runtime.
type trial struct {
	*rttest.Bundle
	t      *testing.T
	how    string              // create, run or detach
	caller []string            // what starts the runtime, with its arguments
	flags  []string            // of create and run
	exec   func(c *trial) seen // what another process in the running container sees, or nil
	looks  []string            // arguments of the probe
	joined []specs.LinuxNamespaceType
	holder *exec.Cmd // a process in the namespaces that are joined
	uids   []specs.LinuxIDMapping
	stdout string          // the file
	text   func() string   // what came out so far
	serial string          // of the session keyring of init
	ended  <-chan struct{} // the foreground command has ended
	result *rttest.Result  // of create or run
}

// newTrial makes the bundle; the caller describes the configuration and then calls finish.
func newTrial(t *testing.T, runtime string) *trial {
	c := &trial{t: t, how: "create"}
	t.Cleanup(c.release) // after the bundle is gone
	c.Bundle = rttest.New(t).AddProbe()
	c.With = runtime
	c.stdout = filepath.Join(filepath.Dir(c.Dir), "stdout")
	c.text = func() string { data, _ := os.ReadFile(c.stdout); return string(data) }
	c.Spec.Process.Env = []string{"PATH=/usr/bin:/bin", "TERM=xterm"}
	c.Setup = c.start
	if filepath.Base(runtime) != "rt" {
		c.Kept = peersOwn
	}
	return c
}

// peersOwn: what a peer leaves behind is its own matter; here it is removed.
func peersOwn(left string) bool {
	if dir, ok := strings.CutPrefix(left, "cgroup "); ok {
		_ = os.Remove(dir)
	}
	return true
}

func (c *trial) look(paths ...string) { c.looks = append(c.looks, paths...) }

func (c *trial) join(kind specs.LinuxNamespaceType) {
	c.Join(kind, "/proc/PID")
	c.joined = append(c.joined, kind)
}

func (c *trial) maps(first, size uint32) {
	c.uids = []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: size}}
}

func (c *trial) sysctl(kind specs.LinuxNamespaceType, key, value string) {
	c.Spec.Linux.Sysctl[key] = value
	c.look("=/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
}

// namespace is what the configuration says of a kind: "", "new" or "path".
func (c *trial) namespace(kind specs.LinuxNamespaceType) string {
	for _, ns := range c.Spec.Linux.Namespaces {
		if ns.Type == kind {
			return map[bool]string{true: "new", false: "path"}[ns.Path == ""]
		}
	}
	return ""
}

// owned says whether the container's user namespace has a say in the namespace of that kind.
func (c *trial) owned(kind specs.LinuxNamespaceType) bool {
	user, ns := c.namespace(specs.UserNamespace), c.namespace(kind)
	return user == "" || ns == "new" || user == "path" && ns == "path"
}

// finish gives the root to who is root in the container, makes the namespaces to join, and has the probe run.
func (c *trial) finish() {
	c.t.Helper()
	if c.uids != nil {
		namespaces := c.Spec.Linux.Namespaces
		c.MapIDs(c.uids[0].HostID, c.uids[0].Size)
		c.Spec.Linux.Namespaces = namespaces
		c.give(int(c.uids[0].HostID))
	}
	c.hold()
	for _, m := range c.Spec.Mounts {
		c.look(m.Destination)
	}
	c.look(c.Spec.Linux.MaskedPaths...)
	c.look(c.Spec.Linux.ReadonlyPaths...)
	c.look("/", "/dev/console", "/dev/null", "/dev/full", "/dev/tty", "/dev/pts/ptmx", "=/proc/self/cgroup", "=/proc/self/uid_map", "=/proc/self/setgroups")
	slices.Sort(c.looks)
	c.Args(append([]string{"/bin/probe", "report"}, slices.Compact(c.looks)...)...)
}

// sensible takes out of the configuration what cannot work together, or not under runc: refused_test.go has some of that.
func (c *trial) sensible() {
	if c.namespace(specs.UTSNamespace) == "" || !c.owned(specs.UTSNamespace) {
		c.Spec.Hostname, c.Spec.Domainname = "", ""
	} else {
		c.Spec.Domainname = "example.org"
	}
	if c.Spec.Process.Terminal && c.how == "run" {
		c.how = "detach" // the test has no terminal to be in the foreground of
	}
	for key := range c.Spec.Linux.Sysctl {
		kind := specs.IPCNamespace
		if strings.HasPrefix(key, "net.") {
			kind = specs.NetworkNamespace
		}
		if c.namespace(kind) == "" || !c.owned(kind) {
			delete(c.Spec.Linux.Sysctl, key)
		}
	}
	c.sensibleMounts()
	c.sensiblePropagation()
	if c.uids != nil { // then the host's are bound
		c.Spec.Linux.Devices = slices.DeleteFunc(c.Spec.Linux.Devices, func(d specs.LinuxDevice) bool { return rttest.File(d.Path)() != "" })
	}
	if c.uids != nil && c.uids[0].Size == 1 {
		c.onlyRoot()
	}
}

// sensibleMounts binds what a user namespace may not mount, as engines do.
func (c *trial) sensibleMounts() {
	var mounts []specs.Mount
	for _, m := range c.Spec.Mounts {
		host := specs.Mount{Destination: m.Destination, Source: m.Destination, Type: "bind", Options: append([]string{"rbind"}, m.Options...)}
		switch {
		case m.Type == "proc" && !c.owned(specs.PIDNamespace), m.Type == "sysfs" && !c.owned(specs.NetworkNamespace):
			m = host
		case m.Type == "mqueue" && !c.owned(specs.IPCNamespace), m.Type == "cgroup" && !c.owned(specs.NetworkNamespace):
			continue
		case c.uids != nil && m.Type == "bind" && slices.ContainsFunc(m.Options, lockedInUserns):
			continue
		}
		mounts = append(mounts, m)
	}
	c.Spec.Mounts = mounts
	if !c.hasTerminals() {
		c.Spec.Process.Terminal, c.Spec.Process.ConsoleSize = false, nil
	}
}

func (c *trial) hasTerminals() bool {
	return slices.ContainsFunc(c.Spec.Mounts, func(m specs.Mount) bool { return m.Destination == "/dev/pts" })
}

// lockedInUserns: who mounts inside of a new user namespace can neither change how access times are kept nor bind one
// mount without those on it.
func lockedInUserns(option string) bool {
	return slices.Contains([]string{"noatime", "rnoatime", "strictatime", "relatime", "bind"}, option)
}

// sensiblePropagation: an unbindable root lets nobody bind in it, and without pivot_root only slaves are let be.
func (c *trial) sensiblePropagation() {
	l := c.Spec.Linux
	if slices.Contains(c.flags, "--no-pivot") && l.RootfsPropagation != "rslave" {
		l.RootfsPropagation = ""
	}
	if l.RootfsPropagation != "unbindable" {
		return
	}
	l.ReadonlyPaths = slices.DeleteFunc(l.ReadonlyPaths, func(p string) bool { return strings.HasPrefix(p, "/data") })
	for i, m := range c.Spec.Mounts {
		c.Spec.Mounts[i].Options = slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return o == "tmpcopyup" })
	}
}

// onlyRoot takes out every id but 0: the user namespace has no other.
func (c *trial) onlyRoot() {
	c.Spec.Process.User.UID, c.Spec.Process.User.GID, c.Spec.Process.User.AdditionalGids = 0, 0, nil
	delete(c.Spec.Linux.Sysctl, "net.ipv4.ping_group_range")
	for i := range c.Spec.Mounts {
		m := &c.Spec.Mounts[i]
		m.Options = slices.DeleteFunc(slices.Clone(m.Options), func(o string) bool { return strings.HasPrefix(o, "gid=") || strings.HasPrefix(o, "uid=") })
	}
}

// give makes the container's root the owner of the bundle, but for the programs, which all bundles share.
func (c *trial) give(id int) {
	err := filepath.WalkDir(c.Dir, func(path string, e os.DirEntry, err error) error {
		if path == c.InRootfs("bin") {
			return filepath.SkipDir
		}
		if err == nil {
			_ = os.Lchown(path, id, id) // but not on a file system that is mounted read-only
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

var cloneFlags = map[specs.LinuxNamespaceType]uintptr{
	specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.IPCNamespace: unix.CLONE_NEWIPC,
	specs.UTSNamespace: unix.CLONE_NEWUTS, specs.UserNamespace: unix.CLONE_NEWUSER,
}

var nsFiles = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
	specs.UserNamespace: "user", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time", specs.MountNamespace: "mnt",
}

// hold starts a process in the namespaces that the container joins, and writes their paths into the configuration.
func (c *trial) hold() {
	c.t.Helper()
	if len(c.joined) == 0 {
		return
	}
	holder := exec.Command("sleep", "1000")
	holder.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	for _, kind := range c.joined {
		holder.SysProcAttr.Cloneflags |= cloneFlags[kind]
	}
	if slices.Contains(c.joined, specs.UserNamespace) {
		m := []syscall.SysProcIDMap{{ContainerID: 0, HostID: int(c.uids[0].HostID), Size: int(c.uids[0].Size)}}
		holder.SysProcAttr.UidMappings, holder.SysProcAttr.GidMappings = m, m
		holder.SysProcAttr.GidMappingsEnableSetgroups = true
	}
	if err := holder.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.holder = holder
	for i := range c.Spec.Linux.Namespaces {
		if ns := &c.Spec.Linux.Namespaces[i]; ns.Path != "" {
			ns.Path = fmt.Sprintf("/proc/%d/ns/%s", holder.Process.Pid, nsFiles[ns.Type])
		}
	}
}

// release ends the holder. That of a PID namespace stays until everything in it is reaped, orphans of a runtime that
// failed included, which may be at the end of the run.
func (c *trial) release() {
	if c.holder != nil {
		_ = c.holder.Process.Kill()
		go func() { _ = c.holder.Wait() }()
	}
}

// start prepares the command that starts the container.
func (c *trial) start(cmd *exec.Cmd) { c.prepare(cmd, c.stdout) }

// prepare sets the output and the caller of a command of the runtime.
func (c *trial) prepare(cmd *exec.Cmd, stdout string) {
	out, err := os.OpenFile(stdout, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { out.Close() })
	cmd.Stdout = out
	if filepath.Base(c.With) == "crun" { // it makes the machine's /dev/null the user's
		in, err := os.Open(c.WriteFile("stdin", ""))
		if err != nil {
			c.t.Fatal(err)
		}
		c.t.Cleanup(func() { in.Close() })
		cmd.Stdin = in
	}
	if c.caller == nil {
		return
	}
	path, err := exec.LookPath(c.caller[0])
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Path, cmd.Args = path, append(slices.Clone(c.caller), cmd.Args...)
}

// launch creates and starts the container and returns the statuses of the commands. ok is false if that was refused.
func (c *trial) launch() (s seen, ok bool) {
	s = seen{}
	if c.how == "run" {
		return s, c.foreground()
	}
	flags := c.flags
	var console *rttest.FDSocket
	if c.Spec.Process.Terminal {
		console = rttest.ListenFD(c.t)
		flags = append(slices.Clone(flags), "--console-socket", console.Path)
	}
	if c.how == "detach" {
		c.result = c.RunDetached(flags...)
	} else {
		c.result = c.Create(flags...)
	}
	s["status "+c.how] = strconv.Itoa(c.result.Code)
	if c.result.Code != 0 {
		return s, false
	}
	if console != nil {
		c.text = readTerminal(console)
	}
	if c.how == "create" {
		c.result = c.Start()
		s["status start"] = strconv.Itoa(c.result.Code)
	}
	return s, c.result.Code == 0
}

// foreground runs the container until the probe has said something, or the runtime has ended.
func (c *trial) foreground() bool {
	ended := make(chan struct{})
	c.ended = ended
	go func() {
		defer close(ended)
		c.result = c.Run(c.flags...)
	}()
	rttest.Eventually(c.t, "the probe reports", func() bool {
		select {
		case <-ended:
			return true
		default:
			return c.reported()
		}
	})
	return c.reported()
}

func (c *trial) reported() bool { return complete(c.text()) }

func complete(report string) bool { return strings.Contains(report, "}") }

// readTerminal collects what comes out of a container's terminal.
func readTerminal(console *rttest.FDSocket) (text func() string) {
	master, _ := console.Receive()
	var lock sync.Mutex
	var got strings.Builder
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, err := master.Read(buf)
			lock.Lock()
			got.Write(buf[:n])
			lock.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return func() string { lock.Lock(); defer lock.Unlock(); return got.String() }
}

// observe runs the configuration from create to delete and says all that can be seen of it. Refused is set when
// there was no container.
func (c *trial) observe() (all seen, refused string) {
	c.t.Helper()
	all, ok := c.launch()
	if !ok {
		return all, c.result.Stderr
	}
	pid := c.Pid()
	rttest.Eventually(c.t, "the probe reports", c.reported)
	all.add(c.inside(c.text()))
	all.add(c.outside(pid))
	if c.exec != nil {
		for field, value := range c.exec(c) {
			all["exec: "+field] = value
		}
	}
	all.add(c.end(pid))
	return all, ""
}

// end ends the container by a signal and deletes it.
func (c *trial) end(pid int) seen {
	s := seen{"status kill": strconv.Itoa(c.Kill("TERM").Code)}
	if c.ended != nil {
		select {
		case <-c.ended:
		case <-time.After(20 * time.Second):
			c.t.Fatal("run does not end")
		}
		s["status run"] = strconv.Itoa(c.result.Code)
		return s
	}
	s["status init"] = strconv.Itoa(c.Wait(pid))
	s.add(c.state("stopped"))
	s["status delete"] = strconv.Itoa(c.Delete().Code)
	return s
}

// state is what the state command says.
func (c *trial) state(when string) seen {
	var state map[string]any
	if err := json.Unmarshal([]byte(c.RT("state", c.ID).OK().Stdout), &state); err != nil {
		c.t.Fatal(err)
	}
	delete(state, "created")
	if pid, _ := state["pid"].(float64); pid > 0 {
		state["pid"] = "a process"
	}
	s := seen{}
	for key, value := range state {
		s["state "+when+" "+key] = c.neutral(fmt.Sprint(value))
	}
	return s
}
