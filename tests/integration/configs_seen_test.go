package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// inspection is what the container's process prints about itself, a section each; then it stays to be looked at from outside.
const inspection = `
show() { echo "== $1"; shift; "$@"; }
show status   cat /proc/self/status
show limits   cat /proc/self/limits
show environ  tr '\0' '\n' < /proc/$$/environ
show pwd      pwd
show hostname hostname
show oom      cat /proc/self/oom_score_adj
show root     sh -c 'touch /.probe 2>/dev/null && rm /.probe && echo rw || echo ro'
show dev      stat -c '%n %F %t:%T %a' /dev/*
show links    sh -c 'for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done'
echo "== sysctl"; for f in SYSCTLS; do echo $f $(cat /proc/sys/$f); done
echo "== masked"; for p in MASKED; do
	if [ -d $p ]; then echo $p $(ls -A $p | wc -l); elif [ -e $p ]; then echo $p $(head -c 1 $p | wc -c); fi; done
echo "== end"
exec sleep 1000`

// What a process sees in each engine's container is what the config asks for.
func TestConfigsSeenFromInside(t *testing.T) {
	t.Parallel()
	for _, file := range configFiles(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if notBundles.MatchString(name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := inspect(t, adopt(t, file))
			for _, check := range []func(*seen){
				ids, capabilities, securityFlags, rlimits, environment, workingDirectory, hostName, oomScore, rootMode,
				mounts, devices, maskedPaths, readonlyPaths, sysctls, namespaces, idMaps, cgroupPaths, cgroupLimits, prestartHooks,
			} {
				check(s)
			}
		})
	}
}

// seen is a running container with what it printed and the config it should match.
type seen struct {
	*engine
	pid    int
	out    map[string]string // sections of inspection
	status map[string]string // /proc/self/status
	mounts []rttest.MountPoint
}

func inspect(t *testing.T, e *engine) *seen {
	t.Helper()
	var sysctls []string
	for key := range e.Spec.Linux.Sysctl {
		sysctls = append(sysctls, strings.ReplaceAll(key, ".", "/"))
	}
	e.Spec.Process.Terminal = false
	e.Sh(strings.NewReplacer(
		"SYSCTLS", strings.Join(sysctls, " "), "MASKED", strings.Join(e.Spec.Linux.MaskedPaths, " ")).Replace(inspection))
	e.RunDetached().OK()
	s := &seen{engine: e, pid: e.Pid()}
	rttest.Eventually(t, "the inspection ends", func() bool { return strings.Contains(e.Output(), "== end\n") })
	s.out = rttest.Sections(e.Output())
	s.status = rttest.Status(s.out["status"])
	s.mounts = rttest.Mounts(rttest.ProcFile(t, s.pid, "mountinfo"))
	return s
}

