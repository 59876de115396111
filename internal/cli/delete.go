package cli

import "github.com/urfave/cli/v2"

func (a *app) deleteCommand() *cli.Command {
	var force bool
	return &cli.Command{
		Name:      "delete",
		Usage:     "remove a stopped container and all that it holds",
		ArgsUsage: "ID",
		Description: `A container that runs is refused, one that was created and not started is killed.
Examples: rt delete web1; rt delete --force web1`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "kill the container first; no error when there is none", Destination: &force, DisableDefaultText: true},
		},
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			return a.store().Delete(id, force)
		}),
	}
}
