package main

import (
	"bufio"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// value is one cell: a number, with a remark, or the word for why there is none.
type value struct {
	number        float64
	note, missing string
}

// row is one line of the table.
type row struct {
	what, unit string
	got        map[string]value
	max        map[string]float64 // the most that rt may take, as a part of this peer's number
	limit      float64            // or the most in the row's own unit
}

// report writes the whole document.
func report(machine string, peers []peer, rows []row, o options) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Benchmarks\n\nWritten by `make bench`; do not edit.\n\n%s\n", machine)
	for _, p := range peers {
		fmt.Fprintf(&b, "- %s %s\n", p.name, p.version)
	}
	fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(fmt.Sprintf(method, o.runs, rounds, 5*o.tries)))
	b.WriteString("\n| what |")
	for _, p := range peers {
		fmt.Fprintf(&b, " %s |", p.name)
	}
	for _, p := range peers[1:] {
		fmt.Fprintf(&b, " %s/%s |", peers[0].name, p.name)
	}
	b.WriteString(" target | met |\n|---|" + strings.Repeat("---:|", 2*len(peers)-1) + "---|---|\n")
	for _, r := range rows {
		b.WriteString(r.line(peers) + "\n")
	}
	return b.String()
}

const method = `
Wall times are medians of %d runs of hyperfine -N (half as many for "cold" and for the three commands), the runtimes
taking turns in %d rounds. All of them get the same config.json: a static busybox in the root file system, ociVersion 1.0.2 and no
time namespace, because Debian's crun knows neither more. "Docker's config" is one that Docker wrote, with its
seccomp profile, capabilities, device rules and masks. "Cold" removes the runtime's state directory, and the compiled
filter cached in it, before each run; a runtime that keeps no such cache compiles it in both rows. "create + start + delete -f" is
three commands on a running sleep, one after the other from a busybox shell. State directories are on a tmpfs, as /run is; the
binaries are read into the page cache by the kernel, as after a reboot, and not as a linker left them there; nothing is timed
before the processors idle, for the kernel tears down after a container is deleted. A memory limit counts only when %d runs
in a row succeed under it. Memory of the waiting process is from /proc/PID/smaps_rollup.
`

func (r row) line(peers []peer) string {
	cells := []string{r.what}
	for _, p := range peers {
		cells = append(cells, r.cell(p.name))
	}
	for _, p := range peers[1:] {
		cells = append(cells, r.ratio(peers[0].name, p.name))
	}
	target, met := r.target(peers)
	return "| " + strings.Join(append(cells, target, met), " | ") + " |"
}

func (r row) cell(name string) string {
	v := r.got[name]
	if v.missing != "" {
		return v.missing
	}
	digits := 0
	if r.unit == "ms" || r.unit == "MB" || r.unit == "×" {
		digits = 2
	}
	return strings.TrimSpace(strings.Join([]string{strconv.FormatFloat(v.number, 'f', digits, 64), r.unit, v.note}, " "))
}

func (r row) ratio(ours, theirs string) string {
	a, b := r.got[ours], r.got[theirs]
	if a.missing+b.missing != "" || b.number == 0 {
		return "–"
	}
	return strconv.FormatFloat(a.number/b.number, 'f', 2, 64)
}

// target words what rt should reach and whether it does.
func (r row) target(peers []peer) (want, met string) {
	ours := r.got[peers[0].name]
	ok := ours.missing == ""
	var wants []string
	for _, p := range peers[1:] {
		m, asked := r.max[p.name]
		if !asked {
			continue
		}
		wants = append(wants, fmt.Sprintf("≤ %.2f %s", m, p.name))
		ok = ok && ours.number <= m*r.got[p.name].number
	}
	if r.limit != 0 {
		wants = append(wants, strings.TrimSpace(fmt.Sprintf("≤ %g %s", r.limit, r.unit)))
		ok = ok && ours.number <= r.limit
	}
	if len(wants) == 0 {
		return "", ""
	}
	return strings.Join(wants, ", "), map[bool]string{true: "yes", false: "no"}[ok]
}

// describeMachine says what the figures were taken on.
func describeMachine() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // cannot fail with a valid pointer
	load, _ := os.ReadFile("/proc/loadavg")
	return strings.Join([]string{
		"- date: " + time.Now().UTC().Format(time.DateOnly),
		fmt.Sprintf("- machine: %d × %s, %s", runtime.NumCPU(), firstOf("/proc/cpuinfo", "model name"), firstOf("/proc/meminfo", "MemTotal")),
		"- kernel: Linux " + unix.ByteSliceToString(u.Release[:]) + "; " + cgroupMode(),
		"- system: " + strings.Trim(firstOf("/etc/os-release", "PRETTY_NAME"), `"`) + ", " + runtime.Version() + ", " + hyperfineVersion(),
		"- load average before: " + strings.Join(strings.Fields(string(load))[:3], " "),
		"- command: `make bench`", "",
	}, "\n")
}

func cgroupMode() string {
	if _, err := os.Stat(cgroupRoot + "/cgroup.controllers"); err == nil {
		return "cgroup v2"
	}
	if _, err := os.Stat(cgroupRoot + "/unified"); err == nil {
		return "cgroup v1, hugetlb taken out of the cgroup2 tree for the measurement (crun refuses a hybrid)"
	}
	return "cgroup v1"
}

func hyperfineVersion() string {
	out, err := exec.Command("hyperfine", "--version").Output()
	if err != nil {
		return "hyperfine"
	}
	return strings.TrimSpace(string(out))
}

// firstOf gives the value of the first "key: value" or "key=value" line of a file.
func firstOf(path, key string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), key); ok {
			return strings.TrimSpace(strings.TrimLeft(rest, " \t:="))
		}
	}
	return ""
}

// procNumber reads "key: N" from a file of procfs; N is in kB where the file says so.
func procNumber(path, key string) (float64, error) {
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	fields := strings.Fields(firstOf(path, key))
	if len(fields) == 0 {
		return 0, &fs.PathError{Op: "find " + key + " in", Path: path, Err: fs.ErrNotExist}
	}
	return strconv.ParseFloat(fields[0], 64)
}
