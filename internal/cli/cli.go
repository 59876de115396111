// Package cli is the command line of rt: one file a verb, each with its flags,
// one call into specconv or libcontainer, and one print. What a container is
// and how it is made is not known here.
//
// Nothing in this package exits the process, and one place prints errors: Main.
package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// app is one invocation of rt.
type app struct {
	globals
	out     *sink
	log     *logger
	status  int // exit status of a foreground run or exec
	failure int // exit status for an error of ours
}

// Main runs one rt command line, args[0] being the program, and returns the
// exit status: 0, 1 for any error of rt, or what the container of a foreground
// run ended with. Data goes to stdout, errors and log lines to stderr (or to
// the file of --log).
func Main(args []string, stdout, stderr io.Writer) int {
	a := &app{out: &sink{w: stdout}, log: newLogger(stderr), failure: 1}
	defer a.log.close()
	err := a.dispatch(args)
	if err == nil {
		err = a.out.err
	}
	if err != nil {
		a.log.fatal(a.helped(err))
		return a.failure
	}
	return a.status
}

// helped adds how an ordinary user gets a state root, to one without.
func (a *app) helped(err error) error {
	var at *fs.PathError
	if a.rootSet || a.rootXDG || !errors.As(err, &at) || !errors.Is(err, fs.ErrPermission) || !strings.HasPrefix(at.Path, systemRoot) {
		return err
	}
	return fmt.Errorf("%w (that is root's: set XDG_RUNTIME_DIR, or give --root)", err)
}

func (a *app) dispatch(args []string) error {
	// The C stage takes this name over before any Go code runs.
	if len(args) > 1 && args[1] == "init" {
		return errors.New("init is rt's own entry into a container, not a command")
	}
	cli.VersionPrinter = func(*cli.Context) { printVersion(a.out) }
	own := knowing([]cli.Flag{cli.HelpFlag, cli.VersionFlag})
	cli.HelpFlag, cli.VersionFlag = own[0], own[1]
	app := a.command(args[1:])
	return app.Run(flagsFirst(app, args))
}

func (a *app) command(args []string) *cli.App {
	return &cli.App{
		Name:        "rt",
		HelpName:    "rt",
		Usage:       "an OCI container runtime",
		Description: description,
		Version:     version,
		Compiled:    time.Unix(0, 0), // unset, the library stats our binary to fill it
		Flags:       knowing(a.globals.flags()),
		Commands:    a.commands(args),
		Writer:      a.out,
		ErrWriter:   a.out,

		Before:       a.before,
		Action:       noCommand,
		OnUsageError: a.badGlobal,
		// Without this the library itself exits on an error that has ExitCode(),
		// and a failed hook's *exec.ExitError has it.
		ExitErrHandler:            func(*cli.Context, error) {},
		DisableSliceFlagSeparator: true, // `-e A=1,2` is one value
	}
}

const description = `A bundle is a directory with a config.json and a root file system. As root:

mkdir -p web/rootfs && cd web      make a bundle, put a file system into rootfs
rt spec                            write a config.json to start from
rt plan                            see what would be done, step by step
rt run web1                        run it; or: create web1, start web1
rt list; rt kill web1; rt delete web1`

// verbs are the commands, in the order of the help.
func (a *app) verbs() []verb {
	return []verb{
		{"create", a.createCommand},
		{"start", a.startCommand},
		{"run", a.runCommand},
		{"state", a.stateCommand},
		{"kill", a.killCommand},
		{"exec", a.execCommand},
		{"pause", a.pauseCommand},
		{"resume", a.resumeCommand},
		{"ps", a.psCommand},
		{"events", a.eventsCommand},
		{"update", a.updateCommand},
		{"delete", a.deleteCommand},
		{"list", a.listCommand},
		{"spec", a.specCommand},
		{"plan", a.planCommand},
		{"features", a.featuresCommand},
	}
}

type verb struct {
	name string
	make func() *cli.Command
}

// commands makes the verbs that args may mean, or all for a help text: the
// flags of all sixteen would cost every command a tenth of a millisecond.
func (a *app) commands(args []string) (made []*cli.Command) {
	verbs := a.verbs()
	meant := slices.DeleteFunc(slices.Clone(verbs), func(v verb) bool { return !slices.Contains(args, v.name) })
	if len(meant) == 0 || slices.ContainsFunc(args, asksForHelp) {
		meant = verbs
	}
	for _, v := range meant {
		c := v.make()
		// Else the library adds a subcommand `help`, alias `h`, to each verb, and
		// a container of that name could not be named.
		c.HideHelpCommand = true
		c.Flags = knowing(c.Flags)
		made = append(made, c)
	}
	return made
}

func asksForHelp(arg string) bool {
	name := strings.TrimLeft(arg, "-")
	return name == "help" || name == "h"
}

func (a *app) before(c *cli.Context) error {
	if err := a.openLog(); err != nil {
		return err
	}
	if err := a.settle(c.IsSet("root")); err != nil {
		return err
	}
	a.log.debugf("rt %s, state root %s, arguments %q", version, a.root, c.Args().Slice())
	return nil
}

// noCommand runs when the first argument names no command. checkpoint and
// restore fail whatever comes after them, --help too: that one's success, and
// what restore says of a flag, are how Podman asks whether they work.
func noCommand(c *cli.Context) error {
	switch verb := c.Args().First(); verb {
	case "":
		return cli.ShowAppHelp(c)
	case "checkpoint", "restore":
		return fmt.Errorf("%s: not supported: rt neither saves nor restores running containers", verb)
	}
	return fmt.Errorf("unknown command %q (rt --help lists the commands)", c.Args().First())
}

// badGlobal runs on a fault among the global options. Those before the fault
// have been read, so that --log holds for this error too.
func (a *app) badGlobal(c *cli.Context, err error, _ bool) error {
	fmt.Fprintf(a.out, "Incorrect Usage: %v\n\n", err)
	if helpErr := cli.ShowAppHelp(c); helpErr != nil {
		return helpErr
	}
	if logErr := a.openLog(); logErr != nil {
		return fmt.Errorf("%w; %w", err, logErr)
	}
	return err
}

// sink is stdout that remembers its first write error: data that did not
// arrive must not end in exit status 0.
type sink struct {
	w   io.Writer
	err error
}

func (s *sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil && s.err == nil {
		s.err = err
	}
	return n, err
}
