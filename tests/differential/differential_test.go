package differential

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// runtimes are rt and its peers, the reference first of those.
func runtimes(t *testing.T) map[string]string {
	t.Helper()
	rttest.OnlyRT(t, "the others are what it is compared with")
	rttest.Need(t, rttest.Root, rttest.File("../../bin/peers/runc"), rttest.Command("crun"))
	return map[string]string{"rt": rttest.Runtime(t), "runc": "../../bin/peers/runc", "crun": "crun"}
}

// Every two levels of two factors meet in three configurations, which all three runtimes run.
func TestPairs(t *testing.T) {
	b := bench{runtimes: runtimes(t), table: &explained}
	rttest.PeersCgroups(t)
	rttest.MakeCgroupParents(t)
	var sizes []int
	for _, f := range factors {
		sizes = append(sizes, len(f.levels))
	}
	rows := cover(sizes, 3)
	t.Run("row", func(t *testing.T) {
		for i, row := range rows {
			t.Run(fmt.Sprintf("%03d", i), func(t *testing.T) {
				t.Parallel()
				t.Log(describe(row))
				b.compare(t, func(c *trial) {
					for f, l := range row {
						factors[f].levels[l].set(c)
					}
					if i%4 == 0 {
						c.exec = execs[i/4%len(execs)]
					}
					c.sensible()
					c.finish()
				})
			})
		}
	})
	b.sum(t, len(rows))
}

// describe names the levels of a row that are not the first of their factor.
func describe(row []int) string {
	var words []string
	for f, l := range row {
		if l > 0 {
			words = append(words, factors[f].name+"="+factors[f].levels[l].name)
		}
	}
	return strings.Join(words, " ")
}

// outcome is what came of a configuration under one runtime: what was seen of the container, or the words of refusal.
type outcome struct {
	seen
	refused string
}

// runAll runs the configuration under each runtime. after, if not nil, adds what is to be seen when the container is gone.
func (b *bench) runAll(t *testing.T, configure func(*trial), after func(*trial) seen) (got map[string]outcome, c *trial) {
	t.Helper()
	got = map[string]outcome{}
	for _, name := range []string{"rt", "runc", "crun"} {
		c = newTrial(t, b.runtimes[name])
		configure(c)
		if name == "crun" && c.namespace(specs.PIDNamespace) == "path" {
			continue // it takes the pid that the process has in there for one of ours, and kills whoever has it here
		}
		s, refused := c.observe()
		if after != nil {
			s.add(after(c))
		}
		got[name] = outcome{s, refused}
	}
	return got, c
}

// compare runs the configuration, which rt and runc must accept, and fails the test for every difference that nothing explains.
func (b *bench) compare(t *testing.T, configure func(*trial)) {
	t.Helper()
	b.compareWith(t, configure, nil)
}

func (b *bench) compareWith(t *testing.T, configure func(*trial), after func(*trial) seen) {
	t.Helper()
	got, c := b.runAll(t, configure, after)
	rt, runc, crun := got["rt"], got["runc"], got["crun"]
	if rt.refused != "" || runc.refused != "" {
		t.Errorf("refused:\n rt   %s\n runc %s\n crun %s", rt.refused, runc.refused, crun.refused)
		return
	}
	if len(rt.seen) < 100 {
		t.Errorf("only %d things were seen", len(rt.seen))
	}
	both := maps.Clone(rt.seen)
	both.add(runc.seen)
	for _, field := range slices.Sorted(maps.Keys(both)) {
		d := difference{field, rt.seen[field], runc.seen[field], crun.seen[field], c}
		if d.rt != d.runc && !b.explain(d) {
			t.Errorf("%s: rt %q, runc %q, crun %q", field, d.rt, d.runc, d.crun)
		}
		b.count(d)
	}
	b.done()
}
