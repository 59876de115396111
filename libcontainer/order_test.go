package libcontainer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/nsenter"
	"rt/specconv"
)

// steps is a plan, searched.
type steps struct {
	t    *testing.T
	name string
	all  []nsenter.Step
}

type is func(s nsenter.Step) bool

func op(ops ...nsenter.Op) is {
	return func(s nsenter.Step) bool {
		for _, o := range ops {
			if s.Op == o {
				return true
			}
		}
		return false
	}
}

// call is a system call, whose first arguments are these.
func call(nr uint64, args ...uint64) is {
	return func(s nsenter.Step) bool {
		if s.Op != nsenter.OpSyscall || s.Num[0] != nr || len(s.Num) < 2+len(args) {
			return false
		}
		for i, a := range args {
			if s.Num[2+i] != a {
				return false
			}
		}
		return true
	}
}

func from(prefix string, what is) is {
	return func(s nsenter.Step) bool { return strings.HasPrefix(s.From, prefix) && what(s) }
}

func anything(nsenter.Step) bool { return true }

func either(one, other is) is {
	return func(s nsenter.Step) bool { return one(s) || other(s) }
}

// at lists where steps of a kind are.
func (s *steps) at(what is) []int {
	var all []int
	for i, step := range s.all {
		if what(step) {
			all = append(all, i)
		}
	}
	return all
}

// before: every step of the one kind comes before every one of the other.
func (s *steps) before(why string, first, second is) {
	s.t.Helper()
	for _, a := range s.at(first) {
		for _, b := range s.at(second) {
			if a >= b {
				s.t.Errorf("%s: %s: step %d (%s) must come before step %d (%s)", s.name, why, a, s.all[a].What, b, s.all[b].What)
			}
		}
	}
}

func (s *steps) count(why string, what is, least, most int) {
	s.t.Helper()
	if n := len(s.at(what)); n < least || n > most {
		s.t.Errorf("%s: %s: %d steps", s.name, why, n)
	}
}

// The kinds of steps that the rules are about.
var (
	setgroups  = from("process.user", call(unix.SYS_SETGROUPS))
	setgid     = from("process.user", call(unix.SYS_SETRESGID))
	setuid     = from("process.user", call(unix.SYS_SETRESUID))
	changeID   = either(call(unix.SYS_SETRESUID), call(unix.SYS_SETRESGID))
	capset3    = call(unix.SYS_CAPSET)
	noNewPrivs = call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1)
	keepCaps   = call(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1)
	undumpable = call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	rlimit     = call(unix.SYS_PRLIMIT64)
	seccompOp  = op(nsenter.OpSeccomp)
	wait       = op(nsenter.OpWait)
	execve     = op(nsenter.OpExec)
	pivot      = op(nsenter.OpPivot)
	clone      = op(nsenter.OpClone)
	sysctl     = from("linux.sysctl.", op(nsenter.OpProcWrite))
	asRoot     = func(s nsenter.Step) bool { return s.Op == nsenter.OpChdir && s.Num[0] == 1 }
	asUser     = func(s nsenter.Step) bool { return s.Op == nsenter.OpChdir && s.Num[0] == 0 }
	build      = func(s nsenter.Step) bool { // what needs the host's side, or the root's own path
		attached := s.Op == nsenter.OpMount && s.Num[2] == 0
		return attached || op(nsenter.OpTree, nsenter.OpMknod, nsenter.OpSymlink, nsenter.OpMkdir, nsenter.OpRoot)(s)
	}
	mask       = op(nsenter.OpMask, nsenter.OpReadonly)
	earlyHook  = either(from("hooks", op(nsenter.OpAsk)), from("hooks.createContainer", op(nsenter.OpHook)))
	startHook  = from("hooks.startContainer", anything)
	procfs     = func(s nsenter.Step) bool { return s.Op == nsenter.OpMount && s.Num[2] == uint64(nsenter.SlotProc)+1 }
	maskSource = func(s nsenter.Step) bool {
		return s.Op == nsenter.OpMount && s.Num[2] == uint64(nsenter.SlotEmpty)+1 || s.Op == nsenter.OpSlot && s.Num[0] == uint64(nsenter.SlotNull)
	}
	takes     = func(s nsenter.Step) bool { return s.Feed.Kind != nsenter.NoSource }
	userNS    = func(s nsenter.Step) bool { return s.Op == nsenter.OpSetns && s.Num[0] == unix.CLONE_NEWUSER }
	mountRoot = func(s nsenter.Step) bool { return s.Op == nsenter.OpRoot && s.Num[0] == 1 }
	otherNS   = func(s nsenter.Step) bool {
		return s.Op == nsenter.OpSetns && s.Num[0] != unix.CLONE_NEWUSER && len(s.Text) == 0
	}
	joins    = func(s nsenter.Step) bool { return userNS(s) || otherNS(s) }
	asksMaps = func(s nsenter.Step) bool {
		return s.Op == nsenter.OpAsk && nsenter.Question(s.Num[0]) == nsenter.AskUserMap
	}
	ownTime = func(s nsenter.Step) bool { return s.Op == nsenter.OpSetns && len(s.Text) > 0 }
)

