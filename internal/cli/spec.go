package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"rt/specconv"
)

func (a *app) specCommand() *cli.Command {
	var bundle string
	var rootless bool
	return &cli.Command{
		Name:  "spec",
		Usage: "write a config.json to start from",
		Description: `It runs sh in the file system of the directory rootfs. An existing config.json
is not overwritten. Example:

mkdir -p web/rootfs && rt spec --bundle web`,
		Flags: []cli.Flag{
			bundleFlag(&bundle),
			&cli.BoolFlag{Name: "rootless", Usage: "for a user who is not root: own user namespace, no cgroup limits", Destination: &rootless, DisableDefaultText: true},
		},
		Action: a.action(0, 0, func(*cli.Context) error {
			if err := writeSpec(filepath.Join(bundle, "config.json"), specconv.Example(rootless)); err != nil {
				return fmt.Errorf("spec: %w", err)
			}
			return nil
		}),
	}
}

func writeSpec(path string, spec *specs.Spec) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w (remove it first)", err)
	}
	if err != nil {
		return err
	}
	err = printJSON(f, spec, "\t", "\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		os.Remove(path) // half a file would be in the way of the next try
	}
	return err
}
