package cgroups

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// devicesV1 writes a set into a v1 device cgroup: the default first, which also drops all exceptions,
// then one write for each exception.
func devicesV1(s deviceSet) []limit {
	first, then := "devices.deny", "devices.allow"
	if s.allow {
		first, then = then, first
	}
	limits := make([]limit, 0, 1+len(s.exceptions))
	limits = append(limits, limit{field: "devices", file: first, value: "a"})
	for _, e := range s.exceptions {
		limits = append(limits, limit{field: "devices", file: then, value: ruleLine(e)})
	}
	return limits
}

// ruleLine formats a rule as the v1 controller reads it: "c 1:3 rwm".
func ruleLine(e deviceException) string {
	number := func(n int64) string {
		if n == wildcard {
			return "*"
		}
		return strconv.FormatInt(n, 10)
	}
	var b strings.Builder
	b.WriteByte(e.node.kind)
	b.WriteString(" " + number(e.node.major) + ":" + number(e.node.minor) + " ")
	for _, a := range [...]struct {
		bit    access
		letter byte
	}{{accRead, 'r'}, {accWrite, 'w'}, {accMknod, 'm'}} {
		if e.acc&a.bit != 0 {
			b.WriteByte(a.letter)
		}
	}
	return b.String()
}

// writeDevicesV1 writes rules in order. It opens each file once: there are a dozen rules, and the
// opening costs more than the rule.
func writeDevicesV1(path string, limits []limit) error {
	d, err := openDir(path)
	if err != nil {
		return fault("devices", "%w", err)
	}
	defer d.close()
	for len(limits) > 0 {
		n := 1
		for n < len(limits) && limits[n].file == limits[0].file {
			n++
		}
		if err := writeRules(d, limits[:n]); err != nil {
			return err
		}
		limits = limits[n:]
	}
	return nil
}

func writeRules(d dir, limits []limit) error {
	file := limits[0].file
	fd, err := d.open(file, unix.O_WRONLY)
	if err != nil {
		return fault("devices", "%w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	for _, l := range limits {
		if err := writeOnce(fd, l.value); err != nil {
			return writeError(l.field, file, l.value, &os.PathError{Op: "write", Path: d.path + "/" + file, Err: err})
		}
	}
	return nil
}
