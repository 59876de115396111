package cli

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"rt/libcontainer"
)

func (a *app) eventsCommand() *cli.Command {
	var interval time.Duration
	var once bool
	return &cli.Command{
		Name:      "events",
		Usage:     "print what a container uses, and when memory ran out",
		ArgsUsage: "ID",
		Description: `A line of JSON each: {"type":"stats",...} now and after every interval, and
{"type":"oom",...} for each process that the kernel kills for want of memory. It
ends when the container stops. Examples: rt events --interval 1s web1;
rt events --stats web1`,
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Usage: "`DURATION` between samples, like 500ms or 1m", Value: 5 * time.Second, Destination: &interval},
			&cli.BoolFlag{Name: "stats", Usage: "print one sample and end", Destination: &once, DisableDefaultText: true},
		},
		Action: a.onContainer(1, func(id string, _ *cli.Context) error {
			if interval <= 0 {
				return fmt.Errorf("--interval %s: must be more than 0", interval)
			}
			container, err := a.store().Get(id)
			if err != nil {
				return err
			}
			if !once {
				return container.Events(interval, a.printEvent)
			}
			sample, err := container.Stats()
			if err != nil {
				return err
			}
			return a.printEvent(sample)
		}),
	}
}

// printEvent ends when nobody reads any more.
func (a *app) printEvent(e *libcontainer.Event) error {
	return printJSON(a.out, e, "", "\n")
}
