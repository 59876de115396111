package specconv_test

import (
	"math"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/specconv"
)

func ptr[T any](v T) *T { return &v }

func ids(containerID, hostID, size uint32) specs.LinuxIDMapping {
	return specs.LinuxIDMapping{ContainerID: containerID, HostID: hostID, Size: size}
}

// join and drop change what linux.namespaces says of one type.
func join(s *specs.Spec, t specs.LinuxNamespaceType, path string) {
	drop(s, t)
	s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: t, Path: path})
}

func drop(s *specs.Spec, t specs.LinuxNamespaceType) {
	var rest []specs.LinuxNamespace
	for _, ns := range s.Linux.Namespaces {
		if ns.Type != t {
			rest = append(rest, ns)
		}
	}
	s.Linux.Namespaces = rest
}

func userns(s *specs.Spec) {
	join(s, "user", "")
	s.Linux.UIDMappings = []specs.LinuxIDMapping{ids(0, 100000, 65536)}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{ids(0, 100000, 65536)}
}

func addMount(s *specs.Spec, m specs.Mount) { s.Mounts = append([]specs.Mount{m}, s.Mounts...) }

func seccomp(s *specs.Spec) *specs.LinuxSeccomp {
	s.Linux.Seccomp = &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"read"}, Action: specs.ActAllow}},
	}
	return s.Linux.Seccomp
}

type validateTest struct {
	name   string
	change func(s *specs.Spec) // made to the example config
	want   string              // the whole error; empty for a valid config
}