func (s *seen) equal(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func ids(s *seen) {
	u := s.Spec.Process.User
	s.equal("uid", s.status["Uid"], strings.TrimSpace(strings.Repeat(fmt.Sprint(u.UID)+" ", 4)))
	s.equal("gid", s.status["Gid"], strings.TrimSpace(strings.Repeat(fmt.Sprint(u.GID)+" ", 4)))
	var groups []string
	for _, g := range u.AdditionalGids {
		groups = append(groups, fmt.Sprint(g))
	}
	s.equal("groups", s.status["Groups"], strings.Join(groups, " "))
	umask := "0022"
	if u.Umask != nil {
		umask = fmt.Sprintf("%04o", *u.Umask)
	}
	s.equal("umask", s.status["Umask"], umask)
}

// capabilities follows capabilities(7): a program run by uid 0 gets bounding|inheritable, another only its ambient set.
// Ambient ones need to be inheritable too, and no engine asks for that.
func capabilities(s *seen) {
	c := s.Spec.Process.Capabilities
	if c == nil {
		c = &specs.LinuxCapabilities{}
	}
	bounding, inheritable := capMask(c.Bounding), capMask(c.Inheritable)
	ambient := capMask(c.Ambient) & inheritable & capMask(c.Permitted)
	effective := ambient
	if s.Spec.Process.User.UID == 0 {
		effective = bounding | inheritable
	}
	for field, want := range map[string]uint64{
		"CapBnd": bounding, "CapInh": inheritable, "CapAmb": ambient, "CapPrm": effective, "CapEff": effective,
	} {
		s.equal(field, s.status[field], fmt.Sprintf("%016x", want))
	}
}

func capMask(names []string) uint64 {
	var mask uint64
	for _, name := range names {
		mask |= 1 << capNumber(name)
	}
	return mask
}

// capNumber is the kernel's number of a capability.
func capNumber(name string) int { return slices.Index(rttest.AllCaps(), name) }

func securityFlags(s *seen) {
	nnp, seccomp := "0", "0"
	if s.Spec.Process.NoNewPrivileges {
		nnp = "1"
	}
	if s.Spec.Linux.Seccomp != nil {
		seccomp = "2"
	}
	s.equal("NoNewPrivs", s.status["NoNewPrivs"], nnp)
	s.equal("Seccomp", s.status["Seccomp"], seccomp)
	for _, field := range []string{"SigBlk", "SigIgn"} {
		s.equal(field, s.status[field], "0000000000000000")
	}
}

var rlimitNames = map[string]string{"RLIMIT_NOFILE": "Max open files", "RLIMIT_NPROC": "Max processes"}

func rlimits(s *seen) {
	for _, r := range s.Spec.Process.Rlimits {
		line := regexp.MustCompile(`(?m)^` + rlimitNames[r.Type] + ` +(\d+) +(\d+) `).FindStringSubmatch(s.out["limits"])
		if line == nil || line[1] != fmt.Sprint(r.Soft) || line[2] != fmt.Sprint(r.Hard) {
			s.t.Errorf("%s: got %q, want soft %d hard %d", r.Type, line, r.Soft, r.Hard)
		}
	}
}

func environment(s *seen) {
	want := map[string]string{}
	for _, kv := range s.Spec.Process.Env {
		key, value, _ := strings.Cut(kv, "=")
		want[key] = value
	}
	if want["HOME"] == "" { // from the container's passwd
		want["HOME"] = map[uint32]string{0: "/root", 1000: "/home"}[s.Spec.Process.User.UID]
	}
	got := strings.Split(strings.TrimSpace(s.out["environ"]), "\n")
	for _, kv := range got {
		key, value, _ := strings.Cut(kv, "=")
		if w, ok := want[key]; !ok || w != value {
			s.t.Errorf("environment has %q, want %q", kv, w)
		}
	}
	if len(got) != len(want) {
		s.t.Errorf("environment: got %q, want %v", got, want)
	}
}

func workingDirectory(s *seen) {
	s.equal("cwd", strings.TrimSpace(s.out["pwd"]), s.Spec.Process.Cwd)
}

func hostName(s *seen) {
	if s.Spec.Hostname != "" {
		s.equal("hostname", strings.TrimSpace(s.out["hostname"]), s.Spec.Hostname)
	}
}

func oomScore(s *seen) {
	if score := s.Spec.Process.OOMScoreAdj; score != nil {
		s.equal("oom_score_adj", strings.TrimSpace(s.out["oom"]), fmt.Sprint(*score))
	}
}

func rootMode(s *seen) {
	want := "rw"
	if s.Spec.Root.Readonly {
		want = "ro"
	}
	root, _ := rttest.MountAt(s.mounts, "/")
	if !root.Has(want) {
		s.t.Errorf("root is mounted %v, want %s", root.Options, want)
	}
	if s.Spec.Process.User.UID == 0 {
		s.equal("root", strings.TrimSpace(s.out["root"]), want)
	}
}

// mountFlags are the options that mountinfo shows for the mount itself.
var mountFlags = []string{"ro", "rw", "nosuid", "nodev", "noexec", "relatime", "noatime"}

// Every mount is there with its type and options, and none propagates anywhere.
func mounts(s *seen) {
	for _, want := range s.Spec.Mounts {
		got, ok := rttest.MountAt(s.mounts, want.Destination)
		if !ok {
			s.t.Errorf("no mount at %s", want.Destination)
			continue
		}
		if want.Type == "cgroup" && got.Type == "tmpfs" {
			got = cgroupMount(s, got)
		}
		mountType(s, want, got)
		for _, option := range want.Options {
			if slices.Contains(mountFlags, option) && !got.Has(option) {
				s.t.Errorf("mount %s: options %v lack %s", want.Destination, got.Options, option)
			}
			if option == "rro" && !got.Has("ro") {
				s.t.Errorf("mount %s: options %v, want ro", want.Destination, got.Options)
			}
			superOption(s, want, got, option)
		}
	}
	for _, m := range s.mounts {
		if slices.ContainsFunc(m.Optional, func(o string) bool { return strings.HasPrefix(o, "shared:") }) {
			s.t.Errorf("mount %s is shared: %v", m.Path, m.Optional)
		}
	}
}

func mountType(s *seen, want specs.Mount, got rttest.MountPoint) {
	types := []string{want.Type}
	switch want.Type {
	case "bind":
		types = []string{"tmpfs"} // what our files are on
	case "cgroup":
		types = []string{"cgroup", "cgroup2"}
	}
	if !slices.Contains(types, got.Type) {
		s.t.Errorf("mount %s: type %s, want %v", want.Destination, got.Type, types)
	}
}

// cgroupMount is one of the v1 hierarchies in the tmpfs that stands at the cgroup mount's place. The options are
// theirs; runc leaves the tmpfs itself writable, rt does not.
func cgroupMount(s *seen, tmpfs rttest.MountPoint) rttest.MountPoint {
	m, ok := rttest.MountAt(s.mounts, tmpfs.Path+"/memory")
	if !ok {
		s.t.Errorf("no cgroup mount at %s/memory", tmpfs.Path)
	}
	if rttest.IsRT(s.t) && m.Has("ro") != tmpfs.Has("ro") {
		s.t.Errorf("%s is mounted %v, the hierarchies in it %v", tmpfs.Path, tmpfs.Options, m.Options)
	}
	return m
}

// superOption compares the options that belong to the file system.
func superOption(s *seen, want specs.Mount, got rttest.MountPoint, option string) {
	key, value, ok := strings.Cut(option, "=")
	if !ok || want.Type == "cgroup" {
		return
	}
	switch key {
	case "size":
		value = size(value)
	case "mode", "ptmxmode":
		n, _ := strconv.ParseUint(value, 8, 32)
		value = fmt.Sprintf("%03o", n)
	case "gid":
		if m := s.Spec.Linux.GIDMappings; len(m) > 0 { // mountinfo, read from outside, shows the machine's ids
			n, _ := strconv.Atoi(value)
			value = fmt.Sprint(n + int(m[0].HostID))
		}
	}
	if key == "mode" && value == "1777" { // the default of tmpfs is not shown
		return
	}
	if !slices.Contains(got.SB, key+"="+value) {
		s.t.Errorf("mount %s: %v lack %s=%s", want.Destination, got.SB, key, value)
	}
}

// size is a tmpfs size as mountinfo prints it.
func size(value string) string {
	if n, err := strconv.Atoi(value); err == nil {
		return fmt.Sprintf("%dk", n/1024)
	}
	return value
}

var defaultDevices = map[string]string{
	"/dev/null": "1:3", "/dev/zero": "1:5", "/dev/full": "1:7", "/dev/random": "1:8", "/dev/urandom": "1:9", "/dev/tty": "5:0",
}

func devices(s *seen) {
	got := map[string]string{}
	for line := range strings.Lines(s.out["dev"]) {
		if f := strings.Fields(line); strings.Contains(line, "special file") {
			got[f[0]] = f[len(f)-2] + " " + f[len(f)-1]
		}
	}
	for path, number := range defaultDevices {
		s.equal(path, got[path], hexDevice(number)+" 666")
	}
	for _, d := range s.Spec.Linux.Devices {
		if filepath.Dir(d.Path) != "/dev" || d.Path == "/dev/ptmx" { // ptmx is a link to the container's own
			continue
		}
		s.equal(d.Path, got[d.Path], fmt.Sprintf("%x:%x %o", d.Major, d.Minor, d.FileMode.Perm()))
	}
	s.equal("links in /dev", strings.TrimSpace(s.out["links"]),
		"fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\nstderr /proc/self/fd/2\nptmx pts/ptmx")
}

// hexDevice writes MAJOR:MINOR as stat prints it.
func hexDevice(number string) string {
	var major, minor int
	_, _ = fmt.Sscanf(number, "%d:%d", &major, &minor)
	return fmt.Sprintf("%x:%x", major, minor)
}

func maskedPaths(s *seen) {
	for line := range strings.Lines(s.out["masked"]) {
		if f := strings.Fields(line); f[1] != "0" {
			s.t.Errorf("masked path %s shows content", f[0])
		}
	}
	for _, path := range s.Spec.Linux.MaskedPaths {
		if _, err := os.Stat(path); err != nil {
			continue // not on this machine, so not in the container
		}
		if _, ok := rttest.MountAt(s.mounts, path); !ok {
			s.t.Errorf("nothing masks %s", path)
		}
	}
}

func readonlyPaths(s *seen) {
	for _, path := range s.Spec.Linux.ReadonlyPaths {
		if _, err := os.Stat(path); err != nil {
			continue
		}
		if m, ok := rttest.MountAt(s.mounts, path); !ok || !m.Has("ro") {
			s.t.Errorf("%s is not read-only: %v", path, m.Options)
		}
	}
}

func sysctls(s *seen) {
	for key, want := range s.Spec.Linux.Sysctl {
		line := regexp.MustCompile(`(?m)^` + strings.ReplaceAll(key, ".", "/") + ` (.*)$`).FindStringSubmatch(s.out["sysctl"])
		if line == nil || strings.Join(strings.Fields(line[1]), " ") != want {
			s.t.Errorf("sysctl %s: got %q, want %q", key, line, want)
		}
	}
}

var nsFiles = map[specs.LinuxNamespaceType]string{
	"pid": "pid", "network": "net", "mount": "mnt", "ipc": "ipc", "uts": "uts", "user": "user", "cgroup": "cgroup", "time": "time",
}

// Each namespace is joined, new, or the machine's, as the config says.
func namespaces(s *seen) {
	asked := map[specs.LinuxNamespaceType]string{}
	for kind := range nsFiles {
		asked[kind] = "/proc/self/ns/" + nsFiles[kind]
	}
	for _, ns := range s.Spec.Linux.Namespaces {
		asked[ns.Type] = ns.Path
	}
	for kind, path := range asked {
		got := rttest.NsInode(s.t, s.pid, nsFiles[kind])
		switch {
		case path == "" && got == rttest.NsInode(s.t, "self", nsFiles[kind]):
			s.t.Errorf("the %s namespace is not new", kind)
		case path != "" && inode(s.t, path) != inode(s.t, fmt.Sprintf("/proc/%d/ns/%s", s.pid, nsFiles[kind])):
			s.t.Errorf("the %s namespace is not that of %s", kind, path)
		}
	}
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(&os.PathError{Op: "stat", Path: path, Err: err})
	}
	return st.Ino
}

