package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// running starts the container and returns its mounts as seen from outside.
func running(t *testing.T, b *rttest.Bundle) []rttest.MountPoint {
	t.Helper()
	b.Args("sleep", "1000")
	b.RunDetached().OK()
	return rttest.Mounts(rttest.ProcFile(t, b.Pid(), "mountinfo"))
}

func mountAt(t *testing.T, list []rttest.MountPoint, path string) rttest.MountPoint {
	t.Helper()
	m, ok := rttest.MountAt(list, path)
	if !ok {
		t.Fatalf("no mount at %s", path)
	}
	return m
}

func bind(source, destination string, options ...string) specs.Mount {
	return specs.Mount{Type: "bind", Source: source, Destination: destination, Options: options}
}

func TestBindMountOptions(t *testing.T) {
	t.Parallel()
	cases := []struct {
		options   string
		has, lack []string
	}{
		{"bind", []string{"rw", "relatime"}, []string{"nosuid", "noexec"}},
		{"rbind rprivate", []string{"rw"}, nil},
		{"bind ro", []string{"ro"}, []string{"rw"}},
		{"bind ro rw", []string{"rw"}, []string{"ro"}},
		{"bind rw ro", []string{"ro"}, []string{"rw"}},
		{"bind nosuid nodev noexec", []string{"nosuid", "nodev", "noexec", "rw"}, nil},
		{"bind noexec exec nosuid suid nodev dev", nil, []string{"noexec", "nosuid", "nodev"}},
		{"bind noatime", []string{"noatime"}, []string{"relatime"}},
		{"bind nodiratime", []string{"nodiratime"}, nil},
		{"bind strictatime", nil, []string{"relatime", "noatime"}},
		{"bind nosymfollow", []string{"nosymfollow"}, nil},
		{"rbind rro", []string{"ro"}, []string{"rw"}},
		{"rbind rnosuid rnoexec rnodev", []string{"nosuid", "noexec", "nodev"}, nil},
		{"rbind rnoatime", []string{"noatime"}, nil},
	}
	b := rttest.New(t)
	source := b.Mkdir("source")
	for i, c := range cases {
		b.Mount(bind(source, fmt.Sprintf("/m%d", i), strings.Fields(c.options)...))
	}
	list := running(t, b)
	for i, c := range cases {
		m := mountAt(t, list, fmt.Sprintf("/m%d", i))
		for _, o := range c.has {
			if !m.Has(o) {
				t.Errorf("%s: %v lack %s", c.options, m.Options, o)
			}
		}
		for _, o := range c.lack {
			if m.Has(o) {
				t.Errorf("%s: %v have %s", c.options, m.Options, o)
			}
		}
	}
}

// hostMount mounts a tmpfs on the machine's side of the sandbox for one test.
func hostMount(t *testing.T, path string, flags uintptr) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", flags, "mode=755"); err != nil {
		t.Fatal(&os.PathError{Op: "mount", Path: path, Err: err})
	}
	t.Cleanup(func() {
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", path, err)
		}
	})
}

