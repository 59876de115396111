package cli

import (
	"github.com/urfave/cli/v2"

	"rt/libcontainer"
)

func (a *app) createCommand() *cli.Command {
	var o libcontainer.CreateOptions
	return &cli.Command{
		Name:      "create",
		Usage:     "make a container and let it wait for start",
		ArgsUsage: "ID",
		Description: `Everything is set up, and the container's process waits before it executes
process.args. Example:

rt create --bundle /srv/web --pid-file /run/web1.pid web1
rt start web1`,
		Flags: createFlags(&o),
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			spec, err := a.prepare(id, &o, true)
			if err != nil {
				return err
			}
			_, err = a.store().Create(spec, o)
			return err
		}),
	}
}
