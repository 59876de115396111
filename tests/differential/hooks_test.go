package differential

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// hookScript writes what a hook of a kind ($1) sees into a directory ($2). Its own descriptors are 0 to 2 and ls's.
const hookScript = `exec >"$2/$1" 2>&1
echo "== state"; cat; echo
echo "== env"; env | grep -v '^_=\|^SHLVL=\|^PWD=\|^OLDPWD=' | sort
echo "== cwd"; pwd
echo "== fds"; ls /proc/self/fd
echo "== namespaces"; for n in mnt pid net ipc uts; do readlink /proc/self/ns/$n; done
echo "== root"; ls /
echo "== ids"; id -u; id -g; grep -E '^(Cap|NoNewPrivs|SigBlk|Umask)' /proc/self/status
echo "== end"`

var hookKinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

// What hooks see: the state on stdin, the environment, the namespaces they are in.
func TestHooks(t *testing.T) {
	b := bench{runtimes: runtimes(t), table: &explainedOfHooks}
	rttest.PeersCgroups(t)
	rttest.MakeCgroupParents(t)
	t.Run("env", func(t *testing.T) {
		for name, env := range map[string][]string{"unset": nil, "set": {"PATH=/usr/bin:/bin", "A=b"}} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b.compareWith(t, func(c *trial) {
					c.hooks(env)
					c.Spec.Annotations = map[string]string{"an": "notation"}
					c.finish()
				}, (*trial).hooksSeen)
			})
		}
	})
	b.sum(t, -1)
}

// hooks adds one of each kind.
func (c *trial) hooks(env []string) {
	out := filepath.Join(filepath.Dir(c.Dir), "hooks")
	for _, dir := range []string{out, c.InRootfs("hooks")} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			c.t.Fatal(err)
		}
	}
	hook := func(kind, dir string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", hookScript, "sh", kind, dir}, Env: env}}
	}
	c.Spec.Hooks = &specs.Hooks{Prestart: hook("prestart", out), CreateRuntime: hook("createRuntime", out), CreateContainer: hook("createContainer", out),
		StartContainer: hook("startContainer", "/hooks"), Poststart: hook("poststart", out), Poststop: hook("poststop", out)}
}

// hooksSeen is what all of them wrote, after the end of the container.
func (c *trial) hooksSeen() seen {
	s := seen{}
	for _, kind := range hookKinds {
		file := filepath.Join(filepath.Dir(c.Dir), "hooks", kind)
		if kind == "startContainer" {
			file = c.InRootfs("hooks", kind)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			s[kind] = err.Error()
			continue
		}
		for section, text := range rttest.Sections(string(data)) {
			s[kind+" "+section] = c.neutral(strings.TrimSpace(text))
		}
		c.hookState(s, kind)
		s[kind+" namespaces"] = c.hostNamespaces(s[kind+" namespaces"])
	}
	return s
}

// hookState takes the state apart.
func (c *trial) hookState(s seen, kind string) {
	var state map[string]any
	if err := json.Unmarshal([]byte(s[kind+" state"]), &state); err != nil {
		s[kind+" state"] = fmt.Sprintf("%v: %s", err, s[kind+" state"])
		return
	}
	delete(s, kind+" state")
	for key, value := range state {
		if pid, ok := value.(float64); ok && pid > 1 {
			value = "a process"
		}
		s[kind+" state "+key] = fmt.Sprint(value)
	}
}

// hostNamespaces says which of the namespaces are the test's.
func (c *trial) hostNamespaces(links string) string {
	var words []string
	for link := range strings.FieldsSeq(links) {
		kind, _, _ := strings.Cut(link, ":")
		whose := "container's"
		if link == rttest.NsInode(c.t, "self", kind) {
			whose = "host's"
		}
		words = append(words, kind+" "+whose)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

var explainedOfHooks = append([]explanation{
	{`\w+ state ociVersion`, always, "the state's ociVersion is the config's"},
	{`prestart state status`, func(d difference) bool { return d.rt == "created" }, "to prestart hooks the container is created, as the OCI's suite wants it"},
	{`poststart state status`, func(d difference) bool { return d.rt == "running" }, "poststart hooks run when the process does, and are told so"},
	{`createContainer fds`, func(d difference) bool { return d.rt == "0\n1\n2\n3" }, "no descriptor of the runtime's is left to hooks"},
	{`createContainer env`, func(d difference) bool { return strings.Contains(d.rt, "PATH=") && d.runc == "" },
		"createContainer hooks without env inherit the runtime's environment like the others"},
	{`poststop cwd`, func(d difference) bool { return d.rt == "BUNDLE" }, "all hooks of the runtime start in the bundle"},
}, explained...)
