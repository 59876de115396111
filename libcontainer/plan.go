package libcontainer

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/libcontainer/seccomp"
	"rt/nsenter"
	"rt/rootfs"
)

// Plan is the steps that make a container of one config, and nothing that has happened yet.
type Plan struct {
	nsenter.Plan
	cgroup cgroups.Plan // what rt itself does before and beside the steps; for printing
	spec   *specs.Spec
	ns     namespaces
}

// Compile turns spec into a plan. It reads what it needs of the host and
// changes nothing, so an ordinary user may compile any config. Errors name the
// config field. seccompCache is a directory for compiled filters, or empty.
func Compile(spec *specs.Spec, o CreateOptions) (*Plan, error) {
	cg, err := openCgroup(spec, o)
	if err != nil {
		return nil, err
	}
	c := &compiler{spec: spec, opts: o, host: probeHost(), cgroup: cg, parked: true}
	p, err := c.compile()
	if err != nil {
		return nil, err
	}
	p.cgroup, err = cg.Plan(resources(spec))
	return p, err
}

func openCgroup(spec *specs.Spec, o CreateOptions) (*cgroups.Cgroup, error) {
	path := ""
	if spec.Linux != nil {
		path = spec.Linux.CgroupsPath
	}
	return cgroups.Open(cgroups.Options{ID: o.ID, Path: path, Manager: o.CgroupManager, Rootless: o.Rootless, Annotations: spec.Annotations})
}

type compiler struct {
	spec         *specs.Spec
	opts         CreateOptions
	host         host
	cgroup       *cgroups.Cgroup
	seccompCache string
	parked       bool   // the container waits for a `start` of its own
	guest        bool   // not init, but a process that joins it
	joinsUsers   bool   // and whose user namespace is not ours
	denied       uint64 // capabilities that the config names and we do not have
	plan         *Plan
	filter       *seccomp.Filter
}

// compile is the order of a container's making; order_test.go asserts what of it matters.
func (c *compiler) compile() (*Plan, error) {
	c.plan = &Plan{spec: c.spec, ns: sortNamespaces(c.spec)}
	if err := c.checkLabels(theLSMs()); err != nil {
		return nil, err
	}
	facts, err := c.rootfsFacts()
	if err != nil {
		return nil, err
	}
	if !facts.OwnMounts && rootfs.Mounting(c.spec) {
		if err := checkDetached(); err != nil {
			return nil, err
		}
	}
	fs, err := rootfs.Plan(c.spec, facts)
	if err != nil {
		return nil, err
	}
	if err := c.loadFilter(); err != nil {
		return nil, err
	}
	c.plan.Add(earlySteps(c.spec, c.plan.ns)...)
	c.namespaceSteps()
	c.intelRdtStep()
	c.sessionSteps()
	c.plan.Add(fs.Build[:fs.Outside]...)
	if err := c.insideSteps(); err != nil {
		return nil, err
	}
	c.plan.Add(fs.Build[fs.Outside:]...)
	c.lateUTSSteps()
	c.netDevicesStep()
	c.hookSteps()
	c.plan.Add(fs.Enter...)
	c.consoleStep()
	c.plan.Add(fs.Seal...)
	if err := c.sysctlSteps(); err != nil {
		return nil, err
	}
	if err := c.processSteps(); err != nil {
		return nil, err
	}
	if c.host.noTrees {
		return c.plan, openInside(c.plan.Steps)
	}
	return c.plan, nil
}

func (c *compiler) rootfsFacts() (f rootfs.Facts, err error) {
	f = rootfs.Facts{
		Bundle: c.opts.Bundle, Root: rootPath(c.spec, c.opts.Bundle), NoPivot: c.opts.NoPivot, Kcore: c.host.kcore,
		OwnMounts: c.plan.ns.has(unix.CLONE_NEWNS), Hooks: hasEarlyHooks(c.spec.Hooks), UserNS: c.host.userNS || c.plan.ns.has(unix.CLONE_NEWUSER), CgroupNS: c.plan.ns.has(unix.CLONE_NEWCGROUP),
	}
	if c.opts.NoPivot {
		if f.OldProcfs, err = procfsMounts(); err != nil {
			return f, err
		}
	}
	f.Cgroups, err = c.cgroupView()
	return f, err
}

func rootPath(spec *specs.Spec, bundle string) string {
	if spec.Root == nil {
		return filepath.Join(bundle, "rootfs")
	}
	if filepath.IsAbs(spec.Root.Path) {
		return filepath.Clean(spec.Root.Path)
	}
	return filepath.Join(bundle, spec.Root.Path)
}

func (c *compiler) loadFilter() (err error) {
	if c.spec.Linux == nil || c.spec.Linux.Seccomp == nil {
		return nil
	}
	if c.seccompCache == "" {
		c.filter, err = seccomp.Compile(c.spec.Linux.Seccomp)
	} else {
		c.filter, err = seccomp.Load(c.spec.Linux.Seccomp, c.seccompCache)
	}
	return err
}

// Text prints the plan, a line a step. What rt does has no number: that is for the steps of the stage.
func (p *Plan) Text(w io.Writer) error {
	for _, dir := range p.cgroup.Make {
		if _, err := fmt.Fprintf(w, "   -  %-11s make %s  # linux.cgroupsPath\n", "cgroup", dir); err != nil {
			return err
		}
	}
	for _, c := range p.cgroup.Write {
		to := "to "
		if c.Program {
			to = "into the device program of "
		}
		if _, err := fmt.Fprintf(w, "   -  %-11s write %q %s%s  # %s\n", "cgroup", c.Value, to, c.File, c.Field); err != nil {
			return err
		}
	}
	for i, s := range p.Steps {
		from := s.From
		if from != "" {
			from = "  # " + from
		}
		if _, err := fmt.Fprintf(w, "%4d  %-11s %s%s\n", i, s.Op, s.What, from); err != nil {
			return err
		}
	}
	return nil
}

// jsonStep is a step as `rt plan --format json` prints it.
type jsonStep struct {
	Index  int      `json:"index"`
	Op     string   `json:"op"`
	From   string   `json:"from,omitzero"`
	What   string   `json:"what"`
	Num    []uint64 `json:"num,omitempty"`
	Text   []string `json:"text,omitempty"`
	Source string   `json:"source,omitzero"`
}

// MarshalJSON is the plan with every argument, for programs.
func (p *Plan) MarshalJSON() ([]byte, error) {
	steps := make([]jsonStep, len(p.Steps))
	for i, s := range p.Steps {
		steps[i] = jsonStep{Index: i, Op: s.Op.String(), From: s.From, What: utf8(s.What), Num: s.Num, Text: printable(s), Source: utf8(s.Feed.Path)}
	}
	return json.Marshal(struct {
		Steps  []jsonStep   `json:"steps"`
		Cgroup cgroups.Plan `json:"cgroup"`
	}{steps, p.cgroup})
}

// printable shows lists with spaces and a filter's or struct's bytes by their number only.
func printable(s nsenter.Step) []string {
	out := make([]string, len(s.Text))
	for i, t := range s.Text {
		switch {
		case s.Op == nsenter.OpSeccomp || s.Op == nsenter.OpSyscall && strings.ContainsFunc(t, func(r rune) bool { return r < ' ' || r > '~' }):
			out[i] = fmt.Sprintf("(%d bytes)", len(t))
		default:
			out[i] = utf8(strings.TrimRight(strings.ReplaceAll(t, "\x00", " "), " "))
		}
	}
	return out
}

// utf8: JSON has no other bytes, while paths and arguments may have any.
func utf8(s string) string { return strings.ToValidUTF8(s, "?") }
