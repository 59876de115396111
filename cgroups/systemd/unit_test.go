package systemd

import (
	"strings"
	"testing"
)

func TestUnitOf(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		path, id string
		user     bool
		want     Unit
		cgroup   string
	}{
		{"", "web", false, Unit{"rt-web.scope", "system.slice"}, "/system.slice/rt-web.scope"},
		{"", "web", true, Unit{"rt-web.scope", "user.slice"}, "/user.slice/rt-web.scope"},
		{"", "a+b", false, Unit{`rt-a\x2bb.scope`, "system.slice"}, `/system.slice/rt-a\x2bb.scope`},
		{"::", "web", false, Unit{"web.scope", "system.slice"}, "/system.slice/web.scope"},
		{"machine.slice:libpod:1", "web", false, Unit{"libpod-1.scope", "machine.slice"}, "/machine.slice/libpod-1.scope"},
		{"user.slice:libpod:1", "web", true, Unit{"libpod-1.scope", "user.slice"}, "/user.slice/libpod-1.scope"},
		{"-.slice:a:b", "web", false, Unit{"a-b.scope", "-.slice"}, "/a-b.scope"},
		{"a-b-c.slice::n", "web", false, Unit{"n.scope", "a-b-c.slice"}, "/a.slice/a-b.slice/a-b-c.slice/n.scope"},
		{"x.slice:cri:p-q.slice", "web", false, Unit{"p-q.slice", "x.slice"}, "/p.slice/p-q.slice"},
	} {
		got, err := UnitOf(test.path, test.id, test.user)
		if err != nil || got != test.want {
			t.Errorf("%q: %+v, %v, want %+v", test.path, got, err, test.want)
		}
		if path, err := got.Path(); err != nil || path != test.cgroup {
			t.Errorf("%q: cgroup %q, %v, want %q", test.path, path, err, test.cgroup)
		}
	}
}

func TestUnitOfRefuses(t *testing.T) {
	t.Parallel()
	for path, word := range map[string]string{
		"/system.slice/web":                    "slice:prefix:name",
		"a:b":                                  "slice:prefix:name",
		"a:b:c:d":                              "slice:prefix:name",
		"system:a:b":                           "does not end in .slice",
		"a--b.slice:a:b":                       "dash",
		"-a.slice:a:b":                         "dash",
		"a-.slice:a:b":                         "dash",
		".slice:a:b":                           "dash",
		"a/b.slice:a:b":                        `'/'`,
		"../b.slice:a:b":                       `'/'`,
		"a@b.slice:a:b":                        `'@'`,
		"a.slice:b:c--d.slice":                 "dash",
		"a.slice::" + strings.Repeat("x", 256): "longer than 255",
	} {
		if u, err := UnitOf(path, "id", false); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: %+v, %v, want %q", path, u, err, word)
		}
	}
}

func FuzzSlicePath(f *testing.F) {
	for _, s := range []string{"a.slice", "-.slice", "a-b-c.slice", "a--b.slice", ".slice"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, slice string) {
		path, err := SlicePath(slice)
		if err != nil || slice == "-.slice" {
			return
		}
		if !strings.HasSuffix(path, "/"+slice) || strings.Contains(path, "//") || strings.Contains(path, "/.") ||
			strings.Count(path, "/") != 1+strings.Count(slice, "-") {
			t.Errorf("%q: %q", slice, path)
		}
	})
}
