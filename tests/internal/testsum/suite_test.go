package main

import (
	"slices"
	"strings"
	"testing"
)

// feed gives a suite these lines of `go test -json`.
func feed(t *testing.T, lines ...string) (*suite, *strings.Builder) {
	t.Helper()
	out := new(strings.Builder)
	s := newSuite(out)
	s.read(strings.NewReader(strings.Join(lines, "\n")))
	return s, out
}

func TestCountsLeavesOnly(t *testing.T) {
	s, _ := feed(t,
		`{"Action":"run","Package":"p","Test":"A"}`,
		`{"Action":"run","Package":"p","Test":"A/x"}`,
		`{"Action":"pass","Package":"p","Test":"A/x"}`,
		`{"Action":"run","Package":"p","Test":"A/y"}`,
		`{"Action":"skip","Package":"p","Test":"A/y"}`,
		`{"Action":"pass","Package":"p","Test":"A"}`,
		`{"Action":"pass","Package":"p","Test":"B"}`,
		`{"Action":"pass","Package":"p"}`)
	if want := (count{passed: 2, skipped: 1}); s.sum != want {
		t.Errorf("got %+v, want %+v", s.sum, want)
	}
	if !s.close() {
		t.Error("a suite without failures fails")
	}
}

func TestSlashInAName(t *testing.T) {
	s, _ := feed(t,
		`{"Action":"run","Package":"p","Test":"A"}`,
		`{"Action":"run","Package":"p","Test":"A//etc/x"}`,
		`{"Action":"pass","Package":"p","Test":"A//etc/x"}`,
		`{"Action":"pass","Package":"p","Test":"A"}`,
		`{"Action":"pass","Package":"p"}`)
	if want := (count{passed: 1}); s.sum != want {
		t.Errorf("got %+v, want %+v", s.sum, want)
	}
}

func TestFailures(t *testing.T) {
	for name, c := range map[string]struct {
		events []string
		failed []string
		shows  string
	}{
		"the subtest, not its parent": {[]string{
			`{"Action":"run","Package":"p","Test":"A"}`,
			`{"Action":"output","Package":"p","Test":"A/x","Output":"    a_test.go:1: seven\n"}`,
			`{"Action":"fail","Package":"p","Test":"A/x"}`,
			`{"Action":"fail","Package":"p","Test":"A"}`,
			`{"Action":"fail","Package":"p"}`,
		}, []string{"p A/x"}, "a_test.go:1: seven"},
		"a parent that fails by itself": {[]string{
			`{"Action":"run","Package":"p","Test":"A"}`,
			`{"Action":"pass","Package":"p","Test":"A/x"}`,
			`{"Action":"fail","Package":"p","Test":"A"}`,
			`{"Action":"fail","Package":"p"}`,
		}, []string{"p A"}, "FAIL"},
		"a test that never ends": {[]string{
			`{"Action":"run","Package":"p","Test":"A"}`,
			`{"Action":"output","Package":"p","Test":"A","Output":"panic: eight\n"}`,
			`{"Action":"fail","Package":"p"}`,
		}, []string{"p A"}, "panic: eight"},
		"TestMain": {[]string{
			`{"Action":"pass","Package":"p","Test":"A"}`,
			`{"Action":"output","Package":"p","Output":"leaked a mount\n"}`,
			`{"Action":"fail","Package":"p"}`,
		}, []string{"p"}, "leaked a mount"},
		"the compiler": {[]string{
			`{"ImportPath":"p [p.test]","Action":"build-output","Output":"p.go:1: syntax error\n"}`,
			`{"Action":"fail","Package":"p","FailedBuild":"p [p.test]"}`,
		}, []string{"p"}, "p.go:1: syntax error"},
		"go test was killed": {[]string{
			`{"Action":"run","Package":"p","Test":"A"}`,
		}, []string{"p A"}, "never ended"},
	} {
		t.Run(name, func(t *testing.T) {
			s, out := feed(t, c.events...)
			if !slices.Equal(s.failures, c.failed) {
				t.Errorf("failures %q, want %q", s.failures, c.failed)
			}
			if !strings.Contains(out.String(), c.shows) {
				t.Errorf("output lacks %q:\n%s", c.shows, out)
			}
			if s.close() {
				t.Error("the suite succeeds")
			}
		})
	}
}

func TestSkipSaysWhy(t *testing.T) {
	s, _ := feed(t,
		`{"Action":"output","Package":"p","Test":"A","Output":"=== RUN   A\n"}`,
		`{"Action":"output","Package":"p","Test":"A","Output":"    a_test.go:9: needs root\n"}`,
		`{"Action":"output","Package":"p","Test":"A","Output":"--- SKIP: A (0.00s)\n"}`,
		`{"Action":"skip","Package":"p","Test":"A"}`,
		`{"Action":"pass","Package":"p"}`)
	if want := []string{"p A: a_test.go:9: needs root"}; !slices.Equal(s.skips, want) {
		t.Errorf("got %q, want %q", s.skips, want)
	}
}

func TestLastLineIsTheCount(t *testing.T) {
	s, out := feed(t, `{"Action":"pass","Package":"p","Test":"A"}`, `{"Action":"pass","Package":"p"}`)
	s.close()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got, want := lines[len(lines)-1], "1 passed, 0 failed, 0 skipped"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestNothingRanIsAFailure(t *testing.T) {
	if s, _ := feed(t, `{"Action":"skip","Package":"p"}`); s.close() {
		t.Error("a suite without tests succeeds")
	}
	for _, argv := range [][]string{{"true"}, {"false"}, {"/does/not/exist"}} {
		s := newSuite(new(strings.Builder))
		run(s, argv)
		if s.sum.failed != 1 {
			t.Errorf("%q: %+v, want one failure", argv, s.sum)
		}
	}
}

func TestCommands(t *testing.T) {
	got := commands([]string{"a", "b", "--", "c", "--"})
	if len(got) != 2 || !slices.Equal(got[0], []string{"a", "b"}) || !slices.Equal(got[1], []string{"c"}) {
		t.Errorf("got %q", got)
	}
}
