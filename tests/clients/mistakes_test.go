package clients

import (
	"slices"
	"strings"
	"testing"

	"rt/tests/rttest"
)

// A mistake is a `run` or `exec` that goes wrong in the runtime. Docker makes its exit status, and advice, of words in
// the runtime's error, so both runtimes have to end with the same status for the same reason.
type mistake struct {
	name    string
	flags   []string
	program string
	reason  string
}

// mistakes are made with run and with exec.
var mistakes = []mistake{
	{"no such program", nil, "/no/such", "no such file or directory"},
	{"not in $PATH", nil, "nosuch", "executable file not found in $PATH"},
	{"a directory", nil, "/etc", "is a directory"},
	{"not executable", nil, "/etc/passwd", "permission denied"},
	{"a link to nowhere", nil, "/dangling", "no such file or directory"},
	{"below a file", nil, "/etc/passwd/x", "not a directory"},
}

// runMistakes are flags of run.
var runMistakes = []mistake{
	{"unknown sysctl", []string{"--sysctl", "net.ipv4.nosuch=1"}, "true", "no such file or directory"},
	{"bad value of a sysctl", []string{"--sysctl", "net.ipv4.ip_forward=x"}, "true", "invalid argument"},
	{"a limit above the hard one", []string{"--ulimit", "nofile=1073741817:1073741817"}, "true", "operation not permitted"},
	{"a file on a directory", []string{"-v", "/etc/passwd:/etc"}, "true", "not a directory"},
	{"a directory on a file", []string{"-v", "/etc:/etc/passwd"}, "true", "not a directory"},
}

// kernelMistakes are found by the kernel only when the program is to start. runc has let go by then, and its container
// ends with 255; rt's start fails.
var kernelMistakes = []mistake{
	{"no such interpreter", nil, "/script", "no such file or directory"},
	{"not a program", nil, "/text", "exec format error"},
}

const mistakenImage = "FROM " + imageName + `
RUN printf '#!/no/such\n' >/script && echo text >/text && chmod 755 /script /text && ln -s /nowhere /dangling
`

func TestDockerMistakes(t *testing.T) {
	eachDocker(t, func(t *testing.T, daemon *dockerDaemon) {
		if peer() == "" {
			rttest.Need(t, rttest.Command("runc"))
		}
		d := daemon.start(t)
		d.run("build", "-t", "localhost/mistaken", buildContext(t, mistakenImage)).OK()
		for _, m := range slices.Concat(mistakes, runMistakes) {
			t.Run(m.name, func(t *testing.T) { m.endsTheSame(m.both(d.in(t), runMistaken)) })
		}
		for _, m := range mistakes {
			t.Run("exec, "+m.name, func(t *testing.T) { m.endsTheSame(m.both(d.in(t), execMistaken)) })
		}
		for _, m := range kernelMistakes {
			t.Run(m.name, func(t *testing.T) { m.both(d.in(t), runMistaken) })
			t.Run("exec, "+m.name, func(t *testing.T) { m.both(d.in(t), execMistaken) })
		}
	})
}

// both makes the mistake with each runtime. Each has to say the reason, somewhere, and to fail.
func (m mistake) both(d engine, make func(d engine, m mistake, runtime string) *rttest.Result) (t *testing.T, rt, peer *rttest.Result) {
	rt, peer = make(d, m, "rt"), make(d, m, "peer")
	for _, res := range []*rttest.Result{rt, peer} {
		contains(d.t, res.Stdout+res.Stderr, m.reason)
		if res.Code == 0 {
			d.t.Errorf("it ended well: %s", res)
		}
	}
	return d.t, rt, peer
}

func (m mistake) endsTheSame(t *testing.T, rt, peer *rttest.Result) {
	if rt.Code != peer.Code {
		t.Errorf("exit status %d, with runc %d: %s%s", rt.Code, peer.Code, rt, peer)
	}
	const advice = "Are you trying to mount a directory onto a file"
	if strings.Contains(rt.Stdout+rt.Stderr, advice) != strings.Contains(peer.Stdout+peer.Stderr, advice) {
		t.Errorf("advice of one only: %s%s", rt, peer)
	}
}

func runMistaken(d engine, m mistake, runtime string) *rttest.Result {
	return d.run(slices.Concat([]string{"run", "--rm", "--runtime", runtime}, m.flags, []string{"localhost/mistaken", m.program})...)
}

func execMistaken(d engine, m mistake, runtime string) *rttest.Result {
	id := strings.TrimSpace(d.run("run", "-d", "--runtime", runtime, "localhost/mistaken", "sleep", "1000").OK().Stdout)
	defer d.remove(id)
	return d.run(slices.Concat([]string{"exec"}, m.flags, []string{id, m.program})...)
}