// TestOrder holds every plan that we have against the rules of the order. A
// rule that no plan has the steps for is no rule, so that is a failure too.
func TestOrder(t *testing.T) {
	rules := map[string]func(*steps){
		"groups, gid, uid, capabilities": func(s *steps) {
			s.before("setgroups takes a capability", setgroups, setgid)
			s.before("setresgid takes a capability", setgid, setuid)
			s.before("capabilities are cut to size last", setuid, capset3)
		},
		"bounding before uid": func(s *steps) { s.before("dropping takes CAP_SETPCAP", op(nsenter.OpBounding), setuid) },
		"keepcaps before uid": func(s *steps) { s.before("else a change of uid drops all", keepCaps, setuid) },
		"ambient after permitted": func(s *steps) {
			ambient := s.at(op(nsenter.OpAmbient))
			if sets := s.at(capset3); len(ambient) != 1 || ambient[0] < sets[0] {
				s.t.Errorf("%s: ambient at %v, capset at %v", s.name, ambient, sets)
			}
		},
		"no-new-privileges before the filter": func(s *steps) { s.before("the filter may forbid prctl", noNewPrivs, seccompOp) },
		"the filter is last": func(s *steps) {
			for _, at := range s.at(seccompOp) {
				for i, step := range s.all[at+1:] {
					if !capset3(step) && !execve(step) || capset3(step) && i > 0 {
						s.t.Errorf("%s: %s follows the filter", s.name, step.What)
					}
				}
			}
		},
		"limits after the wait": func(s *steps) { s.before("a limit of 3 files must not stop the stage", wait, rlimit) },
		"cwd as the user after uid": func(s *steps) {
			s.before("root may see more", setuid, asUser)
			s.before("the user may see more", asRoot, setuid)
			s.count("once each", asRoot, 1, 1)
			s.count("once each", asUser, 1, 1)
		},
		"cwd inside the root":     func(s *steps) { s.before("it is the container's", pivot, op(nsenter.OpChdir)) },
		"program inside the root": func(s *steps) { s.before("it is the container's", pivot, op(nsenter.OpLookup)) },
		"program as the user":     func(s *steps) { s.before("with his permissions", setuid, op(nsenter.OpLookup)) },
		"pivot after mounts":      func(s *steps) { s.before("sources are on the old side", build, pivot) },
		"pivot after hooks":       func(s *steps) { s.before("they look at the root's own path", earlyHook, pivot) },
		"hooks after mounts":      func(s *steps) { s.before("they look at them", build, earlyHook) },
		"masks after pivot":       func(s *steps) { s.before("hooks see what is behind them", pivot, mask) },
		"masks have their source": func(s *steps) { s.before("prepared before", maskSource, mask) },
		"sysctl after hooks":      func(s *steps) { s.before("hooks bring network devices", earlyHook, sysctl) },
		"procfs before writing":   func(s *steps) { s.before("there is no other way", procfs, op(nsenter.OpProcWrite)) },
		"one wait":                func(s *steps) { s.count("wait", wait, 1, 1) },
		"nothing asked after wait": func(s *steps) {
			s.before("create has ended", either(takes, op(nsenter.OpAsk, nsenter.OpConsole)), wait)
		},
		"start hooks after the wait": func(s *steps) { s.before("they are start's", wait, startHook) },
		"exec is last": func(s *steps) {
			if at := s.at(execve); len(at) != 1 || at[0] != len(s.all)-1 {
				s.t.Errorf("%s: execve at %v of %d", s.name, at, len(s.all))
			}
		},
		"cgroup before its namespace": func(s *steps) {
			s.before("the namespace's root is where we are", op(nsenter.OpAttach), call(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP))
			s.before("the namespace's root is where we are", clone, call(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP))
		},
		"join before clone": func(s *steps) { s.before("a pid namespace is of children", joins, clone) },
		"an own time namespace after the clone": func(s *steps) {
			s.before("it belongs to the user namespace", clone, ownTime)
			s.before("that has ids by then", asksMaps, ownTime)
		},
		"user namespace joined last": func(s *steps) { s.before("others may belong to the host", otherNS, userNS) },
		"init before the root":       func(s *steps) { s.before("in its mount namespace", clone, mountRoot) },
		"the guess of namespaces is corrected first": func(s *steps) {
			if at := s.at(op(nsenter.OpUnshare)); len(at) != 1 || at[0] != 0 {
				s.t.Errorf("%s: unshare at %v: until then the stage may be in namespaces that nobody asked for", s.name, at)
			}
		},
		"one init":                    func(s *steps) { s.count("clone", clone, 1, 1) },
		"stdio is given away by root": func(s *steps) { s.before("chown takes a capability", op(nsenter.OpStdio), setuid) },
		"undumpable after id changes": func(s *steps) {
			for _, at := range s.at(changeID) {
				if s.all[at].Num[2] == 0 && !strings.HasPrefix(s.all[at].From, "linux.namespaces") {
					continue // no change
				}
				if !laterBeforeWait(s.all, at, undumpable) {
					s.t.Errorf("%s: step %d (%s) may make the stage dumpable until the execve", s.name, at, s.all[at].What)
				}
			}
		},
		"dumpable only while an ordinary user's id maps and oom score are written": func(s *steps) {
			for _, at := range s.at(call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 1)) {
				next := s.all[at+1]
				if next.From == "process.oomScoreAdj" && undumpable(s.all[at+2]) {
					s.before("the container could reach us", func(step nsenter.Step) bool { return step.What == next.What }, clone)
					s.before("the container could reach us", func(step nsenter.Step) bool { return step.What == next.What }, joins)
					continue
				}
				if next.Op != nsenter.OpAsk || nsenter.Question(next.Num[0]) != nsenter.AskUserMap || !laterBeforeWait(s.all, at, undumpable) {
					s.t.Errorf("%s: step %d makes the stage dumpable, and that is not for the id maps only", s.name, at)
				}
			}
		},
	}
	plans := guests(t)
	for name, in := range inputs(t) {
		plans[name] = in.compile(t)
	}
	for name, plan := range plans {
		for _, rule := range rules {
			rule(&steps{t: t, name: name, all: plan.Steps})
		}
	}
}

