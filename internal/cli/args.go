package cli

import (
	"fmt"

	"github.com/urfave/cli/v2"
)

// action is a verb's body behind a check of the number of its arguments. Flags
// that come after the first argument are arguments, and so are counted. A max
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
