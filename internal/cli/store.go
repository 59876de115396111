package cli

import (
	"fmt"

	"rt/libcontainer"
)

func (a *app) store() *libcontainer.Store {
	return libcontainer.NewStore(a.root)
}

// about says of which verb and container an error is.
func about(verb, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", verb, id, err)
}
