package cli

import (
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"rt/libcontainer"
)

func (a *app) planCommand() *cli.Command {
	var o libcontainer.CreateOptions
	var format string
	return &cli.Command{
		Name:  "plan",
		Usage: "print the steps that create would take, and take none",
		Description: `Each step is shown with the field of config.json that it comes from. Needs no
rights. The container is called ID. Example: rt plan --bundle /srv/web`,
		Flags: []cli.Flag{
			bundleFlag(&o.Bundle),
			&cli.StringFlag{Name: "format", Usage: "`FORMAT` of the plan: text or json", Value: "text", Destination: &format},
		},
		Action: a.action(0, 0, func(*cli.Context) error {
			if format != "text" && format != "json" {
				return fmt.Errorf("--format %q: must be text or json", format)
			}
			plan, err := a.plan(&o)
			if err != nil {
				return fmt.Errorf("plan: %w", err)
			}
			if format == "json" {
				return printJSON(a.out, plan, "  ", "\n")
			}
			return plan.Text(a.out)
		}),
	}
}

func (a *app) plan(o *libcontainer.CreateOptions) (*libcontainer.Plan, error) {
	o.ID = "ID"
	spec, err := a.load(o)
	if err != nil {
		return nil, err
	}
	user := os.Geteuid() != 0
	o.Rootless = a.isRootless()
	if user && a.rootless == "auto" && !hasUserNS(spec) {
		// A bundle that only root can run: it is root's plan that is asked for.
		user, o.Rootless = false, false
	}
	if err := a.check(spec, user); err != nil {
		return nil, err
	}
	return libcontainer.Compile(spec, *o)
}

func hasUserNS(spec *specs.Spec) bool {
	if spec.Linux == nil {
		return false
	}
	for _, ns := range spec.Linux.Namespaces {
		if ns.Type == specs.UserNamespace {
			return true
		}
	}
	return false
}
