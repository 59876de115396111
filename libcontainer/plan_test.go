package libcontainer

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/nsenter"
	"rt/specconv"
	"rt/tests/golden"
)

// someHost is the host of all plans of the tests: nothing of the machine that runs them gets into a golden file.
var someHost = host{lastCap: unix.CAP_CHECKPOINT_RESTORE, caps: ^uint64(0), keyring: true, kcore: true}

// The places of a container's cgroup, without looking at any.
var (
	onV1 = cgroups.State{Mode: cgroups.V1, Mount: "/sys/fs/cgroup", Paths: map[string]string{
		"cpu": "/sys/fs/cgroup/cpu,cpuacct/c", "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/c", "memory": "/sys/fs/cgroup/memory/c",
		"name=systemd": "/sys/fs/cgroup/systemd/c"}}
	onHybrid = cgroups.State{Mode: cgroups.Hybrid, Mount: "/sys/fs/cgroup", Paths: map[string]string{
		"memory": "/sys/fs/cgroup/memory/c", "pids": "/sys/fs/cgroup/pids/c", "unified": "/sys/fs/cgroup/unified/c"}}
	onV2 = cgroups.State{Mode: cgroups.V2, Mount: "/sys/fs/cgroup", Paths: map[string]string{"unified": "/sys/fs/cgroup/c"}}
)

// input is what a plan is compiled from.
type input struct {
	spec   *specs.Spec
	opts   CreateOptions
	cgroup cgroups.State
	parked bool
}

func (in input) compile(t *testing.T) *Plan {
	t.Helper()
	in.opts.ID, in.opts.Bundle = "ID", "/bundle"
	c := &compiler{spec: in.spec, opts: in.opts, host: someHost, cgroup: cgroups.Load(in.cgroup), parked: in.parked}
	p, err := c.compile()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// configs are the files that engines wrote.
func configs(t *testing.T) map[string]*specs.Spec {
	t.Helper()
	files, err := filepath.Glob("../tests/testdata/configs/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d configs, %v", len(files), err)
	}
	all := map[string]*specs.Spec{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if strings.HasSuffix(name, "-exec-process") || strings.HasSuffix(name, "-update-resources") {
			continue // the input of other commands
		}
		spec, err := specconv.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = spec
	}
	return all
}

// inputs are everything that the tests of the whole plan look at: the engines' files and the small configs.
func inputs(t *testing.T) map[string]input {
	t.Helper()
	all := smallConfigs()
	for name, spec := range configs(t) {
		all["configs/"+name] = input{spec: spec, cgroup: onHybrid, parked: true}
	}
	return all
}

var instructions = regexp.MustCompile(`\(\d+ instructions\)`)

// text is the plan as `rt plan` prints it, without what depends on libseccomp's version.
func text(t *testing.T, p *Plan) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Text(&b); err != nil {
		t.Fatal(err)
	}
	return instructions.ReplaceAllString(b.String(), "(… instructions)")
}

func TestPlansOfConfigs(t *testing.T) {
	for name, spec := range configs(t) {
		t.Run(name, func(t *testing.T) {
			p := input{spec: spec, cgroup: onHybrid, parked: true}.compile(t)
			golden.Check(t, "configs/"+name, text(t, p))
		})
	}
}

// full is the plan with all arguments but the filter, which is libseccomp's work.
func full(p *Plan) string {
	steps := slices.Clone(p.Steps)
	for i, s := range steps {
		if s.Op == nsenter.OpSeccomp {
			steps[i].Text = []string{"the filter"}
		}
	}
	return instructions.ReplaceAllString(golden.Steps(steps), "(… instructions)")
}

func TestPlansOfSmallConfigs(t *testing.T) {
	for name, in := range smallConfigs() {
		t.Run(name, func(t *testing.T) {
			golden.Check(t, name, full(in.compile(t)))
		})
	}
}

func TestSameInputSamePlan(t *testing.T) {
	for name, in := range inputs(t) {
		first, second := in.compile(t), in.compile(t)
		if diff := cmp.Diff(first.Steps, second.Steps); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		a, err1 := first.Encode()
		b, err2 := second.Encode()
		if err1 != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("%s: encoded it differs (%v, %v)", name, err1, err2)
		}
	}
}

