package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

var allNamespaces = []specs.LinuxNamespaceType{"pid", "network", "mount", "ipc", "uts", "user", "cgroup", "time"}

func TestAllNamespacesNew(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Sh("sleep 100")
	for _, kind := range allNamespaces {
		b.Join(kind, "")
	}
	b.RunDetached().OK()
	pid := b.Pid()
	for _, kind := range allNamespaces {
		if rttest.NsInode(t, pid, nsFiles[kind]) == rttest.NsInode(t, "self", nsFiles[kind]) {
			t.Errorf("the %s namespace is not new", kind)
		}
	}
}

func TestNoNamespaceIsNewUnasked(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Drop("network", "ipc", "uts", "pid").Sh("sleep 100")
	b.Spec.Hostname = ""
	b.Spec.Mounts = withoutMount(b.Spec.Mounts, "/dev/mqueue")
	b.RunDetached().OK()
	for _, kind := range []string{"net", "ipc", "uts", "pid", "user", "cgroup", "time"} {
		if rttest.NsInode(t, b.Pid(), kind) != rttest.NsInode(t, "self", kind) {
			t.Errorf("the %s namespace is new", kind)
		}
	}
}

func withoutMount(list []specs.Mount, destination string) []specs.Mount {
	var keep []specs.Mount
	for _, m := range list {
		if m.Destination != destination {
			keep = append(keep, m)
		}
	}
	return keep
}

// A container joins the namespaces of another, as pods do; the user namespace with the mounts' rights that go with it.
func TestJoinNamespacesByPath(t *testing.T) {
	t.Parallel()
	for _, userns := range []bool{false, true} {
		t.Run(fmt.Sprintf("user namespace %v", userns), func(t *testing.T) {
			first, second := rttest.New(t).Sh("sleep 1000"), rttest.New(t).Sh("hostname; sleep 1000")
			kinds := []specs.LinuxNamespaceType{"pid", "network", "ipc", "uts", "cgroup", "time"}
			if userns {
				first.MapIDs(100000, 65536)
				second.MapIDs(100000, 65536)
				kinds = append(kinds, "user")
			}
			for _, kind := range kinds {
				first.Join(kind, "")
			}
			first.RunDetached().OK()
			pid := first.Pid()
			for _, kind := range kinds {
				second.Join(kind, fmt.Sprintf("/proc/%d/ns/%s", pid, nsFiles[kind]))
			}
			second.Spec.Hostname = ""
			second.RunDetached().OK()
			for _, kind := range kinds {
				if rttest.NsInode(t, second.Pid(), nsFiles[kind]) != rttest.NsInode(t, pid, nsFiles[kind]) {
					t.Errorf("the %s namespace is not the one joined", kind)
				}
			}
			rttest.Eventually(t, "hostname of the first", func() bool { return second.Output() == "rttest\n" })
		})
	}
}

func TestNamespacePathFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind specs.LinuxNamespaceType
		path string
		word string
	}{
		"missing":         {"network", "/nonexistent/ns", "/nonexistent/ns"},
		"of another type": {"network", "/proc/self/ns/uts", "/proc/self/ns/uts"},
		"not a namespace": {"network", "/etc/passwd", "/etc/passwd"},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Join(c.kind, c.path)
			b.Create().FailsNaming("linux.namespaces[4]", c.word)
			b.CheckGone()
		})
	}
	t.Run("named twice", func(t *testing.T) {
		b := rttest.New(t)
		b.Spec.Linux.Namespaces = append(b.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: "uts"})
		b.Create().FailsNaming("linux.namespaces[5]", "uts")
		b.CheckGone()
	})
}

func TestLoopbackIsUp(t *testing.T) {
	t.Parallel()
	rttest.New(t).Sh("cat /sys/class/net/lo/flags").Run().OK().Prints("0x9") // IFF_UP | IFF_LOOPBACK
}

func TestHostnameAndDomainname(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("hostname; cat /proc/sys/kernel/domainname")
	b.Spec.Hostname, b.Spec.Domainname = "box", "example.org"
	b.Run().OK().Prints("box\nexample.org")
}

func TestIDMaps(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c %u:%g /; cat /proc/self/setgroups; touch /f")
	b.MapIDs(100000, 1000)
	b.Spec.Linux.UIDMappings = append(b.Spec.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 5000, HostID: 300000, Size: 7})
	fields := strings.Fields(b.Run().OK().Stdout)
	want := "0 100000 1000 5000 300000 7 0 100000 1000 0 0:0 allow"
	if got := strings.Join(fields, " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	info, err := os.Stat(b.InRootfs("f"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 100000 {
		t.Errorf("the file made inside: %v (%v)", info, err)
	}
}

// In a user namespace devices cannot be made, only bound; they must still be the real ones.
func TestDevicesInAUserNamespace(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Sh("stat -c '%n %t:%T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty; echo x > /dev/null; head -c 3 /dev/zero | wc -c")
	b.Run().OK().Prints("/dev/null 1:3\n/dev/zero 1:5\n/dev/full 1:7\n/dev/random 1:8\n/dev/urandom 1:9\n/dev/tty 5:0\n3")
}

// The whole container is another user's: its ids, and the mounts inside, which it may not undo.
func TestUserNamespaceUser(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Sh("id; umount /sys 2>&1; cat /proc/sys/kernel/hostname")
	b.Spec.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5, 6}}
	out := b.Run().OK().Stdout
	if !strings.Contains(out, "uid=1000(user) gid=1001 groups=5,6") && !strings.Contains(out, "uid=1000(user) gid=1001 groups=1001,5,6") {
		t.Errorf("id: %q", out)
	}
}

