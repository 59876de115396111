package cli

import "github.com/urfave/cli/v2"

func (a *app) pauseCommand() *cli.Command {
	return &cli.Command{
		Name:      "pause",
		Usage:     "stop all processes of a container where they stand",
		ArgsUsage: "ID",
		Description: `The cgroup freezer holds them until resume; kill with KILL and delete --force end
them all the same. Example: rt pause web1; rt resume web1`,
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			container, err := a.store().Get(id)
			if err != nil {
				return err
			}
			return container.Pause()
		}),
	}
}

func (a *app) resumeCommand() *cli.Command {
	return &cli.Command{
		Name:        "resume",
		Usage:       "let the processes of a paused container go on",
		ArgsUsage:   "ID",
		Description: `Example: rt resume web1`,
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			container, err := a.store().Get(id)
			if err != nil {
				return err
			}
			return container.Resume()
		}),
	}
}