func runValidate(t *testing.T, host specconv.Host, tests []validateTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			spec := specconv.Example(false)
			test.change(spec)
			got := ""
			if err := specconv.Validate(spec, host); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestValidateTop(t *testing.T) {
	runValidate(t, specconv.Host{}, []validateTest{
		{"the example", func(s *specs.Spec) {}, ""},
		{"nothing", func(s *specs.Spec) { *s = specs.Spec{} }, "ociVersion: is missing; root: is missing"},
		{"the least", func(s *specs.Spec) { *s = specs.Spec{Version: "1.0.0", Root: &specs.Root{Path: "r"}} }, ""},
		{"1.0.2-dev", func(s *specs.Spec) { s.Version = "1.0.2-dev" }, ""},
		{"1.3.0-rc.1+build", func(s *specs.Spec) { s.Version = "1.3.0-rc.1+build" }, ""},
		{"1.99.0", func(s *specs.Spec) { s.Version = "1.99.0" }, ""},
		{"0.5.0", func(s *specs.Spec) { s.Version = "0.5.0-dev" }, `ociVersion: "0.5.0-dev" is not supported, only 1.0.0 to 1.3.0`},
		{"2.0.0", func(s *specs.Spec) { s.Version = "2.0.0" }, `ociVersion: "2.0.0" is not supported, only 1.0.0 to 1.3.0`},
		{"1.0", func(s *specs.Spec) { s.Version = "1.0" }, `ociVersion: "1.0" is not a version number like 1.3.0`},
		{"1.0.0-", func(s *specs.Spec) { s.Version = "1.0.0-" }, `ociVersion: "1.0.0-" is not a version number like 1.3.0`},
		{"1.0.0-01", func(s *specs.Spec) { s.Version = "1.0.0-01" }, `ociVersion: "1.0.0-01" is not a version number like 1.3.0`},
		{"1.00.0", func(s *specs.Spec) { s.Version = "1.00.0" }, `ociVersion: "1.00.0" is not a version number like 1.3.0`},
		{"v1.0.0", func(s *specs.Spec) { s.Version = "v1.0.0" }, `ociVersion: "v1.0.0" is not a version number like 1.3.0`},
		{"empty root", func(s *specs.Spec) { s.Root.Path = "" }, "root.path: is missing"},
		{"NUL in root", func(s *specs.Spec) { s.Root.Path = "a\x00b" }, `root.path: "a\x00b" holds a NUL byte`},
		{"hostname of the host", func(s *specs.Spec) { drop(s, "uts") }, "hostname: needs a uts namespace in linux.namespaces, or it would be the host's"},
		{"joined uts", func(s *specs.Spec) { join(s, "uts", "/run/ns/uts") }, ""},
		{"long names", func(s *specs.Spec) { s.Hostname, s.Domainname = strings.Repeat("h", 64), strings.Repeat("d", 65) }, "domainname: has 65 bytes, the kernel takes 64"},
		{"annotation without a key", func(s *specs.Spec) { s.Annotations = map[string]string{"": "x", "a": ""} }, "annotations: has an empty key"},
		{"hooks", func(s *specs.Spec) {
			s.Hooks = &specs.Hooks{
				//lint:ignore SA1019 prestart is how Docker 20.10 gets its network
				Prestart:  []specs.Hook{{Path: "/bin/true", Timeout: ptr(1)}},
				Poststop:  []specs.Hook{{Path: "/bin/true"}, {Path: "true", Timeout: ptr(0)}},
				Poststart: []specs.Hook{{Args: []string{"a\x00"}, Env: []string{"A\x00"}}},
			}
		}, `hooks.poststart[0].path: is missing; hooks.poststart[0].args[0]: "a\x00" holds a NUL byte; hooks.poststart[0].env[0]: "A\x00" holds a NUL byte; ` +
			`hooks.poststop[1].path: "true" is not an absolute path; hooks.poststop[1].timeout: 0 is not above 0`},
		{"several faults at once", func(s *specs.Spec) {
			s.Version, s.Process.Cwd, s.Mounts[3].Destination = "x", "tmp", ""
		}, `ociVersion: "x" is not a version number like 1.3.0; mounts[3].destination: is missing; process.cwd: "tmp" is not an absolute path`},
	})
}

func TestValidateProcess(t *testing.T) {
	runValidate(t, specconv.Host{}, []validateTest{
		{"none", func(s *specs.Spec) { s.Process = nil }, ""},
		{"no args", func(s *specs.Spec) { s.Process.Args = nil }, "process.args: names no program to run"},
		{"empty program", func(s *specs.Spec) { s.Process.Args = []string{"", "x"} }, "process.args: names no program to run"},
		{"empty argument", func(s *specs.Spec) { s.Process.Args = []string{"x", ""} }, ""},
		{"NUL in args", func(s *specs.Spec) { s.Process.Args = []string{"x", "a\x00b"} }, `process.args[1]: "a\x00b" holds a NUL byte`},
		{"no cwd", func(s *specs.Spec) { s.Process.Cwd = "" }, "process.cwd: is missing"},
		{"relative cwd", func(s *specs.Spec) { s.Process.Cwd = "./x" }, `process.cwd: "./x" is not an absolute path`},
		{"env", func(s *specs.Spec) { s.Process.Env = []string{"A=", "B", "=c", "D==e\x00"} },
			`process.env[1]: "B" has no =; process.env[2]: "=c" has no name; process.env[3]: "D==e\x00" holds a NUL byte`},
		{"ids", func(s *specs.Spec) {
			s.Process.User = specs.User{UID: math.MaxUint32, GID: math.MaxUint32 - 1, AdditionalGids: []uint32{1, math.MaxUint32}, Umask: ptr(uint32(0o1000))}
		}, "process.user.uid: 4294967295 is no id; process.user.additionalGids[1]: 4294967295 is no id; process.user.umask: 01000 has more than the nine permission bits"},
		{"unmapped ids", func(s *specs.Spec) {
			userns(s)
			s.Process.User = specs.User{UID: 65536, GID: 65535, AdditionalGids: []uint32{0, 70000}, Umask: ptr(uint32(0o777))}
		}, "process.user.uid: 65536 is not mapped in the container's user namespace; process.user.additionalGids[1]: 70000 is not mapped in the container's user namespace"},
		{"rlimits", func(s *specs.Spec) {
			s.Process.Rlimits = []specs.POSIXRlimit{
				{Type: "RLIMIT_CORE"}, {Type: "RLIMIT_NOFILES", Hard: 1}, {Type: "RLIMIT_CORE", Soft: 2, Hard: 1}, {Type: "nofile"},
			}
		}, `process.rlimits[1].type: "RLIMIT_NOFILES" is not known, only RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE RLIMIT_LOCKS RLIMIT_MEMLOCK ` +
			`RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_NOFILE RLIMIT_NPROC RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING RLIMIT_STACK; ` +
			`process.rlimits[2].soft: 2 is above hard, 1; process.rlimits[2].type: RLIMIT_CORE was given before, in process.rlimits[0]; ` +
			`process.rlimits[3].type: "nofile" is not known, only RLIMIT_AS RLIMIT_CORE RLIMIT_CPU RLIMIT_DATA RLIMIT_FSIZE RLIMIT_LOCKS RLIMIT_MEMLOCK ` +
			`RLIMIT_MSGQUEUE RLIMIT_NICE RLIMIT_NOFILE RLIMIT_NPROC RLIMIT_RSS RLIMIT_RTPRIO RLIMIT_RTTIME RLIMIT_SIGPENDING RLIMIT_STACK`},
		{"oom score", func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(-1001) }, "process.oomScoreAdj: -1001 is not between -1000 and 1000"},
		{"effective, not permitted", func(s *specs.Spec) { s.Process.Capabilities.Effective = []string{"CAP_KILL", "CAP_SYS_ADMIN"} },
			"process.capabilities.effective[1]: CAP_SYS_ADMIN is not in permitted"},
		{"unknown capability", func(s *specs.Spec) { s.Process.Capabilities.Effective = []string{"CAP_WHAT"} }, ""},
		{"console size", func(s *specs.Spec) { s.Process.ConsoleSize = &specs.Box{Height: 65536, Width: 65535} }, "process.consoleSize.height: 65536 is above 65535"},
		{"console size, no terminal", func(s *specs.Spec) {
			s.Process.Terminal, s.Process.ConsoleSize = false, &specs.Box{Width: 65536}
		}, ""},
		{"io priority", func(s *specs.Spec) { s.Process.IOPriority = &specs.LinuxIOPriority{Class: "BE", Priority: 8} },
			`process.ioPriority.class: "BE" is not known, only IOPRIO_CLASS_RT IOPRIO_CLASS_BE IOPRIO_CLASS_IDLE; process.ioPriority.priority: 8 is not between 0 and 7`},
		{"affinity", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0-3, 7", Final: "3-0"} },
			`process.execCPUAffinity.final: "3-0" is not a list like 0-3,7`},
		{"affinity syntax", func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Initial: "0,,1", Final: "all"} },
			`process.execCPUAffinity.initial: "0,,1" is not a list like 0-3,7; process.execCPUAffinity.final: "all" is not a list like 0-3,7`},
	})
}

