package cli

import (
	"github.com/urfave/cli/v2"

	"rt/libcontainer"
)

func (a *app) runCommand() *cli.Command {
	var o libcontainer.RunOptions
	return &cli.Command{
		Name:      "run",
		Usage:     "create a container and start it",
		ArgsUsage: "ID",
		Description: `In the foreground, rt passes standard input and output or the terminal through,
forwards signals, exits with the status of the container's process (128+N after
signal N) and deletes the container. Examples:

rt run --bundle /srv/web web1
rt run --detach --pid-file /run/web1.pid web1`,
		Flags: append(createFlags(&o.CreateOptions),
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return as soon as the process runs", Destination: &o.Detach, DisableDefaultText: true},
			&cli.BoolFlag{Name: "keep", Usage: "do not delete the container when it ends", Destination: &o.Keep, DisableDefaultText: true},
			&cli.BoolFlag{Name: "no-subreaper", Usage: "do not adopt orphans of the container while in the foreground", Destination: &o.NoSubreaper, DisableDefaultText: true},
		),
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			spec, err := a.prepare(id, &o.CreateOptions, o.Detach)
			if err != nil {
				return err
			}
			a.status, err = a.store().Run(spec, o)
			return err
		}),
	}
}
