package cli

import (
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v2"

	"rt/libcontainer"
	"rt/specconv"
)

func (a *app) updateCommand() *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "change the limits of a container",
		ArgsUsage: "ID",
		Description: `Limits that are not mentioned stay as they are; if one is refused, none is changed.
A SIZE is a number of bytes, or of k, m or g; -1 means no limit. FILE holds JSON like
linux.resources in config.json; its device rules change nothing, and other options
are then ignored. Examples:

rt update --memory 512m --memory-swap 1g web1
rt update --cpu-quota 50000 --pids-limit 100 web1
echo '{"memory": {"limit": 536870912}}' | rt update --resources - web1`,
		Flags: updateFlags(),
		Action: a.onContainer(1, func(id string, c *cli.Context) error {
			change, err := a.readUpdate(c)
			if err != nil {
				return err
			}
			container, err := a.store().Get(id)
			if err != nil {
				return err
			}
			return container.Update(change)
		}),
	}
}

// updateFlag is one limit: its value goes into the change.
type updateFlag struct {
	name, usage string
	hidden      bool
	set         func(u *libcontainer.Update, value string) error
}

func (f *updateFlag) flag() cli.Flag {
	return &cli.StringFlag{Name: f.name, Usage: f.usage, Hidden: f.hidden}
}

func updateFlags() []cli.Flag {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "take all limits from `FILE`, or from stdin for -"},
	}
	for _, f := range limitFlags() {
		flags = append(flags, f.flag())
	}
	return flags
}

func limitFlags() []updateFlag {
	return append(append(memoryFlags(), cpuFlags()...), []updateFlag{
		{"blkio-weight", "weight of block I/O, `N` from 10 to 1000", false, func(u *libcontainer.Update, v string) error {
			return parseUint16(v, &blockIO(u).Weight)
		}},
		{"pids-limit", "at most `N` processes and threads; -1 for no limit", false, func(u *libcontainer.Update, v string) error {
			u.Resources.Pids = &specs.LinuxPids{}
			return parseInt(v, &u.Resources.Pids.Limit)
		}},
		{"l3-cache-schema", "`LINE` for L3 in the schemata of its resctrl group (Intel RDT)", false, func(u *libcontainer.Update, v string) error {
			u.L3CacheSchema = v
			return nil
		}},
		{"mem-bw-schema", "`LINE` for MB in the schemata of its resctrl group (Intel RDT)", false, func(u *libcontainer.Update, v string) error {
			u.MemBwSchema = v
			return nil
		}},
	}...)
}

func memoryFlags() []updateFlag {
	size := func(name, usage string, hidden bool, field func(*specs.LinuxMemory) **int64) updateFlag {
		return updateFlag{name, usage, hidden, func(u *libcontainer.Update, v string) error {
			n, err := parseSize(v)
			*field(memory(u)) = &n
			return err
		}}
	}
	return []updateFlag{
		size("memory", "limit memory to `SIZE`", false, func(m *specs.LinuxMemory) **int64 { return &m.Limit }),
		size("memory-reservation", "try to leave it `SIZE` of memory when memory is short", false, func(m *specs.LinuxMemory) **int64 { return &m.Reservation }),
		size("memory-swap", "limit memory and swap together to `SIZE`", false, func(m *specs.LinuxMemory) **int64 { return &m.Swap }),
		//lint:ignore SA1019 callers still give it
		size("kernel-memory", "limit kernel memory to `SIZE` (v1; no longer enforced by kernels)", true, func(m *specs.LinuxMemory) **int64 { return &m.Kernel }),
		size("kernel-memory-tcp", "limit memory of TCP buffers to `SIZE` (v1)", true, func(m *specs.LinuxMemory) **int64 { return &m.KernelTCP }),
	}
}

