package cli

import (
	"fmt"
	"os"

	"github.com/urfave/cli/v2"

	"rt/libcontainer"
	"rt/specconv"
)

func (a *app) store() *libcontainer.Store {
	return &libcontainer.Store{Root: a.root, Warn: a.log.warn, NotifySocket: os.Getenv("NOTIFY_SOCKET")}
}

// onContainer is the action of a verb whose first argument is a container's id,
// with at most max arguments. Errors of body are told with verb and id.
func (a *app) onContainer(max int, body func(id string, c *cli.Context) error) cli.ActionFunc {
	return a.action(1, max, func(c *cli.Context) error {
		id, verb := c.Args().First(), c.Command.Name
		if err := specconv.ValidID(id); err != nil {
			return fmt.Errorf("%s: %w", verb, err)
		}
		if err := body(id, c); err != nil {
			return fmt.Errorf("%s %s: %w", verb, id, err)
		}
		return nil
	})
}
