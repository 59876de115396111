package differential

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// seen is what can be seen of a container, each thing by a name of one to three words.
type seen map[string]string

func (s seen) add(more seen) {
	for k, v := range more {
		s[k] = v
	}
}

// neutral replaces what differs between two containers of the same configuration.
func (c *trial) neutral(text string) string {
	top := filepath.Dir(c.Dir)
	text = strings.NewReplacer(c.Dir, "BUNDLE", top, "TOP", "/"+filepath.Base(top)+"/bundle", "BUNDLE", c.ID, "ID").Replace(text)
	text = outFiles.ReplaceAllString(text, "$1")
	text = inodes.ReplaceAllString(text, "$1:[N]")
	return pts.ReplaceAllString(text, "/dev/pts/N")
}

var (
	outFiles = regexp.MustCompile(`/tmp/rt-test-\d+/(out|err)-\d+`)
	inodes   = regexp.MustCompile(`(pipe|socket):\[\d+\]`)
	pts      = regexp.MustCompile(`/dev/pts/\d+`)
)

// inside is what the probe said.
func (c *trial) inside(text string) seen {
	s := seen{}
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		c.t.Fatalf("the probe said %q: %v", text, err)
	}
	serial := s["keyring serial"]
	delete(s, "keyring serial")
	if c.serial == "" {
		c.serial = serial
	}
	s["keyring is init's"] = strconv.FormatBool(serial == c.serial)
	for k, v := range s {
		delete(s, k)
		s[pts.ReplaceAllString(k, "/dev/pts/N")] = c.neutral(strings.TrimSpace(v))
	}
	return s
}

// outside is what /proc and the cgroups say.
func (c *trial) outside(pid int) seen {
	s := c.state("running")
	s.add(c.proc(pid))
	s.add(c.mountTable(pid))
	s.add(c.cgroups(pid))
	return s
}

// changing are the fields of /proc/PID/status that say nothing of how a process was made, and SigCgt, the probe's own.
var changing = regexp.MustCompile(`^(Vm|Rss|Hugetlb|Name|State|(Tgid|Ngid|Pid|PPid|TracerPid|FDSize|NStgid|NSpid|NSpgid|NSsid|Kthread|Threads|SigQ|SigCgt|CoreDumping|(non)?voluntary_ctxt_switches)$)`)

// proc is what /proc/PID says.
func (c *trial) proc(pid int) seen {
	s := seen{}
	for key, value := range rttest.Status(rttest.ProcFile(c.t, pid, "status")) {
		if !changing.MatchString(key) {
			s["proc status "+key] = value
			if mask, err := strconv.ParseUint(value, 16, 64); err == nil && key == "SigIgn" {
				s["proc status "+key] = fmt.Sprintf("%016x", mask&^(3<<31)) // 32 and 33 are glibc's own; make's children have them ignored
			}
		}
	}
	for line := range strings.Lines(rttest.ProcFile(c.t, pid, "limits")) {
		s["proc limits "+strings.TrimSpace(line[:26])] = strings.Join(strings.Fields(line[26:]), " ")
	}
	for _, file := range []string{"uid_map", "gid_map", "setgroups", "projid_map", "oom_score_adj", "timerslack_ns", "personality", "environ", "cmdline", "coredump_filter",
		"loginuid", "attr/current", "timens_offsets", "autogroup"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil {
			data = []byte(err.Error()[strings.LastIndex(err.Error(), ":"):])
		}
		words := strings.FieldsFunc(string(data), func(r rune) bool { return r == 0 || r == '\n' })
		if file == "environ" {
			slices.Sort(words)
		}
		s["proc "+file] = c.neutral(strings.Join(words, "; "))
	}
	delete(s, "proc autogroup")
	for kind, file := range nsFiles {
		s["namespace "+string(kind)] = c.whose(pid, file)
	}
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, fd := range fds {
		target, _ := os.Readlink(fd)
		info := rttest.Status(rttest.ProcFile(c.t, pid, "fdinfo/"+filepath.Base(fd)))
		s["fd "+filepath.Base(fd)] = c.neutral(target) + " flags " + info["flags"]
	}
	for _, link := range []string{"cwd", "root"} {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, link))
		s["proc "+link] = target
	}
	return s
}

