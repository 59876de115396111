package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// event is one line of `go test -json`; see `go doc test2json`.
type event struct {
	Action, Package, Test, Output string
	ImportPath, FailedBuild       string // of build-output and of a package that did not build
	Elapsed                       float64
}

// suite collects what all commands said.
type suite struct {
	out      io.Writer
	packages map[string]*pkg   // those whose tests run now
	build    map[string]string // compiler messages by import path
	sum      count
	skips    []string
	failures []string
}

type count struct{ passed, failed, skipped int }

type pkg struct {
	tests map[string]*test
	order []*test
	text  strings.Builder // what was printed outside any test
}

type test struct {
	name, action string // action is empty until the test ends
	text         strings.Builder
	elapsed      float64
	parent       *test
	children     int
	failedBelow  bool
}

func newSuite(out io.Writer) *suite {
	return &suite{out: out, packages: map[string]*pkg{}, build: map[string]string{}}
}

// read takes events until the end of r; a line that is none is passed on.
func (s *suite) read(r io.Reader) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) == nil && e.Action != "" {
				s.add(e)
			} else {
				fmt.Fprintln(s.out, strings.TrimSuffix(line, "\n"))
			}
		}
		if err != nil {
			s.abandon()
			return
		}
	}
}

func (s *suite) add(e event) {
	switch {
	case e.Action == "build-output":
		s.build[e.ImportPath] += e.Output
	case e.Package == "":
	case e.Test != "":
		s.pkg(e.Package).test(e.Test).add(e, s.out)
	case e.Action == "output":
		s.pkg(e.Package).text.WriteString(e.Output)
	case e.Action == "pass" || e.Action == "fail" || e.Action == "skip":
		s.finish(e)
	}
}

func (s *suite) pkg(name string) *pkg {
	p := s.packages[name]
	if p == nil {
		p = &pkg{tests: map[string]*test{}}
		s.packages[name] = p
	}
	return p
}

// test gives the named test, and at its first event finds its parent: the nearest test
// above it that has begun, since the name of a subtest may hold slashes of its own.
func (p *pkg) test(name string) *test {
	if t := p.tests[name]; t != nil {
		return t
	}
	t := &test{name: name}
	for up := name; t.parent == nil && strings.Contains(up, "/"); {
		up = up[:strings.LastIndexByte(up, '/')]
		t.parent = p.tests[up]
	}
	if t.parent != nil {
		t.parent.children++
	}
	p.tests[name] = t
	p.order = append(p.order, t)
	return t
}

// slow is when a test of the top level gets a line of its own, to show that
// something moves.
const slow = 10 // seconds

func (t *test) add(e event, progress io.Writer) {
	switch e.Action {
	case "output":
		t.text.WriteString(e.Output)
	case "pass", "fail", "skip":
		t.action, t.elapsed = e.Action, e.Elapsed
		if t.parent == nil && t.elapsed >= slow {
			fmt.Fprintf(progress, "      %s %s (%.0f s)\n", t.action, t.name, t.elapsed)
		}
	}
}

// finish counts the tests of a package that has ended and words its outcome.
func (s *suite) finish(e event) {
	p := s.pkg(e.Package)
	delete(s.packages, e.Package)
	before := s.sum
	for _, t := range p.order {
		if t.action == "fail" || t.action == "" {
			for up := t.parent; up != nil; up = up.parent {
				up.failedBelow = true
			}
		}
	}
	for _, t := range p.order {
		s.judge(e.Package, t)
	}
	if e.Action == "fail" && s.sum.failed == before.failed {
		s.failed(e.Package, s.build[e.FailedBuild]+p.text.String())
	}
	if len(p.order) > 0 || e.Action == "fail" {
		s.outcome(e, before)
	}
}

// judge counts one test, unless its subtests speak for it.
func (s *suite) judge(pkgName string, t *test) {
	name := pkgName + " " + t.name
	switch {
	case t.action == "fail" && !t.failedBelow:
		s.failed(name, t.text.String())
	case t.action == "" && !t.failedBelow:
		s.failed(name, t.text.String()+"    (never ended)\n")
	case t.children > 0:
	case t.action == "pass":
		s.sum.passed++
	case t.action == "skip":
		s.sum.skipped++
		s.skips = append(s.skips, name+": "+reason(t.text.String()))
	}
}

// failed counts a failure and shows at once what was printed.
func (s *suite) failed(name, text string) {
	s.sum.failed++
	s.failures = append(s.failures, name)
	fmt.Fprintf(s.out, "--- FAIL %s\n%s\n", name, strings.TrimRight(text, "\n"))
}

// outcome prints a package's line.
func (s *suite) outcome(e event, before count) {
	word := map[string]string{"pass": "ok  ", "fail": "FAIL", "skip": "skip"}[e.Action]
	fmt.Fprintf(s.out, "%s  %s  %d passed", word, e.Package, s.sum.passed-before.passed)
	if n := s.sum.failed - before.failed; n > 0 {
		fmt.Fprintf(s.out, ", %d failed", n)
	}
	if n := s.sum.skipped - before.skipped; n > 0 {
		fmt.Fprintf(s.out, ", %d skipped", n)
	}
	fmt.Fprintf(s.out, " (%.1f s)\n", e.Elapsed)
}

// reason is what a skipped test said: its last line that is not the frame.
func reason(text string) string {
	last := "no reason given"
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			last = line
		}
	}
	return last
}

// abandon fails the packages that a dead `go test` left without a result.
func (s *suite) abandon() {
	for name := range s.packages {
		s.finish(event{Action: "fail", Package: name})
	}
}

// fault counts a command that failed although no test did.
func (s *suite) fault(argv []string, why string) {
	s.failed(strings.Join(argv, " "), "    "+why)
}

// close prints the lists and the count, and tells whether all is well.
func (s *suite) close() bool {
	for _, line := range s.skips {
		fmt.Fprintln(s.out, "skipped:", line)
	}
	for _, name := range s.failures {
		fmt.Fprintln(s.out, "failed:", name)
	}
	fmt.Fprintf(s.out, "%d passed, %d failed, %d skipped\n", s.sum.passed, s.sum.failed, s.sum.skipped)
	return s.sum.failed == 0 && s.sum.passed > 0
}
