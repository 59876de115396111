package cgroups

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/internal/sys"
)

// access is a set of the kernel's BPF_DEVCG_ACC_* bits (include/uapi/linux/bpf.h).
type access uint8

const (
	accMknod access = 1 << iota
	accRead
	accWrite
	accAll = accMknod | accRead | accWrite
)

// wildcard stands for any major or minor number.
const wildcard = -1

// deviceNode is what a device rule speaks about.
type deviceNode struct {
	kind         byte // 'b' or 'c'
	major, minor int64
}

// covers tells whether every device of other is one of n.
func (n deviceNode) covers(other deviceNode) bool {
	return n.kind == other.kind &&
		(n.major == wildcard || n.major == other.major) &&
		(n.minor == wildcard || n.minor == other.minor)
}

// overlaps tells whether any device is one of both.
func (n deviceNode) overlaps(other deviceNode) bool {
	same := func(a, b int64) bool { return a == wildcard || b == wildcard || a == b }
	return n.kind == other.kind && same(n.major, other.major) && same(n.minor, other.minor)
}

// deviceException is a node with the accesses that differ from the default.
type deviceException struct {
	node deviceNode
	acc  access
}

// deviceSet is a list of device rules boiled down to what the kernel's v1 device controller can hold:
// a default, and exceptions from it. The order of exceptions has no meaning.
type deviceSet struct {
	allow      bool
	exceptions []deviceException
}

// defaultDevices is what every container may use, whatever the config says: the nodes that the OCI
// specification has in every /dev, terminals, tun, and making any node (which gives no access to it).
// Not 5:1: that is the host's console; a container's /dev/console is a pseudo-terminal.
var defaultDevices = [...]deviceException{
	{deviceNode{'c', wildcard, wildcard}, accMknod},
	{deviceNode{'b', wildcard, wildcard}, accMknod},
	{deviceNode{'c', 1, 3}, accAll},          // null
	{deviceNode{'c', 1, 5}, accAll},          // zero
	{deviceNode{'c', 1, 7}, accAll},          // full
	{deviceNode{'c', 1, 8}, accAll},          // random
	{deviceNode{'c', 1, 9}, accAll},          // urandom
	{deviceNode{'c', 5, 0}, accAll},          // tty
	{deviceNode{'c', 5, 2}, accAll},          // ptmx
	{deviceNode{'c', 136, wildcard}, accAll}, // pts
	{deviceNode{'c', 10, 200}, accAll},       // net/tun
}

// deviceRules boils down the rules of a config, in their order, and adds the default list behind them.
// Without any rule everything else is denied.
func deviceRules(rules []specs.LinuxDeviceCgroup) (deviceSet, error) {
	set := deviceSet{exceptions: make([]deviceException, 0, len(defaultDevices)+len(rules))}
	for i, rule := range rules {
		if err := set.apply(rule); err != nil {
			return set, fault(fmt.Sprintf("devices[%d]", i), "%w", err)
		}
	}
	for _, d := range defaultDevices {
		if err := set.change(true, d); err != nil {
			return set, fault("devices", "default device: %w", err)
		}
	}
	return set, nil
}

// apply adds one rule of the config.
func (s *deviceSet) apply(rule specs.LinuxDeviceCgroup) error {
	nodes, err := ruleNodes(rule)
	if err != nil {
		return err
	}
	all := len(nodes) == 2 && nodes[0].major == wildcard && nodes[0].minor == wildcard
	acc, err := parseAccess(rule.Access, all)
	if err != nil {
		return err
	}
	if all && acc == accAll {
		s.allow, s.exceptions = rule.Allow, s.exceptions[:0]
		return nil
	}
	for _, n := range nodes {
		if err := s.change(rule.Allow, deviceException{n, acc}); err != nil {
			return err
		}
	}
	return nil
}

// ruleNodes translates type, major and minor. Type "a" (or none) is both kinds.
func ruleNodes(rule specs.LinuxDeviceCgroup) ([]deviceNode, error) {
	major, err := deviceNumber("major", rule.Major)
	if err != nil {
		return nil, err
	}
	minor, err := deviceNumber("minor", rule.Minor)
	if err != nil {
		return nil, err
	}
	switch rule.Type {
	case "", "a":
		return []deviceNode{{'c', major, minor}, {'b', major, minor}}, nil
	case "b", "c":
		return []deviceNode{{rule.Type[0], major, minor}}, nil
	case "u":
		return []deviceNode{{'c', major, minor}}, nil
	}
	return nil, fmt.Errorf("type %q is not a, b or c", rule.Type)
}