// whose says whether the namespace is the test's own, the holder's, or new.
func (c *trial) whose(pid int, file string) string {
	got := rttest.NsInode(c.t, pid, file)
	switch {
	case got == rttest.NsInode(c.t, "self", file):
		return "host"
	case c.holder != nil && got == rttest.NsInode(c.t, c.holder.Process.Pid, file):
		return "joined"
	}
	return "new"
}

// mountTable is the container's mounts: what each is, on which it stands, and how deep they are stacked.
func (c *trial) mountTable(pid int) seen {
	s := seen{}
	count := map[string]int{}
	ids := map[string]string{} // mount id → name
	var parents [][2]string
	var list []string
	for line := range strings.Lines(rttest.ProcFile(c.t, pid, "mountinfo")) {
		f := strings.Fields(line)
		m := rttest.Mounts(line)
		if len(m) != 1 {
			c.t.Fatalf("mountinfo has %q", line)
		}
		name := m[0].Path
		if count[name]++; count[name] > 1 {
			name += fmt.Sprint("#", count[name])
		}
		ids[f[0]] = name
		parents = append(parents, [2]string{name, f[1]})
		list = append(list, name)
		s.mount(c, name, m[0])
	}
	for _, p := range parents {
		if ids[p[1]] == "" {
			ids[p[1]] = "none"
		}
		s["mount "+p[0]+" parent"] = ids[p[1]]
	}
	sort.Strings(list)
	s["mounts"] = strings.Join(list, " ")
	return s
}

var superNoise = regexp.MustCompile(`^(inode64|nr_inodes=\d{5,}|huge=.*)$`)

func (s seen) mount(c *trial, name string, m rttest.MountPoint) {
	name = "mount " + name
	s[name+" type"] = m.Type
	s[name+" root"] = c.neutral(m.Root)
	s[name+" source"] = c.neutral(m.Source)
	s[name+" options"] = strings.Join(m.Options, ",")
	var shared []string
	for _, o := range m.Optional {
		kind, _, _ := strings.Cut(o, ":")
		shared = append(shared, kind)
	}
	s[name+" propagation"] = strings.Join(shared, ",")
	sb := slices.DeleteFunc(slices.Clone(m.SB), superNoise.MatchString)
	slices.Sort(sb)
	s[name+" super"] = strings.Join(sb, ",")
}

// limits are the files of a cgroup, of v1 and v2, that hold what somebody asked for.
var limits = strings.Fields(`memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness memory.oom_control
	memory.use_hierarchy cpu.shares cpu.cfs_quota_us cpu.cfs_period_us cpu.idle cpu.rt_runtime_us cpuset.cpus cpuset.mems cpuset.cpu_exclusive
	cpuset.memory_migrate pids.max devices.list freezer.state blkio.bfq.weight blkio.throttle.read_bps_device notify_on_release
	cgroup.clone_children cpu.max cpu.weight memory.max memory.high memory.low memory.swap.max io.weight cgroup.freeze cgroup.subtree_control`)

var oomVictims = regexp.MustCompile(`under_oom.*\n|oom_kill .*\n`)

// cgroups is where the process is in each hierarchy, and what the limits there are.
func (c *trial) cgroups(pid int) seen {
	s := seen{}
	for line := range strings.Lines(rttest.ProcFile(c.t, pid, "cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if f[1] != "" && rttest.Controller(strings.Split(f[1], ",")[0])() != "" {
			continue // not mounted here
		}
		own := rttest.OwnCgroup(strings.Split(f[1], ",")[0])
		path := f[2]
		if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(own, "/")+"/"); ok && own != "/" {
			path = "OWN/" + rest
		}
		s["cgroup "+f[1]+" path"] = c.neutral(path)
		dir := rttest.CgroupDir(c.t, strings.Split(f[1], ",")[0], f[2])
		for _, name := range limits {
			if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				lines := strings.Split(strings.TrimSpace(oomVictims.ReplaceAllString(string(data), "")), "\n")
				slices.Sort(lines)
				s["cgroup "+f[1]+" "+name] = strings.Join(lines, "; ")
			}
		}
		for _, name := range []string{"", "cgroup.procs", "tasks"} {
			var st unix.Stat_t
			if unix.Stat(filepath.Join(dir, name), &st) == nil {
				s["cgroup "+f[1]+" owner "+name] = fmt.Sprintf("%o %d:%d", st.Mode&0o7777, st.Uid, st.Gid)
			}
		}
	}
	return s
}
