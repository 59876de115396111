package differential

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// A factor is one thing in which configurations differ, with the levels it can have. What one level does must not
// depend on another factor: finish, at the end, takes care of what would make no sense together.
type factor struct {
	name   string
	levels []level
}

type level struct {
	name string
	set  func(c *trial)
}

func asItIs(*trial) {}

func ptr[T any](v T) *T { return &v }

var factors = []factor{
	{"user", []level{
		{"none", asItIs},
		{"100000", mapped(100000, 65536)},
		{"same", mapped(0, 65536)},
		{"single", mapped(100000, 1)},
		{"path", func(c *trial) { c.join(specs.UserNamespace); c.maps(100000, 65536) }},
	}},
	{"pid", namespace(specs.PIDNamespace, "new", "path", "host")},
	{"net", namespace(specs.NetworkNamespace, "new", "host", "path")},
	{"ipc", namespace(specs.IPCNamespace, "new", "host", "path")},
	{"uts", namespace(specs.UTSNamespace, "new", "host", "path")},
	{"cgroupns", namespace(specs.CgroupNamespace, "host", "new")},
	{"time", []level{
		{"host", asItIs},
		{"new", func(c *trial) {
			c.Join(specs.TimeNamespace, "")
			c.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 100, Nanosecs: 5}, "boottime": {Secs: 7}}
			c.look("=/proc/self/timens_offsets")
		}},
	}},
	{"mounts", []level{
		{"docker", func(c *trial) { c.Spec.Mounts = dockerMounts() }},
		{"podman", podman},
		{"privileged", privileged},
		{"minimal", func(c *trial) { c.Spec.Mounts = dockerMounts()[:2] }},
		{"proc", func(c *trial) { c.Spec.Mounts = dockerMounts()[:1] }},
	}},
	{"more", []level{{"none", asItIs}, {"binds", binds}, {"flags", bindFlags}, {"tmpfs", tmpfses}, {"propagation", propagations}, {"places", places}, {"recursive", recursive}}},
	{"paths", []level{
		{"docker", dockerPaths},
		{"none", func(c *trial) { c.Spec.Linux.MaskedPaths, c.Spec.Linux.ReadonlyPaths = nil, nil }},
		{"own", ownPaths},
	}},
	{"caps", []level{
		{"docker", asItIs},
		{"all", func(c *trial) { c.caps(rttest.AllCaps(), nil) }},
		{"none", func(c *trial) { c.Spec.Process.Capabilities = &specs.LinuxCapabilities{} }},
		{"ambient", func(c *trial) { c.caps(rttest.DefaultCaps, []string{"CAP_NET_RAW", "CAP_KILL"}) }},
		{"lesser", func(c *trial) {
			c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: rttest.DefaultCaps, Permitted: rttest.DefaultCaps[:4],
				Effective: rttest.DefaultCaps[:2], Inheritable: rttest.DefaultCaps[1:3]}
		}},
	}},
	{"ids", []level{
		{"root", asItIs},
		{"groups", func(c *trial) { c.Spec.Process.User.AdditionalGids = []uint32{5, 10, 1000} }},
		{"user", func(c *trial) { c.Spec.Process.User = specs.User{UID: 1000, GID: 1000} }},
		{"nobody", func(c *trial) { c.Spec.Process.User = specs.User{UID: 4711, GID: 0, AdditionalGids: []uint32{4712}} }},
	}},
	{"umask", []level{{"unset", asItIs}, {"077", func(c *trial) { c.Spec.Process.User.Umask = ptr(uint32(0o077)) }}}},
	{"terminal", []level{
		{"no", asItIs},
		{"yes", func(c *trial) { c.Spec.Process.Terminal = true }},
		{"size", func(c *trial) {
			c.Spec.Process.Terminal = true
			c.Spec.Process.ConsoleSize = &specs.Box{Height: 33, Width: 111}
		}},
	}},
	{"propagation", rootPropagation("unset", "private", "rslave", "rshared", "unbindable", "shared")},
	{"root", []level{{"rw", asItIs}, {"ro", func(c *trial) { c.Spec.Root.Readonly = true }}}},
	{"rlimits", []level{
		{"none", asItIs},
		{"some", func(c *trial) {
			c.Spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 500, Hard: 1000}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0},
				{Type: "RLIMIT_NPROC", Soft: 900, Hard: 1800}, {Type: "RLIMIT_STACK", Soft: 4 << 20, Hard: 16 << 20}, {Type: "RLIMIT_MEMLOCK", Soft: 1 << 16, Hard: 1 << 16}}
		}},
	}},
	{"seccomp", []level{{"none", asItIs}, {"docker", func(c *trial) { c.Spec.Linux.Seccomp = dockerFilter(c.t) }}, {"some", func(c *trial) { c.Spec.Linux.Seccomp = someFilter() }}}},
	{"nnp", []level{{"no", func(c *trial) { c.Spec.Process.NoNewPrivileges = false }}, {"yes", asItIs}}},
	{"sysctl", []level{{"none", asItIs}, {"some", sysctls}}},
	{"devices", []level{{"none", asItIs}, {"some", devices}, {"rules", deviceRules}}},
	{"oom", []level{{"unset", asItIs}, {"100", func(c *trial) { c.Spec.Process.OOMScoreAdj = ptr(100) }}, {"1000", func(c *trial) { c.Spec.Process.OOMScoreAdj = ptr(1000) }}}},
	{"resources", []level{{"none", asItIs}, {"usual", usualResources}, {"rare", rareResources}}},
	{"cgroup", []level{
		{"absolute", asItIs},
		{"relative", func(c *trial) { c.Spec.Linux.CgroupsPath = c.Spec.Linux.CgroupsPath[1:] }},
		{"unset", func(c *trial) { c.Spec.Linux.CgroupsPath = "" }},
	}},
	{"how", []level{{"create", func(c *trial) { c.how = "create" }}, {"run", func(c *trial) { c.how = "run" }}, {"detach", func(c *trial) { c.how = "detach" }}}},
	{"attributes", []level{
		{"none", asItIs},
		{"batch", func(c *trial) {
			c.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch, Nice: 5}
			c.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6}
		}},
		{"linux32", func(c *trial) {
			c.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
			c.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_IDLE}
		}},
	}},
	{"cwd", []level{
		{"root", asItIs},
		{"home", func(c *trial) {
			c.Spec.Process.Cwd = "/home"
			c.Spec.Process.Env = append(c.Spec.Process.Env, "HOME=", "A=1", "B=x y", "A=2")
		}},
		{"new", func(c *trial) {
			c.Spec.Process.Cwd = "/new/place"
			c.Spec.Process.Env = append(c.Spec.Process.Env, "HOME=/elsewhere", "EMPTY=")
			c.look("/new", "/new/place")
		}},
	}},
	{"caller", []level{
		{"clean", asItIs},
		{"signals", func(c *trial) {
			c.caller = []string{"env", "--ignore-signal=PIPE", "--ignore-signal=USR1", "--block-signal=USR2"}
		}},
		{"odd", func(c *trial) {
			c.caller = []string{"sh", "-c", `umask 027; ulimit -Sn 300; ulimit -c 0; echo 200 >/proc/self/oom_score_adj; exec 7</etc/passwd; exec nice -n 3 "$0" "$@"`}
		}},
	}},
	{"flags", []level{
		{"none", asItIs},
		{"keyring", func(c *trial) { c.flags = []string{"--no-new-keyring"} }},
		{"no-pivot", func(c *trial) { c.flags = []string{"--no-pivot"} }},
	}},
}

