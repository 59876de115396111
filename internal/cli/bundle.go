package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"
	"golang.org/x/sys/unix"

	"rt/libcontainer"
	"rt/specconv"
)

func bundleFlag(dst *string) cli.Flag {
	return &cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "`DIR` that holds config.json (default: the current directory)", Destination: dst}
}

// createFlags are the flags of create, and of run, which adds some.
func createFlags(o *libcontainer.CreateOptions) []cli.Flag {
	return []cli.Flag{
		bundleFlag(&o.Bundle),
		&cli.StringFlag{Name: "console-socket", Usage: "send the terminal's master to this AF_UNIX socket `PATH`", Destination: &o.ConsoleSocket},
		&cli.StringFlag{Name: "pidfd-socket", Usage: "send a pidfd of the container's process to this AF_UNIX socket `PATH`", Destination: &o.PidfdSocket},
		&cli.StringFlag{Name: "pid-file", Usage: "write the pid of the container's process to `FILE`", Destination: &o.PidFile},
		&cli.BoolFlag{Name: "no-pivot", Usage: "enter the root by moving its mount and chroot, for a root on an initramfs", Destination: &o.NoPivot, DisableDefaultText: true},
		&cli.BoolFlag{Name: "no-new-keyring", Usage: "keep the caller's session keyring", Destination: &o.NoNewKeyring, DisableDefaultText: true},
		&cli.IntFlag{Name: "preserve-fds", Usage: "pass `N` more open files to the container, from 3 (or after those of $LISTEN_FDS)", Destination: &o.PreserveFDs, DefaultText: "0"},
	}
}

// prepare turns what the command line says into what libcontainer wants, and
// reads the bundle. All is checked before anything is made.
func (a *app) prepare(id string, o *libcontainer.CreateOptions, detach bool) (*specs.Spec, error) {
	o.ID = id
	if o.PreserveFDs < 0 {
		return nil, fmt.Errorf("--preserve-fds %d: must not be negative", o.PreserveFDs)
	}
	if o.PidFile != "" {
		var err error
		if o.PidFile, err = filepath.Abs(o.PidFile); err != nil {
			return nil, fmt.Errorf("--pid-file: %w", err)
		}
	}
	o.Rootless = a.isRootless()
	if a.log.least >= levelDebug {
		o.Trace = a.logStep
	}
	spec, err := a.load(o)
	if err != nil {
		return nil, err
	}
	if err := a.check(spec, os.Geteuid() != 0); err != nil {
		return nil, err
	}
	if err := checkTerminal(spec, o.ConsoleSocket != "", detach); err != nil {
		return nil, err
	}
	return spec, a.makeRoot()
}

// logStep tells what the stage inside the container did, which logs nothing itself.
func (a *app) logStep(row libcontainer.TraceRow) {
	a.log.debugf("step %d, %s: %s", row.Index, row.Took, row.Step.What)
}

// load reads config.json of the bundle, and makes o name both.
func (a *app) load(o *libcontainer.CreateOptions) (*specs.Spec, error) {
	var err error
	if o.Bundle, err = filepath.Abs(o.Bundle); err != nil {
		return nil, fmt.Errorf("--bundle: %w", err)
	}
	o.CgroupManager = a.manager
	spec, err := specconv.Load(filepath.Join(o.Bundle, "config.json"))
	if err != nil {
		return nil, err
	}
	a.log.debugf("bundle %s: OCI %s, %d mounts", o.Bundle, spec.Version, len(spec.Mounts))
	return spec, nil
}

// check finds the faults of a config, and warns of what will not work though it
// is none. user tells that rt has no rights of root.
func (a *app) check(spec *specs.Spec, user bool) error {
	h := specconv.Host{CgroupV2: cgroupV2(), Rootless: user, LastCap: lastCap()}
	if err := specconv.Validate(spec, h); err != nil {
		return err
	}
	for _, w := range specconv.Warnings(spec, h) {
		a.log.warn(w.String())
	}
	return nil
}

func cgroupV2() bool {
	var st unix.Statfs_t
	return unix.Statfs("/sys/fs/cgroup", &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// lastCap is the highest capability of the kernel. Asking for each from the
// last that Linux 5.14 has is quicker than to read cap_last_cap.
func lastCap() int {
	last := unix.CAP_CHECKPOINT_RESTORE
	for {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(last+1), 0, 0, 0); err != nil {
			return last
		}
		last++
	}
}

// checkTerminal: a terminal that nobody here would hold needs a socket to go
// to, and a socket is for nothing else.
func checkTerminal(spec *specs.Spec, socket, detach bool) error {
	terminal := spec.Process != nil && spec.Process.Terminal
	switch {
	case terminal && detach && !socket:
		return errors.New("process.terminal is true and rt does not stay: give --console-socket to receive the terminal")
	case socket && !detach:
		return errors.New("--console-socket: only for a detached container; here rt itself holds the terminal")
	case socket && !terminal:
		return errors.New("--console-socket: process.terminal is not true in config.json")
	}
	return nil
}
