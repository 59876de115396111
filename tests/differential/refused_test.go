package differential

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// A refusal is a configuration at the edge of what is valid. rt must refuse it if runc does, with the same status, and
// accept it if runc does, but for those that say why not.
type refusal struct {
	name string
	set  func(c *trial)
	why  string // rt and runc differ, because
}

func TestRefusals(t *testing.T) {
	b := bench{runtimes: runtimes(t)}
	rttest.PeersCgroups(t)
	for _, r := range refusals {
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			results := map[string]*rttest.Result{}
			for name, path := range b.runtimes {
				c := newTrial(t, path)
				c.Args("/bin/true")
				r.set(c)
				results[name] = c.Run(c.flags...)
				c.noTrace(results[name])
			}
			rt, runc := results["rt"], results["runc"]
			differ := rt.Code != runc.Code
			if differ && r.why == "" {
				t.Errorf("rt %s\nrunc %s\ncrun %s", rt, runc, results["crun"])
			}
			if !differ && r.why != "" {
				t.Errorf("no difference any more: status %d, said to be because %s", rt.Code, r.why)
			}
		})
	}
}

// noTrace fails the test if the foreground run left anything, whatever came of it, or failed without a word.
func (c *trial) noTrace(res *rttest.Result) {
	if res.Code == 1 && strings.TrimSpace(res.Stderr) == "" {
		c.t.Errorf("no word of why: %s", res)
	}
	c.CheckGone() // a peer may
}

// ids maps a user namespace.
func ids(first, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: first, HostID: host, Size: size}}
}

func rlimit(kind string, soft, hard uint64) func(*trial) {
	return func(c *trial) {
		c.Spec.Process.Rlimits = append(c.Spec.Process.Rlimits, specs.POSIXRlimit{Type: kind, Soft: soft, Hard: hard})
	}
}

func sysctl(key, value string) func(*trial) {
	return func(c *trial) { c.Spec.Linux.Sysctl = map[string]string{key: value} }
}

func mount(destination, kind, source string, options ...string) func(*trial) {
	return func(c *trial) {
		c.Mount(specs.Mount{Destination: destination, Type: kind, Source: source, Options: options})
	}
}

func nsPath(kind specs.LinuxNamespaceType, path string) func(*trial) {
	return func(c *trial) { c.Join(kind, path) }
}

func edit(f func(config map[string]any)) func(*trial) { return func(c *trial) { c.Edit = f } }

func part(config map[string]any, name string) map[string]any { return config[name].(map[string]any) }

const (
	afterStart = "what fails after the start is the command's error; runc's init dies of it"
	versions   = "the specification requires a version that is supported"
	absolute   = "the specification requires an absolute path"
)