// outliving makes a directory with mounts that are there before the bundle, and so are removed after it.
func outliving(t *testing.T) string {
	t.Helper()
	rttest.Need(t, rttest.Root)
	dir, err := os.MkdirTemp("", "mounts-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(dir) })
	hostMount(t, dir, 0)
	return dir
}

func TestBindMountsOfMounts(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	hostMount(t, dir+"/sub", 0)
	b := rttest.New(t)
	b.Mount(bind(dir, "/plain", "bind")).Mount(bind(dir, "/all", "rbind"))
	b.Mount(bind(dir, "/ro", "rbind", "ro")).Mount(bind(dir, "/rro", "rbind", "rro")).Mount(bind(dir, "/rnoexec", "rbind", "rnoexec"))
	list := running(t, b)
	if _, ok := rttest.MountAt(list, "/plain/sub"); ok {
		t.Error("bind took the mounts below along")
	}
	for path, want := range map[string]string{
		"/all/sub": "rw", "/ro": "ro", "/ro/sub": "rw", "/rro": "ro", "/rro/sub": "ro", "/rnoexec/sub": "noexec",
	} {
		if m := mountAt(t, list, path); !m.Has(want) {
			t.Errorf("%s is %v, want %s", path, m.Options, want)
		}
	}
}

// A bind without options keeps what its source is mounted with.
func TestBindKeepsTheFlagsOfItsSource(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	hostMount(t, dir+"/strict", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV)
	b := rttest.New(t)
	b.Mount(bind(dir+"/strict", "/kept", "bind")).Mount(bind(dir+"/strict", "/loosened", "bind", "exec"))
	list := running(t, b)
	if m := mountAt(t, list, "/kept"); !m.Has("nosuid") || !m.Has("noexec") || !m.Has("nodev") {
		t.Errorf("/kept is %v", m.Options)
	}
	if m := mountAt(t, list, "/loosened"); m.Has("noexec") {
		t.Errorf("/loosened is %v, want exec", m.Options)
	}
}

func TestBindOfFiles(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /new/dir/file /etc/passwd; stat -c %F /new/dir")
	b.Mount(bind(b.WriteFile("one", "made\n"), "/new/dir/file", "bind", "ro"))
	b.Mount(bind(b.WriteFile("two", "covered\n"), "/etc/passwd", "rbind"))
	b.Run().OK().Prints("made\ncovered\ndirectory")
}

// type is optional for a bind, and a relative source is relative to the bundle.
func TestBindWithoutType(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /here/file")
	b.WriteFile("dir/file", "relative\n")
	b.Mount(specs.Mount{Source: "dir", Destination: "/here", Options: []string{"rbind"}})
	b.Run().OK().Prints("relative")
}

func TestTmpfs(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	if err := os.Mkdir(b.InRootfs("private"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.WriteFile("rootfs/copied/deep/file", "content\n")
	if err := os.Chown(b.InRootfs("copied/deep/file"), 7, 8); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("deep/file", b.InRootfs("copied/link")); err != nil {
		t.Fatal(err)
	}
	tmpfs := func(destination string, options ...string) {
		b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: destination, Options: options})
	}
	tmpfs("/new")
	tmpfs("/private")
	tmpfs("/sized", "size=64k", "mode=0750", "nosuid")
	tmpfs("/copied", "tmpcopyup")
	b.Sh(`stat -c '%n %a' /new /private /sized
		cat /copied/link; stat -c '%u:%g' /copied/deep/file; grep -c ' /copied ' /proc/self/mounts
		head -c 100000 /dev/zero > /sized/x || echo full
		touch /copied/added`)
	out := b.Run().OK().Stdout
	want := "/new 1777\n/private 700\n/sized 750\ncontent\n7:8\n1\nfull\n"
	if !strings.HasPrefix(out, want) {
		t.Errorf("got %q, want %q", out, want)
	}
	if _, err := os.Stat(b.InRootfs("copied/added")); err == nil {
		t.Error("writing to the copy changed the image")
	}
}

func TestOverlayMount(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	for _, d := range []string{"lower", "upper", "work"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(dir+"/lower/f", []byte("lower\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t).Sh("cat /o/f; echo upper > /o/f; cat /o/f")
	b.Mount(specs.Mount{Type: "overlay", Source: "overlay", Destination: "/o", Options: []string{
		"lowerdir=" + dir + "/lower", "upperdir=" + dir + "/upper", "workdir=" + dir + "/work",
	}})
	b.Run().OK().Prints("lower\nupper")
	if data, _ := os.ReadFile(dir + "/lower/f"); string(data) != "lower\n" {
		t.Errorf("the lower file is %q now", data)
	}
	if data, _ := os.ReadFile(dir + "/upper/f"); string(data) != "upper\n" {
		t.Errorf("the upper file is %q", data)
	}
}

// Long option strings: images have many layers with long paths, more than one fsconfig(2) value or a page can hold.
func TestOverlayMountOfManyLayers(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	var lower []string
	for i := range 40 {
		layer := filepath.Join(dir, fmt.Sprintf("layer-%02d-%s", i, strings.Repeat("x", 40)))
		if err := os.MkdirAll(layer, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(layer, fmt.Sprintf("f%d", i)), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		lower = append(lower, layer)
	}
	b := rttest.New(t).Sh("ls /o | wc -l")
	b.Mount(specs.Mount{Type: "overlay", Source: "overlay", Destination: "/o", Options: []string{"lowerdir=" + strings.Join(lower, ":"), "ro"}})
	b.Run().OK().Prints("40")
}

func TestIdmappedBindMount(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.Kernel("6.3")) // tmpfs can be id-mapped from then on
	dir := outliving(t)
	if err := os.WriteFile(dir+"/f", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(dir+"/f", 1000, 1000); err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t).MapIDs(100000, 65536).Sh("stat -c %u:%g /mapped/f /plain/f")
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 65536}}
	mapped := bind(dir, "/mapped", "rbind", "rprivate")
	mapped.UIDMappings, mapped.GIDMappings = m, m
	b.Mount(mapped).Mount(bind(dir, "/plain", "rbind"))
	b.Run().OK().Prints("1000:1000\n65534:65534")
}

// rslave gets mounts of the host, rshared passes mounts on both ways, rprivate neither.
func TestPropagation(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	b := rttest.New(t)
	b.Spec.Linux.RootfsPropagation = "shared"
	for _, kind := range []string{"rprivate", "rslave", "rshared"} {
		b.Mount(bind(dir, "/"+kind, "rbind", kind))
	}
	list := running(t, b)
	for path, prefix := range map[string]string{"/rprivate": "", "/rslave": "master:", "/rshared": "shared:"} {
		m := mountAt(t, list, path)
		if prefix == "" && len(m.Optional) > 0 || prefix != "" && (len(m.Optional) == 0 || !strings.HasPrefix(m.Optional[0], prefix)) {
			t.Errorf("%s: %v, want %q", path, m.Optional, prefix)
		}
	}
	hostMount(t, dir+"/later", 0)
	list = rttest.Mounts(rttest.ProcFile(t, b.Pid(), "mountinfo"))
	for path, want := range map[string]bool{"/rprivate/later": false, "/rslave/later": true, "/rshared/later": true} {
		if _, ok := rttest.MountAt(list, path); ok != want {
			t.Errorf("mounted on the host later, seen at %s: %v", path, ok)
		}
	}
}

func TestRootfsPropagation(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{"": "", "private": "", "rprivate": "", "slave": "", "rslave": "", "shared": "shared:", "rshared": "shared:"} {
		t.Run("value "+value, func(t *testing.T) {
			b := rttest.New(t)
			b.Spec.Linux.RootfsPropagation = value
			root := mountAt(t, running(t, b), "/")
			if shared := slices.ContainsFunc(root.Optional, func(o string) bool { return strings.HasPrefix(o, "shared:") }); shared != (want != "") {
				t.Errorf("root has %v", root.Optional)
			}
		})
	}
}

func TestMaskedAndReadonlyPaths(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.WriteFile("rootfs/secret/file", "secret\n")
	b.WriteFile("rootfs/etc/shadow", "secret\n")
	b.WriteFile("rootfs/fixed/file", "fixed\n")
	b.Spec.Linux.MaskedPaths = append(b.Spec.Linux.MaskedPaths, "/secret", "/etc/shadow", "/not/there")
	b.Spec.Linux.ReadonlyPaths = append(b.Spec.Linux.ReadonlyPaths, "/fixed", "/not/there/too")
	b.Sh(`ls -A /secret; touch /secret/x 2>&1; cat /etc/shadow; stat -c '%F %t:%T' /etc/shadow
		cat /fixed/file; touch /fixed/x 2>&1; echo 1 > /proc/sys/kernel/panic; cat /proc/keys; ls /not 2>&1`)
	got := b.Run().Exits(1).Stdout
	want := "touch: /secret/x: Read-only file system\ncharacter special file 1:3\n" +
		"fixed\ntouch: /fixed/x: Read-only file system\nls: /not: No such file or directory\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadonlyRoot(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("touch /x 2>&1; touch /dev/shm/x && echo shm; echo x > /dev/null && echo null")
	b.Spec.Root.Readonly = true
	b.Run().OK().Prints("touch: /x: Read-only file system\nshm\nnull")
}

func TestDefaultDevices(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh(`stat -c '%n %t:%T %a %u:%g' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
		for l in fd stdin stdout stderr ptmx; do echo $l $(readlink /dev/$l); done
		[ -c /dev/ptmx ] && echo ptmx works; ls /dev | sort | tr '\n' ' '`)
	out := b.Run().OK().Stdout
	for name, number := range defaultDevices {
		if line := name + " " + number + " 666 0:0\n"; !strings.Contains(out, line) {
			t.Errorf("no %q in %q", line, out)
		}
	}
	for _, line := range []string{
		"fd /proc/self/fd\n", "stdin /proc/self/fd/0\n", "stdout /proc/self/fd/1\n", "stderr /proc/self/fd/2\n", "ptmx pts/ptmx\n", "ptmx works\n",
	} {
		if !strings.Contains(out, line) {
			t.Errorf("no %q in %q", line, out)
		}
	}
}

func TestDevices(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("stat -c '%n %F %t:%T %a %u:%g' /dev/mem2 /dev/blk /dev/deep/er /dev/pipe")
	mode, uid := os.FileMode(0o640), uint32(12)
	b.Spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/mem2", Type: "c", Major: 1, Minor: 3, FileMode: &mode, UID: &uid, GID: &uid},
		{Path: "/dev/blk", Type: "b", Major: 7, Minor: 200, FileMode: &mode},
		{Path: "/dev/deep/er", Type: "u", Major: 1, Minor: 5},
		{Path: "/dev/pipe", Type: "p", FileMode: &mode},
	}
	got := b.Run().OK().Stdout
	for _, line := range []string{
		"/dev/mem2 character special file 1:3 640 12:12\n", "/dev/blk block special file 7:c8 640 0:0\n",
		"/dev/deep/er character special file 1:5 ", "/dev/pipe fifo 0:0 640 0:0\n",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no %q in %q", line, got)
		}
	}
}

