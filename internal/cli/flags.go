package cli

import "github.com/urfave/cli/v2"

// The library's flags find their names by a regular expression each time they
// are asked, and looking at each of a verb's flags for each other one, it asks
// hundreds of times: a twentieth of an exec. These know them: what the expression
// looks for, a comma or space in a name, none of ours has.
type (
	boolFlag struct {
		*cli.BoolFlag
		names []string
	}
	durationFlag struct {
		*cli.DurationFlag
		names []string
	}
	intFlag struct {
		*cli.IntFlag
		names []string
	}
	sliceFlag struct {
		*cli.StringSliceFlag
		names []string
	}
	stringFlag struct {
		*cli.StringFlag
		names []string
	}
)

func (f *boolFlag) Names() []string     { return f.names }
func (f *durationFlag) Names() []string { return f.names }
func (f *intFlag) Names() []string      { return f.names }
func (f *sliceFlag) Names() []string    { return f.names }
func (f *stringFlag) Names() []string   { return f.names }

// knowing gives the same flags, such that they know their names.
func knowing(flags []cli.Flag) []cli.Flag {
	for i, f := range flags {
		switch f := f.(type) {
		case *cli.BoolFlag:
			flags[i] = &boolFlag{f, names(f.Name, f.Aliases)}
		case *cli.DurationFlag:
			flags[i] = &durationFlag{f, names(f.Name, f.Aliases)}
		case *cli.IntFlag:
			flags[i] = &intFlag{f, names(f.Name, f.Aliases)}
		case *cli.StringSliceFlag:
			flags[i] = &sliceFlag{f, names(f.Name, f.Aliases)}
		case *cli.StringFlag:
			flags[i] = &stringFlag{f, names(f.Name, f.Aliases)}
		}
	}
	return flags
}

func names(name string, aliases []string) []string { return append([]string{name}, aliases...) }
