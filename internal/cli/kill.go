package cli

import (
	"github.com/urfave/cli/v2"

	"rt/specconv"
)

func (a *app) killCommand() *cli.Command {
	var all bool
	return &cli.Command{
		Name:      "kill",
		Usage:     "send a signal to a container",
		ArgsUsage: "ID [SIGNAL]",
		Description: `SIGNAL is a number or a name, with or without SIG; TERM when not given.
Examples: rt kill web1; rt kill web1 HUP; rt kill --all web1 9`,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Hidden: true, Usage: "send it to every process of the container", Destination: &all, DisableDefaultText: true},
		},
		Action: a.onContainer(2, func(id string, c *cli.Context) error {
			name := "TERM"
			if c.NArg() == 2 {
				name = c.Args().Get(1)
			}
			return a.kill(id, name, all)
		}),
	}
}

func (a *app) kill(id, name string, all bool) error {
	sig, err := specconv.ParseSignal(name)
	if err != nil {
		return err
	}
	container, err := a.store().Get(id)
	if err != nil {
		return err
	}
	return container.Kill(sig, all)
}