// What is already there is taken for the device if it is the device, and for nothing else.
func TestDeviceThatIsAlreadyThere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode  uint32
		minor int
		fits  bool
	}{
		"the device itself": {unix.S_IFCHR, 5, true}, "another device": {unix.S_IFCHR, 7, false},
		"a block device": {unix.S_IFBLK, 5, false}, "a file": {unix.S_IFREG, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Sh("stat -c %t:%T /dev/here")
			b.Spec.Mounts = withoutMount(b.Spec.Mounts, "/dev")
			b.Spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/here", Type: "c", Major: 1, Minor: 5}}
			b.Mkdir("rootfs/dev")
			if err := unix.Mknod(b.InRootfs("dev/here"), c.mode|0o600, int(unix.Mkdev(1, uint32(c.minor)))); err != nil {
				t.Fatal(err)
			}
			if c.fits {
				b.Run().OK().Prints("1:5")
				return
			}
			rttest.OnlyRT(t, "runc takes what is there, or hides it")
			b.Create().FailsNaming("linux.devices[0]", "/dev/here")
		})
	}
}

// Whatever the image has in its place, a fresh file system shows its own root's mode.
func TestRootModesOfMountedFilesystems(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("stat -c '%n %a' /proc /sys /dev /dev/shm /dev/mqueue")
	for _, dir := range []string{"proc", "sys", "dev"} {
		if err := os.Chmod(b.InRootfs(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	b.Run().OK().Prints("/proc 555\n/sys 555\n/dev 755\n/dev/shm 1777\n/dev/mqueue 1777")
}

// A mount target may run through a symlink of the image, even a dangling one, but stays in the rootfs.
func TestMountTargetThroughSymlink(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /real/dir/file; cat /var/run/file")
	for link, target := range map[string]string{"alias": "/real", "var/run": "../run"} {
		if err := os.Symlink(target, b.InRootfs(link)); err != nil {
			t.Fatal(err)
		}
	}
	source := b.WriteFile("one", "bound\n")
	b.Mount(bind(source, "/alias/dir/file", "bind")).Mount(bind(source, "/var/run/file", "bind"))
	b.Run().OK().Prints("bound\nbound")
	if _, err := os.Lstat("/real"); err == nil {
		t.Error("the target was made on the host")
	}
}

func TestRelativeMountDestination(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /rel/file")
	b.WriteFile("dir/file", "there\n")
	b.Mount(bind("dir", "rel", "bind"))
	b.Run().OK().Prints("there")
}

// Later mounts cover earlier ones, in the order of the config.
func TestMountOrder(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /m/file; ls /m/t")
	b.WriteFile("first/file", "first\n")
	b.WriteFile("second/file", "second\n")
	b.Mkdir("second/t")
	b.Mount(bind("first", "/m", "bind")).Mount(bind("second", "/m", "bind"))
	b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/m/t"})
	b.Run().OK().Prints("second")
}

func TestRemountOption(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/t"})
	b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/t", Options: []string{"remount", "ro"}})
	if m := mountAt(t, running(t, b), "/t"); !m.Has("ro") {
		t.Errorf("/t is %v", m.Options)
	}
}

// What a container mounts, and what is mounted for it, stays in it.
func TestMountsDoNotLeakToTheHost(t *testing.T) {
	t.Parallel()
	dir := outliving(t)
	if err := unix.Mount("", dir, "", unix.MS_SHARED, ""); err != nil {
		t.Fatal(err)
	}
	before := rttest.ProcFile(t, os.Getpid(), "mountinfo")
	b := rttest.New(t).Sh("mkdir -p /v/x; mount -t tmpfs inside /v/x && sleep 1000")
	b.Spec.Process.Capabilities = allCaps(t)
	b.Mount(bind(dir, "/v", "rbind"))
	b.RunDetached().OK()
	rttest.Eventually(t, "the container mounts", func() bool {
		return strings.Contains(rttest.ProcFile(t, b.Pid(), "mountinfo"), "tmpfs inside")
	})
	after := rttest.ProcFile(t, os.Getpid(), "mountinfo")
	for _, m := range rttest.Mounts(after) {
		if m.Source == "inside" || strings.HasPrefix(m.Path, b.Dir) {
			t.Errorf("on the host: %+v", m)
		}
	}
	if strings.Contains(before, b.Dir) {
		t.Fatal("the test looks at the wrong thing")
	}
}

// allCaps are all the capabilities this machine has to give, in the three sets that root needs.
func allCaps(t *testing.T) *specs.LinuxCapabilities {
	t.Helper()
	var list []string
	for _, name := range rttest.AllCaps() {
		if rttest.Capability(capNumber(name))() == "" {
			list = append(list, name)
		}
	}
	return &specs.LinuxCapabilities{Bounding: list, Effective: list, Permitted: list}
}

// runc 5177, 5007: the number of mounts must not be limited by the number of descriptors.
func TestSixHundredBindMountsWith256Descriptors(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /m0 /m599; grep -c ' /m' /proc/self/mounts")
	source := b.WriteFile("source", "x")
	for i := range 600 {
		b.Mount(bind(source, fmt.Sprintf("/m%d", i), "bind", "ro"))
	}
	b.Setup = func(cmd *exec.Cmd) {
		cmd.Args = append([]string{"sh", "-c", "ulimit -n 256 && exec \"$@\"", "sh"}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
	b.Run().OK().Prints("xx600")
}

// The mount of a host's root is the host's root, not the container's own (crun 2262).
func TestBindOfTheHostRoot(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("ls -d /host/work /host/proc/1 2>&1; sed -n 1p /host/etc/debian_version >/dev/null && echo read")
	b.Mount(bind("/", "/host", "rbind", "ro", "rslave"))
	if out := b.Run().OK().Stdout; !strings.Contains(out, "/host/proc/1\n") || !strings.Contains(out, "read") {
		t.Errorf("inside: %q", out)
	}
}

func TestProcWithoutPIDNamespaceShowsTheHosts(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Drop("pid").Sh("tr '\\0' '\\n' < /proc/1/cmdline | head -n 1")
	b.Setup = func(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{} }
	own, _ := os.ReadFile("/proc/1/cmdline")
	b.Run().OK().Prints(strings.SplitN(string(own), "\x00", 2)[0])
}
