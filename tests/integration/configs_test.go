package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// What the engines' own commands in tests/testdata/configs do. A config that is not here has no test and fails.
var engineConfigs = map[string]struct {
	output string // regular expression for all of stdout; with long, for its beginning
	long   bool   // runs until killed
}{
	"buildah":                         {output: `bh\n`},
	"buildkit":                        {output: ``}, // writes /out, see TestConfigs
	"containerd-cri-container-userns": {long: true},
	"containerd-cri-container":        {long: true},
	"containerd-cri-pod":              {long: true},
	"containerd-ctr-memory":           {long: true},
	"containerd-ctr-seccomp":          {output: ``},
	"containerd-ctr-tty":              {output: `/dev/pts/0\r?\n30 100\r?\n`},
	"containerd-ctr-userns":           {output: `\s+0\s+100000\s+65536\n`},
	"containerd-ctr":                  {output: ``},
	"docker-20.10-default":            {output: `hello\n`},
	"docker-default":                  {output: `hello\n`},
	"docker-httpd-network":            {long: true},
	"docker-memory":                   {long: true},
	"docker-privileged":               {output: ``},
	"docker-swarm-secrets":            {output: `content for /run/secrets/sec\ncontent for /cfg\n`, long: true},
	"docker-tty":                      {output: `/dev/pts/0\r?\n30 100\r?\n`},
	"docker-userns-remap":             {output: `\s+0\s+200000\s+65536\n`},
	"podman-pod-container":            {long: true},
	"podman-rootful":                  {output: `hello\n`},
	"podman-rootless":                 {output: ``},
}

// notBundles are the files beside the configs that other verbs take.
var notBundles = regexp.MustCompile(`exec-process|update-resources`)

func configFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../testdata/configs/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	return files
}

// Every config.json an engine wrote, with the engine's own command, through the whole life.
func TestConfigs(t *testing.T) {
	t.Parallel()
	for _, file := range configFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if notBundles.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, known := engineConfigs[name]
			if !known {
				t.Fatal("not in the table of engineConfigs")
			}
			e := adopt(t, file)
			life(t, e, want.output, want.long)
			if name == "buildkit" {
				if out, err := os.ReadFile(e.InRootfs("out")); string(out) != "hi\n" {
					t.Errorf("/out is %q (%v)", out, err)
				}
			}
		})
	}
}

// life takes the container through create, state, start, output, end or kill, delete.
func life(t *testing.T, e *engine, output string, long bool) {
	t.Helper()
	e.create()
	if s := e.State(); s.Status != "created" || s.Pid == 0 || len(s.Annotations) != len(e.Spec.Annotations) {
		t.Errorf("created: %+v", s)
	}
	pid := e.Pid()
	e.Start().OK()
	want, status := regexp.MustCompile(`\A(?:`+output+`)\z`), 0
	if long {
		rttest.Eventually(t, "output "+want.String(), func() bool { return want.MatchString(e.text()) })
		if s := e.State(); s.Status != "running" {
			t.Errorf("started: %+v", s)
		}
		e.Kill("KILL").OK()
		status = 128 + 9
	}
	if got := e.Wait(pid); got != status {
		t.Errorf("status %d, want %d; output %q", got, status, e.text())
	}
	rttest.Eventually(t, fmt.Sprintf("output %s, not %q", want, e.text()), func() bool { return want.MatchString(e.text()) })
	if s := e.State(); s.Status != "stopped" {
		t.Errorf("ended: %+v", s)
	}
	e.Delete().OK()
	e.CheckGone()
}

// An engine is a config.json as written, on our rootfs, with what the engine would have made beside it.
type engine struct {
	*rttest.Bundle
	t       *testing.T
	console *rttest.FDSocket
	text    func() string // what the container printed so far
}

// adopt reads a config and replaces the paths that its engine would have made.
func adopt(t *testing.T, file string) *engine {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	asWritten := &specs.Spec{}
	if err := json.Unmarshal(data, asWritten); err != nil {
		t.Fatal(err)
	}
	pause := pauseContainer(t, asWritten) // before our own, so that it outlives it
	b := rttest.New(t)
	e := &engine{Bundle: b, t: t, text: b.Output}
	path := b.Spec.Linux.CgroupsPath
	b.Spec = asWritten
	if b.Spec.Root.Path != "rootfs" {
		b.Spec.Root.Path = b.InRootfs()
	}
	if b.Spec.Linux.CgroupsPath != "" {
		b.Spec.Linux.CgroupsPath = path // the engines' parents would be left for nobody to remove
	}
	e.adoptMounts()
	e.adoptNamespaces(pause)
	e.adoptHooks()
	e.adoptCapabilities()
	return e
}

