package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// anOrdinaryUser is a uid that owns nothing else on the machine.
const anOrdinaryUser = 4712

// rootless is a bundle whose container an ordinary user makes: a user namespace, no network of its own, no limits.
func rootless(t *testing.T) *rttest.Bundle {
	t.Helper()
	b := rttest.New(t).Drop("network")
	b.Join(specs.UserNamespace, "")
	b.Spec.Linux.CgroupsPath, b.Spec.Linux.Resources = "", nil
	b.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: anOrdinaryUser, Size: 1}}
	b.Spec.Linux.GIDMappings = b.Spec.Linux.UIDMappings
	var kept []specs.Mount
	for _, m := range b.Spec.Mounts {
		if m.Type == "sysfs" { // belongs to the network namespace, which is the host's
			continue
		}
		m.Options = without(m.Options, "gid=5") // is not mapped
		kept = append(kept, m)
	}
	b.Spec.Mounts = kept
	b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = []string{"/proc/keys", "/proc/acpi"}, []string{"/proc/sys"}
	giveAway(t, filepath.Dir(b.Dir))
	b.Setup = func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: anOrdinaryUser, Gid: anOrdinaryUser}}
		cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+filepath.Dir(b.Dir), "USER=somebody")
	}
	return b
}

func giveAway(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, anOrdinaryUser, anOrdinaryUser)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRootless(t *testing.T) {
	t.Parallel()
	b := rootless(t).Sh(`id -u; tr -s ' ' < /proc/self/uid_map; cat /proc/self/setgroups; echo x > /dev/null && echo null; (: < /proc/keys) 2>&1; echo y > /proc/sys/kernel/domainname || echo ro`)
	res := b.Run()
	res.OK()
	for _, want := range []string{"0\n", fmt.Sprintf(" 0 %d 1\n", anOrdinaryUser), "deny\n", "null\n", "ro\n"} {
		if !strings.Contains(res.Stdout, want) {
			t.Errorf("no %q: %s", want, res)
		}
	}
}

func TestRootlessBindMounts(t *testing.T) {
	t.Parallel()
	b := rootless(t)
	b.WriteFile("volume/file", "content\n")
	giveAway(t, b.Dir)
	b.Mount(specs.Mount{Destination: "/v", Type: "bind", Source: filepath.Join(b.Dir, "volume"), Options: []string{"rbind", "ro"}})
	b.Sh("cat /v/file; echo z > /v/file || echo read-only").Run().OK().Prints("content\nread-only")
}

// Limits need a cgroup, which an ordinary user does not have on v1: to go without them silently would be less than was asked.
func TestRootlessLimitsAreRefused(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.CgroupV1)
	b := rootless(t)
	limit := int64(64 << 20)
	b.Spec.Linux.Resources = &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &limit}}
	b.Run().Fails()
}

// Ranges of ids are mapped by the setuid helpers, by what /etc/subuid and /etc/subgid grant.
func TestRootlessIDRanges(t *testing.T) {
	rttest.Need(t, rttest.Command("newuidmap"))
	rttest.OnlyRT(t, "needs files in /etc of the test's own, which its sandbox does not have for peers")
	for _, f := range []string{"/etc/subuid", "/etc/subgid", "/etc/passwd"} {
		grantIn(t, f)
	}
	b := rootless(t)
	b.Spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: anOrdinaryUser, Size: 1}, {ContainerID: 1, HostID: 700000, Size: 1000}}
	b.Spec.Linux.GIDMappings = b.Spec.Linux.UIDMappings
	b.Spec.Process.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}}
	b.Sh("id -u; id -G; cat /proc/self/setgroups").Run().OK().Prints("5\n6 7\nallow")
}

// grantIn covers a file of /etc with a copy that knows the user; the test binary has a mount namespace of its own.
func grantIn(t *testing.T, file string) {
	t.Helper()
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%d:700000:1000\n", anOrdinaryUser)
	if file == "/etc/passwd" {
		line = fmt.Sprintf("somebody:x:%d:%d::/:/bin/sh\n", anOrdinaryUser, anOrdinaryUser)
	}
	covered := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(covered, append(old, line...), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(covered, file, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(file, syscall.MNT_DETACH) })
}