// The first steps are sent before the rest is compiled: they must be those that the whole plan begins with.
func TestEarlyStepsBeginThePlan(t *testing.T) {
	some := 0
	for name, in := range inputs(t) {
		early, plan := earlySteps(in.spec, sortNamespaces(in.spec)), in.compile(t)
		some += len(early)
		if diff := cmp.Diff(early, plan.Steps[:len(early)]); diff != "" && len(early) > 0 {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if some == 0 {
		t.Error("no config has early steps")
	}
}

// What `rt plan` prints is JSON with all steps, and says nothing that is not UTF-8.
func TestPlanJSON(t *testing.T) {
	spec := minimal()
	spec.Process.Args = []string{"printf", "\xff\xfe", "a\tb"}
	p := input{spec: spec, cgroup: onV1, parked: true}.compile(t)
	data, err := p.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`{"steps":[{"index":0,"op":"`, `"op":"exec","from":"process.args"`, `"text":["printf ? a\tb","PATH=/bin"]`, `"source":"/bundle/rootfs"`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%s is not in %s", want, data)
		}
	}
}

// Compile reads the host and is for an ordinary user: on any machine that tests run on it gives some plan.
func TestCompileOnThisHost(t *testing.T) {
	p, err := Compile(minimal(), CreateOptions{ID: "rt-test", Bundle: "/bundle", CgroupManager: "disabled"})
	if err != nil {
		t.Fatal(err)
	}
	if last := p.Steps[len(p.Steps)-1]; last.Op != nsenter.OpExec {
		t.Errorf("it ends with %s", last.Op)
	}
}

func TestCompileErrorsNameTheField(t *testing.T) {
	for want, change := range map[string]func(*specs.Spec){
		`process.rlimits[0].type: unknown limit "RLIMIT_X"`:  func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_X"}} },
		`process.scheduler.policy: unknown policy "SCHED_X"`: func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_X"} },
		`process.scheduler.flags[0]: unknown flag "X"`: func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Flags: []specs.LinuxSchedulerFlag{"X"}}
		},
		`process.ioPriority.class: unknown class "X"`: func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "X"} },
		`linux.memoryPolicy.mode: unknown mode "X"`:   func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "X"} },
		`linux.memoryPolicy.flags[0]: unknown flag "X"`: func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Flags: []specs.MemoryPolicyFlagType{"X"}}
		},
		`linux.memoryPolicy.nodes: "1-0" is not a list of numbers`: func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "1-0"}
		},
		`mounts[0].options[0]: "\x00" holds a NUL byte`: func(s *specs.Spec) { s.Mounts = []specs.Mount{{Destination: "/x", Options: []string{"\x00"}}} },
	} {
		spec := minimal()
		change(spec)
		_, err := (&compiler{spec: spec, host: someHost, cgroup: cgroups.Load(onV1)}).compile()
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func ptr[T any](v T) *T { return &v }

// minimal is a config with every namespace but the user's.
func minimal() *specs.Spec {
	s := &specs.Spec{Version: specs.Version, Root: &specs.Root{Path: "rootfs"}, Process: &specs.Process{Cwd: "/", Args: []string{"true"}, Env: []string{"PATH=/bin"}},
		Linux: &specs.Linux{}}
	for _, n := range []specs.LinuxNamespaceType{specs.PIDNamespace, specs.NetworkNamespace, specs.MountNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.CgroupNamespace} {
		s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: n})
	}
	return s
}

func changed(change func(*specs.Spec)) *specs.Spec {
	s := minimal()
	// A bound /dev: what is in it is rootfs's to test.
	s.Mounts = []specs.Mount{{Destination: "/dev", Type: "bind", Source: "/dev", Options: []string{"rbind"}}}
	change(s)
	return s
}

func withUserNS(s *specs.Spec) {
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
	s.Linux.GIDMappings = s.Linux.UIDMappings
}