func deviceNumber(name string, n *int64) (int64, error) {
	switch {
	case n == nil || *n == wildcard:
		return wildcard, nil
	case *n < 0 || *n > math.MaxInt32:
		return 0, fmt.Errorf("%s %d is no device number", name, *n)
	}
	return *n, nil
}

// parseAccess: a rule about all devices that says nothing means every access.
func parseAccess(text string, all bool) (access, error) {
	var acc access
	for _, letter := range text {
		switch letter {
		case 'r':
			acc |= accRead
		case 'w':
			acc |= accWrite
		case 'm':
			acc |= accMknod
		default:
			return 0, fmt.Errorf("access %q is not made of r, w and m", text)
		}
	}
	if acc == 0 && !all {
		return 0, errors.New("access is empty")
	}
	if acc == 0 {
		acc = accAll
	}
	return acc, nil
}

// change makes one exception, or takes some back.
func (s *deviceSet) change(allow bool, e deviceException) error {
	if allow != s.allow {
		s.add(e)
		return nil
	}
	return s.remove(e)
}

// add puts an exception in, unless one that is there says as much.
func (s *deviceSet) add(e deviceException) {
	for i := range s.exceptions {
		have := &s.exceptions[i]
		if have.node.covers(e.node) && have.acc&e.acc == e.acc {
			return
		}
		if have.node == e.node {
			have.acc |= e.acc
			return
		}
	}
	s.exceptions = append(s.exceptions, e)
}

// remove takes accesses back from exceptions. Denying takes them from all devices covered; allowing
// again only from the very same node, so that a general rule never opens what was denied by name. A
// hole in a wider exception cannot be expressed: the v1 controller ignores such a rule silently, which
// would leave open what the config closes.
func (s *deviceSet) remove(e deviceException) error {
	kept := s.exceptions[:0]
	for _, have := range s.exceptions {
		match := e.node == have.node || !s.allow && e.node.covers(have.node)
		if !match && have.acc&e.acc != 0 && have.node.overlaps(e.node) && !e.node.covers(have.node) {
			return fmt.Errorf("%s cannot be an exception from %s", ruleLine(e), ruleLine(have))
		}
		if match {
			have.acc &^= e.acc
		}
		if have.acc != 0 {
			kept = append(kept, have)
		}
	}
	s.exceptions = kept
	return nil
}

// mayIgnore tells whether device rules may be left out: nobody but the host's root can load device
// programs or write v1 device rules, and nobody else can make or open a node that they would stop.
func (c *Cgroup) mayIgnore(err error) bool {
	return denied(err) && (c.rootless || inUserNamespace(c.proc))
}

// inUserNamespace tells whether our user namespace is not the first one.
func inUserNamespace(proc string) bool {
	text, err := sys.ReadFile(proc + "/self/uid_map")
	if err != nil {
		return false
	}
	var inside, outside, count uint64
	if _, err := fmt.Sscan(string(text), &inside, &outside, &count); err != nil {
		return false
	}
	return !(inside == 0 && outside == 0 && count == 1<<32-1)
}

// writeDevices puts the rules in force wherever this machine has them: in the v1 hierarchy if there is
// one, else as a program on the cgroup2 directory. A machine with neither must not run containers.
func (c *Cgroup) writeDevices(set deviceSet, existed []string) error {
	err := c.tryDevices(set, existed)
	if err != nil && c.mayIgnore(err) {
		return nil
	}
	return err
}

func (c *Cgroup) tryDevices(set deviceSet, existed []string) error {
	if h, ok := c.find("devices"); ok {
		return writeDevicesV1(h.path, devicesV1(set))
	}
	if c.unified.path != "" {
		return devicesV2(c.unified.path, set, slices.Contains(existed, c.unified.path))
	}
	if c.rootless {
		return nil
	}
	return c.unavailable("devices", "devices")
}
