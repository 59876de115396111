package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// A flag of a type that knowing does not know, or with a name that only the library's expression would mend, is a mistake here.
func TestFlagsKnowTheirNames(t *testing.T) {
	a := &app{}
	flags := a.command(nil).Flags
	for _, c := range a.commands(nil) {
		flags = append(flags, c.Flags...)
	}
	for _, f := range append(flags, knowing([]cli.Flag{cli.HelpFlag, cli.VersionFlag})...) {
		switch f.(type) {
		case *boolFlag, *durationFlag, *intFlag, *sliceFlag, *stringFlag:
		default:
			t.Errorf("%q is a %T", f.Names(), f)
		}
		if slices.ContainsFunc(f.Names(), func(name string) bool { return name == "" || strings.ContainsAny(name, ", ") }) {
			t.Errorf("%q", f.Names())
		}
	}
}
