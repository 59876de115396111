package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// optionCase is one option, alone or after others that it undoes, and what /proc/PID/mountinfo shows of it.
type optionCase struct {
	options   string
	has, lack string // words of mountinfo
}

func (c optionCase) check(t *testing.T, what string, shown []string) {
	t.Helper()
	for _, word := range strings.Fields(c.has) {
		if !slices.Contains(shown, word) {
			t.Errorf("%s, %s: %v lack %s", c.options, what, shown, word)
		}
	}
	for _, word := range strings.Fields(c.lack) {
		if slices.Contains(shown, word) {
			t.Errorf("%s, %s: %v have %s", c.options, what, shown, word)
		}
	}
}

// mountOptions are those of one mount: a flag and its contrary, each on a fresh filesystem and on a bind of one that has
// the flags the other way round.
var mountOptions = []optionCase{
	{"ro", "ro", "rw"}, {"rw", "rw", "ro"}, {"ro rw", "rw", "ro"}, {"rw ro", "ro", "rw"},
	{"nosuid", "nosuid", ""}, {"suid", "", "nosuid"}, {"nosuid suid", "", "nosuid"},
	{"nodev", "nodev", ""}, {"dev", "", "nodev"}, {"nodev dev", "", "nodev"},
	{"noexec", "noexec", ""}, {"exec", "", "noexec"}, {"noexec exec", "", "noexec"},
	{"nodiratime", "nodiratime", ""}, {"diratime", "", "nodiratime"}, {"nodiratime diratime", "", "nodiratime"},
	{"nosymfollow", "nosymfollow", ""}, {"symfollow", "", "nosymfollow"}, {"nosymfollow symfollow", "", "nosymfollow"},
	{"noatime", "noatime", "relatime"}, {"atime", "relatime", "noatime"}, {"noatime atime", "relatime", "noatime"},
	{"relatime", "relatime", "noatime"}, {"strictatime", "", "relatime noatime"}, {"strictatime nostrictatime", "relatime", ""},
	{"nostrictatime", "relatime", "noatime"},
}

// Each option is what the kernel shows of a new mount.
func TestMountOptionsOfAFilesystem(t *testing.T) {
	t.Parallel()
	cases := append(slices.Clone(mountOptions), optionCase{"norelatime", "rw", "noatime"}, optionCase{"relatime norelatime", "rw", "noatime"})
	if rttest.IsRT(t) { // runc takes it for an option of the filesystem's
		cases = append(cases, optionCase{"defaults", "rw relatime", "nosuid nodev noexec"})
	}
	b := rttest.New(t)
	for i, c := range cases {
		b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: fmt.Sprintf("/m%d", i), Options: strings.Fields(c.options)})
	}
	list := running(t, b)
	for i, c := range cases {
		c.check(t, "a tmpfs", mountAt(t, list, fmt.Sprintf("/m%d", i)).Options)
	}
}

// contrary is a mount on the host with every flag that an option can take away.
func contrary(t *testing.T, dir string) string {
	t.Helper()
	hostMount(t, dir, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME|unix.MS_NODIRATIME|unix.MS_NOSYMFOLLOW)
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|
		unix.MS_NOATIME|unix.MS_NODIRATIME|unix.MS_NOSYMFOLLOW, ""); err != nil {
		t.Fatal(err)
	}
	return dir
}

// An option takes away what the source of a bind is mounted with, or adds to it.
func TestMountOptionsOfABind(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "atime, diratime and nostrictatime take the source's noatime and nodiratime away, as mount_setattr(2) does")
	dir := outliving(t)
	hostMount(t, dir+"/plain", 0)
	contrary(t, dir+"/contrary")
	b := rttest.New(t)
	for i, c := range mountOptions {
		source := dir + "/contrary"
		if c.has != "" && strings.HasPrefix(c.has, "no") || c.options == "ro" {
			source = dir + "/plain"
		}
		b.Mount(bind(source, fmt.Sprintf("/m%d", i), append([]string{"bind"}, strings.Fields(c.options)...)...))
	}
	list := running(t, b)
	for i, c := range mountOptions {
		c.check(t, "a bind", mountAt(t, list, fmt.Sprintf("/m%d", i)).Options)
	}
}

