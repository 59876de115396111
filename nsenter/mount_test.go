package nsenter

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mounter is a stage in a mount namespace of its own, whose root is a directory
// of the test seen from there. Ordinary users get a user namespace around it.
type mounter struct {
	*running
	root string // as the test sees it
	done int    // steps sent
}

func startMounter(t *testing.T, root string) *mounter {
	t.Helper()
	flags := uint64(unix.CLONE_NEWNS)
	if os.Geteuid() != 0 {
		flags |= unix.CLONE_NEWUSER
	}
	m := &mounter{running: startStage(t), root: root}
	m.do(Unshare("", "", flags),
		Syscall("", "", unix.SYS_MOUNT_SETATTR, Num(unix.AT_FDCWD), Text("/"), Num(unix.AT_RECURSIVE), MountAttr(0, 0, unix.MS_SLAVE), Num(32)),
		Syscall("", "", unix.SYS_PRCTL, Num(unix.PR_SET_DUMPABLE), Num(1))) // so that an ordinary user may look into it
	if os.Geteuid() != 0 {
		m.mapOwner()
	}
	m.do(Take(OpRoot, "", "", Source{}, 0))
	return m
}

// mapOwner makes the user root of the stage's user namespace: files that nobody owns cannot be made.
func (m *mounter) mapOwner() {
	m.t.Helper()
	for file, text := range map[string]string{"uid_map": fmt.Sprintf("0 %d 1", os.Geteuid()), "setgroups": "deny"} {
		if err := os.WriteFile("/proc/"+strconv.Itoa(m.cmd.Process.Pid)+"/"+file, []byte(text), 0); err != nil {
			m.t.Fatal(err)
		}
	}
	if err := os.WriteFile("/proc/"+strconv.Itoa(m.cmd.Process.Pid)+"/gid_map", fmt.Appendf(nil, "0 %d 1", os.Getegid()), 0); err != nil {
		m.t.Fatal(err)
	}
}

// do has the stage do these steps and wait.
func (m *mounter) do(steps ...Step) {
	m.t.Helper()
	m.try(steps...)
	msg, err := m.Receive()
	if err != nil {
		m.t.Fatal(err)
	}
	if msg.Type != MsgAsk {
		m.t.Fatalf("step %d of %d: %v", msg.Step, m.done, (&Plan{}).Failure(msg))
	}
	m.say(MsgContinue, 0, "")
}

// try sends these steps and a question after them.
func (m *mounter) try(steps ...Step) {
	m.t.Helper()
	part := &Plan{Steps: append(steps, Ask("", "", AskNothing)), First: m.done}
	data, err := part.Encode()
	if err != nil {
		m.t.Fatal(err)
	}
	m.done += len(part.Steps)
	m.say(MsgPlan, 0, "", int(memfd(m.t, string(data)).Fd()))
	if steps[0].Op == OpRoot {
		m.feed(open(m.t, m.path(""), unix.O_PATH))
	}
}

// fails has the last of these steps fail.
func (m *mounter) fails(want failure, steps ...Step) {
	m.t.Helper()
	want.step = m.done + len(steps) - 1
	m.try(steps...)
	if got := m.refused(); got != want {
		m.t.Errorf("%+v, want %+v", got, want)
	}
}

// path is a file below the root, as the stage sees it.
func (m *mounter) path(name string) string {
	return "/proc/" + strconv.Itoa(m.cmd.Process.Pid) + "/root" + m.root + "/" + name
}

func (m *mounter) statfs(name string) unix.Statfs_t {
	m.t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(m.path(name), &fs); err != nil {
		m.t.Fatal(&os.PathError{Op: "statfs", Path: name, Err: err})
	}
	return fs
}

func (m *mounter) mode(name string) os.FileMode {
	m.t.Helper()
	st, err := os.Stat(m.path(name))
	if err != nil {
		m.t.Fatal(err)
	}
	return st.Mode().Perm()
}

func tmpfs(target string, flags, attr uint64, options ...string) Step {
	return Mount("", "", Filesystem{Type: "tmpfs", Source: "test", Options: options, Attr: attr, Flags: flags, UnsafeTarget: target})
}

