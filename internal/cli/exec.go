package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"rt/libcontainer"
	"rt/specconv"
)

// execFlags are what exec's command line says about the process.
type execFlags struct {
	process, cwd, user, label, apparmor string
	env, caps, gids, cgroups            cli.StringSlice
	tty, noNewPrivs, userSet            bool
	about                               []string // the flags given that are about the process
}

func (a *app) execCommand() *cli.Command {
	var o libcontainer.ExecOptions
	var f execFlags
	return &cli.Command{
		Name:      "exec",
		Usage:     "run another process in a container",
		ArgsUsage: "ID COMMAND [ARGUMENT...]",
		Description: `The process is like the one in config.json but for what the flags say, or is
described whole by --process. rt exits with its status, or with 255 if it could
not be executed. Examples:

rt exec web1 ps
rt exec --tty --user 1000:1000 --env TERM=xterm web1 sh`,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "console-socket", Usage: "send the terminal's master to this AF_UNIX socket `PATH`", Destination: &o.ConsoleSocket},
			&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the process to this AF_UNIX socket `PATH`", Destination: &o.PidfdSocket},
			&cli.StringFlag{Name: "cwd", Usage: "start in this `DIR` of the container", Destination: &f.cwd},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE` (may be repeated)", Destination: &f.env},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the process a terminal", Destination: &f.tty, DisableDefaultText: true},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "be `UID[:GID]`, numbers only; the gid is 0 if not given", Destination: &f.user},
			&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "be in group `GID` too (may be repeated)", Destination: &f.gids},
			&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "take the process from `FILE`, a JSON like process in config.json", Destination: &f.process},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "return as soon as the process runs", Destination: &o.Detach, DisableDefaultText: true},
			&cli.StringFlag{Name: "pid-file", Usage: "write the pid of the process to `FILE`", Destination: &o.PidFile},
			&cli.StringFlag{Name: "process-label", Usage: "run under this SELinux `LABEL`", Destination: &f.label},
			&cli.StringFlag{Name: "apparmor", Usage: "run under this AppArmor `PROFILE`", Destination: &f.apparmor},
			&cli.BoolFlag{Name: "no-new-privs", Usage: "let the process gain no privileges by execve", Destination: &f.noNewPrivs, DisableDefaultText: true},
			&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "add capability `CAP` to what the process has (may be repeated)", Destination: &f.caps},
			&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` more open files to the process, from 3", Destination: &o.PreserveFDs, DefaultText: "0"},
			&cli.StringSliceFlag{Name: "cgroup", Usage: "enter the existing cgroup `[CONTROLLER[,CONTROLLER...]:]PATH` below the container's (may be repeated)", Destination: &f.cgroups},
			&cli.BoolFlag{Name: "ignore-paused", Usage: "do so even if the container is paused: the process then waits for resume", Destination: &o.IgnorePaused, DisableDefaultText: true},
		},
		Action: func(c *cli.Context) error {
			least := 2
			if f.process != "" {
				least = 1
			}
			f.userSet, f.about = c.IsSet("user"), aboutProcess(c)
			return a.action(least, -1, func(c *cli.Context) error {
				a.failure = 255 // unlike any status of rt's other commands, as scripts know it from runc
				id := c.Args().First()
				if err := a.exec(id, c.Args().Slice()[1:], &f, o); err != nil {
					return fmt.Errorf("exec %s: %w", id, err)
				}
				return nil
			})(c)
		},
	}
}

func (a *app) exec(id string, args []string, f *execFlags, o libcontainer.ExecOptions) error {
	container, err := a.store().Get(id)
	if err != nil {
		return err
	}
	if err := f.options(&o); err != nil {
		return err
	}
	o.Rootless = a.isRootless()
	if a.log.least >= levelDebug {
		o.Trace = a.logStep
	}
	a.status, err = container.Exec(func(bundle string) (*specs.Process, error) {
		process, err := f.build(bundle, args)
		if err != nil {
			return nil, err
		}
		if err := specconv.ValidateProcess(process, specconv.Host{CgroupV2: cgroupV2(), LastCap: lastCap()}); err != nil {
			return nil, err
		}
		return process, checkTerminal(&specs.Spec{Process: process}, o.ConsoleSocket != "", o.Detach)
	}, o)
	return err
}

// aboutProcess names the flags given that --process leaves nothing to do for.
func aboutProcess(c *cli.Context) (given []string) {
	for _, name := range []string{"cwd", "env", "user", "additional-gids", "process-label", "apparmor", "no-new-privs", "cap"} {
		if c.IsSet(name) {
			given = append(given, "--"+name)
		}
	}
	return given
}