// The recursive options reach the mounts below; the plain ones, TestBindMountsOfMounts shows, do not.
func TestRecursiveMountOptions(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	hostMount(t, dir+"/plain", 0)
	hostMount(t, dir+"/plain/sub", 0)
	hostMount(t, dir+"/contrary", 0)
	contrary(t, dir+"/contrary/sub")
	b := rttest.New(t)
	cases := []optionCase{
		{"rro", "ro", "rw"}, {"rrw", "rw", "ro"},
		{"rnosuid", "nosuid", ""}, {"rsuid", "", "nosuid"},
		{"rnodev", "nodev", ""}, {"rdev", "", "nodev"},
		{"rnoexec", "noexec", ""}, {"rexec", "", "noexec"},
		{"rnodiratime", "nodiratime", ""}, {"rdiratime", "", "nodiratime"},
		{"rnosymfollow", "nosymfollow", ""}, {"rsymfollow", "", "nosymfollow"},
		{"rnoatime", "noatime", "relatime"}, {"ratime", "relatime", "noatime"},
		{"rrelatime", "relatime", "noatime"}, {"rstrictatime", "", "relatime noatime"},
		{"rnostrictatime", "relatime", "noatime"}, {"rrelatime rnorelatime", "", "no-such-word"},
	}
	for i, c := range cases {
		source := "plain"
		if c.has == "" || c.options == "rrw" || strings.HasSuffix(c.has, "relatime") {
			source = "contrary"
		}
		b.Mount(bind(dir+"/"+source, fmt.Sprintf("/m%d", i), append([]string{"rbind"}, strings.Fields(c.options)...)...))
	}
	list := running(t, b)
	for i, c := range cases {
		for _, sub := range []string{"", "/sub"} {
			c.check(t, "at the tree"+sub, mountAt(t, list, fmt.Sprintf("/m%d%s", i, sub)).Options)
		}
	}
}

// Options of the whole filesystem; how much the kernel logs of a mount (silent, loud) leaves no trace.
func TestSuperblockOptions(t *testing.T) {
	t.Parallel()
	cases := []optionCase{
		{"sync", "sync", ""}, {"async", "", "sync"}, {"sync async", "", "sync"}, {"async sync", "sync", ""},
		{"dirsync", "dirsync", "sync"},
		{"lazytime", "lazytime", ""}, {"nolazytime", "", "lazytime"}, {"lazytime nolazytime", "", "lazytime"},
		{"mand nomand", "", "mand"}, {"nomand", "", "mand"},
		{"silent", "rw", ""}, {"loud", "rw", ""}, {"silent loud", "rw", ""}, {"noiversion", "rw", ""}, {"iversion noiversion", "rw", ""},
	}
	b := rttest.New(t)
	for i, c := range cases {
		b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: fmt.Sprintf("/m%d", i), Options: strings.Fields(c.options)})
	}
	list := running(t, b)
	for i, c := range cases {
		c.check(t, "a tmpfs", mountAt(t, list, fmt.Sprintf("/m%d", i)).SB)
	}
}

// Two words for what few filesystems still do: the flag is the kernel's to take, from whatever filesystem.
func TestOldSuperblockOptions(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("stat -c '%n %a' /t1 /t2 /t3; grep -o '/t[123] [a-z]* [a-z]*,[a-z]*' /proc/self/mounts")
	b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/t1", Options: []string{"mand", "mode=700"}})
	b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/t2", Options: []string{"iversion", "nosuid", "size=64k", "mode=750"}})
	b.Mount(specs.Mount{Type: "ramfs", Source: "ramfs", Destination: "/t3", Options: []string{"iversion", "sync", "nodev", "mode=711"}})
	b.Run().OK().Prints("/t1 700\n/t2 750\n/t3 711\n/t1 tmpfs rw,mand\n/t2 tmpfs rw,nosuid\n/t3 ramfs rw,sync")
}

// The eight propagation types, on the mount and on the tree below it.
func TestPropagationOptions(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	hostMount(t, dir+"/sub", 0)
	if err := unix.Mount("", dir, "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t)
	b.Spec.Linux.RootfsPropagation = "shared" // or nothing is shared with the host
	kinds := map[string]struct{ recursive, shown string }{
		"private": {"rprivate", ""}, "slave": {"rslave", "master:"}, "shared": {"rshared", "shared:"}, "unbindable": {"runbindable", "unbindable"},
	}
	for kind, k := range kinds {
		b.Mount(bind(dir, "/"+kind, "rbind", kind)).Mount(bind(dir, "/"+k.recursive, "rbind", k.recursive))
	}
	list := running(t, b)
	is := func(path, want string) {
		t.Helper()
		got := mountAt(t, list, path).Optional
		if want == "" && len(got) > 0 || want != "" && !slices.ContainsFunc(got, func(o string) bool { return strings.HasPrefix(o, want) }) {
			t.Errorf("%s: %v, want %q", path, got, want)
		}
	}
	for kind, k := range kinds {
		is("/"+kind, k.shown)
		is("/"+k.recursive, k.shown)
		is("/"+k.recursive+"/sub", k.shown)
		if kind != "shared" {
			is("/"+kind+"/sub", "shared:")
		}
	}
}

// idmap maps one mount and ridmap the tree, by the mount's own mappings or those of the container.
func TestIDMapOptions(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Kernel("6.3")) // tmpfs can be id-mapped from then on
	dir := outliving(t)
	hostMount(t, dir+"/sub", 0)
	for _, f := range []string{"/f", "/sub/f"} {
		if err := os.WriteFile(dir+f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir+f, 1000, 2000); err != nil {
			t.Fatal(err)
		}
	}
	own := func(option string) specs.Mount {
		m := bind(dir, "/"+option+"-own", "rbind", option)
		m.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 1000, HostID: 100007, Size: 1}}
		m.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 2000, HostID: 100008, Size: 1}}
		return m
	}
	b := rttest.New(t).MapIDs(100000, 65536)
	b.Mount(own("idmap")).Mount(own("ridmap")).Mount(bind(dir, "/idmap", "rbind", "idmap")).Mount(bind(dir, "/ridmap", "rbind", "ridmap"))
	b.Sh("cd /; for d in idmap ridmap idmap-own ridmap-own; do echo $d $(stat -c %u:%g $d/f $d/sub/f); done").Run().OK().Prints(
		"idmap 1000:2000 65534:65534\nridmap 1000:2000 1000:2000\nidmap-own 7:8 65534:65534\nridmap-own 7:8 7:8")
}

