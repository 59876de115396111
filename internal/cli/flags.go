package cli

import "github.com/urfave/cli/v2"

// The library's flags find their names by a regular expression each time they
// are asked, and looking at each of a verb's flags for each other one, it asks
// hundreds of times: a twentieth of an exec. These remember.
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

// remembering gives the same flags, such that they remember their names.
func remembering(flags []cli.Flag) []cli.Flag {
	for i, f := range flags {
		names := f.Names()
		switch f := f.(type) {
		case *cli.BoolFlag:
			flags[i] = &boolFlag{f, names}
		case *cli.DurationFlag:
			flags[i] = &durationFlag{f, names}
		case *cli.IntFlag:
			flags[i] = &intFlag{f, names}
		case *cli.StringSliceFlag:
			flags[i] = &sliceFlag{f, names}
		case *cli.StringFlag:
			flags[i] = &stringFlag{f, names}
		}
	}
	return flags
}
