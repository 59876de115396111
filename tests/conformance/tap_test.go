package conformance

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A result is what one program of the suite said, in the Test Anything Protocol, and how it ended.
type result struct {
	ok, skipped int
	failed      []point  // "not ok"
	faults      []string // the suite's errors outside of any point
	left        []string // what the sandbox found after the runtime had deleted every container
	status      int
	output      string
}

// A point is one check, numbered as the program printed it; some programs begin to count anew on the way.
type point struct {
	number int
	what   string
}

var (
	tapPoint = regexp.MustCompile(`^(not )?ok \d+(?: - | )?(.*)$`)
	tapPlan  = regexp.MustCompile(`^1\.\.(\d+)`)
	tapError = regexp.MustCompile(`^ +"error": (".*?"),?$`)
)

// readTAP counts the points. An "error" that a program adds to no point counts as a fault: so report those that have none.
func readTAP(output string, status int) *result {
	r := &result{status: status, output: output}
	seen, planned, ofPoint := 0, 0, false
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if m := tapPoint.FindStringSubmatch(line); m != nil {
			seen, ofPoint = seen+1, true
			r.add(seen, m[1] == "not ", m[2])
		} else if m := tapPlan.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			planned, ofPoint = planned+n, false
		} else if m := tapError.FindStringSubmatch(line); m != nil && !ofPoint {
			text, _ := strconv.Unquote(m[1])
			r.faults = append(r.faults, text)
		} else if left, ok := strings.CutPrefix(line, "left behind: "); ok {
			r.left = append(r.left, left)
		}
	}
	if planned != seen {
		r.faults = append(r.faults, fmt.Sprintf("%d points planned, %d seen", planned, seen))
	}
	return r
}

func (r *result) add(number int, failed bool, what string) {
	switch {
	case strings.HasPrefix(what, "# SKIP"):
		r.skipped++
	case failed:
		r.failed = append(r.failed, point{number, what})
	default:
		r.ok++
	}
}

func TestReadTAP(t *testing.T) {
	t.Parallel()
	r := readTAP(`TAP version 13
ok 1 - one
not ok 2 - two
  ---
  {
    "error": "of point two",
    "stdout": "not ok 7 - inside"
  }
  ...
ok 3 # SKIP not here
left behind: process sleep
1..3
  {
    "error": "of no point \"x\"",
  }
1..1
`, 1)
	if r.ok != 1 || r.skipped != 1 || len(r.failed) != 1 || r.failed[0] != (point{2, "two"}) || r.status != 1 {
		t.Errorf("%+v", r)
	}
	if want := `["of no point \"x\"" "4 points planned, 3 seen"]`; fmt.Sprintf("%q", r.faults) != want {
		t.Errorf("faults %q", r.faults)
	}
	if want := `["process sleep"]`; fmt.Sprintf("%q", r.left) != want {
		t.Errorf("left %q", r.left)
	}
}