func TestValidateScheduler(t *testing.T) {
	set := func(v specs.Scheduler) func(*specs.Spec) { return func(s *specs.Spec) { s.Process.Scheduler = &v } }
	runValidate(t, specconv.Host{}, []validateTest{
		{"batch", set(specs.Scheduler{Policy: specs.SchedBatch, Nice: -20, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}), ""},
		{"no policy", set(specs.Scheduler{}), "process.scheduler.policy: is missing"},
		{"unknown names", set(specs.Scheduler{Policy: "SCHED_FAST", Flags: []specs.LinuxSchedulerFlag{"RECLAIM"}}),
			`process.scheduler.policy: "SCHED_FAST" is not known, only SCHED_OTHER SCHED_FIFO SCHED_RR SCHED_BATCH SCHED_ISO SCHED_IDLE SCHED_DEADLINE; ` +
				`process.scheduler.flags[0]: "RECLAIM" is not known, only SCHED_FLAG_RESET_ON_FORK SCHED_FLAG_RECLAIM SCHED_FLAG_DL_OVERRUN SCHED_FLAG_KEEP_POLICY ` +
				`SCHED_FLAG_KEEP_PARAMS SCHED_FLAG_UTIL_CLAMP_MIN SCHED_FLAG_UTIL_CLAMP_MAX`},
		{"nice", set(specs.Scheduler{Policy: specs.SchedOther, Nice: 20}), "process.scheduler.nice: 20 is not between -20 and 19"},
		{"fifo", set(specs.Scheduler{Policy: specs.SchedFIFO, Priority: 99}), ""},
		{"fifo without priority", set(specs.Scheduler{Policy: specs.SchedFIFO}), "process.scheduler.priority: 0 is not between 1 and 99, as SCHED_FIFO needs"},
		{"other with priority", set(specs.Scheduler{Policy: specs.SchedOther, Priority: 1}), "process.scheduler.priority: 1 is only for SCHED_FIFO and SCHED_RR"},
		{"deadline", set(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 1, Deadline: 2, Period: 2}), ""},
		{"deadline order", set(specs.Scheduler{Policy: specs.SchedDeadline, Runtime: 3, Deadline: 2, Period: 2}),
			"process.scheduler: runtime 3, deadline 2, period 2: each has to be at most the next"},
		{"deadline of another", set(specs.Scheduler{Policy: specs.SchedOther, Runtime: 3}), "process.scheduler: runtime, deadline and period are only for SCHED_DEADLINE"},
	})
}

