package libcontainer

import (
	"fmt"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/libcontainer/intelrdt"
	"rt/nsenter"
)

// intelRdtGroup is nil for a config without linux.intelRdt: resctrl is then not touched.
func intelRdtGroup(spec *specs.Spec, id string) *intelrdt.Group {
	if spec.Linux == nil || spec.Linux.IntelRdt == nil {
		return nil
	}
	return intelrdt.New(intelrdt.Mount, id, spec.Linux.IntelRdt)
}

func (b *birth) makeIntelRdt() error {
	g := b.record.IntelRdt
	if g == nil {
		return nil
	}
	if err := intelrdt.CheckMounted(g.Mount); err != nil {
		return fmt.Errorf("linux.intelRdt: %w", err)
	}
	if err := g.Create(b.spec.Linux.IntelRdt); err != nil {
		return err
	}
	b.undo = append(b.undo, func() { g.Remove() })
	return nil
}

// intelRdtStep comes before anything that init forks.
func (c *compiler) intelRdtStep() {
	if g := intelRdtGroup(c.spec, c.opts.ID); g != nil {
		c.plan.Add(nsenter.Ask("linux.intelRdt", "let rt put it into resctrl group "+g.Dir, nsenter.AskIntelRdt))
	}
}

func (b *birth) joinIntelRdt() error { return b.record.IntelRdt.Add(b.record.Pid) }