// ownMounts skips what this machine lets only root do.
func ownMounts(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	b, err := os.ReadFile("/proc/sys/user/max_user_namespaces")
	clone, err2 := os.ReadFile("/proc/sys/kernel/unprivileged_userns_clone")
	restricted, err3 := os.ReadFile("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
	if err == nil && string(b) == "0\n" || err2 == nil && string(clone) == "0\n" || err3 == nil && string(restricted) == "1\n" {
		t.Skip("this machine lets only root make user namespaces")
	}
}

func TestMountTmpfs(t *testing.T) {
	ownMounts(t)
	root := tree(t, "dir covered/sub", "file covered/f", "link covered/l → f")
	if err := os.Chmod(root+"/covered", 0o710); err != nil {
		t.Fatal(err)
	}
	m := startMounter(t, root)
	m.do(
		tmpfs("/covered", InheritMode|CopyUp, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV),
		tmpfs("/new/dir", InheritMode, unix.MOUNT_ATTR_NOEXEC, "size=64k"),
		tmpfs("/mode", 0, 0, "mode=700"),
	)
	for name, want := range map[string]os.FileMode{"covered": 0o710, "new/dir": 0o777, "mode": 0o700} {
		if fs := m.statfs(name); fs.Type != unix.TMPFS_MAGIC || m.mode(name) != want {
			t.Errorf("%s: filesystem %#x, mode %o, want %o", name, fs.Type, m.mode(name), want)
		}
	}
	if fs := m.statfs("covered"); fs.Flags&(unix.ST_NOSUID|unix.ST_NODEV|unix.ST_NOEXEC) != unix.ST_NOSUID|unix.ST_NODEV {
		t.Errorf("covered has flags %#x", fs.Flags)
	}
	if fs := m.statfs("new/dir"); fs.Flags&unix.ST_NOEXEC == 0 || fs.Blocks*uint64(fs.Bsize) != 65536 {
		t.Errorf("new/dir has flags %#x and %d bytes", fs.Flags, fs.Blocks*uint64(fs.Bsize))
	}
	for _, name := range []string{"sub", "f", "l"} {
		if _, err := os.Lstat(m.path("covered/" + name)); err != nil {
			t.Errorf("not copied up: %v", err)
		}
	}
	if here := list(t, root+"/new/dir"); len(here) > 0 || fsTypeOf(t, root+"/covered") == unix.TMPFS_MAGIC && fsTypeOf(t, root) != unix.TMPFS_MAGIC {
		t.Error("the test sees the stage's mounts")
	}
}

func fsTypeOf(t *testing.T, path string) int64 {
	t.Helper()
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Type)
}

func TestMountRefused(t *testing.T) {
	ownMounts(t)
	lines := []string{"file f", "link l → /d", "dir d", "link loop → loop"}
	for name, test := range map[string]struct {
		step Step
		want failure
	}{
		"on a file":          {tmpfs("/f", 0, 0), failure{errno: unix.ENOTDIR, call: "openat2", object: "/f"}},
		"through a file":     {tmpfs("/f/x", 0, 0), failure{errno: unix.ENOTDIR, call: "openat2", object: "/f/x"}},
		"proc on a link":     {tmpfs("/l", RealDirectory, 0), failure{errno: unix.ENOTDIR, call: "openat2", object: "/l"}},
		"a loop":             {tmpfs("/loop", 0, 0), failure{errno: unix.ELOOP, call: "openat2", object: "/loop"}},
		"no such filesystem": {Mount("", "", Filesystem{Type: "nosuchfs", UnsafeTarget: "/d"}), failure{errno: unix.ENODEV, call: "fsopen", object: "nosuchfs"}},
		"no such option":     {tmpfs("/d", 0, 0, "nonsense=1"), failure{errno: unix.EINVAL, call: "fsconfig", object: "nonsense=1 (tmpfs: Unknown parameter 'nonsense')"}},
		"a wrong value":      {tmpfs("/d", 0, 0, "size=x"), failure{errno: unix.EINVAL, call: "fsconfig", object: "size=x (tmpfs: Bad value for 'size')"}},
		"a key too long":     {tmpfs("/d", 0, 0, strings.Repeat("k", 300)), failure{errno: unix.ENAMETOOLONG, call: "fsconfig", object: strings.Repeat("k", 300)}},
		"remount of nothing": {Reconfigure("", "", "/none", nil, 1, 0), failure{errno: unix.ENOENT, call: "openat2", object: "/none"}},
	} {
		t.Run(name, func(t *testing.T) {
			startMounter(t, tree(t, lines...)).fails(test.want, test.step)
		})
	}
}

// A mount on a procfs would shadow or redirect what the kernel says there (CVE-2019-16884).
func TestMountOnProcfsRefused(t *testing.T) {
	ownMounts(t)
	for _, target := range []string{"/proc", "/proc/sys", "/proc/sys/kernel"} {
		m := startMounter(t, "")
		m.fails(failure{errno: unix.EPERM, call: "mount on procfs", object: target}, tmpfs(target, 0, 0))
	}
	m := startMounter(t, "")
	m.do(tmpfs("/proc/sys", OnProc, 0))
	if fs := m.statfs("proc/sys"); fs.Type != unix.TMPFS_MAGIC {
		t.Errorf("where the plan allows it: %#x", fs.Type)
	}
}

