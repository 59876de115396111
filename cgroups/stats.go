package cgroups

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Stats is one sample of what a container uses. Its JSON is the data of an event record as callers of
// runc read it. What the machine does not count is 0 or absent.
type Stats struct {
	CPU     CPUStats                `json:"cpu"`
	CPUSet  CPUSetStats             `json:"cpuset"`
	Memory  MemoryStats             `json:"memory"`
	Pids    PidsStats               `json:"pids"`
	Blkio   BlkioStats              `json:"blkio"`
	Hugetlb map[string]HugetlbStats `json:"hugetlb"` // by page size, "2MB"
	Rdma    map[string]RdmaStats    `json:"rdma,omitempty"`
}

// unlimited is how a record spells "no limit".
const unlimited uint64 = math.MaxUint64

// stat is one row of the table of what can be measured: the v1 controller, and how to read either version.
type stat struct {
	v1           string
	stat1, stat2 func(*reader, *Stats)
}

var stats = [...]stat{
	{"cpuacct", cpuacctStatsV1, cpuStatsV2},
	{"cpu", throttlingV1, throttlingV2},
	{"cpuset", cpusetStatsV1, cpusetStatsV2},
	{"memory", memoryStatsV1, memoryStatsV2},
	{"pids", pidsStats, pidsStats},
	{"blkio", blkioStatsV1, ioStatsV2},
	{"hugetlb", hugetlbStatsV1, hugetlbStatsV2},
	{"rdma", rdmaStats, rdmaStats},
}

// Stats measures the cgroup. Where a controller lives decides how it is read, as for limits; pressure is
// only known in the cgroup2 tree.
func (c *Cgroup) Stats() (*Stats, error) {
	if c.mode == Disabled {
		return nil, ErrDisabled
	}
	s := &Stats{Hugetlb: map[string]HugetlbStats{}}
	for _, row := range stats {
		var err error
		if h, ok := c.find(row.v1); ok {
			err = readStats(h.path, s, row.stat1)
		} else if c.unified.path != "" {
			err = readStats(c.unified.path, s, row.stat2)
		}
		if err != nil {
			return nil, err
		}
	}
	if c.unified.path == "" {
		return s, nil
	}
	return s, readStats(c.unified.path, s, pressures)
}

func readStats(path string, s *Stats, read func(*reader, *Stats)) error {
	d, err := openDir(path)
	if err != nil {
		return fmt.Errorf("measure cgroup: %w", err)
	}
	defer d.close()
	r := reader{dir: d}
	read(&r, s)
	if r.err != nil {
		return fmt.Errorf("measure cgroup: %w", r.err)
	}
	return nil
}

// reader reads the files of one directory and keeps the first error, so that a list of fields can be
// filled in without a check for each. A file that does not exist reads as empty: which there are depends on the
// kernel, its configuration and the controllers in use.
type reader struct {
	dir
	err error
}

// text is the content of a file.
func (r *reader) text(name string) string {
	if r.err != nil {
		return ""
	}
	text, err := r.read(name)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.EOPNOTSUPP): // the latter: pressure is switched off
		return ""
	case err != nil:
		r.err = err
	}
	return text
}

// number is a file with one number in it; "max" is unlimited.
func (r *reader) number(name string) uint64 { return r.parse(name, r.text(name)) }

// list is a file with numbers in it, separated by blanks.
func (r *reader) list(name string) []uint64 {
	var list []uint64
	for field := range strings.FieldsSeq(r.text(name)) {
		list = append(list, r.parse(name, field))
	}
	return list
}

// keyed is a file with lines such as "nr_periods 7".
func (r *reader) keyed(name string) map[string]uint64 {
	values := map[string]uint64{}
	for line := range strings.Lines(r.text(name)) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " "); ok {
			values[key] = r.parse(name, value)
		}
	}
	return values
}

// parse reads one number. A negative one is what v1 counters show for a moment when they are updated on several
// CPUs: they count as 0.
func (r *reader) parse(file, text string) uint64 {
	if text == "" {
		return 0
	}
	if text == "max" {
		return unlimited
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		if n, signed := strconv.ParseInt(text, 10, 64); signed == nil && n < 0 {
			return 0
		}
		r.fail(file, err)
	}
	return n
}

func (r *reader) fail(file string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s/%s: %w", r.path, file, err)
	}
}

// names lists the files of the directory that begin and end like this: what is between.
func (r *reader) names(prefix, suffix string) []string {
	if r.err != nil {
		return nil
	}
	files, err := listFiles(r.dir)
	if err != nil {
		r.err = err
	}
	var names []string
	for _, file := range files {
		if rest, ok := strings.CutPrefix(file, prefix); ok {
			if name, ok := strings.CutSuffix(rest, suffix); ok {
				names = append(names, name)
			}
		}
	}
	return names
}

func listFiles(d dir) ([]string, error) {
	fd, err := d.open(".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}
