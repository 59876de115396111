package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// action is a verb's body behind a check of the number of its arguments. A max
// below 0 is none.
func (a *app) action(min, max int, body cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if err := checkArity(c, min, max); err != nil {
			fmt.Fprint(a.out, "Incorrect Usage.\n\n")
			if helpErr := cli.ShowSubcommandHelp(c); helpErr != nil {
				return helpErr
			}
			return err
		}
		return body(c)
	}
}

// checkArity words its errors as runc does, which scripts match on.
func checkArity(c *cli.Context, min, max int) error {
	n := c.NArg()
	switch {
	case n >= min && (n <= max || max < 0):
		return nil
	case min == max:
		return fmt.Errorf("rt: %q requires exactly %d argument(s)", c.Command.Name, min)
	case n < min:
		return fmt.Errorf("rt: %q requires a minimum of %d argument(s)", c.Command.Name, min)
	default:
		return fmt.Errorf("rt: %q requires a maximum of %d argument(s)", c.Command.Name, max)
	}
}

// flagsFirst moves the flags of a verb that come after its arguments before
// them, where the library looks for flags: people write `delete ID --force`.
// exec and ps take what follows the id as it is. A word that is no flag of the
// verb stays where it is, and is counted as an argument.
func flagsFirst(app *cli.App, args []string) []string {
	at := 1
	for at < len(args) && flagWords(app.Flags, args[at:]) > 0 {
		at += flagWords(app.Flags, args[at:])
	}
	if at >= len(args) || app.Command(args[at]) == nil {
		return args
	}
	verb, help := app.Command(args[at]), []cli.Flag{cli.HelpFlag}
	flags, words := apart(append(help, verb.Flags...), args[at+1:], verb.Name == "exec" || verb.Name == "ps")
	for _, f := range flags {
		if flagWords(help, []string{f}) > 0 { // the library takes a word after it for a subcommand
			return append(args[:at+1:at+1], f)
		}
	}
	return slices.Concat(args[:at+1], flags, words)
}

// apart parts flags, with their values, from other words. After "--" all are
// words, and after the first word if it begins the rest.
func apart(known []cli.Flag, args []string, rest bool) (flags, words []string) {
	for len(args) > 0 && args[0] != "--" && (!rest || len(words) == 0) {
		if n := flagWords(known, args); n > 0 {
			flags, args = append(flags, args[:n]...), args[n:]
		} else {
			words, args = append(words, args[0]), args[1:]
		}
	}
	return flags, append(words, args...)
}

// flagWords is how many of args the first is with its value if it is one of
// these flags, or 0. A flag whose value is missing is none.
func flagWords(known []cli.Flag, args []string) int {
	name, _, whole := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
	if !strings.HasPrefix(args[0], "-") {
		return 0
	}
	for _, f := range known {
		if !slices.Contains(f.Names(), name) {
			continue
		}
		value, _ := f.(cli.DocGenerationFlag)
		switch {
		case whole || value == nil || !value.TakesValue():
			return 1
		case len(args) > 1:
			return 2
		}
	}
	return 0
}