func idMaps(s *seen) {
	for file, maps := range map[string][]specs.LinuxIDMapping{"uid_map": s.Spec.Linux.UIDMappings, "gid_map": s.Spec.Linux.GIDMappings} {
		if len(maps) == 0 {
			continue
		}
		var want []string
		for _, m := range maps {
			want = append(want, fmt.Sprintf("%d %d %d", m.ContainerID, m.HostID, m.Size))
		}
		s.equal(file, strings.Join(strings.Fields(rttest.ProcFile(s.t, s.pid, file)), " "), strings.Join(want, " "))
	}
}

// cgroupPaths: the same path in every hierarchy, since engines read the files there.
func cgroupPaths(s *seen) {
	for line := range strings.Lines(rttest.ProcFile(s.t, s.pid, "cgroup")) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if !rttest.HierarchyMounted(f[1]) {
			continue // somebody's, in a mount namespace of his own
		}
		if want := s.Spec.Linux.CgroupsPath; want != "" {
			s.equal("cgroup of "+f[1], f[2], want)
		} else if filepath.Base(f[2]) != s.ID {
			s.t.Errorf("cgroup of %s is %s, want one named after the container", f[1], f[2])
		}
	}
}

func cgroupLimits(s *seen) {
	if s.Spec.Linux.CgroupsPath == "" {
		return
	}
	r := s.Spec.Linux.Resources
	limit := func(controller, file, want string) {
		s.t.Helper()
		s.equal(file, limitOf(s.t, s.Bundle, controller, file), want)
	}
	if m := r.Memory; m != nil {
		for file, value := range map[string]*int64{
			"memory.limit_in_bytes": m.Limit, "memory.soft_limit_in_bytes": m.Reservation, "memory.memsw.limit_in_bytes": m.Swap,
		} {
			if value != nil {
				limit("memory", file, fmt.Sprint(*value))
			}
		}
	}
	if c := r.CPU; c != nil && c.Shares != nil && *c.Shares != 0 {
		limit("cpu", "cpu.shares", fmt.Sprint(*c.Shares))
	}
	if p := r.Pids; p != nil && p.Limit != nil {
		limit("pids", "pids.max", fmt.Sprint(*p.Limit))
	}
}

// prestartHooks: Docker 20.10 gets its network in that way, by the pid in the state on stdin.
func prestartHooks(s *seen) {
	if s.Spec.Hooks == nil {
		return
	}
	got, err := os.ReadFile(filepath.Join(s.Dir, "hook-stdin"))
	if err != nil || !strings.Contains(string(got), fmt.Sprintf(`"pid":%d`, s.pid)) || !strings.Contains(string(got), s.ID) {
		s.t.Errorf("the prestart hook got %s (%v), want pid %d", got, err, s.pid)
	}
}
