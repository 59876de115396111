package libcontainer

import (
	"slices"
	"testing"
)

func TestUnescapeMount(t *testing.T) {
	for in, want := range map[string]string{
		"/proc": "/proc", `/a\040b`: "/a b", `/t\011n\012`: "/t\tn\n", `/back\134slash`: `/back\slash`, `/\134040`: `/\040`, `/\999`: `/\999`, `\`: `\`,
	} {
		if got := unescapeMount(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func TestTopmost(t *testing.T) {
	for _, test := range []struct{ dirs, want []string }{
		{nil, nil},
		{[]string{"/proc"}, []string{"/proc"}},
		{[]string{"/a/proc", "/proc", "/a"}, []string{"/proc", "/a"}},
		{[]string{"/proc", "/process"}, []string{"/proc", "/process"}},
		{[]string{"/proc/sys/fs", "/proc/sys", "/proc"}, []string{"/proc"}},
		{[]string{"/x", "/"}, []string{"/"}},
	} {
		if got := topmost(test.dirs); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.dirs, got, test.want)
		}
	}
}

// This machine has a /proc, and whatever mounts are on it go with it.
func TestProcfsMounts(t *testing.T) {
	dirs, err := procfsMounts()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(dirs, "/proc") {
		t.Errorf("%q", dirs)
	}
	for _, d := range dirs {
		if len(d) > len("/proc/") && d[:6] == "/proc/" {
			t.Errorf("%s is below /proc and listed", d)
		}
	}
}
