package cli

import "github.com/urfave/cli/v2"

func (a *app) startCommand() *cli.Command {
	return &cli.Command{
		Name:      "start",
		Usage:     "let a created container execute its process",
		ArgsUsage: "ID",
		Description: `Fails when process.args cannot be executed, as create does not know that yet.
Example: rt start web1`,
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			container, err := a.store().Get(id)
			if err != nil {
				return err
			}
			return container.Start()
		}),
	}
}