func (f *execFlags) options(o *libcontainer.ExecOptions) error {
	if o.PreserveFDs < 0 {
		return fmt.Errorf("--preserve-fds %d: must not be negative", o.PreserveFDs)
	}
	if o.PidFile != "" {
		var err error
		if o.PidFile, err = filepath.Abs(o.PidFile); err != nil {
			return fmt.Errorf("--pid-file: %w", err)
		}
	}
	return f.parseCgroups(o)
}

// parseCgroups: PATH for every controller, or CTRL[,CTRL]:PATH for some (v1).
func (f *execFlags) parseCgroups(o *libcontainer.ExecOptions) error {
	for _, c := range f.cgroups.Value() {
		if o.Cgroups == nil {
			o.Cgroups = map[string]string{}
		}
		list, path, named := strings.Cut(c, ":")
		if !named {
			list, path = "", c
		}
		for controller := range strings.SplitSeq(list, ",") {
			if _, twice := o.Cgroups[controller]; twice {
				return fmt.Errorf("--cgroup %q: a second path for controller %q", c, controller)
			}
			if named && controller == "" {
				return fmt.Errorf("--cgroup %q: an empty controller", c)
			}
			o.Cgroups[controller] = path
		}
	}
	return nil
}

// build makes the process: from --process alone, or from config.json with the flags applied.
func (f *execFlags) build(bundle string, args []string) (*specs.Process, error) {
	if f.process != "" {
		return f.read(bundle, args)
	}
	p, err := template(bundle)
	if err != nil {
		return nil, err
	}
	return p, f.apply(p, args)
}

// read takes the process from the file of --process. One that names no capabilities has those of config.json.
func (f *execFlags) read(bundle string, args []string) (*specs.Process, error) {
	if len(args) > 0 {
		return nil, errors.New("--process: a command is in the file and on the command line")
	}
	if len(f.about) > 0 {
		return nil, fmt.Errorf("--process describes the whole process, so %s cannot be given too", strings.Join(f.about, ", "))
	}
	data, err := os.ReadFile(f.process)
	if err != nil {
		return nil, fmt.Errorf("--process: %w", err)
	}
	p, err := specconv.DecodeProcess(f.process, data)
	if err == nil && f.tty && !p.Terminal {
		err = fmt.Errorf("--tty: %s does not ask for a terminal", f.process)
	}
	if err != nil || p.Capabilities != nil {
		return p, err
	}
	t, err := template(bundle)
	if err != nil {
		return nil, fmt.Errorf("--process: %s names no capabilities: %w", f.process, err)
	}
	p.Capabilities = t.Capabilities
	return p, nil
}

// template is the process of config.json.
func template(bundle string) (*specs.Process, error) {
	p, err := specconv.LoadProcess(filepath.Join(bundle, "config.json"))
	if err == nil && p == nil {
		err = errors.New("config.json has no process to take as a template: use --process")
	}
	return p, err
}

func (f *execFlags) apply(p *specs.Process, args []string) error {
	p.Args, p.Terminal, p.ConsoleSize = args, f.tty, nil
	p.Env = append(p.Env, f.env.Value()...)
	set := func(to *string, value string) {
		if value != "" {
			*to = value
		}
	}
	set(&p.Cwd, f.cwd)
	set(&p.ApparmorProfile, f.apparmor)
	set(&p.SelinuxLabel, f.label)
	p.NoNewPrivileges = p.NoNewPrivileges || f.noNewPrivs
	if f.userSet {
		uid, gid, err := specconv.ParseUser(f.user)
		if err != nil {
			return fmt.Errorf("--user: %w", err)
		}
		p.User.UID, p.User.GID = uid, gid
	}
	for _, g := range f.gids.Value() {
		gid, err := strconv.ParseUint(g, 10, 32)
		if err != nil || gid == 1<<32-1 {
			return fmt.Errorf("--additional-gids %q: is not a gid", g)
		}
		p.User.AdditionalGids = append(p.User.AdditionalGids, uint32(gid))
	}
	return f.addCaps(p)
}

// addCaps adds to what the process may have. Never to the inheritable set, which
// a program without file capabilities would pass on (CVE-2022-29162), and to the
// ambient one only where the config has inheritable capabilities anyway.
func (f *execFlags) addCaps(p *specs.Process) error {
	caps := f.caps.Value()
	if len(caps) == 0 {
		return nil
	}
	if p.Capabilities == nil {
		p.Capabilities = &specs.LinuxCapabilities{}
	}
	c := p.Capabilities
	for _, name := range caps {
		if _, ok := specconv.CapabilityBit(name); !ok {
			return fmt.Errorf("--cap %q: is no capability", name)
		}
		c.Bounding, c.Effective, c.Permitted = add(c.Bounding, name), add(c.Effective, name), add(c.Permitted, name)
		if len(c.Inheritable) > 0 {
			c.Ambient = add(c.Ambient, name)
		}
	}
	return nil
}

func add(set []string, name string) []string {
	if slices.Contains(set, name) {
		return set
	}
	return append(set, name)
}
