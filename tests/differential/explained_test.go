package differential

import (
	"regexp"
	"sync"
	"testing"
)

// A difference is one thing that is not the same under rt and runc. An empty value is none.
type difference struct {
	field, rt, runc, crun string
	c                     *trial
}

// An explanation is why a difference is meant, or the peers'. One that explains nothing any more fails the test.
type explanation struct {
	field string // regular expression for all of it
	when  func(d difference) bool
	why   string
}

func always(difference) bool { return true }

// bench compares the outcomes of many configurations.
type bench struct {
	runtimes map[string]string
	table    *[]explanation

	lock                           sync.Mutex
	used                           map[string]int
	finished, same, asRunc, asCrun int
}

// explain says whether the table knows the difference.
func (b *bench) explain(d difference) bool {
	b.lock.Lock()
	defer b.lock.Unlock()
	if b.used == nil {
		b.used = map[string]int{}
	}
	for _, e := range *b.table {
		if regexp.MustCompile("^(?:"+e.field+")$").MatchString(d.field) && e.when(d) {
			b.used[e.why]++
			return true
		}
	}
	return false
}

// count counts who agrees with whom.
func (b *bench) count(d difference) {
	b.lock.Lock()
	defer b.lock.Unlock()
	switch {
	case d.rt == d.runc && d.rt == d.crun:
		b.same++
	case d.rt == d.runc:
		b.asRunc++
	case d.rt == d.crun:
		b.asCrun++
	}
}

func (b *bench) done() {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.finished++
}

// sum fails the test for explanations that were not needed, if all configurations ran.
func (b *bench) sum(t *testing.T, all int) {
	t.Logf("%d configurations; %d things are the same under all three, %d under rt and runc, %d under rt and crun", b.finished, b.same, b.asRunc, b.asCrun)
	for _, e := range *b.table {
		t.Logf("%5d × %s", b.used[e.why], e.why)
		if b.finished == all && b.used[e.why] == 0 {
			t.Errorf("nothing is explained any more by %q", e.why)
		}
	}
}