func TestValidateMounts(t *testing.T) {
	add := func(m specs.Mount) func(*specs.Spec) { return func(s *specs.Spec) { addMount(s, m) } }
	const overmounts = "/proc/cpuinfo /proc/diskstats /proc/loadavg /proc/meminfo /proc/slabinfo /proc/stat /proc/swaps " +
		"/proc/sys/crypto/fips_enabled /proc/sys/kernel/ns_last_pid /proc/uptime"
	runValidate(t, specconv.Host{}, []validateTest{
		{"bind", add(specs.Mount{Destination: "/x", Type: "bind", Source: "relative/to/bundle", Options: []string{"rbind", "ro"}}), ""},
		{"bind of type none", add(specs.Mount{Destination: "x", Type: "none", Source: "/s", Options: []string{"bind"}}), ""},
		{"bind without type", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind"}}), ""},
		{"bind without source", add(specs.Mount{Destination: "/x", Options: []string{"bind"}}), "mounts[0].source: is missing, and a bind mount needs one"},
		{"bind with data", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"ro", "mode=755", "rbind", "acl"}}),
			`mounts[0].options[1]: "mode=755" is no option of a bind mount; mounts[0].options[3]: "acl" is no option of a bind mount`},
		{"bind as a type only", add(specs.Mount{Destination: "/x", Type: "bind", Source: "/s", Options: []string{"ro"}}),
			`mounts[0].options: has neither bind nor rbind, and "bind" is no filesystem`},
		{"no type", add(specs.Mount{Destination: "/x", Source: "tmpfs"}), "mounts[0].type: is missing, and neither bind nor rbind is in options"},
		{"remount", add(specs.Mount{Destination: "/x", Options: []string{"remount", "ro"}}), ""},
		{"bind remount", add(specs.Mount{Destination: "/x", Options: []string{"remount", "bind", "ro"}}), ""},
		{"no destination", add(specs.Mount{Type: "tmpfs"}), "mounts[0].destination: is missing"},
		{"root", add(specs.Mount{Destination: "/", Type: "tmpfs"}), `mounts[0].destination: "/" would cover the root filesystem`},
		{"root in disguise", add(specs.Mount{Destination: "/x/../..//.", Type: "tmpfs"}), `mounts[0].destination: "/x/../..//." would cover the root filesystem`},
		{"root, relative", add(specs.Mount{Destination: "./", Type: "tmpfs"}), `mounts[0].destination: "./" would cover the root filesystem`},
		{"fake /proc", add(specs.Mount{Destination: "/proc/", Type: "tmpfs"}), `mounts[0].destination: /proc has to be of the type proc, not "tmpfs"`},
		{"bound /proc", add(specs.Mount{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}), ""},
		{"inside /proc", add(specs.Mount{Destination: "/x/../proc/self", Type: "tmpfs"}), `mounts[0].destination: "/x/../proc/self" is inside /proc, where only these can be mounted over: ` + overmounts},
		{"relative, inside /proc", add(specs.Mount{Destination: "proc/sys", Type: "tmpfs"}), `mounts[0].destination: "proc/sys" is inside /proc, where only these can be mounted over: ` + overmounts},
		{"lxcfs", add(specs.Mount{Destination: "/proc/cpuinfo", Type: "bind", Source: "/s", Options: []string{"bind"}}), ""},
		{"beside /proc", add(specs.Mount{Destination: "/process", Type: "tmpfs"}), ""},
		{"copy up", add(specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"tmpcopyup"}}), ""},
		{"copy up of a bind", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind", "tmpcopyup"}}), "mounts[0].options[1]: is only for the type tmpfs"},
		{"two id maps", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind", "idmap", "ridmap"}}),
			"mounts[0].options[2]: idmap and ridmap exclude each other; mounts[0].type: is missing, and neither bind nor rbind is in options"},
		{"NULs", add(specs.Mount{Destination: "/x\x00", Type: "t\x00", Source: "s\x00", Options: []string{"o\x00"}}),
			`mounts[0].options[0]: "o\x00" holds a NUL byte; mounts[0].destination: "/x\x00" holds a NUL byte; mounts[0].source: "s\x00" holds a NUL byte; mounts[0].type: "t\x00" holds a NUL byte`},
		{"unmapped owner", func(s *specs.Spec) {
			userns(s)
			addMount(s, specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"mode=755", "uid=65535", "gid=65536"}})
		}, "mounts[0].options[2]: 65536 is not mapped in the container's user namespace"},
		{"idmap of nothing", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind", "idmap"}}),
			"mounts[0]: idmap needs uidMappings and gidMappings, or a user namespace to take them from"},
		{"idmap of the user namespace", func(s *specs.Spec) {
			userns(s)
			addMount(s, specs.Mount{Destination: "/x", Source: "/s", Options: []string{"rbind", "ridmap"}})
		}, ""},
		{"mappings", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind"}, UIDMappings: []specs.LinuxIDMapping{ids(0, 1, 1)}, GIDMappings: []specs.LinuxIDMapping{ids(0, 1, 1)}}), ""},
		{"half the mappings", add(specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind", "idmap"}, UIDMappings: []specs.LinuxIDMapping{ids(0, 1, 0)}}),
			"mounts[0].uidMappings[0].size: is 0 or missing; mounts[0].gidMappings: is missing beside uidMappings"},
		{"id-mapped tmpfs", add(specs.Mount{Destination: "/x", Type: "tmpfs", Options: []string{"idmap"}}), "mounts[0]: only a bind mount can be id-mapped"},
		{"propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "rslave" }, ""},
		{"unknown propagation", func(s *specs.Spec) { s.Linux.RootfsPropagation = "Shared" },
			`linux.rootfsPropagation: "Shared" is not known, only private rprivate rshared rslave runbindable shared slave unbindable`},
		{"masked", func(s *specs.Spec) {
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = []string{"/proc/kcore", "proc", ""}, []string{"/a\x00"}
		}, `linux.maskedPaths[1]: "proc" is not an absolute path; linux.maskedPaths[2]: is missing; linux.readonlyPaths[0]: "/a\x00" holds a NUL byte`},
		{"no mount namespace", func(s *specs.Spec) { drop(s, "mount") }, ""},
	})
}

