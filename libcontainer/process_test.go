package libcontainer

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestEnvironment(t *testing.T) {
	for name, test := range map[string]struct{ given, want []string }{
		"empty":               {nil, nil},
		"as given":            {[]string{"B=2", "A=1"}, []string{"B=2", "A=1"}},
		"the last one counts": {[]string{"A=1", "B=2", "A=3"}, []string{"A=3", "B=2"}},
		"three of a name":     {[]string{"A=1", "A=2", "A=3"}, []string{"A=3"}},
		"value with =":        {[]string{"A=b=c", "A=d=e"}, []string{"A=d=e"}},
		"empty value":         {[]string{"A="}, []string{"A="}},
		"no =":                {[]string{"A", "B=1"}, []string{"B=1"}},
		"HOME":                {[]string{"HOME=/h"}, []string{"HOME=/h"}},
		"empty HOME is asked": {[]string{"HOME=", "A=1"}, []string{"A=1"}},
		"HOME after empty":    {[]string{"HOME=", "HOME=/h"}, []string{"HOME=/h"}},
		"empty after HOME":    {[]string{"HOME=/h", "HOME="}, nil},
		"like HOME":           {[]string{"HOMEX=", "XHOME="}, []string{"HOMEX=", "XHOME="}},
		"prefix of a name":    {[]string{"AB=1", "A=2"}, []string{"AB=1", "A=2"}},
	} {
		got := (&compiler{}).environment(&specs.Process{Env: test.given})
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// The stage adds HOME exactly when the environment has none: never twice, never not.
func TestHomeOnce(t *testing.T) {
	for _, env := range [][]string{nil, {"HOME="}, {"HOME=/h"}, {"HOME=", "HOME=/h"}, {"HOME=/h", "HOME="}, {"A=1"}} {
		kept := envValue((&compiler{}).environment(&specs.Process{Env: env}), "HOME")
		if (kept != "") != hasHome(env) {
			t.Errorf("%q: HOME %q stays, and hasHome says %v", env, kept, hasHome(env))
		}
	}
}

func TestEnvValue(t *testing.T) {
	env := []string{"PATH=/a", "XPATH=/x", "PATH=/b", "PATHX=/c", "PATH"}
	for name, want := range map[string]string{"PATH": "/b", "XPATH": "/x", "NONE": "", "": ""} {
		if got := envValue(env, name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// The image's passwd may be anything; only numbers count (CVE-2016-3697: a user *named* 1000 had the uid 0).
func TestHomeOf(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, test := range map[string]struct {
		passwd string
		uid    uint32
		want   string
	}{
		"root":                    {"root:x:0:0:root:/root:/bin/sh\n", 0, "/root"},
		"no end of line":          {"root:x:0:0:root:/root:/bin/sh", 0, "/root"},
		"the first one counts":    {"a:x:7:0::/a:\nb:x:7:0::/b:\n", 7, "/a"},
		"a name that is a number": {"1000:x:0:0::/evil:\nu:x:1000:0::/good:\n", 1000, "/good"},
		"only such a name":        {"1000:x:0:0::/evil:\n", 1000, ""},
		"uid with a zero":         {"u:x:01000:0::/h:\n", 1000, ""},
		"uid with a sign":         {"u:x:+1000:0::/h:\n", 1000, ""},
		"uid that wraps":          {"u:x:4294968296:0::/h:\n", 1000, ""},
		"the largest uid":         {"u:x:4294967294:0::/h:\n", 4294967294, "/h"},
		"nobody":                  {"root:x:0:0::/root:\n", 5, ""},
		"empty":                   {"", 0, ""},
		"five fields":             {"root:x:0:0:/root\nr:x:0:0::/second:\n", 0, "/second"},
		"six fields":              {"root:x:0:0::/root", 0, "/root"},
		"empty fields":            {"::0:::/h:\n", 0, "/h"},
		"a relative home":         {"root:x:0:0::root:\n", 0, ""},
		"an empty home":           {"root:x:0:0:::\n", 0, ""},
		"carriage returns":        {"root:x:0:0::/root:/bin/sh\r\n", 0, "/root"},
		"a very long line":        {"root:x:0:0:" + long + ":/root:\n", 0, "/root"},
		"a very long home":        {"root:x:0:0::/" + long + ":\nr:x:0:0::/short:\n", 0, "/short"},
		"not text":                {"\x00\xff\x00:::\nroot:x:0:0::/root:\n", 0, "/root"},
		"no line at all":          {long, 0, ""},
	} {
		if got := homeOf([]byte(test.passwd), test.uid); got != test.want {
			t.Errorf("%s: %.40q, want %q", name, got, test.want)
		}
	}
}

func TestHookEnvironment(t *testing.T) {
	inherited := []string{"I=1"}
	for _, test := range []struct{ given, want []string }{
		{nil, inherited}, {[]string{}, []string{}}, {[]string{"A=1"}, []string{"A=1"}},
	} {
		if got := hookEnv(specs.Hook{Env: test.given}, inherited); !cmp.Equal(got, test.want) {
			t.Errorf("env %#v: %#v, want %#v", test.given, got, test.want)
		}
	}
}

func TestSortNamespaces(t *testing.T) {
	spec := &specs.Spec{Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{
		{Type: specs.UserNamespace, Path: "/u"}, {Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace, Path: "/n"},
		{Type: specs.MountNamespace}, {Type: specs.TimeNamespace, Path: "/t"},
	}}}
	n := sortNamespaces(spec)
	if want := namespaceFlag("pid") | namespaceFlag("mount"); n.create != want {
		t.Errorf("to create: %#x, want %#x", n.create, want)
	}
	want := []joinedNamespace{{2, namespaceFlag("network"), "network", "/n"}, {4, namespaceFlag("time"), "time", "/t"}, {0, namespaceFlag("user"), "user", "/u"}}
	if diff := cmp.Diff(want, n.join, cmp.AllowUnexported(joinedNamespace{})); diff != "" {
		t.Error(diff)
	}
	for name, is := range map[string][2]bool{"pid": {true, false}, "network": {true, true}, "user": {true, true}, "uts": {false, false}} {
		if flag := namespaceFlag(name); n.has(flag) != is[0] || n.joins(flag) != is[1] {
			t.Errorf("%s: has %v, joins %v", name, n.has(flag), n.joins(flag))
		}
	}
	if none := sortNamespaces(&specs.Spec{}); none.create != 0 || len(none.join) > 0 {
		t.Errorf("of no config: %+v", none)
	}
}

func TestNamespaceFlagsDiffer(t *testing.T) {
	seen := uint64(0)
	for _, name := range []string{"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"} {
		flag := namespaceFlag(name)
		if flag == 0 || flag&(flag-1) != 0 || seen&flag != 0 {
			t.Errorf("%s is %#x", name, flag)
		}
		seen |= flag
	}
	if namespaceFlag("net") != 0 {
		t.Error("net is no type of the specification")
	}
}

func TestRootPath(t *testing.T) {
	for root, want := range map[string]string{"rootfs": "/b/rootfs", "../r": "/r", "/abs/../x/": "/x", "": "/b"} {
		if got := rootPath(&specs.Spec{Root: &specs.Root{Path: root}}, "/b"); got != want {
			t.Errorf("%q is %q, want %q", root, got, want)
		}
	}
	if got := rootPath(&specs.Spec{}, "/b"); got != "/b/rootfs" {
		t.Errorf("without root: %q", got)
	}
}