// smallConfigs are configs that each ask for one thing, by the name of their golden file.
func smallConfigs() map[string]input {
	caps := func(names ...string) *specs.LinuxCapabilities {
		return &specs.LinuxCapabilities{Bounding: names, Effective: names, Permitted: names}
	}
	allow := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"ptrace"}, Action: specs.ActErrno}}}
	hook := func(path string) []specs.Hook {
		return []specs.Hook{{Path: path, Args: []string{path, "arg"}, Env: []string{"A=1"}, Timeout: ptr(7)}, {Path: path, Env: []string{}}}
	}
	small := map[string]*specs.Spec{
		"nothing": changed(func(*specs.Spec) {}),
		"user": changed(func(s *specs.Spec) {
			s.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 70000}, Umask: ptr(uint32(0o077))}
			s.Process.Cwd = "/home/user"
			s.Process.Env = []string{"PATH=/bin:/usr/bin", "HOME=/home/user"}
		}),
		"group-only": changed(func(s *specs.Spec) { s.Process.User = specs.User{GID: 1001} }),
		"capabilities": changed(func(s *specs.Spec) {
			s.Process.User.UID = 1000
			s.Process.Capabilities = caps("CAP_KILL", "CAP_AUDIT_READ", "CAP_SYSLOG", "CAP_NOT_KNOWN")
			s.Process.Capabilities.Inheritable = []string{"CAP_KILL"}
			s.Process.Capabilities.Ambient = []string{"CAP_KILL", "CAP_SYSLOG"}
		}),
		"seccomp": changed(func(s *specs.Spec) {
			s.Process.NoNewPrivileges, s.Linux.Seccomp = true, allow
			s.Process.Capabilities = caps("CAP_KILL")
		}),
		"seccomp-with-new-privileges": changed(func(s *specs.Spec) {
			s.Process.User.UID, s.Linux.Seccomp = 1000, allow
			s.Process.Capabilities = caps("CAP_KILL")
		}),
		"limits": changed(func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 3, Hard: 1 << 40}, {Type: "RLIMIT_CORE"}, {Type: "RLIMIT_AS", Soft: ^uint64(0), Hard: ^uint64(0)}}
			s.Process.OOMScoreAdj = ptr(100)
		}),
		"scheduling": changed(func(s *specs.Spec) {
			s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedDeadline, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagReclaim}, Runtime: 1000, Deadline: 2000, Period: 3000}
			s.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 5}
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave, Nodes: "0-3,64", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}
			s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
		}),
		"names": changed(func(s *specs.Spec) {
			s.Hostname, s.Domainname = "web1", "example.org"
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "0", "net.ipv4.conf.eth0/1.forwarding": "1"}
		}),
		"hooks": changed(func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{Prestart: hook("/p"), CreateRuntime: hook("/cr"), CreateContainer: hook("/cc"), StartContainer: hook("/sc"), Poststart: hook("/ps"), Poststop: hook("/pp")}
			s.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
			s.Linux.MaskedPaths = []string{"/proc/kcore"}
		}),
		"terminal": changed(func(s *specs.Spec) { s.Process.Terminal, s.Process.User.UID = true, 1000 }),
		"user-namespace": changed(func(s *specs.Spec) {
			withUserNS(s)
			s.Hostname = "late"
			s.Process.User.UID = 1000
		}),
		"time-namespace": changed(func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 5}, "monotonic": {Secs: -5}}
		}),
		"time-namespace-of-a-user": changed(func(s *specs.Spec) {
			withUserNS(s)
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		}),
		"joined": changed(func(s *specs.Spec) {
			s.Hostname = "joined"
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace, Path: "/ns/user"}, {Type: specs.NetworkNamespace, Path: "/ns/net"},
				{Type: specs.UTSNamespace, Path: "/ns/uts"}, {Type: specs.MountNamespace}, {Type: specs.PIDNamespace}}
		}),
		"no-namespaces": {Version: specs.Version, Process: &specs.Process{Cwd: "/", Args: []string{"true"}}, Linux: &specs.Linux{}},
		"no-process":    changed(func(s *specs.Spec) { s.Process = nil }),
	}
	all := map[string]input{}
	for name, spec := range small {
		all["small/"+name] = input{spec: spec, cgroup: onV1, parked: true}
	}
	all["small/cgroup-v2"] = input{spec: changed(func(*specs.Spec) {}), cgroup: onV2, parked: true}
	all["small/cgroup-hybrid-joined-user"] = input{spec: small["joined"], cgroup: onHybrid, parked: true}
	all["small/run"] = input{spec: changed(func(*specs.Spec) {}), cgroup: onV1, opts: CreateOptions{NoNewKeyring: true}}
	all["small/rootless"] = input{spec: small["user-namespace"], cgroup: onV2, opts: CreateOptions{Rootless: true}, parked: true}
	score := changed(func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(300) })
	all["small/rootless-oom-score"] = input{spec: score, cgroup: onV2, opts: CreateOptions{Rootless: true}, parked: true}
	return all
}

// A config whose file the host would decide about is no golden file: none of ours may ask for a label.
func TestInputsAskNothingOfTheHost(t *testing.T) {
	for name, in := range inputs(t) {
		if p := in.spec.Process; p != nil && (p.ApparmorProfile != "" || p.SelinuxLabel != "") {
			t.Errorf("%s has a label", name)
		}
	}
	if _, err := os.Stat("testdata/configs/docker-default.golden"); err != nil {
		t.Error(err)
	}
}
