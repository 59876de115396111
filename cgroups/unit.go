package cgroups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups/systemd"
)

// unitTimeout is how long systemd may take to start, change or stop a unit. It answers within milliseconds, but not
// while it reads its units again.
const unitTimeout = 30 * time.Second

// unit is the systemd unit that is a container's cgroup: a scope as a rule. systemd starts a scope around a process
// that is there already (Adopt), whose children are then born inside. All limits are given to systemd, which would
// else forget those that it knows, and written by us, which shows whether they hold. Freezing and killing is ours.
type unit struct {
	systemd.Unit
	user   bool // of the user's manager, not the system's
	id     string
	given  []systemd.Property // from annotations; they come last, so they win
	member int                // the process that a scope is started around
	tight  bool               // the pids limit leaves no room for member beside init: see makeRoom
}

// openUnit decides on the unit, and guesses where its cgroup will be: systemd is not asked before Create.
func (c *Cgroup) openUnit(o Options) (*Cgroup, error) {
	// In a user namespace, "root" may be somebody's disguise, or the root of a system container with a systemd of its own.
	user := o.Rootless && (os.Geteuid() != 0 || os.Getenv("USER") != "root")
	at, err := systemd.UnitOf(o.Path, o.ID, user)
	if err != nil {
		return nil, fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	given, err := systemd.ParseAnnotations(o.Annotations)
	if err != nil {
		return nil, annotationFault(err)
	}
	c.unit = &unit{Unit: at, user: user, id: o.ID, given: given}
	c.given = false // the path is systemd's: what it does not manage, a rootless caller may go without
	path, err := at.Path()
	if err != nil {
		return nil, fmt.Errorf("linux.cgroupsPath: %w", err)
	}
	return c, c.locate(c.managerPath() + path)
}

// managerPath guesses the cgroup below which the manager has its units.
func (c *Cgroup) managerPath() string {
	own, _ := readCgroup(c.proc, "1") // unreadable, it is the root as a rule
	path := strings.TrimSuffix(strings.TrimSuffix(own.systemdPath(c.onlyV2()), "/init.scope"), "/")
	if c.unit.user {
		uid := strconv.Itoa(realUID(c.proc))
		path += "/user.slice/user-" + uid + ".slice/user@" + uid + ".service"
	}
	return path
}

// systemdPath is the path that systemd means: it has one for all hierarchies. v2: it uses no v1 hierarchy, though the
// kernel may have one.
func (o *ownCgroups) systemdPath(v2 bool) string {
	for _, line := range o.v1 {
		if line.names[0] == "name=systemd" && !v2 {
			return line.path
		}
	}
	return o.unified
}

// realUID is who we are outside of our user namespace: the manager sees that, not what we see.
func realUID(proc string) int {
	uid := os.Geteuid()
	text, _ := os.ReadFile(proc + "/self/uid_map")
	for line := range strings.Lines(string(text)) {
		var inside, outside, count int
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && uid >= inside && uid-inside < count {
			return outside + uid - inside
		}
	}
	return uid
}

// Adopt names the process that systemd starts the scope around: one that waits, and whose child becomes the
// container's init. Create needs it with systemd, and only then.
func (c *Cgroup) Adopt(pid int) {
	if c.unit != nil {
		c.unit.member = pid
	}
}

// startUnit has systemd make the cgroup. Who is not root tries the user's manager, then the system's, then goes on
// without systemd, warned; root goes on without it only on a machine that systemd does not run: where it does, it
// would sooner or later change what is made behind its back.
func (c *Cgroup) startUnit(r *specs.LinuxResources, devices deviceSet) error {
	ctx, cancel := context.WithTimeout(context.Background(), unitTimeout)
	defer cancel()
	err := c.startWith(ctx, r, devices)
	if c.unit.user && c.mayGoOn(err) {
		c.unit.user = false
		first := err
		if err = c.startWith(ctx, r, devices); err == nil {
			c.warnings = append(c.warnings, fmt.Sprintf("--cgroup-manager=systemd: no manager of the user's own (%v): the unit is one of the system's", first))
			return nil
		}
		err = fmt.Errorf("%w; the system's: %w", first, err)
	}
	if err == nil || !c.mayGoOn(err) || !c.rootless && booted() {
		return err
	}
	c.unit, c.fallback = nil, err
	c.warnings = append(c.warnings, fmt.Sprintf("--cgroup-manager=systemd: %v: going on with cgroupfs", err))
	return nil
}

// mayGoOn tells whether another way to a cgroup may be tried: nothing has been made, nor can be here.
func (c *Cgroup) mayGoOn(err error) bool {
	return errors.Is(err, systemd.ErrUnreachable) || c.rootless && systemd.IsDenied(err)
}

// booted tells whether systemd runs the machine (sd_booted(3)).
func booted() bool { return unix.Access("/run/systemd/system", unix.F_OK) == nil }

// startWith starts the unit. When systemd starts anew meanwhile, nobody says whether it did what we asked: the
// process shows.
func (c *Cgroup) startWith(ctx context.Context, r *specs.LinuxResources, devices deviceSet) error {
	lost := false
	for {
		err := c.tryUnit(ctx, r, devices)
		switch {
		case errors.Is(err, systemd.ErrLost):
			lost = true
		case !lost || !errors.Is(err, systemd.ErrUnreachable) && !systemd.IsUnitExists(err):
			return err
		}
		if c.follow() == nil {
			return nil
		}
		if systemd.IsUnitExists(err) || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (c *Cgroup) tryUnit(ctx context.Context, r *specs.LinuxResources, devices deviceSet) error {
	m, err := systemd.Connect(ctx, c.unit.user, realUID(c.proc))
	if err != nil {
		return err
	}
	defer m.Close()
	version, err := m.Version(ctx)
	if err != nil {
		return err
	}
	list, err := c.unitProperties(r, devices, version)
	if err != nil {
		return err
	}
	err = m.Start(ctx, c.unit.Name, list)
	if err != nil && !(c.unit.IsSlice() && systemd.IsUnitExists(err)) {
		return c.blame(err)
	}
	if !c.unit.IsSlice() {
		if err := c.follow(); err != nil {
			return errors.Join(err, m.Stop(ctx, c.unit.Name))
		}
		return nil
	}
	if err != nil { // somebody made the slice before us, and left it empty
		if err := m.Set(ctx, c.unit.Name, c.limitProperties(r, version)); err != nil {
			return c.blame(err)
		}
	}
	base, err := m.ControlGroup(ctx)
	if err == nil {
		var path string
		path, err = c.unit.Path()
		c.moveTo(base + path)
	}
	return err
}

// blame names the annotation whose property systemd does not like.
func (c *Cgroup) blame(err error) error {
	for _, p := range c.unit.given {
		if strings.Contains(err.Error(), p.Name) {
			return annotationFault(&systemd.AnnotationError{Key: systemd.AnnotationPrefix + p.Name, Err: err})
		}
	}
	return err
}

func annotationFault(err error) error {
	var a *systemd.AnnotationError
	if !errors.As(err, &a) {
		return err
	}
	return &LimitError{Field: fmt.Sprintf("annotations[%q]", a.Key), Err: a.Err}
}

// unitProperties is everything that systemd is told of a new unit.
func (c *Cgroup) unitProperties(r *specs.LinuxResources, devices deviceSet, version int) ([]systemd.Property, error) {
	io := "IOAccounting"
	if c.mode != V2 {
		io = "BlockIOAccounting"
	}
	list := []systemd.Property{
		systemd.NewProperty("Description", "rt container "+c.unit.id),
		systemd.NewProperty("DefaultDependencies", false), // or it is stopped with the sockets and timers of a shutdown
		systemd.NewProperty("CPUAccounting", true),
		systemd.NewProperty("MemoryAccounting", true),
		systemd.NewProperty("TasksAccounting", true),
		systemd.NewProperty(io, true),
	}
	if !c.unit.IsSlice() {
		list = append(list,
			systemd.NewProperty("Slice", c.unit.Slice),
			systemd.NewProperty("Delegate", true),
			systemd.NewProperty("PIDs", []uint32{uint32(c.unit.member)}))
	}
	if version >= 236 {
		list = append(list, systemd.NewProperty("CollectMode", "inactive-or-failed"))
	}
	shares, err := c.divide(r)
	if err != nil {
		return nil, err
	}
	c.makeRoom(shares)
	list = append(list, propertiesOf(shares, version, c.present)...)
	if _, ok := c.find("devices"); ok {
		list = append(list, c.deviceProperties(devices)...)
	}
	return append(list, c.unit.given...), nil
}

// deviceProperties tells systemd the device rules, and the user which of them systemd has no words for.
func (c *Cgroup) deviceProperties(devices deviceSet) []systemd.Property {
	majors, _ := os.ReadFile(c.proc + "/devices")
	list, lost := deviceProperties(devices, string(majors))
	if len(lost) > 0 {
		c.warnings = append(c.warnings, fmt.Sprintf("linux.resources.devices: systemd cannot be told of %q: "+
			"a daemon-reload undoes them", lost))
	}
	return list
}

// makeRoom leaves room for two processes where the limit is one: the process that the scope is started around is in
// it, too, until init is born. Settle sets the limit that was asked for.
func (c *Cgroup) makeRoom(shares []share) {
	if c.unit == nil || c.unit.member == 0 || c.unit.IsSlice() {
		return
	}
	for _, s := range shares {
		for i := range s.limits {
			if l := &s.limits[i]; l.file == "pids.max" && l.value == "1" {
				l.value, c.unit.tight = "2", true
			}
		}
	}
}

// Settle is to be called when init has been born: the limits are then those of the container alone.
func (c *Cgroup) Settle() error {
	if c.unit == nil || !c.unit.tight {
		return nil
	}
	one := int64(1)
	c.unit.tight, c.unit.member = false, 0
	return c.Set(&specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &one}})
}

// present gives the present content of a control file, or "".
func (c *Cgroup) present(s share, file string) string {
	text, err := readFile(s.at.path, file)
	if err != nil {
		return ""
	}
	return text
}

// follow finds out where systemd has put the process, and with it the unit.
func (c *Cgroup) follow() error {
	own, err := readCgroup(c.proc, strconv.Itoa(c.unit.member))
	if err != nil {
		return err
	}
	path := own.systemdPath(c.onlyV2())
	if !strings.HasSuffix(path, "/"+c.unit.Name) || strings.HasPrefix(path, "/..") {
		return fmt.Errorf("systemd has started %s, but the process meant for it is in cgroup %s", c.unit.Name, path)
	}
	c.moveTo(path)
	return nil
}

// moveTo sets the path of the unit, which is the same in all hierarchies.
func (c *Cgroup) moveTo(path string) {
	for i := range c.v1 {
		c.v1[i].path = c.v1[i].root + path
	}
	if c.unified.path != "" {
		c.unified.path = c.unified.root + path
	}
}

// limitProperties are those that an update may change.
func (c *Cgroup) limitProperties(r *specs.LinuxResources, version int) []systemd.Property {
	shares, _ := c.divide(r)
	return propertiesOf(shares, version, c.present)
}

// setUnit tells systemd of new limits before they are written. What is refused for being in use is asked first:
// systemd would not.
func (c *Cgroup) setUnit(shares []share) error {
	for _, s := range shares {
		if err := checkShare(s); err != nil {
			return err
		}
	}
	return c.withManager(func(ctx context.Context, m *systemd.Manager) error {
		version, err := m.Version(ctx)
		if err != nil {
			return err
		}
		list := propertiesOf(shares, version, c.present)
		if len(list) == 0 {
			return nil
		}
		return m.Set(ctx, c.unit.Name, list)
	})
}

func checkShare(s share) error {
	d, err := openDir(s.at.path)
	if err != nil {
		return err
	}
	defer d.close()
	for _, l := range s.limits {
		if err := checkUsage(d, l); err != nil {
			return err
		}
	}
	return nil
}

// Attach has the user's manager move a process, which waits, to a place in the unit; the process is there when p names no
// cgroup2 directory any more. By themselves users cannot leave the unit that they are in, such as their session: moving
// takes the right to write to a cgroup that is above both places. Who is root enters by being born there, and without a
// manager the kernel has the last word.
func (c *Cgroup) Attach(pid int, p *Place) error {
	if c.unit == nil || !c.unit.user || p.Unified == "" {
		return nil
	}
	sub := strings.TrimPrefix(p.Unified, c.unified.path)
	err := c.withManager(func(ctx context.Context, m *systemd.Manager) error { return m.Attach(ctx, c.unit.Name, sub, pid) })
	if errors.Is(err, systemd.ErrUnreachable) {
		return nil
	}
	if err == nil {
		p.Unified = ""
	}
	return err
}

func (c *Cgroup) withManager(do func(context.Context, *systemd.Manager) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), unitTimeout)
	defer cancel()
	m, err := systemd.Connect(ctx, c.unit.user, realUID(c.proc))
	if err != nil {
		return err
	}
	defer m.Close()
	return do(ctx, m)
}

// endUnit stops the unit, has systemd forget it, and removes what is left of the cgroup. A manager that is no more,
// as a user's who has logged out, has no units either: then it is enough that the cgroup is gone.
func (c *Cgroup) endUnit(remove func() error) error {
	stop := c.withManager(func(ctx context.Context, m *systemd.Manager) error { return m.Stop(ctx, c.unit.Name) })
	err := remove()
	if err == nil && (errors.Is(stop, systemd.ErrUnreachable) || errors.Is(stop, systemd.ErrLost)) {
		return nil
	}
	return errors.Join(stop, err)
}
