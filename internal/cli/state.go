package cli

import (
	"io"

	"github.com/urfave/cli/v2"

	"rt/libcontainer"
)

func (a *app) stateCommand() *cli.Command {
	return &cli.Command{
		Name:      "state",
		Usage:     "print the state of a container as JSON",
		ArgsUsage: "ID",
		Description: `status is creating, created, running, paused or stopped; pid is 0 when stopped.
Example: rt state web1`,
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			container, err := a.store().Get(id)
			if err != nil {
				return err
			}
			state, err := container.State()
			if err != nil {
				return err
			}
			return printState(a.out, state)
		}),
	}
}

// printState ends without a newline, as runc does.
func printState(w io.Writer, s libcontainer.State) error {
	return printJSON(w, s, "  ", "")
}