func TestTimeOffsets(t *testing.T) {
	t.Parallel()
	const script = "cat /proc/self/timens_offsets /proc/uptime"
	for name, make := range map[string]func() *rttest.Bundle{
		"root":             func() *rttest.Bundle { return rttest.New(t) },
		"a user namespace": func() *rttest.Bundle { return rttest.New(t).MapIDs(100000, 65536) },
		"an ordinary user": func() *rttest.Bundle { return rootless(t) },
	} {
		b := make().Sh(script)
		b.Join(specs.TimeNamespace, "")
		b.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{
			"boottime": {Secs: 1000000, Nanosecs: 5}, "monotonic": {Secs: 2000000},
		}
		wantOffsets(t, name, b.Run().OK().Stdout)
		b.Args("sleep", "1000").RunDetached().OK()
		wantOffsets(t, name+", exec", execIn(b, "", "sh", "-c", script).OK().Stdout)
		b.Spec.Linux.TimeOffsets = nil
		b.Delete("--force").OK()
		own, err := os.Readlink("/proc/self/ns/time")
		if err != nil {
			t.Fatal(err)
		}
		if text := b.Sh("readlink /proc/self/ns/time").Run().OK().Stdout; strings.TrimSpace(text) == own || !strings.HasPrefix(text, "time:[") {
			t.Errorf("%s: without offsets it is in %q, we are in %s", name, text, own)
		}
	}
}

func wantOffsets(t *testing.T, name, text string) {
	t.Helper()
	f := strings.Fields(text)
	if got := strings.Join(f[:6], " "); got != "monotonic 2000000 0 boottime 1000000 5" {
		t.Errorf("%s: offsets %q", name, got)
	}
	var up unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &up); err != nil {
		t.Fatal(err)
	}
	inside, err := strconv.ParseFloat(f[6], 64)
	if shift := inside - float64(up.Sec); err != nil || shift < 999990 || shift > 1000010 {
		t.Errorf("%s: uptime inside is %v s ahead (%v)", name, shift, err)
	}
}

// An offset may go back, but not to before the clock's beginning, which is the kernel's error.
func TestNegativeTimeOffsets(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Join(specs.TimeNamespace, "").Sh("cat /proc/self/timens_offsets")
	b.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: -2, Nanosecs: 999999999}}
	if got := strings.Join(strings.Fields(b.Run().OK().Stdout), " "); got != "monotonic -2 999999999 boottime 0 0" {
		t.Errorf("offsets %q", got)
	}
	b.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: -1 << 40}}
	b.Create().FailsNaming("linux.timeOffsets", "numerical result out of range")
	b.CheckGone()
}

func TestTimeOffsetsNeedANewTimeNamespace(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
	b.Create().FailsNaming("linux.timeOffsets")
	b.CheckGone()
}

// A cgroup namespace: the container sees its own cgroup as the root.
func TestCgroupNamespace(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	b := rttest.New(t).Join(specs.CgroupNamespace, "").Sh("grep memory /proc/self/cgroup; grep -c . /sys/fs/cgroup/memory/cgroup.procs")
	b.Mount(specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"ro"}})
	lines := strings.Split(strings.TrimSpace(b.Run().OK().Stdout), "\n")
	if !strings.HasSuffix(lines[0], ":memory:/") || lines[1] == "0" {
		t.Errorf("inside: %q", lines)
	}
}

// Without a mount namespace of its own a container has a root of its own, and only that.
func TestSharedMountNamespace(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Drop("mount").Sh("ls -d /bin /work 2>/dev/null; exit 0")
	b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = nil, nil
	if rttest.IsRT(t) { // runc's init needs /proc in there
		b.Spec.Mounts = nil
	}
	b.Setup = func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS} }
	b.Run().OK().Prints("/bin")
}

// Mounts of a container without a mount namespace are its own all the same: nobody sees them on the host. (runc leaves them there.)
func TestSharedMountNamespaceWithMounts(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Kernel("6.15"))
	rttest.OnlyRT(t, "mounts of a container never happen in the caller's namespace")
	b := rttest.New(t).Drop("mount").Sh("ls /proc/self/fd >/dev/null && echo x >/dev/null && echo ready; exec sleep 100")
	b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = []string{"/proc/meminfo"}, []string{"/proc/sys"}
	b.Mount(specs.Mount{Destination: "/ro", Type: "tmpfs", Source: "tmpfs", Options: []string{"ro"}})
	b.RunDetached().OK()
	rttest.Eventually(t, "ready", func() bool { return strings.Contains(b.Output(), "ready") })
	if got, ours := rttest.NsInode(t, b.Pid(), "mnt"), rttest.NsInode(t, "self", "mnt"); got != ours {
		t.Errorf("mount namespace %s, want ours, %s", got, ours)
	}
	b.RT("exec", b.ID, "/bin/sh", "-c", "cat /proc/1/comm; wc -c </proc/meminfo; (echo x >/proc/sys/kernel/hostname) 2>&1; touch /ro/x 2>&1; true").OK().
		Prints("sleep\n0\n/bin/sh: can't create /proc/sys/kernel/hostname: Read-only file system\ntouch: /ro/x: Read-only file system")
	if entries, err := os.ReadDir(b.InRootfs("proc")); err != nil || len(entries) > 0 {
		t.Errorf("the host sees %d entries in the container's /proc, %v", len(entries), err)
	}
}