var refusals = []refusal{
	{"nothing wrong", func(c *trial) {}, ""},
	{"exit status", func(c *trial) { c.Sh("exit 7") }, ""},
	{"killed", func(c *trial) { c.Sh("kill -9 $$") }, ""},
	{"no args", func(c *trial) { c.Args() }, ""},
	{"no process", func(c *trial) { c.Spec.Process = nil }, ""},
	{"no root", func(c *trial) { c.Spec.Root = nil }, ""},
	{"no program", func(c *trial) { c.Args("/bin/nothing") }, ""},
	{"no program in PATH", func(c *trial) { c.Args("nothing") }, ""},
	{"no PATH", func(c *trial) { c.Spec.Process.Env = nil; c.Args("true") }, ""},
	{"empty program", func(c *trial) { c.Args("") }, ""},
	{"program is a directory", func(c *trial) { c.Args("/bin") }, ""},
	{"program is no program", func(c *trial) { c.WriteFile("rootfs/text", "hello"); c.Args("/text") }, ""},
	{"program without a format", func(c *trial) {
		c.WriteFile("rootfs/text", "hello")
		_ = os.Chmod(c.InRootfs("text"), 0o755)
		c.Args("/text")
	}, afterStart},
	{"program is relative", func(c *trial) { c.Args("./bin/true") }, ""},
	{"cwd is relative", func(c *trial) { c.Spec.Process.Cwd = "home" }, ""},
	{"cwd is empty", func(c *trial) { c.Spec.Process.Cwd = "" }, ""},
	{"cwd is a file", func(c *trial) { c.Spec.Process.Cwd = "/etc/passwd" }, ""},
	{"cwd is not there, root is read-only", func(c *trial) { c.Spec.Process.Cwd = "/x/y"; c.Spec.Root.Readonly = true }, ""},
	{"env without a value", func(c *trial) { c.Spec.Process.Env = append(c.Spec.Process.Env, "NOTHING") }, ""},
	{"env without a name", func(c *trial) { c.Spec.Process.Env = append(c.Spec.Process.Env, "=x") }, ""},
	{"version missing", func(c *trial) { c.Spec.Version = "" }, versions},
	{"version of the future", func(c *trial) { c.Spec.Version = "2.0.0" }, versions},
	{"version is no version", func(c *trial) { c.Spec.Version = "one" }, versions},
	{"version of later", func(c *trial) { c.Spec.Version = "1.99.0" }, ""},
	{"unknown property", edit(func(m map[string]any) { m["new"] = "thing" }), ""},
	{"wrong type", edit(func(m map[string]any) { part(m, "process")["cwd"] = 7 }), ""},
	{"namespace unknown", nsPath("galaxy", ""), ""},
	{"namespace twice", func(c *trial) {
		c.Spec.Linux.Namespaces = append(c.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.PIDNamespace})
	}, ""},
	{"namespace path missing", nsPath(specs.NetworkNamespace, "/proc/self/ns/nothing"), ""},
	{"namespace path of another kind", nsPath(specs.NetworkNamespace, "/proc/self/ns/ipc"), ""},
	{"namespace path is a file", nsPath(specs.NetworkNamespace, "/etc/passwd"), ""},
	{"namespace path is relative", nsPath(specs.NetworkNamespace, "net"), ""},
	{"host name without its namespace", func(c *trial) { c.Drop(specs.UTSNamespace) }, ""},
	{"domain name without its namespace", func(c *trial) { c.Drop(specs.UTSNamespace); c.Spec.Hostname = ""; c.Spec.Domainname = "x" }, ""},
	{"user namespace without maps", nsPath(specs.UserNamespace, ""), ""},
	{"maps without a user namespace", func(c *trial) {
		c.Spec.Linux.UIDMappings, c.Spec.Linux.GIDMappings = ids(0, 1000, 10), ids(0, 1000, 10)
	}, "what has no effect is refused, not ignored"},
	{"maps that overlap", func(c *trial) {
		c.MapIDs(100000, 10)
		c.Spec.Linux.UIDMappings = append(c.Spec.Linux.UIDMappings, ids(5, 200000, 10)...)
	}, ""},
	{"map of nothing", func(c *trial) { c.MapIDs(100000, 0) }, ""},
	{"uid that is not mapped", func(c *trial) { c.MapIDs(100000, 10); c.Spec.Process.User.UID = 10 }, ""},
	{"group that is not mapped", func(c *trial) { c.MapIDs(100000, 10); c.Spec.Process.User.AdditionalGids = []uint32{10} }, ""},
	{"only uids are mapped", func(c *trial) { c.MapIDs(100000, 10); c.Spec.Linux.GIDMappings = nil }, ""},
	{"sysctl of the host", sysctl("kernel.panic", "1"), ""},
	{"sysctl of the host's network", func(c *trial) { c.Drop(specs.NetworkNamespace); sysctl("net.ipv4.ip_forward", "1")(c) }, ""},
	{"sysctl of the host's ipc", func(c *trial) { c.Drop(specs.IPCNamespace); sysctl("kernel.msgmax", "10000")(c) }, ""},
	{"sysctl kernel.hostname", sysctl("kernel.hostname", "x"), ""},
	{"sysctl kernel.domainname", sysctl("kernel.domainname", "x"), ""},
	{"sysctl that is not there", sysctl("net.ipv4.nothing", "1"), ""},
	{"sysctl with a value it refuses", sysctl("net.ipv4.ip_unprivileged_port_start", "x"), ""},
	{"sysctl with slashes", sysctl("net/ipv4/ip_forward", "1"), ""},
	{"sysctl that climbs", sysctl("net.ipv4/../../kernel.panic", "1"), ""},
	{"mount of an unknown type", mount("/x", "nothing", "none"), ""},
	{"mount without a type", mount("/x", "", "none"), ""},
	{"mount of a missing source", mount("/x", "bind", "/no/such/place", "bind"), ""},
	{"mount to a relative place", mount("x", "tmpfs", "tmpfs"), ""},
	{"mount to nowhere", mount("", "tmpfs", "tmpfs"), ""},
	{"mount on the root", mount("/", "tmpfs", "tmpfs"), ""},
	{"mount on a file", mount("/etc/passwd", "tmpfs", "tmpfs"), ""},
	{"mount of a file on a directory", func(c *trial) { mount("/etc", "bind", c.WriteFile("f", ""), "bind")(c) }, ""},
	{"mount below a file", mount("/etc/passwd/x", "tmpfs", "tmpfs"), ""},
	{"mount below /proc", mount("/proc/sys/net", "tmpfs", "tmpfs"), ""},
	{"mount on /proc/self", mount("/proc/self", "tmpfs", "tmpfs"), ""},
	{"mount on /proc/cpuinfo", func(c *trial) { mount("/proc/cpuinfo", "bind", c.WriteFile("f", ""), "bind")(c) }, ""},
	{"mount of a procfs by a link", func(c *trial) {
		_ = os.Remove(c.InRootfs("proc"))
		_ = os.Symlink("tmp", c.InRootfs("proc"))
	}, ""},
	{"mount with an option of nothing", mount("/x", "tmpfs", "tmpfs", "nothing"), ""},
	{"mount with a bad size", mount("/x", "tmpfs", "tmpfs", "size=x"), ""},
	{"mount with a bad mode", mount("/x", "tmpfs", "tmpfs", "mode=9"), ""},
	{"bind with a file system's option", mount("/x", "bind", "/tmp", "bind", "size=1k"), ""},
	{"bind with defaults", mount("/x", "bind", "/tmp", "bind", "defaults"), "it asks for nothing"},
	{"idmap without maps", mount("/x", "bind", "/tmp", "bind", "idmap"), ""},
	{"maps of one kind for a mount", func(c *trial) {
		c.Mount(specs.Mount{Destination: "/x", Type: "bind", Source: "/tmp", Options: []string{"bind"}, UIDMappings: ids(0, 1, 1)})
	}, ""},
	{"tmpcopyup of nothing", mount("/x/y", "tmpfs", "tmpfs", "tmpcopyup"), ""},
	{"masked path below a file", func(c *trial) { c.Spec.Linux.MaskedPaths = []string{"/etc/passwd/x"} }, "what is below a file is not there"},
	{"masked path is relative", func(c *trial) { c.Spec.Linux.MaskedPaths = []string{"etc/passwd"} }, absolute},
	{"read-only path below a file", func(c *trial) { c.Spec.Linux.ReadonlyPaths = []string{"/etc/passwd/x"} }, "what is below a file is not there"},
	{"read-only path is relative", func(c *trial) { c.Spec.Linux.ReadonlyPaths = []string{"etc"} }, absolute},
	{"rlimit unknown", rlimit("RLIMIT_NOTHING", 1, 1), ""},
	{"rlimit twice", func(c *trial) { rlimit("RLIMIT_NOFILE", 1, 10)(c); rlimit("RLIMIT_NOFILE", 10, 10)(c) }, ""},
	{"rlimit soft above hard", rlimit("RLIMIT_NOFILE", 11, 10), ""},
	{"rlimit above the kernel's", rlimit("RLIMIT_NOFILE", 1<<40, 1<<40), ""},
	{"capability unknown", func(c *trial) {
		c.Spec.Process.Capabilities.Bounding = append([]string{"CAP_NOTHING"}, rttest.DefaultCaps...)
	}, ""},
	{"capability effective but not permitted", func(c *trial) {
		c.Spec.Process.Capabilities.Permitted = nil
	}, ""},
	{"ambient but not inheritable", func(c *trial) { c.Spec.Process.Capabilities.Ambient = []string{"CAP_KILL"} }, ""},
	{"capability in lower case", func(c *trial) { c.Spec.Process.Capabilities.Bounding = []string{"cap_kill"} }, ""},
	{"seccomp action unknown", func(c *trial) { c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "SCMP_ACT_NOTHING"} }, ""},
	{"seccomp architecture unknown", func(c *trial) {
		c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{"SCMP_ARCH_NOTHING"}}
	}, ""},
	{"seccomp flag unknown", func(c *trial) {
		c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{"NOTHING"}}
	}, ""},
	{"seccomp forbids execve", func(c *trial) {
		c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"execve"}, Action: specs.ActErrno}}}
	}, afterStart},
	{"seccomp notifies nobody", func(c *trial) {
		c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"mkdir"}, Action: specs.ActNotify}}}
	}, ""},
	{"seccomp without actions", func(c *trial) { c.Spec.Linux.Seccomp = &specs.LinuxSeccomp{} }, "the specification requires defaultAction"},
	{"rootfsPropagation unknown", func(c *trial) { c.Spec.Linux.RootfsPropagation = "sideways" }, ""},
	{"private and no pivot", func(c *trial) { c.Spec.Linux.RootfsPropagation = "private"; c.flags = []string{"--no-pivot"} },
		"the host's mounts are gone before the container has its root"},
	{"root is missing", func(c *trial) { c.Spec.Root.Path = "nothing" }, ""},
	{"root is a file", func(c *trial) { c.WriteFile("file", ""); c.Spec.Root.Path = "file" }, ""},
	{"root is empty", func(c *trial) { c.Spec.Root.Path = "" }, ""},
	{"AppArmor without AppArmor", func(c *trial) { c.Spec.Process.ApparmorProfile = "x" }, ""},
	{"SELinux without SELinux", func(c *trial) { c.Spec.Process.SelinuxLabel = "x" }, ""},
	{"mount label without SELinux", func(c *trial) { c.Spec.Linux.MountLabel = "x" }, ""},
	{"device of an unknown type", func(c *trial) { c.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "x"}} }, ""},
	{"device is relative", func(c *trial) { c.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "x", Type: "c", Major: 1, Minor: 3}} }, absolute},
	{"device twice", func(c *trial) {
		d := specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 1, Minor: 3}
		c.Spec.Linux.Devices = []specs.LinuxDevice{d, d}
	}, ""},
	{"FIFO with numbers", func(c *trial) {
		c.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "p", Major: 1, Minor: 3}}
	}, "the specification says that a FIFO has none, and the OCI's suite gives it some"},
	{"cgroup path climbs", func(c *trial) { c.Spec.Linux.CgroupsPath += "/../x" }, "a path that climbs could be anybody's cgroup"},
	{"cpus unknown", func(c *trial) { c.Spec.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: "x"} }, ""},
	{"cpus that are not there", func(c *trial) { c.Spec.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: "5000"} }, ""},
	{"quota too small", func(c *trial) { c.Spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(1))} }, ""},
	{"memory below nothing", func(c *trial) { c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(-5))} }, ""},
	{"swap below memory", func(c *trial) {
		c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Swap: ptr(int64(32 << 20))}
	}, ""},
	{"swappiness of 300", func(c *trial) { c.Spec.Linux.Resources.Memory = &specs.LinuxMemory{Swappiness: ptr(uint64(300))} }, ""},
	{"pids limit of nothing", func(c *trial) { c.Spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(0))} }, ""},
	{"device rule of an unknown type", func(c *trial) {
		c.Spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Type: "x", Access: "r"}}
	}, ""},
	{"device rule with unknown access", func(c *trial) {
		c.Spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Type: "c", Access: "z"}}
	}, "the kernel would ignore the rule, or a part of it"},
	{"huge pages of an unknown size", func(c *trial) {
		c.Spec.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "3MB", Limit: 1}}
	}, ""},
	{"unified on v1", func(c *trial) { c.Spec.Linux.Resources.Unified = map[string]string{"memory.max": "100000000"} }, ""},
	{"oomScoreAdj out of range", func(c *trial) { c.Spec.Process.OOMScoreAdj = ptr(2000) }, ""},
	{"terminal without a socket", func(c *trial) { c.Spec.Process.Terminal = true; c.flags = []string{"--detach"} }, ""},
	{"socket without a terminal", func(c *trial) { c.flags = []string{"--detach", "--console-socket", rttest.ListenFD(c.t).Path} }, ""},
	{"socket that is not there", func(c *trial) {
		c.Spec.Process.Terminal = true
		c.flags = []string{"--detach", "--console-socket", "/no/such/socket"}
	}, ""},
	{"pid file in a missing place", func(c *trial) { c.flags = []string{"--pid-file", "/no/such/place/pid"} }, ""},
	{"personality unknown", func(c *trial) { c.Spec.Linux.Personality = &specs.LinuxPersonality{Domain: "x"} }, ""},
	{"scheduler unknown", func(c *trial) { c.Spec.Process.Scheduler = &specs.Scheduler{Policy: "x"} }, ""},
	{"nice out of range", func(c *trial) { c.Spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedOther, Nice: 30} }, ""},
	{"io priority unknown", func(c *trial) { c.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: "x"} }, ""},
	{"io priority out of range", func(c *trial) {
		c.Spec.Process.IOPriority = &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 9}
	}, ""},
	{"time offsets without their namespace", func(c *trial) {
		c.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
	}, ""},
	{"time offset of an unknown clock", func(c *trial) {
		c.Join(specs.TimeNamespace, "")
		c.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"wall": {Secs: 1}}
	}, ""},
	{"umask out of range", func(c *trial) { c.Spec.Process.User.Umask = ptr(uint32(0o17777)) }, "the kernel would drop the other bits"},
	{"hook is relative", hook("true"), ""},
	{"hook is missing", hook("/no/such/hook"), ""},
	{"hook fails", hook("/bin/false"), ""},
	{"hook succeeds", hook("/bin/true"), ""},
	{"hook with a timeout of nothing", func(c *trial) {
		c.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/true", Timeout: ptr(0)}}}
	}, ""},
	{"hook that takes too long", func(c *trial) {
		c.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sleep", Args: []string{"sleep", "100"}, Timeout: ptr(1)}}}
	}, ""},
	{"poststart hook fails", func(c *trial) { c.Spec.Hooks = &specs.Hooks{Poststart: []specs.Hook{{Path: "/bin/false"}}} }, ""},
	{"poststop hook fails", func(c *trial) { c.Spec.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/bin/false"}}} }, ""},
	{"startContainer hook fails", func(c *trial) { c.Spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/false"}}} }, afterStart},
	{"net device that is not there", func(c *trial) { c.Spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{"nothing0": {}} }, ""},
	{"memory policy unknown", func(c *trial) { c.Spec.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: "x"} }, ""},
	{"RDT without resctrl", func(c *trial) { c.Spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x"} }, ""},
	{"no mounts at all", func(c *trial) { c.Spec.Mounts = nil; c.Spec.Linux.MaskedPaths = nil; c.Spec.Linux.ReadonlyPaths = nil }, "rt needs no /proc in the container"},
	{"device overrides /dev/null", func(c *trial) {
		c.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o622))}}
	}, "a default device stays allowed when its node is described; runc's own init cannot open it then"},
	{"descriptors that are not there", func(c *trial) { c.flags = []string{"--preserve-fds", "3"} }, "runc counts descriptors of its own"},
	{"cgroup path of 300 letters", func(c *trial) { c.Spec.Linux.CgroupsPath = rttest.CgroupParent() + "/" + strings.Repeat("x", 300) }, ""},
}

func hook(path string) func(*trial) {
	return func(c *trial) { c.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: path}}} }
}
