package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	"rt/libcontainer"
)

func (a *app) listCommand() *cli.Command {
	var format string
	var quiet bool
	return &cli.Command{
		Name:        "list",
		Usage:       "list the containers under the state root",
		Description: `Examples: rt list; rt --root /run/test list --format json`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "`FORMAT` of the list: table or json", Value: "table", Destination: &format},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids only", Destination: &quiet, DisableDefaultText: true},
		},
		Action: a.action(0, 0, func(*cli.Context) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("--format %q: must be table or json", format)
			}
			states, err := a.states()
			switch {
			case err != nil:
				return fmt.Errorf("list: %w", err)
			case quiet:
				return printIDs(a.out, states)
			case format == "json":
				return printStates(a.out, states)
			default:
				return printTable(a.out, states)
			}
		}),
	}
}

// states of all containers. The default root comes with the first container,
// so it may be missing; a root that the user named may not.
func (a *app) states() ([]libcontainer.State, error) {
	states, err := a.store().States()
	if !a.rootSet && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return states, err
}

func printIDs(w io.Writer, states []libcontainer.State) error {
	var text bytes.Buffer
	for _, s := range states {
		fmt.Fprintln(&text, s.ID)
	}
	_, err := text.WriteTo(w)
	return err
}

// printStates prints null for no containers, as runc does.
func printStates(w io.Writer, states []libcontainer.State) error {
	if states == nil {
		_, err := io.WriteString(w, "null\n")
		return err
	}
	return printJSON(w, states, "", "\n")
}

// printTable writes the table at once: a tabwriter hands on every cell and every gap by itself, a dozen to a container.
func printTable(w io.Writer, states []libcontainer.State) error {
	var text bytes.Buffer
	t := tabwriter.NewWriter(&text, 12, 1, 3, ' ', 0)
	fmt.Fprint(t, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := text.WriteTo(w)
	return err
}