// Before, the kernel's word is EINVAL, which says nothing.
func TestIDMapOfATmpfsTooEarly(t *testing.T) {
	t.Parallel()
	rttest.Need(t, func() string {
		if rttest.Kernel("6.3")() == "" {
			return "a Linux before 6.3"
		}
		return ""
	})
	b := rttest.New(t).MapIDs(100000, 65536)
	b.Mount(bind(outliving(t), "/m", "rbind", "idmap")) // in the sandbox's tmpfs
	b.Create().FailsNaming("mounts[6]", "invalid argument", "since Linux 6.3")
	b.CheckGone()
}

// What cannot be id-mapped is an error, and one that a map lacks its half.
func TestIDMapFaults(t *testing.T) {
	t.Parallel()
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 10}}
	for name, mount := range map[string]specs.Mount{
		"a tmpfs":           {Type: "tmpfs", Source: "tmpfs", Destination: "/m", Options: []string{"idmap"}, UIDMappings: m, GIDMappings: m},
		"users alone":       {Type: "bind", Source: "/etc", Destination: "/m", Options: []string{"rbind"}, UIDMappings: m},
		"no user namespace": {Type: "bind", Source: "/etc", Destination: "/m", Options: []string{"rbind", "idmap"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Mount(mount)
			b.Create().FailsNaming("mounts[6]")
			b.CheckGone()
		})
	}
}

// rootfsPropagation decides whether mounts travel from the host to the container's root; none does the other way.
func TestRootfsPropagationTravels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value string
		in    bool
	}{
		{"", false}, {"private", false}, {"rprivate", false}, {"slave", true}, {"rslave", true},
		{"shared", false}, {"rshared", false}, {"unbindable", false}, {"runbindable", false}, // a peer group of its own, not the host's
	} {
		t.Run("value "+c.value, func(t *testing.T) {
			dir := outliving(t)
			b := rttest.New(t)
			b.Mkdir("rootfs/from-host")
			b.Mkdir("rootfs/from-inside")
			must(t, unix.Mount(b.InRootfs(), dir, "", unix.MS_BIND, ""))
			t.Cleanup(func() { must(t, unix.Unmount(dir, unix.MNT_DETACH)) })
			must(t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
			b.Spec.Root.Path = dir
			b.Spec.Linux.RootfsPropagation = c.value
			b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = nil, nil // runc binds those, which an unbindable root forbids
			b.Spec.Process.Capabilities = allCaps(t)
			b.Sh("mount -t tmpfs inside /from-inside && echo up; sleep 1000")
			b.RunDetached().OK()
			rttest.Eventually(t, "it has mounted", func() bool { return b.Output() == "up\n" })
			hostMount(t, dir+"/from-host", 0)
			_, in := rttest.MountAt(rttest.Mounts(rttest.ProcFile(t, b.Pid(), "mountinfo")), "/from-host")
			_, out := rttest.MountAt(rttest.Mounts(rttest.ProcFile(t, os.Getpid(), "mountinfo")), dir+"/from-inside")
			if in != c.in || out {
				t.Errorf("from the host: %v, want %v; to the host: %v", in, c.in, out)
			}
		})
	}
}

// An unbindable root cannot be bound, not even by all capabilities.
func TestUnbindableRoot(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"unbindable", "runbindable", "private"} {
		b := rttest.New(t).Sh("mkdir /tmp/m; mount --bind / /tmp/m && echo bound; :")
		b.Spec.Process.Capabilities = allCaps(t)
		b.Spec.Linux.RootfsPropagation = value
		b.Spec.Linux.MaskedPaths, b.Spec.Linux.ReadonlyPaths = nil, nil // runc binds those
		want := map[bool]string{true: "bound", false: ""}[value == "private"]
		b.Run().OK().Prints(want)
	}
}
