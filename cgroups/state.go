package cgroups

import (
	"slices"
	"strings"

	"rt/cgroups/systemd"
	"rt/internal/object"
)

// State is what a state record has to keep about a cgroup to find it again.
type State struct {
	Mode  Mode   `json:"mode"`
	Mount string `json:"mount,omitempty"`

	// Paths maps a controller to the container's directory in its hierarchy. Controllers that share a
	// hierarchy share the path; the key of the cgroup2 tree is "unified".
	Paths map[string]string `json:"paths,omitempty"`

	// Unit is the systemd unit, if there is one; UserUnit, that it is one of the user's manager.
	Unit     string `json:"unit,omitempty"`
	UserUnit bool   `json:"user_unit,omitempty"`
}

// Write fills the object that the record is kept as.
func (s State) Write(w *object.Writer) {
	w.Text("mode", string(s.Mode))
	w.Text("mount", s.Mount)
	w.Texts("paths", s.Paths)
	w.Text("unit", s.Unit)
	w.Bool("user_unit", s.UserUnit)
}

const unifiedKey = "unified"

// State returns the record. It is complete before Create, but Create may drop hierarchies that a
// rootless caller has no access to: record it again afterwards.
func (c *Cgroup) State() State {
	s := State{Mode: c.mode}
	if c.unit != nil {
		s.Unit, s.UserUnit = c.unit.Name, c.unit.user
	}
	if c.mode == Disabled {
		return s
	}
	s.Mount, s.Paths = c.mount, make(map[string]string, len(c.v1)+1)
	for _, h := range c.v1 {
		for _, name := range h.names {
			s.Paths[name] = h.path
		}
	}
	if c.unified.path != "" {
		s.Paths[unifiedKey] = c.unified.path
	}
	return s
}

// Load returns the cgroup that a record describes; it touches nothing. The zero State is a container
// without a cgroup.
func Load(s State) *Cgroup {
	c := &Cgroup{mode: s.Mode, mount: s.Mount, given: true}
	c.setDefaults()
	if c.mode == "" {
		c.mode = Disabled
	}
	if s.Unit != "" {
		c.unit = &unit{Unit: systemd.Unit{Name: s.Unit}, user: s.UserUnit}
	}
	if path, ok := s.Paths[unifiedKey]; ok {
		c.unified = hierarchy{root: c.rootOf(path), path: path}
	}
	names := make([]string, 0, len(s.Paths))
	for name := range s.Paths {
		if name != unifiedKey {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		c.addV1(name, s.Paths[name])
	}
	return c
}

// addV1 adds a controller to the hierarchy whose directory is path.
func (c *Cgroup) addV1(name, path string) {
	for i := range c.v1 {
		if c.v1[i].path == path {
			c.v1[i].names = append(c.v1[i].names, name)
			return
		}
	}
	c.v1 = append(c.v1, hierarchy{names: []string{name}, root: c.rootOf(path), path: path})
}

// rootOf returns where the tree that holds path is mounted: at Mount itself on pure v2, else in a
// directory right below it.
func (c *Cgroup) rootOf(path string) string {
	if c.mode == V2 {
		return c.mount
	}
	rest := strings.TrimPrefix(path, c.mount+"/")
	first, _, _ := strings.Cut(rest, "/")
	return c.mount + "/" + first
}

// Mode returns where the cgroup lives. Create may turn it into Disabled for a rootless caller.
func (c *Cgroup) Mode() Mode { return c.mode }

// Warnings lists what Create and Set let pass although it was asked for, because the specification
// says that it may be ignored: one text each, beginning with the config field.
func (c *Cgroup) Warnings() []string { return c.warnings }
