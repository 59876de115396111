package nsenter

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// startGuessing starts a stage that guesses its namespaces before it has a plan.
func startGuessing(t *testing.T, hint ...string) *running {
	t.Helper()
	r := &running{t: t, ended: make(chan struct{}), cmd: &exec.Cmd{Path: sanitizedStage(t), Env: sanitizerEnv}, hint: hint}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.err
	r.start(nil)
	return r
}

// Whatever the stage has guessed, it ends up in new namespaces of those types that the plan says and no others.
func TestUnshareCorrectsTheGuess(t *testing.T) {
	types := map[string]uint64{"mnt": unix.CLONE_NEWNS, "net": unix.CLONE_NEWNET, "ipc": unix.CLONE_NEWIPC, "uts": unix.CLONE_NEWUTS, "user": unix.CLONE_NEWUSER, "cgroup": unix.CLONE_NEWCGROUP}
	wants := []uint64{0}
	if os.Geteuid() == 0 { // others guess wrong, and may not make any
		wants = append(wants, unix.CLONE_NEWUTS, unix.CLONE_NEWNS|unix.CLONE_NEWIPC, unix.CLONE_NEWNS|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS,
			unix.CLONE_NEWUTS|unix.CLONE_NEWCGROUP)
	}
	for _, hint := range [][]string{nil, {"guess"}} {
		for _, want := range wants {
			r := startGuessing(t, hint...)
			r.send(Simple(OpUnshare, "", "", []uint64{want}), Syscall("", "", unix.SYS_PRCTL, Num(unix.PR_SET_DUMPABLE), Num(1)), Ask("", "", AskNothing))
			r.hear(MsgAsk)
			for name, flag := range types {
				theirs, err1 := os.Readlink("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/ns/" + name)
				ours, err2 := os.Readlink("/proc/self/ns/" + name)
				if err1 != nil || err2 != nil || (theirs != ours) != (want&flag != 0) {
					t.Errorf("%v, to unshare %#x: %s is %s, the test's %s (%v, %v)", hint, want, name, theirs, ours, err1, err2)
				}
			}
			fds, err := os.ReadDir("/proc/" + strconv.Itoa(r.cmd.Process.Pid) + "/fd")
			if err != nil || len(fds) > 4 {
				t.Errorf("%v, to unshare %#x: %d fds are open, %v", hint, want, len(fds), err)
			}
			r.Close()
			r.status()
		}
	}
}

// A stage that is started before main ends with the command that has no use for it.
func TestEarlyStageEndsWithItsCommand(t *testing.T) {
	for _, verb := range []string{"create", "run", "exec"} {
		cmd := exec.Command(sanitizedStage(t), "--some", "flag", verb, "id")
		cmd.Env = sanitizerEnv
		out, _ := cmd.CombinedOutput() // ends when nobody has the pipe any more: the stage has it, too
		if code := cmd.ProcessState.ExitCode(); code != 7 || !strings.Contains(string(out), "arg="+verb+"\n") || strings.Contains(string(out), "ERROR") {
			t.Errorf("%s: exit status %d\n%s", verb, code, out)
		}
	}
}
