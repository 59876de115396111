package rttest

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A Bundle is one container's bundle directory, state root and id. It lives for one test; when the test ends the
// container is deleted by force and everything of it must be gone.
type Bundle struct {
	t     testing.TB
	Spec  *specs.Spec          // becomes config.json at the next create or run
	Edit  func(map[string]any) // if not nil, changes the JSON object just before it is written, for what Spec cannot express
	ID    string
	Dir   string                 // the bundle
	Root  string                 // the runtime's --root
	With  string                 // if not empty, the runtime instead of the one under test
	Flags []string               // global options, before the verb
	Every func(cmd *exec.Cmd)    // if not nil, changes every command of the runtime before it starts: whose it is
	Setup func(cmd *exec.Cmd)    // if not nil, changes create and run commands before they start
	tag   string                 // names everything of this bundle on the machine
	out   outFile                // what a created container prints
	Kept  func(left string) bool // if not nil and true, this remain is the test's own doing
}

var serial atomic.Int64

// New makes a bundle with a busybox rootfs and the spec of [Example].
func New(t testing.TB) *Bundle {
	t.Helper()
	Need(t, Root)
	n := serial.Add(1)
	top := filepath.Join(tempParent(), fmt.Sprintf("b%d", n))
	b := &Bundle{
		t: t, ID: fmt.Sprintf("%s-%d", runName(), n), // unlike anything else on the machine, wherever it shows up
		Dir: filepath.Join(top, "bundle"), Root: filepath.Join(top, "state"),
	}
	b.tag = b.ID
	if err := os.MkdirAll(b.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	MakeRootfs(t, b.InRootfs())
	b.Spec = Example()
	b.Spec.Linux.CgroupsPath = CgroupParent() + "/" + b.ID
	b.out = tempFile(t, "stdio")
	t.Cleanup(func() { b.cleanUp(top) })
	return b
}

// cleanUp deletes the container by force, twice since that must be harmless, and looks for remains.
func (b *Bundle) cleanUp(top string) {
	defer b.out.discard()
	pid := b.pidIfAny()
	for range 2 {
		if res := b.RT("delete", "--force", b.ID); res.Code != 0 {
			b.t.Errorf("delete --force: %s", res)
		}
	}
	if pid > 0 { // an unreaped init would hold up the end of a PID namespace that it only joined
		Eventually(b.t, "init is gone", func() bool {
			got, err := unix.Wait4(pid, nil, unix.WNOHANG, nil)
			return got == pid || err == unix.ECHILD
		})
	}
	b.CheckGone()
	if err := os.RemoveAll(top); err != nil {
		b.t.Errorf("remove the bundle: %v", err)
	}
}

// pidIfAny is the container's init, or 0.
func (b *Bundle) pidIfAny() int {
	var s State
	_ = json.Unmarshal([]byte(b.RT("state", b.ID).Stdout), &s)
	return s.Pid
}

// InRootfs is a path of the host below the rootfs.
func (b *Bundle) InRootfs(elem ...string) string {
	return filepath.Join(append([]string{b.Dir, "rootfs"}, elem...)...)
}

// WriteFile writes a file into the bundle directory ("rootfs/etc/x" lands in the rootfs), making its parents.
func (b *Bundle) WriteFile(name, content string) string {
	b.t.Helper()
	path := filepath.Join(b.Dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// Mkdir makes a directory in the bundle directory, with its parents.
func (b *Bundle) Mkdir(name string) string {
	b.t.Helper()
	path := filepath.Join(b.Dir, name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// Args sets what the container runs.
func (b *Bundle) Args(args ...string) *Bundle {
	b.Spec.Process.Args = args
	return b
}

// Sh makes the container run a shell script.
func (b *Bundle) Sh(script string) *Bundle { return b.Args("/bin/sh", "-c", script) }

// Mount appends a mount.
func (b *Bundle) Mount(m specs.Mount) *Bundle {
	b.Spec.Mounts = append(b.Spec.Mounts, m)
	return b
}

// WriteConfig writes config.json from Spec and Edit.
func (b *Bundle) WriteConfig() {
	b.t.Helper()
	data, err := json.Marshal(b.Spec)
	if err == nil && b.Edit != nil {
		data, err = edited(data, b.Edit)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(b.Dir, "config.json"), data, 0o644)
	}
	if err != nil {
		b.t.Fatalf("write config.json: %v", err)
	}
}

func edited(data []byte, edit func(map[string]any)) ([]byte, error) {
	config := map[string]any{}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, err
	}
	edit(config)
	return json.Marshal(config)
}

// RT runs the runtime with the bundle's root and global options.
func (b *Bundle) RT(args ...string) *Result {
	b.t.Helper()
	return b.RTWith(nil, args...)
}

// RTWith is RT with a function that, if not nil, changes the command before it starts.
func (b *Bundle) RTWith(edit func(*exec.Cmd), args ...string) *Result {
	b.t.Helper()
	return Exec(b.t, b.edits(edit), b.Command(args...)...)
}

// edits are what changes a command of this bundle.
func (b *Bundle) edits(more ...func(*exec.Cmd)) func(*exec.Cmd) {
	return func(cmd *exec.Cmd) {
		for _, edit := range append([]func(*exec.Cmd){b.Every}, more...) {
			if edit != nil {
				edit(cmd)
			}
		}
	}
}

// Command is the command line of the runtime with the bundle's root and global options.
func (b *Bundle) Command(args ...string) []string {
	b.t.Helper()
	runtime := b.With
	if runtime == "" {
		runtime = Runtime(b.t)
	}
	return slices.Concat([]string{runtime, "--root", b.Root}, b.Flags, args)
}

// launch writes config.json and runs a verb that starts a container: create, run.
func (b *Bundle) launch(edit func(*exec.Cmd), verb string, flags ...string) *Result {
	b.t.Helper()
	b.WriteConfig()
	args := append([]string{verb, "--bundle", b.Dir}, flags...)
	return Exec(b.t, b.edits(edit, b.Setup), b.Command(append(args, b.ID)...)...)
}

// Run runs the container in the foreground.
func (b *Bundle) Run(flags ...string) *Result {
	b.t.Helper()
	return b.launch(nil, "run", flags...)
}

// RunDetached runs the container with --detach. Its output goes to Output.
func (b *Bundle) RunDetached(flags ...string) *Result {
	b.t.Helper()
	return b.launch(b.toOutput, "run", append([]string{"--detach"}, flags...)...)
}

// Create creates the container. Its output goes to Output; the error of the command is in the result.
func (b *Bundle) Create(flags ...string) *Result {
	b.t.Helper()
	return b.launch(b.toOutput, "create", flags...)
}

// toOutput lets the container inherit the output file as stdout, and the command's stderr.
func (b *Bundle) toOutput(cmd *exec.Cmd) { cmd.Stdout = b.out.File }

// Output is what a created or detached container has printed on stdout so far.
func (b *Bundle) Output() string { return b.out.text() }

// Start starts the created container.
func (b *Bundle) Start() *Result {
	b.t.Helper()
	return b.RT("start", b.ID)
}

// Kill sends a signal.
func (b *Bundle) Kill(signal string) *Result {
	b.t.Helper()
	return b.RT("kill", b.ID, signal)
}

// Delete deletes the container.
func (b *Bundle) Delete(flags ...string) *Result {
	b.t.Helper()
	return b.RT(append(append([]string{"delete"}, flags...), b.ID)...)
}

// State is the document that `state` prints.
type State struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     string            `json:"created"`
	Annotations map[string]string `json:"annotations"`
	Owner       string            `json:"owner"`
}

// State asks the runtime for the container's state.
func (b *Bundle) State() State {
	b.t.Helper()
	var s State
	res := b.RT("state", b.ID).OK()
	if err := json.Unmarshal([]byte(res.Stdout), &s); err != nil {
		b.t.Fatalf("%v: %s", err, res)
	}
	return s
}

// Pid is the container's init as this process sees it.
func (b *Bundle) Pid() int {
	b.t.Helper()
	pid := b.State().Pid
	if pid == 0 {
		b.t.Fatalf("container %s has no process", b.ID)
	}
	return pid
}

// Wait waits for the init of a created or detached container to end and returns its status; call it once.
func (b *Bundle) Wait(pid int) int {
	b.t.Helper()
	return WaitPid(b.t, pid)
}

// Finish starts the created container, waits for its end and returns its output and status.
func (b *Bundle) Finish() (output string, status int) {
	b.t.Helper()
	pid := b.Pid()
	b.Start().OK()
	status = b.Wait(pid)
	return b.Output(), status
}

// CheckGone fails the test when anything of the container is left: state, cgroup, mount, process.
func (b *Bundle) CheckGone() {
	b.t.Helper()
	for _, left := range b.remains() {
		if b.Kept == nil || !b.Kept(left) {
			b.t.Errorf("left behind by %s: %s", b.ID, left)
		}
	}
}

func (b *Bundle) remains() []string {
	var left []string
	if _, err := os.Lstat(filepath.Join(b.Root, b.ID)); err == nil {
		left = append(left, "state "+filepath.Join(b.Root, b.ID))
	}
	for _, dir := range cgroupDirsBelow(runName()) {
		if strings.Contains(dir+"/", "/"+b.tag+"/") || strings.Contains(dir, "/"+b.tag+"-") {
			left = append(left, "cgroup "+dir)
		}
	}
	for _, line := range mountTable("self") {
		if strings.Contains(line, filepath.Dir(b.Dir)+"/") {
			left = append(left, "mount "+line)
		}
	}
	return append(left, processesIn(b.tag)...)
}

// processesIn names the processes whose cgroup is, or is below, a cgroup of that name.
func processesIn(id string) []string {
	entries, _ := os.ReadDir("/proc")
	var found []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		data, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cgroup"))
		stat, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if strings.Contains(string(data)+"\n", "/"+id+"\n") && !strings.Contains(string(stat), ") Z ") {
			found = append(found, "process "+string(stat))
		}
	}
	return found
}