func TestValidateNamespaces(t *testing.T) {
	runValidate(t, specconv.Host{}, []validateTest{
		{"all", func(s *specs.Spec) { userns(s); join(s, "time", ""); join(s, "cgroup", "") }, ""},
		{"unknown", func(s *specs.Spec) { join(s, "net", "") }, `linux.namespaces[5].type: "net" is not known, only cgroup ipc mount network pid time user uts`},
		{"no type", func(s *specs.Spec) { join(s, "", "") }, "linux.namespaces[5].type: is missing"},
		{"twice", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "pid", Path: "/p"})
		},
			`linux.namespaces[5].type: "pid" was given before, in linux.namespaces[0]`},
		{"relative path", func(s *specs.Spec) { join(s, "network", "ns/net") }, `linux.namespaces[4].path: "ns/net" is not an absolute path`},
		{"user without mappings", func(s *specs.Spec) { join(s, "user", "") },
			"linux.uidMappings: is missing, and the new user namespace would have no ids; linux.gidMappings: is missing, and the new user namespace would have no ids"},
		{"joined user without mappings", func(s *specs.Spec) { join(s, "user", "/u") }, ""},
		{"mappings without user", func(s *specs.Spec) { userns(s); drop(s, "user") },
			"linux.uidMappings: needs a user namespace in linux.namespaces; linux.gidMappings: needs a user namespace in linux.namespaces"},
		{"root not mapped", func(s *specs.Spec) {
			userns(s)
			s.Process.User.UID = 1
			s.Linux.UIDMappings = []specs.LinuxIDMapping{ids(1, 1, 1)}
		}, "linux.uidMappings: does not map 0, which the container is set up as"},
		{"all ids", func(s *specs.Spec) { userns(s); s.Linux.UIDMappings[0] = ids(0, 0, math.MaxUint32) }, ""},
		{"too many ids", func(s *specs.Spec) {
			userns(s)
			s.Linux.UIDMappings = []specs.LinuxIDMapping{ids(0, 1, math.MaxUint32)}
			s.Linux.GIDMappings = []specs.LinuxIDMapping{ids(0, 0, 10), ids(math.MaxUint32, 100, 1)}
		}, "linux.uidMappings[0]: hostID 1 and size 4294967295 go beyond the last id, 4294967294; linux.gidMappings[1]: containerID 4294967295 and size 1 go beyond the last id, 4294967294"},
		{"overlaps", func(s *specs.Spec) {
			userns(s)
			s.Linux.UIDMappings = []specs.LinuxIDMapping{ids(0, 0, 10), ids(9, 100, 1)}
			s.Linux.GIDMappings = []specs.LinuxIDMapping{ids(0, 0, 10), ids(10, 10, 10), ids(20, 5, 1)}
		}, "linux.uidMappings[1]: overlaps linux.uidMappings[0]; linux.gidMappings[2]: overlaps linux.gidMappings[0]"},
		{"too many mappings", func(s *specs.Spec) {
			userns(s)
			s.Linux.UIDMappings = make([]specs.LinuxIDMapping, 341)
			s.Linux.UIDMappings[0].Size = 1
		}, "linux.uidMappings: has 341 entries, the kernel takes 340"},
		{"time", func(s *specs.Spec) {
			join(s, "time", "")
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: -1, Nanosecs: 999999999}, "monotonic": {}}
		}, ""},
		{"bad time", func(s *specs.Spec) {
			join(s, "time", "/t")
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {}, "boottime": {Nanosecs: 1000000000}}
		}, `linux.timeOffsets: needs a new time namespace in linux.namespaces; linux.timeOffsets["boottime"].nanosecs: 1000000000 is a second or more; ` +
			`linux.timeOffsets["realtime"]: is not a clock with an offset, only monotonic and boottime are`},
		{"net devices", func(s *specs.Spec) {
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}, "eth1": {Name: "net%d"}, "eth2": {Name: "net%d"}}
		}, ""},
		{"bad net devices", func(s *specs.Spec) {
			drop(s, "network")
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"a/b": {}, "eth0": {Name: "x"}, "eth1": {Name: "x"}, "eth2": {Name: "a name too long"}, "sixteen-bytes-is": {}}
		}, `linux.netDevices: needs a network namespace in linux.namespaces; linux.netDevices["a/b"]: is no name of a network device; ` +
			`linux.netDevices["eth1"]: "x" is the name of linux.netDevices["eth0"] already; linux.netDevices["eth2"].name: "a name too long" is no name of a network device; ` +
			`linux.netDevices["sixteen-bytes-is"]: is no name of a network device`},
	})
}

func TestValidateRootless(t *testing.T) {
	host := specconv.Host{Rootless: true}
	if err := specconv.Validate(specconv.Example(true), host); err != nil {
		t.Errorf("the rootless example: %v", err)
	}
	runValidate(t, host, []validateTest{
		{"no user namespace", func(s *specs.Spec) {}, "linux.namespaces: has no user namespace, without which an ordinary user can make no container"},
		{"root only", func(s *specs.Spec) {
			userns(s)
			s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth0": {}}
			addMount(s, specs.Mount{Destination: "/x", Source: "/s", Options: []string{"bind", "idmap"}})
		}, "mounts[0]: an ordinary user cannot id-map a mount; linux.netDevices: needs root: an ordinary user cannot move a device of the host"},
		{"the usual /dev/pts", func(s *specs.Spec) {
			userns(s)
			s.Linux.GIDMappings[0].Size = 1
		}, "mounts[2].options[5]: 5 is not mapped in the container's user namespace"},
	})
}

func TestValidateDevices(t *testing.T) {
	runValidate(t, specconv.Host{}, []validateTest{
		{"nodes", func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/a", Type: "c", Major: 4095, Minor: 1048575}, {Path: "/b", Type: "p"}, {Path: "/dev/c", Type: "u"}, {Path: "/dev/d", Type: "b"}}
		}, ""},
		{"bad nodes", func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{
				{Path: "dev/a", Type: "c", Major: 4096, Minor: -1}, {Path: "/", Type: "p"},
				{Path: "/dev/c", Type: "a", UID: ptr(uint32(math.MaxUint32)), GID: ptr(uint32(math.MaxUint32))}, {},
			}
		}, `linux.devices[0].path: "dev/a" is not an absolute path; linux.devices[0].major: 4096 is not between 0 and 4095; linux.devices[0].minor: -1 is not between 0 and 1048575; ` +
			`linux.devices[1].path: "/" is the root directory; linux.devices[2].type: "a" is not known, only c u b p; linux.devices[2].uid: 4294967295 is no id; ` +
			`linux.devices[2].gid: 4294967295 is no id; linux.devices[3].path: is missing; linux.devices[3].type: is missing`},
		{"rules", func(s *specs.Spec) {
			s.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Access: "rwm"}, {Type: "a", Access: "r"}, {Type: "c", Major: ptr(int64(-1)), Minor: ptr(int64(0)), Access: "mw"}}
		}, ""},
		{"bad rules", func(s *specs.Spec) {
			s.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Type: "p", Access: "rx"}, {Type: "b", Major: ptr(int64(-2)), Minor: ptr(int64(1 << 20))}}
		}, `linux.resources.devices[0].type: "p" is not known, only a c b; linux.resources.devices[0].access: "rx" has more than r, w and m; ` +
			`linux.resources.devices[1].access: is missing; linux.resources.devices[1].major: -2 is not between 0 and 4095; linux.resources.devices[1].minor: 1048576 is not between 0 and 1048575`},
	})
}