// guests are the plans of exec, into the namespaces of the test itself.
func guests(t *testing.T) map[string]*Plan {
	t.Helper()
	files, err := filepath.Glob("../tests/testdata/configs/*-exec-process.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("%q, %v", files, err)
	}
	all := map[string]*Plan{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		process, err := specconv.DecodeProcess(file, data)
		if err != nil {
			t.Fatal(err)
		}
		spec := &specs.Spec{Process: process, Linux: &specs.Linux{}}
		c := &compiler{spec: spec, host: someHost, plan: &Plan{spec: spec}}
		if err := errors.Join(c.compileJoin(os.Getpid(), &cgroups.Place{}), c.compileGuest()); err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = c.plan
	}
	return all
}

func laterBeforeWait(all []nsenter.Step, at int, what is) bool {
	for _, step := range all[at+1:] {
		if what(step) {
			return true
		}
		if wait(step) {
			return false
		}
	}
	return false
}

// Every kind of step that the rules speak of is in some plan, else they would hold for nothing.
func TestOrderIsAboutSomething(t *testing.T) {
	kinds := map[string]is{"setgroups": setgroups, "setgid": setgid, "setuid": setuid, "capset": capset3, "no new privs": noNewPrivs, "keepcaps": keepCaps,
		"undumpable": undumpable, "rlimit": rlimit, "seccomp": seccompOp, "wait": wait, "exec": execve, "pivot": pivot, "clone": clone, "sysctl": sysctl,
		"chdir as root": asRoot, "chdir as user": asUser, "build": build, "mask": mask, "early hook": earlyHook, "start hook": startHook, "procfs": procfs,
		"mask source": maskSource, "feed": takes, "user namespace": userNS, "other namespace": otherNS, "own time namespace": ownTime, "attach": op(nsenter.OpAttach), "stdio": op(nsenter.OpStdio),
		"unshare cgroup": call(unix.SYS_UNSHARE, unix.CLONE_NEWCGROUP), "ambient": op(nsenter.OpAmbient), "console": op(nsenter.OpConsole)}
	seen := map[string]bool{}
	for _, in := range inputs(t) {
		for _, step := range in.compile(t).Steps {
			for name, kind := range kinds {
				seen[name] = seen[name] || kind(step)
			}
		}
	}
	for name := range kinds {
		if !seen[name] {
			t.Errorf("no plan has a step of kind %q", name)
		}
	}
}