// adoptMounts makes the sources of the bind mounts: a directory for /dev/shm, else a file that says what it is for.
func (e *engine) adoptMounts() {
	for i := range e.Spec.Mounts {
		m := &e.Spec.Mounts[i]
		if m.Type != "bind" {
			continue
		}
		if len(m.UIDMappings) > 0 {
			rttest.Need(e.t, rttest.Kernel("6.3")) // tmpfs can be id-mapped from then on
		}
		name := fmt.Sprintf("client/%d", i)
		if m.Destination == "/dev/shm" {
			m.Source = e.Mkdir(name)
			continue
		}
		m.Source = e.WriteFile(name, "content for "+m.Destination+"\n")
	}
}

// adoptNamespaces names the namespaces that are joined by path: those of the pause container, or a bound network namespace.
func (e *engine) adoptNamespaces(pause int) {
	e.t.Helper()
	for i := range e.Spec.Linux.Namespaces {
		ns := &e.Spec.Linux.Namespaces[i]
		switch {
		case strings.Contains(ns.Path, "@PID@"):
			ns.Path = strings.Replace(ns.Path, "@PID@", fmt.Sprint(pause), 1)
		case ns.Path != "":
			ns.Path = bindNetns(e.t)
		}
	}
	if m := e.Spec.Linux.UIDMappings; len(m) > 0 { // the rootfs belongs to the container's root
		namespaces := e.Spec.Linux.Namespaces
		e.MapIDs(m[0].HostID, m[0].Size)
		e.Spec.Linux.Namespaces = namespaces
	}
}

// pauseContainer runs a container like the sandbox of a pod, with the same user namespace, when the config joins one,
// and returns its pid.
func pauseContainer(t *testing.T, spec *specs.Spec) int {
	t.Helper()
	if !slices.ContainsFunc(spec.Linux.Namespaces, func(ns specs.LinuxNamespace) bool { return strings.Contains(ns.Path, "@PID@") }) {
		return 0
	}
	pause := rttest.New(t).Args("sleep", "1000")
	if m := spec.Linux.UIDMappings; len(m) > 0 {
		pause.MapIDs(m[0].HostID, m[0].Size)
	}
	pause.RunDetached().OK()
	return pause.Pid()
}

// bindNetns makes a network namespace with a name in the file system, as ip netns does.
func bindNetns(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "netns")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("sleep", "1000")
	holder.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid), path, "", unix.MS_BIND, "")
	_ = holder.Process.Kill()
	_ = holder.Wait()
	if err != nil {
		t.Fatalf("bind the network namespace: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
	return path
}

// adoptHooks replaces the engine's own programs by one that keeps what it gets on stdin.
func (e *engine) adoptHooks() {
	if e.Spec.Hooks == nil {
		return
	}
	for i := range e.Spec.Hooks.Prestart {
		h := &e.Spec.Hooks.Prestart[i]
		h.Path = "/bin/sh"
		h.Args = []string{"sh", "-c", "cat > " + e.Dir + "/hook-stdin"}
	}
}

// refusedHere are capabilities that this machine may not have to give, with the reason.
var refusedHere = map[string]int{"CAP_SYS_RESOURCE": unix.CAP_SYS_RESOURCE}

// adoptCapabilities drops what even root does not have here; the kernel refuses to set it.
func (e *engine) adoptCapabilities() {
	c := e.Spec.Process.Capabilities
	if c == nil {
		return
	}
	for name, number := range refusedHere {
		if rttest.Capability(number)() == "" {
			continue
		}
		for _, set := range []*[]string{&c.Bounding, &c.Effective, &c.Permitted, &c.Inheritable, &c.Ambient} {
			*set = without(*set, name)
		}
	}
}

func without(list []string, item string) []string {
	var keep []string
	for _, s := range list {
		if s != item {
			keep = append(keep, s)
		}
	}
	return keep
}

// create creates the container, with a console socket when it has a terminal.
func (e *engine) create() {
	e.t.Helper()
	if !e.Spec.Process.Terminal {
		e.Create().OK()
		return
	}
	e.console = rttest.ListenFD(e.t)
	e.Create("--console-socket", e.console.Path).OK()
	master, _ := e.console.Receive()
	// Shims set the size as soon as they have the terminal.
	if err := unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100}); err != nil {
		e.t.Fatal(os.NewSyscallError("ioctl TIOCSWINSZ", err))
	}
	done := make(chan string, 1)
	go func() { done <- rttest.ReadTerminal(e.t, master, "") }()
	e.text = func() string {
		text := <-done
		done <- text
		return text
	}
}