// mapped makes a new user namespace.
func mapped(first, size uint32) func(*trial) {
	return func(c *trial) { c.Join(specs.UserNamespace, ""); c.maps(first, size) }
}

func namespace(kind specs.LinuxNamespaceType, levels ...string) []level {
	set := map[string]func(*trial){
		"new":  func(c *trial) { c.Join(kind, "") },
		"host": func(c *trial) { c.Drop(kind) },
		"path": func(c *trial) { c.join(kind) },
	}
	var list []level
	for _, name := range levels {
		list = append(list, level{name, set[name]})
	}
	return list
}

func rootPropagation(values ...string) []level {
	var list []level
	for _, v := range values {
		list = append(list, level{v, func(c *trial) { c.Spec.Linux.RootfsPropagation = strings.TrimPrefix(v, "unset") }})
	}
	return list
}

func dockerMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro", "nosuid", "noexec", "nodev"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
	}
}

func podman(c *trial) {
	m := dockerMounts()
	m[1].Options = []string{"nosuid", "noexec", "strictatime", "mode=755", "size=65536k"}
	m[4].Options = []string{"rprivate", "nosuid", "noexec", "nodev", "relatime", "ro"}
	m[6] = specs.Mount{Destination: "/dev/shm", Type: "bind", Source: c.Mkdir("src/shm"), Options: []string{"bind", "rprivate", "nosuid", "noexec", "nodev"}}
	for _, name := range []string{"/run/.containerenv", "/etc/hosts", "/etc/resolv.conf"} {
		m = append(m, specs.Mount{Destination: name, Type: "bind", Source: c.WriteFile("src"+name, name+"\n"), Options: []string{"bind", "rprivate"}})
	}
	c.Spec.Mounts = m
}

func privileged(c *trial) {
	m := dockerMounts()
	m[3].Options = []string{"nosuid", "noexec", "nodev"}
	m[4].Options = []string{"rw", "nosuid", "noexec", "nodev", "relatime"}
	c.Spec.Mounts = m
}