func cpuFlags() []updateFlag {
	unsigned := func(name, usage string, field func(*specs.LinuxCPU) **uint64) updateFlag {
		return updateFlag{name, usage, false, func(u *libcontainer.Update, v string) error { return parseUint(v, field(cpu(u))) }}
	}
	signed := func(name, usage string, field func(*specs.LinuxCPU) **int64) updateFlag {
		return updateFlag{name, usage, false, func(u *libcontainer.Update, v string) error { return parseInt(v, field(cpu(u))) }}
	}
	text := func(name, usage string, field func(*specs.LinuxCPU) *string) updateFlag {
		return updateFlag{name, usage, false, func(u *libcontainer.Update, v string) error { *field(cpu(u)) = v; return nil }}
	}
	return []updateFlag{
		unsigned("cpu-period", "period of the quota, in `MICROSECONDS`", func(c *specs.LinuxCPU) **uint64 { return &c.Period }),
		signed("cpu-quota", "limit processor time to `MICROSECONDS` a period; -1 for no limit", func(c *specs.LinuxCPU) **int64 { return &c.Quota }),
		unsigned("cpu-burst", "let it save up `MICROSECONDS` of unused quota", func(c *specs.LinuxCPU) **uint64 { return &c.Burst }),
		unsigned("cpu-share", "weight of processor time, `N` from 2 to 262144", func(c *specs.LinuxCPU) **uint64 { return &c.Shares }),
		unsigned("cpu-rt-period", "period of the real-time limit, in `MICROSECONDS` (v1)", func(c *specs.LinuxCPU) **uint64 { return &c.RealtimePeriod }),
		signed("cpu-rt-runtime", "limit real-time processes to `MICROSECONDS` a period (v1)", func(c *specs.LinuxCPU) **int64 { return &c.RealtimeRuntime }),
		text("cpuset-cpus", "use these processors only: a `LIST` like 0-2,5", func(c *specs.LinuxCPU) *string { return &c.Cpus }),
		text("cpuset-mems", "use these memory nodes only: a `LIST` like 0,1", func(c *specs.LinuxCPU) *string { return &c.Mems }),
		signed("cpu-idle", "`N` is 1 to run only when nothing else does, 0 to end that", func(c *specs.LinuxCPU) **int64 { return &c.Idle }),
	}
}

func memory(u *libcontainer.Update) *specs.LinuxMemory {
	if u.Resources.Memory == nil {
		u.Resources.Memory = &specs.LinuxMemory{}
	}
	return u.Resources.Memory
}

func cpu(u *libcontainer.Update) *specs.LinuxCPU {
	if u.Resources.CPU == nil {
		u.Resources.CPU = &specs.LinuxCPU{}
	}
	return u.Resources.CPU
}

func blockIO(u *libcontainer.Update) *specs.LinuxBlockIO {
	if u.Resources.BlockIO == nil {
		u.Resources.BlockIO = &specs.LinuxBlockIO{}
	}
	return u.Resources.BlockIO
}

func parseInt(text string, into **int64) error {
	n, err := strconv.ParseInt(text, 10, 64)
	*into = &n
	return numberError(text, err)
}

func parseUint(text string, into **uint64) error {
	n, err := strconv.ParseUint(text, 10, 64)
	*into = &n
	return numberError(text, err)
}

func parseUint16(text string, into **uint16) error {
	n, err := strconv.ParseUint(text, 10, 16)
	n16 := uint16(n)
	*into = &n16
	return numberError(text, err)
}

func numberError(text string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%q: %w", text, err.(*strconv.NumError).Err)
}

// readUpdate makes a change of the options, or of the file that stands for all of them.
func (a *app) readUpdate(c *cli.Context) (libcontainer.Update, error) {
	u := libcontainer.Update{Resources: &specs.LinuxResources{}}
	if file := c.String("resources"); c.IsSet("resources") {
		r, err := readResources(file)
		if err != nil {
			return u, err
		}
		u.Resources = r
	} else if err := readLimits(c, &u); err != nil {
		return u, err
	}
	h := specconv.Host{CgroupV2: cgroupV2(), Rootless: os.Geteuid() != 0, LastCap: lastCap()}
	return u, specconv.ValidateResources(u.Resources, h)
}

func readLimits(c *cli.Context, u *libcontainer.Update) error {
	for _, f := range limitFlags() {
		if !c.IsSet(f.name) {
			continue
		}
		if err := f.set(u, c.String(f.name)); err != nil {
			return fmt.Errorf("--%s: %w", f.name, err)
		}
	}
	return nil
}

func readResources(file string) (*specs.LinuxResources, error) {
	name, data, err := file, []byte(nil), error(nil)
	if file == "-" {
		name = "stdin"
		data, err = io.ReadAll(os.Stdin)
	} else {
		data, err = os.ReadFile(file)
	}
	if err != nil {
		return nil, fmt.Errorf("--resources: %w", err)
	}
	return specconv.DecodeResources(name, data)
}