func TestReadonlyAndReconfigure(t *testing.T) {
	ownMounts(t)
	m := startMounter(t, tree(t, "dir a/b", "file f"))
	m.do(
		tmpfs("/t", 0, 0),
		mkdir("/t/sub"),
		Reconfigure("", "", "/t", []string{"size=1m", "ro"}, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOEXEC, 0),
		tmpfs("/u", 0, unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_NODEV),
		Setattr("", "", SlotLast, unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOEXEC, unix.MS_PRIVATE, true),
		Simple(OpReadonly, "", "", nil, "/a/b"),
		Simple(OpReadonly, "", "", nil, "/f"),
		Simple(OpReadonly, "", "", nil, "/none"),
	)
	for name, want := range map[string]int64{"t": unix.ST_RDONLY | unix.ST_NOEXEC, "t/sub": unix.ST_RDONLY | unix.ST_NOEXEC, "u": unix.ST_RDONLY | unix.ST_NODEV, "a/b": unix.ST_RDONLY, "f": unix.ST_RDONLY, "a": 0} {
		if got := int64(m.statfs(name).Flags) & (unix.ST_RDONLY | unix.ST_NOEXEC | unix.ST_NODEV); got&want != want || name == "a" && got&unix.ST_RDONLY != 0 {
			t.Errorf("%s has flags %#x, want %#x", name, got, want)
		}
	}
	if err := os.WriteFile(m.path("f"), nil, 0); !errors.Is(err, unix.EROFS) {
		t.Errorf("write to a read-only file: %v", err)
	}
}

// All masks of directories show the same empty mount.
func TestMask(t *testing.T) {
	ownMounts(t)
	m := startMounter(t, tree(t, "file a/secret", "file b/secret", "link l → b", "file c/d/secret"))
	m.do(
		MountDetached("", "", Filesystem{Type: "tmpfs", Options: []string{"mode=755"}, Attr: unix.MOUNT_ATTR_RDONLY}, SlotEmpty),
		Simple(OpMask, "", "", nil, "/a"),
		Simple(OpMask, "", "", nil, "/l"), // the directory that it leads to
		Simple(OpMask, "", "", nil, "/c/d"),
		Simple(OpMask, "", "", nil, "/c/d/secret"), // hidden already
	)
	devices := map[uint64]bool{}
	for _, name := range []string{"a", "b", "c/d"} {
		if have, err := os.ReadDir(m.path(name)); err != nil || len(have) > 0 {
			t.Errorf("%s shows %v, %v", name, have, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(m.path(name), &st); err != nil {
			t.Fatal(err)
		}
		devices[st.Dev] = true
	}
	if len(devices) != 1 {
		t.Errorf("%d filesystems hide 3 directories", len(devices))
	}
}

// More mounts than fit a table: nothing stays open for each.
func TestManyMounts(t *testing.T) {
	ownMounts(t)
	m := startMounter(t, t.TempDir())
	var steps []Step
	for i := range 200 {
		steps = append(steps, tmpfs(fmt.Sprintf("/m%d/n", i), 0, 0), Simple(OpReadonly, "", "", nil, fmt.Sprintf("/m%d", i)))
	}
	m.do(steps...)
	if open, err := os.ReadDir("/proc/" + strconv.Itoa(m.cmd.Process.Pid) + "/fd"); err != nil || len(open) > 12 {
		t.Errorf("%d fds are open, %v", len(open), err)
	}
	if fs := m.statfs("m199/n"); fs.Type != unix.TMPFS_MAGIC {
		t.Errorf("%#x", fs.Type)
	}
}

// The old root is gone after the pivot, whatever path one tries. Only root opens trees for it.
func TestPivot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: the tree of the root is opened outside of any user namespace")
	}
	for _, chroot := range []uint64{0, 1} {
		root := tree(t, "dir inside", "link out → ../../../..")
		fd, err := unix.OpenTree(unix.AT_FDCWD, root, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		copied := os.NewFile(uintptr(fd), root)
		m := startMounter(t, "")
		attach := Simple(OpRoot, "", "", []uint64{1}, "/")
		m.say(MsgPlan, 0, "", int(memfd(t, string(encodeAt(t, m.done, attach, Simple(OpPivot, "", "", []uint64{chroot}), Simple(OpChdir, "", "", []uint64{0}, "/inside"),
			tmpfs("/out/inside/t", 0, 0), Ask("", "", AskNothing)))).Fd()))
		m.feed(copied)
		copied.Close()
		m.hear(MsgAsk)
		proc := "/proc/" + strconv.Itoa(m.cmd.Process.Pid)
		have, err := os.ReadDir(proc + "/root/")
		if err != nil || len(have) != 2 {
			t.Errorf("the root holds %v, %v", have, err)
		}
		if cwd, err := os.Readlink(proc + "/cwd"); err != nil || filepath.Base(cwd) != "inside" {
			t.Errorf("it is in %s, %v", cwd, err)
		}
		mounts, err := os.ReadFile(proc + "/mountinfo")
		if n := strings.Count(string(mounts), "\n"); err != nil || chroot == 0 && n != 2 {
			t.Errorf("it sees %d mounts, %v:\n%s", n, err, mounts)
		}
	}
}

func encodeAt(t *testing.T, first int, steps ...Step) []byte {
	t.Helper()
	data, err := (&Plan{Steps: steps, First: first}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}