func dockerPaths(c *trial) {
	c.Spec.Linux.MaskedPaths = []string{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"}
	c.Spec.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
}

// ownPaths are of the image: files, directories, links to both, what is not there, and one inside another.
func ownPaths(c *trial) {
	for _, name := range []string{"file", "dir/file", "seen/file", "seen/deep/file", "frozen"} {
		c.WriteFile("rootfs/data/"+name, "content\n")
	}
	for name, target := range map[string]string{"link": "file", "dirlink": "/data/dir", "dangling": "nowhere"} {
		if err := os.Symlink(target, c.InRootfs("data", name)); err != nil {
			c.t.Fatal(err)
		}
	}
	c.Spec.Linux.MaskedPaths = []string{"/data/link", "/data/dirlink", "/data/none", "/data/none/deeper", "/data/seen/deep"}
	c.Spec.Linux.ReadonlyPaths = []string{"/data/seen", "/data/frozen", "/data/missing"}
	c.look("/data", "/data/file", "/data/dir", "/data/dir/file", "/data/seen/file", "/data/seen/deep/file", "/data/none")
}

func (c *trial) caps(list, ambient []string) {
	list = withoutMissing(list)
	c.Spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: list, Effective: list, Permitted: list, Inheritable: ambient, Ambient: ambient}
}

// withoutMissing leaves out what even root may lack: then the kernel refuses to give it to anybody.
func withoutMissing(list []string) []string {
	var keep []string
	for i, name := range rttest.AllCaps() {
		if has(list, name) && rttest.Capability(i)() == "" {
			keep = append(keep, name)
		}
	}
	return keep
}

// dockerFilter is what Docker writes.
func dockerFilter(t testing.TB) *specs.LinuxSeccomp {
	data, err := os.ReadFile("../testdata/configs/docker-default.json")
	var spec specs.Spec
	if err == nil {
		err = json.Unmarshal(data, &spec)
	}
	if err != nil {
		t.Fatal(err)
	}
	return spec.Linux.Seccomp
}

func someFilter() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActAllow,
		Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchX86},
		Flags:         []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"keyctl", "no_such_call"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(95))},
			{Names: []string{"personality"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 0xffffffff, Op: specs.OpEqualTo}}},
		},
	}
}

func sysctls(c *trial) {
	c.Spec.Linux.Sysctl = map[string]string{}
	c.sysctl(specs.NetworkNamespace, "net.ipv4.ip_unprivileged_port_start", "80")
	c.sysctl(specs.NetworkNamespace, "net.ipv4.ping_group_range", "0 100")
	c.sysctl(specs.IPCNamespace, "kernel.msgmax", "10000")
	c.sysctl(specs.IPCNamespace, "fs.mqueue.msg_max", "20")
	c.sysctl(specs.IPCNamespace, "kernel.shm_rmid_forced", "1")
}

func devices(c *trial) {
	c.Spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: ptr(os.FileMode(0o666)), UID: ptr(uint32(0)), GID: ptr(uint32(0))},
		{Path: "/dev/sub/kmsg", Type: "c", Major: 1, Minor: 11, FileMode: ptr(os.FileMode(0o640)), UID: ptr(uint32(0)), GID: ptr(uint32(5))},
		{Path: "/dev/plain", Type: "c", Major: 1, Minor: 5},
		{Path: "/elsewhere/zero", Type: "u", Major: 1, Minor: 5, FileMode: ptr(os.FileMode(0o600))},
	}
	c.look("/dev/sub", "/dev/sub/kmsg", "/dev/fuse", "/dev/plain", "/elsewhere", "/elsewhere/zero")
}

func deviceRules(c *trial) {
	major := func(n int64) *int64 { return &n }
	c.Spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{
		{Allow: false, Access: "rwm"},
		{Allow: true, Type: "c", Access: "m"},
		{Allow: true, Type: "c", Major: major(10), Minor: major(229), Access: "rw"},
		{Allow: true, Type: "c", Major: major(1), Minor: major(7), Access: "rwm"},
		{Allow: false, Type: "c", Major: major(1), Minor: major(7), Access: "w"},
		{Allow: true, Type: "b", Major: major(7), Access: "r"},
	}
}

func usualResources(c *trial) {
	r := c.Spec.Linux.Resources
	r.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(128 << 20)), Reservation: ptr(int64(32 << 20))}
	r.CPU = &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000))}
	r.Pids = &specs.LinuxPids{Limit: ptr(int64(100))}
}

func rareResources(c *trial) {
	r := c.Spec.Linux.Resources
	r.Memory = &specs.LinuxMemory{Limit: ptr(int64(-1)), Swappiness: ptr(uint64(10)), DisableOOMKiller: ptr(true)}
	r.CPU = &specs.LinuxCPU{Cpus: "0", Mems: "0", Quota: ptr(int64(-1))}
	r.Pids = &specs.LinuxPids{Limit: ptr(int64(-1))}
}
