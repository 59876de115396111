package integration

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// /dev/mqueue belongs to who makes the IPC namespace, so that must be the container's root already.
func TestMqueueBelongsToTheContainersRoot(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Sh("stat -c %u:%g /dev/mqueue")
	res := b.Run().OK()
	if rttest.IsRT(t) {
		res.Prints("0:0")
	} else if !strings.HasPrefix(res.Stdout, "0:") {
		t.Error(res)
	}
}

// Rootless Podman's --pid=host: a user namespace may not mount a procfs of the host's processes, but has sysctls of its own.
func TestSysctlInAUserNamespaceAmongTheHostsProcesses(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Drop(specs.PIDNamespace).Sh("cat /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_unprivileged_port_start")
	for i, m := range b.Spec.Mounts {
		if m.Type == "proc" {
			b.Spec.Mounts[i] = bind("/proc", "/proc", "rbind", "rprivate")
		}
	}
	b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = nil, nil
	b.Spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "10001", "net.ipv4.ip_unprivileged_port_start": "81"}
	b.Run().OK().Prints("10001\n81")
}

// The mounts of the host cannot be undone in a user namespace; without a pivot they are covered.
func TestNoPivotInAUserNamespace(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).MapIDs(100000, 65536).Sh("ls /; echo $(cat /proc/1/comm)")
	res := b.Run("--no-pivot").OK()
	if !strings.Contains(res.Stdout, "home\n") || !strings.HasSuffix(res.Stdout, "\nsh\n") {
		t.Error(res)
	}
}

// A volume that is shared both ways passes nothing out of a user namespace: its root must not mount on the host, where
// the kernel itself makes slaves of what a user namespace gets. What the host mounts later does come in.
func TestUserNamespaceDoesNotMountOnTheHost(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Chown(dir, 100000, 100000); err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t).MapIDs(100000, 65536).Mount(bind(dir, "/v", "rbind", "rshared"))
	b.Sh("mkdir -p /v/x && mount -t tmpfs inside /v/x && sleep 1000")
	b.Spec.Process.Capabilities = allCaps(t)
	b.Spec.Linux.RootfsPropagation = "rshared"
	b.RunDetached().OK()
	inside := func(source string) bool {
		return slices.ContainsFunc(rttest.Mounts(rttest.ProcFile(t, b.Pid(), "mountinfo")), func(m rttest.MountPoint) bool { return m.Source == source })
	}
	rttest.Eventually(t, "the container mounts", func() bool { return inside("inside") })
	if strings.Contains(rttest.ProcFile(t, 1, "mountinfo"), " inside ") {
		t.Error("the container's mount is on the host")
	}
	hostMount(t, dir+"/later", 0)
	list := rttest.Mounts(rttest.ProcFile(t, b.Pid(), "mountinfo"))
	if _, ok := rttest.MountAt(list, "/v/later"); !ok {
		t.Error("what the host mounts does not come in")
	}
}

// What a mount asks for itself is not undone by rootfsPropagation.
func TestSlaveBelowAPrivateRoot(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t).Mount(bind(dir, "/v", "rbind", "rslave"))
	b.Spec.Linux.RootfsPropagation = "private"
	running(t, b)
	hostMount(t, dir+"/later", 0)
	mountAt(t, rttest.Mounts(rttest.ProcFile(t, b.Pid(), "mountinfo")), "/v/later")
}
