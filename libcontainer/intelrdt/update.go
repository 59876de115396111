package intelrdt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Update writes other schemata into the group, all or none. undo writes the former ones back.
func (g *Group) Update(r *specs.LinuxIntelRdt) (undo func() error, err error) {
	name := filepath.Join(g.Dir, "schemata")
	before, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("linux.intelRdt: %w", err)
	}
	undo = func() error { return g.restore(name, string(before), lines(r)) }
	for i, l := range lines(r) {
		if err := writeFile(name, l.text+"\n"); err != nil {
			err = fmt.Errorf("%s: write %q: %w", l.field, l.text, g.explain(err))
			return nil, errors.Join(err, g.restore(name, string(before), lines(r)[:i]))
		}
	}
	return undo, nil
}

// restore writes back the lines of those resources that were changed.
func (g *Group) restore(name, before string, changed []line) error {
	for _, l := range changed {
		resource, _, _ := strings.Cut(l.text, ":")
		old := schemaOf(strings.TrimSpace(resource), trimmedLines(before))
		if old == "" {
			continue
		}
		if err := writeFile(name, old+"\n"); err != nil {
			return fmt.Errorf("%s: write %q back: %w", l.field, old, g.explain(err))
		}
	}
	return nil
}

func trimmedLines(text string) []string {
	var list []string
	for l := range strings.Lines(text) {
		list = append(list, strings.TrimSpace(l))
	}
	return list
}