func TestValidateResources(t *testing.T) {
	set := func(r specs.LinuxResources) func(*specs.Spec) { return func(s *specs.Spec) { s.Linux.Resources = &r } }
	runValidate(t, specconv.Host{CgroupV2: true}, []validateTest{
		{"none", func(s *specs.Spec) { s.Linux.Resources = nil }, ""},
		{"memory", set(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(5)), Swap: ptr(int64(-1)), Swappiness: ptr(uint64(100))}}), ""},
		{"bad memory", set(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(5)), Swap: ptr(int64(4)), Reservation: ptr(int64(-2)), Swappiness: ptr(uint64(101))}}),
			"linux.resources.memory.reservation: -2 is neither a size nor -1 for none; linux.resources.memory.swap: 4 is below limit, 5; it counts memory and swap together; " +
				"linux.resources.memory.swappiness: 101 is above 100"},
		{"cpu", set(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-1,3", Quota: ptr(int64(-1)), Burst: ptr(uint64(9)), Idle: ptr(int64(1))}}), ""},
		{"bad cpu", set(specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "a", Mems: "1-", Quota: ptr(int64(8)), Burst: ptr(uint64(9)), Idle: ptr(int64(2))}}),
			`linux.resources.cpu.cpus: "a" is not a list like 0-3,7; linux.resources.cpu.mems: "1-" is not a list like 0-3,7; linux.resources.cpu.burst: 9 is above quota, 8; ` +
				`linux.resources.cpu.idle: 2 is neither 0 nor 1`},
		{"block io", set(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
			WeightDevice:           []specs.LinuxWeightDevice{{}, {LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: -1}, Weight: ptr(uint16(5))}},
			ThrottleReadIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Minor: -1}}},
		}}), "linux.resources.blockIO.weightDevice[0]: has neither weight nor leafWeight; linux.resources.blockIO.weightDevice[1].major: -1 is not between 0 and 4095; " +
			"linux.resources.blockIO.throttleReadIOPSDevice[0].minor: -1 is not between 0 and 1048575"},
		{"huge pages", set(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB"}, {Pagesize: "64KB"}, {Pagesize: "2M"}, {Pagesize: "../2MB"}}}),
			`linux.resources.hugepageLimits[2].pageSize: "2M" is not a size like 2MB; linux.resources.hugepageLimits[3].pageSize: "../2MB" is not a size like 2MB`},
		{"network", set(specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "eth0"}, {Name: "a b"}}}}),
			`linux.resources.network.priorities[1].name: "a b" is no name of a network device`},
		{"rdma", set(specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(1))}, "a b": {HcaObjects: ptr(uint32(1))}, "x": {}}}),
			`linux.resources.rdma["a b"]: is no name of a device; linux.resources.rdma["x"]: has neither hcaHandles nor hcaObjects`},
		{"unified", set(specs.LinuxResources{Unified: map[string]string{"memory.high": "1", "io.max": "a\nb"}}), ""},
		{"bad unified", set(specs.LinuxResources{Unified: map[string]string{"../cgroup.procs": "", "a/b.c": "", "..": "", "memory": ""}}),
			`linux.resources.unified[".."]: is not a file name like memory.high; linux.resources.unified["../cgroup.procs"]: is not a file name like memory.high; ` +
				`linux.resources.unified["a/b.c"]: is not a file name like memory.high; linux.resources.unified["memory"]: is not a file name like memory.high`},
		{"cgroups path", func(s *specs.Spec) { s.Linux.CgroupsPath = "/a..b/c" }, ""},
		{"systemd cgroups path", func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:rt:id" }, ""},
		{"bad cgroups path", func(s *specs.Spec) { s.Linux.CgroupsPath = "a/../\n" },
			`linux.cgroupsPath: "a/../\n" has a ".." in it; linux.cgroupsPath: "a/../\n" has a NUL byte or a newline in it`},
	})
	runValidate(t, specconv.Host{}, []validateTest{
		{"unified on v1", set(specs.LinuxResources{Unified: map[string]string{"memory.high": "1"}}),
			"linux.resources.unified: needs a host with the unified cgroup hierarchy (v2)"},
	})
}

