package cli

import (
	"github.com/urfave/cli/v2"

	"rt/libcontainer/seccomp"
	"rt/specconv"
)

func (a *app) featuresCommand() *cli.Command {
	return &cli.Command{
		Name:        "features",
		Usage:       "print what this rt can do as JSON",
		Description: `The format is features.md of the OCI runtime specification.`,
		Action: a.action(0, 0, func(*cli.Context) error {
			return printJSON(a.out, specconv.Features(featureInputs()), "  ", "\n")
		}),
	}
}

func featureInputs() specconv.FeatureInputs {
	return specconv.FeatureInputs{
		Version:           version,
		Commit:            commitID(),
		LibseccompVersion: seccomp.LibVersion(),
		SeccompFlags:      seccomp.SupportedFlags(),
		LastCap:           lastCap(),
		Systemd:           true,
	}
}
