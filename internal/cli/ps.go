package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"
	"rt/internal/sys"
)

func (a *app) psCommand() *cli.Command {
	var format string
	return &cli.Command{
		Name:      "ps",
		Usage:     "list the processes of a container",
		ArgsUsage: "ID [ARGUMENT OF ps ...]",
		Description: `The table is what ps of this machine prints with the arguments after ID (-ef when
none are given), without the lines of other processes. Examples: rt ps web1;
rt ps web1 -o pid,user,args; rt ps --format json web1`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Usage: "`FORMAT` of the list: table, or json for process ids only", Value: "table", Destination: &format},
		},
		Action: a.onContainer(math.MaxInt, func(id string, c *cli.Context) error {
			if format != "table" && format != "json" {
				return fmt.Errorf("--format %q: must be table or json", format)
			}
			return a.ps(id, format, c.Args().Tail())
		}),
	}
}

func (a *app) ps(id, format string, args []string) error {
	container, err := a.store().Get(id)
	if err != nil {
		return err
	}
	pids, err := container.Processes()
	if err != nil {
		return err
	}
	if format == "json" {
		return printPids(a.out, pids)
	}
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	text, err := hostPS(args)
	if err != nil {
		return err
	}
	return printProcesses(a.out, text, pids)
}

// printPids prints [] for no processes, so that the reader always has an array.
func printPids(w io.Writer, pids []int) error {
	if pids == nil {
		pids = []int{}
	}
	return printJSON(w, pids, "", "\n")
}

// hostPS runs ps of this machine. What it says first on stderr is about its arguments; the rest is its usage.
func hostPS(args []string) (string, error) {
	defer sys.AsCaller()()
	out, err := exec.Command("ps", args...).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		first, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return "", fmt.Errorf("ps %s: %w: %s", strings.Join(args, " "), err, first)
	}
	if err != nil {
		return "", fmt.Errorf("ps %s: %w", strings.Join(args, " "), err)
	}
	return string(out), nil
}

// printProcesses prints the heading of a table of ps, and its lines about pids. The columns before PID
// must not have blanks in them, since ps does not say where a column ends.
func printProcesses(w io.Writer, table string, pids []int) error {
	heading, lines, _ := strings.Cut(table, "\n")
	column := slices.Index(strings.Fields(heading), "PID")
	if column < 0 {
		return fmt.Errorf("ps prints no column PID, but %q", heading)
	}
	if _, err := fmt.Fprintln(w, heading); err != nil {
		return err
	}
	for line := range strings.Lines(lines) {
		if !isAbout(line, column, pids) {
			continue
		}
		if _, err := io.WriteString(w, line); err != nil {
			return err
		}
	}
	return nil
}

func isAbout(line string, column int, pids []int) bool {
	fields := strings.Fields(line)
	if len(fields) <= column {
		return false
	}
	pid, err := strconv.Atoi(fields[column])
	if err != nil {
		return false
	}
	_, found := slices.BinarySearch(pids, pid)
	return found
}