func TestValidateKernelThings(t *testing.T) {
	runValidate(t, specconv.Host{}, []validateTest{
		{"rdt", func(s *specs.Spec) {
			s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "/", Schemata: []string{"L3:0=f"}, L3CacheSchema: "L3:0=f", MemBwSchema: "MB:0=20"}
		}, ""},
		{"bad rdt", func(s *specs.Spec) {
			s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a/b", Schemata: []string{"a\nb"}, L3CacheSchema: "\n", MemBwSchema: "L3:"}
		}, `linux.intelRdt.closID: "a/b" is no name of a directory; linux.intelRdt.schemata[0]: "a\nb" has a newline in it; linux.intelRdt.l3CacheSchema: "\n" has a newline in it; ` +
			`linux.intelRdt.memBwSchema: "L3:" is not one line that begins with MB:`},
		{"memory policy", func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolBind, Nodes: "0", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes}}
		}, ""},
		{"no memory nodes", func(s *specs.Spec) { s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolInterleave} },
			"linux.memoryPolicy.nodes: is missing, and MPOL_INTERLEAVE needs it"},
		{"memory nodes for nothing", func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal, Nodes: "0"}
		},
			`linux.memoryPolicy.nodes: "0" is given, and MPOL_LOCAL takes none`},
		{"bad memory policy", func(s *specs.Spec) {
			s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "BIND", Nodes: "x", Flags: []specs.MemoryPolicyFlagType{specs.MpolFStaticNodes, specs.MpolFRelativeNodes, "F"}}
		}, `linux.memoryPolicy.mode: "BIND" is not known, only MPOL_DEFAULT MPOL_BIND MPOL_INTERLEAVE MPOL_WEIGHTED_INTERLEAVE MPOL_PREFERRED MPOL_PREFERRED_MANY MPOL_LOCAL; ` +
			`linux.memoryPolicy.nodes: "x" is not a list like 0-3,7; linux.memoryPolicy.flags[2]: "F" is not known, only MPOL_F_NUMA_BALANCING MPOL_F_RELATIVE_NODES MPOL_F_STATIC_NODES; ` +
			`linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES exclude each other`},
		{"personality", func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, ""},
		{"bad personality", func(s *specs.Spec) {
			s.Linux.Personality = &specs.LinuxPersonality{Domain: "BSD", Flags: []specs.LinuxPersonalityFlag{"X"}}
		}, `linux.personality.domain: "BSD" is not known, only LINUX LINUX32; linux.personality.flags: ["X"] is not known: the specification defines none`},
	})
}

func TestValidateSysctl(t *testing.T) {
	set := func(names ...string) func(*specs.Spec) {
		return func(s *specs.Spec) {
			s.Linux.Sysctl = map[string]string{}
			for _, name := range names {
				s.Linux.Sysctl[name] = "1"
			}
		}
	}
	runValidate(t, specconv.Host{}, []validateTest{
		{"own", set("net.ipv4.ip_forward", "net/ipv4/conf/eth0.1/forwarding", "net.ipv4.conf.eth0/1.forwarding", "kernel.msgmax", "kernel/shmall", "fs.mqueue.msg_max", "kernel.domainname"), ""},
		{"the host's", set("kernel.panic", "vm.swappiness", "kernel/shm_next_id", "fs.file-max"),
			`linux.sysctl["fs.file-max"]: is the whole machine's, not the container's; linux.sysctl["kernel.panic"]: is the whole machine's, not the container's; ` +
				`linux.sysctl["kernel/shm_next_id"]: is the whole machine's, not the container's; linux.sysctl["vm.swappiness"]: is the whole machine's, not the container's`},
		{"hostname", set("kernel.hostname", "kernel/hostname"), `linux.sysctl["kernel.hostname"]: is what the field hostname is for; linux.sysctl["kernel/hostname"]: is what the field hostname is for`},
		{"host namespaces", func(s *specs.Spec) {
			drop(s, "network")
			drop(s, "ipc")
			set("net.ipv4.ip_forward", "kernel.sem", "user.max_user_namespaces")(s)
		}, `linux.sysctl["kernel.sem"]: "ipc" is not in linux.namespaces, so it would be the host's; linux.sysctl["net.ipv4.ip_forward"]: "network" is not in linux.namespaces, ` +
			`so it would be the host's; linux.sysctl["user.max_user_namespaces"]: "user" is not in linux.namespaces, so it would be the host's`},
		{"user", func(s *specs.Spec) { userns(s); set("user.max_user_namespaces")(s) }, ""},
		{"ways out", set("net/../kernel/panic", "net..ipv4", "/net/ipv4", "", "net/./x"),
			`linux.sysctl: "" is not a kernel parameter; linux.sysctl: "/net/ipv4" is not a kernel parameter; linux.sysctl: "net..ipv4" is not a kernel parameter; ` +
				`linux.sysctl: "net/../kernel/panic" is not a kernel parameter; linux.sysctl: "net/./x" is not a kernel parameter`},
	})
}

func TestSysctlPath(t *testing.T) {
	for key, want := range map[string]string{
		"net.ipv4.ip_forward":              "net/ipv4/ip_forward",
		"net/ipv4/ip_forward":              "net/ipv4/ip_forward",
		"net.ipv4.conf.eth0/100.rp_filter": "net/ipv4/conf/eth0.100/rp_filter",
		"net/ipv4/conf/eth0.100/rp_filter": "net/ipv4/conf/eth0.100/rp_filter",
		"sem":                              "sem",
	} {
		if got, err := specconv.SysctlPath(key); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", key, got, err, want)
		}
	}
}

func TestValidateSeccomp(t *testing.T) {
	with := func(change func(p *specs.LinuxSeccomp)) func(*specs.Spec) {
		return func(s *specs.Spec) { change(seccomp(s)) }
	}
	const actions = "SCMP_ACT_ALLOW SCMP_ACT_ERRNO SCMP_ACT_KILL SCMP_ACT_KILL_PROCESS SCMP_ACT_KILL_THREAD SCMP_ACT_LOG SCMP_ACT_NOTIFY SCMP_ACT_TRACE SCMP_ACT_TRAP"
	runValidate(t, specconv.Host{}, []validateTest{
		{"good", with(func(p *specs.LinuxSeccomp) {
			p.DefaultErrnoRet, p.Architectures, p.Flags = ptr(uint(38)), []specs.Arch{specs.ArchX86_64}, []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC"}
			p.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 5, Op: specs.OpEqualTo}, {Index: 5, Op: specs.OpNotEqual}}
		}), ""},
		{"empty", func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{} }, "linux.seccomp.defaultAction: is missing"},
		{"unknown names", with(func(p *specs.LinuxSeccomp) {
			p.DefaultAction, p.Flags = "ALLOW", []specs.LinuxSeccompFlag{"LOG"}
			p.Syscalls[0].Action, p.Syscalls[0].Args = "ERRNO", []specs.LinuxSeccompArg{{Index: 6, Op: "EQ"}}
		}), `linux.seccomp.defaultAction: "ALLOW" is not known, only ` + actions + `; linux.seccomp.flags[0]: "LOG" is not known, only SECCOMP_FILTER_FLAG_LOG SECCOMP_FILTER_FLAG_SPEC_ALLOW ` +
			`SECCOMP_FILTER_FLAG_TSYNC SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV; linux.seccomp.syscalls[0].action: "ERRNO" is not known, only ` + actions +
			`; linux.seccomp.syscalls[0].args[0].index: 6 is not one of the 6 arguments, 0 to 5; linux.seccomp.syscalls[0].args[0].op: "EQ" is not known, only SCMP_CMP_EQ SCMP_CMP_GE SCMP_CMP_GT ` +
			`SCMP_CMP_LE SCMP_CMP_LT SCMP_CMP_MASKED_EQ SCMP_CMP_NE`},
		{"unknown architecture", with(func(p *specs.LinuxSeccomp) { p.Architectures = []specs.Arch{specs.ArchX86_64, ""} }), "linux.seccomp.architectures[1]: is missing"},
		{"no names", with(func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names = nil }), "linux.seccomp.syscalls[0].names: is missing"},
		{"unknown system call", with(func(p *specs.LinuxSeccomp) { p.Syscalls[0].Names = []string{"no_such_call"} }), ""},
		{"errnoRet", with(func(p *specs.LinuxSeccomp) {
			p.DefaultErrnoRet = ptr(uint(4096))
			p.Syscalls = []specs.LinuxSyscall{
				{Names: []string{"a"}, Action: specs.ActAllow, ErrnoRet: ptr(uint(1))},
				{Names: []string{"a"}, Action: specs.ActTrace, ErrnoRet: ptr(uint(65535))},
				{Names: []string{"a"}, Action: specs.ActTrace, ErrnoRet: ptr(uint(65536))},
			}
		}), "linux.seccomp.defaultErrnoRet: 4096 is above 4095; linux.seccomp.syscalls[0].errnoRet: means nothing with SCMP_ACT_ALLOW; linux.seccomp.syscalls[2].errnoRet: 65536 is above 65535"},
		{"notify", with(func(p *specs.LinuxSeccomp) {
			p.Syscalls[0].Action, p.ListenerPath, p.ListenerMetadata = specs.ActNotify, "/s", "m"
		}), ""},
		{"notify without listener", with(func(p *specs.LinuxSeccomp) { p.Syscalls[0].Action = specs.ActNotify }), "linux.seccomp.listenerPath: is missing, and SCMP_ACT_NOTIFY needs it"},
		{"notify by default and on write", with(func(p *specs.LinuxSeccomp) {
			p.DefaultAction, p.ListenerPath = specs.ActNotify, "s"
			p.Syscalls[0] = specs.LinuxSyscall{Names: []string{"read", "write"}, Action: specs.ActNotify}
		}), "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY would hold the very calls by which the listener is handed over; " +
			`linux.seccomp.syscalls[0]: SCMP_ACT_NOTIFY on write would hold the call by which the listener is handed over; linux.seccomp.listenerPath: "s" is not an absolute path`},
		{"metadata alone", with(func(p *specs.LinuxSeccomp) { p.ListenerMetadata = "m" }), "linux.seccomp.listenerMetadata: is given without listenerPath"},
	})
}

func TestWarnings(t *testing.T) {
	s := specconv.Example(false)
	s.Process.Capabilities.Bounding = []string{"CAP_KILL", "CAP_WHAT", "CAP_BPF"}
	s.Process.Capabilities.Ambient = []string{"CAP_WHAT", "kill"}
	s.Mounts[0].Destination = "proc"
	for last, want := range map[int]string{
		0: `process.capabilities.bounding[1]: "CAP_WHAT" is no capability of this kernel and is ignored; process.capabilities.ambient[1]: "kill" is no capability of this kernel and is ignored; ` +
			`mounts[0].destination: "proc" is relative, which is deprecated; taken as relative to /`,
		38: `process.capabilities.bounding[1]: "CAP_WHAT" is no capability of this kernel and is ignored; process.capabilities.bounding[2]: "CAP_BPF" is no capability of this kernel and is ignored; ` +
			`process.capabilities.ambient[1]: "kill" is no capability of this kernel and is ignored; mounts[0].destination: "proc" is relative, which is deprecated; taken as relative to /`,
	} {
		if got := specconv.Warnings(s, specconv.Host{LastCap: last}).Error(); got != want {
			t.Errorf("LastCap %d:\n got %s\nwant %s", last, got, want)
		}
	}
	if err := specconv.Validate(s, specconv.Host{}); err != nil {
		t.Errorf("a warning is no fault: %v", err)
	}
}
