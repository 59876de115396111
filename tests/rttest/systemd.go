package rttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Systemd is a systemd to give containers to: the machine's own, on a machine that is thrown away afterwards, or else
// one that runs as PID 1 of namespaces of its own, with nothing but cgroup2 on /sys/fs/cgroup: with a v1 hierarchy it
// would make cgroups in the machine's. That one knows the units below only, and cannot write to the machine: its root
// and /proc/sys are read-only.
type Systemd struct {
	t      testing.TB
	pid    int      // 0: it is the machine's
	cgroup string   // what it takes for the root of the tree; on v1 that of its own hierarchy
	deaf   []string // sockets that commands find nobody behind
	user   string   // an ordinary user's id
}

// needSystemd is what a test with a [Systemd] wants of the machine.
func needSystemd(t testing.TB) {
	t.Helper()
	if onMachine() {
		return
	}
	Need(t, Root, File("/lib/systemd/systemd"), Command("dbus-daemon"), Command("nsenter"), func() string {
		if _, ok := controllerMount(""); !ok {
			return "a cgroup2 mount"
		}
		return ""
	})
}

// bootSystemd makes of a shell the PID 1. $1 is the directory of its units; those made by D-Bus calls it has to find again
// when it reads all units anew.
const bootSystemd = `set -e
mount --make-rprivate /
umount -R /sys/fs/cgroup
mount -t proc proc /proc
mount --bind /proc/sys /proc/sys
mount -o remount,bind,ro /proc/sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/dbus
mount --bind /dev/null /dev/console
{ cat /etc/passwd; echo rttest:x:4711:4711::/:/bin/sh; } >"$1/passwd"
mount --bind "$1/passwd" /etc/passwd
mount -o remount,bind,ro /
exec env -i PATH="$PATH" container=other SYSTEMD_UNIT_PATH="$1:/run/systemd/transient:/run/systemd/system.control" SYSTEMD_LOG_TARGET=null \
	/lib/systemd/systemd --unit=rttest.target --show-status=no >"$1/log" 2>&1 </dev/null`

// systemdUnits are all units of it: a bus, the target to boot to, and a manager of an ordinary user.
var systemdUnits = map[string]string{
	"rttest.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket\nAfter=dbus.socket\n",
	"dbus.socket":   "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
	"dbus.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nNotifyAccess=main\n" +
		"ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
	"user@.service": "[Unit]\nDefaultDependencies=no\nAfter=dbus.service\n[Service]\nType=notify\nUser=%i\nSlice=user-%i.slice\nDelegate=yes\n" +
		"RuntimeDirectory=user/%i\nRuntimeDirectoryMode=0700\nEnvironment=XDG_RUNTIME_DIR=/run/user/%i HOME=/\n" +
		"PassEnvironment=SYSTEMD_UNIT_PATH\nStandardOutput=file:/run/user.log\nStandardError=inherit\n" +
		"ExecStart=/lib/systemd/systemd --user --unit=rttest.target\n",
}

// StartSystemd finds the machine's systemd, or boots one and ends it with the test.
func StartSystemd(t testing.TB) *Systemd {
	t.Helper()
	needSystemd(t)
	mount, _ := controllerMount("")
	if named, ok := controllerMount("name=systemd"); onMachine() {
		if ok {
			mount = named
		}
		return &Systemd{t: t, cgroup: mount, user: "1000"}
	}
	s := &Systemd{t: t, user: "4711", cgroup: filepath.Join(mount, fmt.Sprintf("%s-systemd-%d", runName(), serial.Add(1)))}
	dir := filepath.Join(tempParent(), filepath.Base(s.cgroup))
	for _, d := range []string{s.cgroup, s.cgroup + "/tests", dir} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range systemdUnits {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.delegate(mount)
	cmd := exec.Command("unshare", "--cgroup", "/bin/sh", "-c", bootSystemd, "sh", dir)
	into, err := os.Open(s.cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer into.Close()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(into.Fd()),
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.pid = cmd.Process.Pid
	t.Cleanup(func() { s.end(cmd); _ = os.RemoveAll(dir) })
	Eventually(t, "systemd is up", func() bool { return s.running(filepath.Join(dir, "log")) })
	return s
}

// delegate lets it have the controllers that the tree has.
func (s *Systemd) delegate(mount string) {
	have, _ := os.ReadFile(filepath.Join(mount, "cgroup.controllers"))
	for name := range strings.FieldsSeq(string(have)) {
		_ = os.WriteFile(filepath.Join(mount, "cgroup.subtree_control"), []byte("+"+name), 0) // the tests say what they need
	}
}

// running asks only once it listens: before, there may be no namespace to enter yet.
func (s *Systemd) running(log string) bool {
	if unix.Kill(s.pid, 0) != nil {
		text, _ := os.ReadFile(log)
		s.t.Fatalf("systemd has ended:\n%s", text)
	}
	if _, err := os.Stat(s.Root("/run/systemd/private")); err != nil {
		return false
	}
	return s.Exec("systemctl", "is-active", "rttest.target").Code == 0
}

// end kills it, and with it its PID namespace, and waits until its cgroups are gone.
func (s *Systemd) end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	Eventually(s.t, "the cgroups of systemd are gone", func() bool {
		var dirs []string
		_ = filepath.WalkDir(s.cgroup, func(path string, e os.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := range dirs {
			_ = os.Remove(dirs[len(dirs)-1-i])
		}
		_, err := os.Stat(s.cgroup)
		return os.IsNotExist(err)
	})
}

// Root is a path as systemd sees it.
func (s *Systemd) Root(path string) string {
	if s.pid == 0 {
		return path
	}
	return "/proc/" + strconv.Itoa(s.pid) + "/root" + path
}

// Deafen makes commands from now on find nobody behind these sockets.
func (s *Systemd) Deafen(sockets ...string) {
	s.t.Helper()
	if s.pid == 0 {
		s.deaf = append(s.deaf, sockets...)
		return
	}
	for _, socket := range sockets {
		if err := os.Remove(s.Root(socket)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// V1 tells whether it keeps its units in hierarchies of cgroup v1.
func (s *Systemd) V1() bool { return s.pid == 0 && CgroupV1() == "" }

// Line is how /proc/PID/cgroup shows a cgroup path of systemd's.
func (s *Systemd) Line(path string) string {
	if s.V1() {
		return ":name=systemd:" + path + "\n"
	}
	return "0::" + path + "\n"
}

// Limit is a file of a cgroup path of systemd's, where the controller works.
func (s *Systemd) Limit(path, controller, file string) string {
	s.t.Helper()
	dir := s.Cgroup(path)
	if s.V1() {
		dir = CgroupDir(s.t, controller, path)
	}
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}

// Cgroup is the directory, outside, of a cgroup path of systemd's.
func (s *Systemd) Cgroup(path string) string { return filepath.Join(s.cgroup, path) }

// Exec runs a command among systemd's namespaces, in a cgroup beside its units.
func (s *Systemd) Exec(args ...string) *Result {
	s.t.Helper()
	return Exec(s.t, s.enter, s.command(args)...)
}

// UserID is an ordinary user's id.
func (s *Systemd) UserID() string { return s.user }

// ExecAsUser is Exec as an ordinary user, whose manager it starts: a unit user@UserID.service.
func (s *Systemd) ExecAsUser(args ...string) *Result {
	s.t.Helper()
	id := s.user
	if s.Exec("systemctl", "start", "dbus.service", "user@"+id+".service").Code != 0 {
		log, _ := os.ReadFile(s.Root("/run/user.log"))
		s.t.Fatalf("the manager of user %s does not start: %s%s", id, log, s.Exec("systemctl", "status", "user@"+id+".service", "user-runtime-dir@"+id+".service", "systemd-logind.service"))
	}
	as := []string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups", "env", "-u", "USER", "XDG_RUNTIME_DIR=/run/user/" + id}
	return s.Exec(append(as, args...)...)
}

// hiding covers files by /dev/null, in a mount namespace of its own: $1 names them, the rest is a command.
const hiding = `for f in $1; do mount --bind /dev/null $f || exit; done; shift; exec "$@"`

func (s *Systemd) command(args []string) []string {
	if s.pid == 0 {
		if len(s.deaf) > 0 {
			args = append([]string{"unshare", "--mount", "sh", "-c", hiding, "sh", strings.Join(s.deaf, " ")}, args...)
		}
		return args
	}
	return append([]string{"nsenter", "--target", strconv.Itoa(s.pid), "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"}, args...)
}

// enter makes a command start in the cgroup: what is outside of systemd's tree has no name in it. The directory is
// closed by the collector, like any forgotten file.
func (s *Systemd) enter(cmd *exec.Cmd) {
	if s.pid == 0 {
		return
	}
	dir, err := os.Open(s.cgroup + "/tests")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = dir.Close() })
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
}

// RT runs the runtime there, with the bundle's root and global options.
func (s *Systemd) RT(b *Bundle, args ...string) *Result {
	s.t.Helper()
	return s.Exec(b.Command(args...)...)
}

// Launch writes config.json and runs a verb that starts a container; its output goes to the bundle's Output.
func (s *Systemd) Launch(b *Bundle, verb string, flags ...string) *Result {
	s.t.Helper()
	b.WriteConfig()
	line := b.Command(append(append([]string{verb, "--bundle", b.Dir}, flags...), b.ID)...)
	return Exec(s.t, func(cmd *exec.Cmd) {
		s.enter(cmd)
		if verb == "create" {
			b.toOutput(cmd)
		}
	}, s.command(line)...)
}

// Background starts the runtime there and returns at once; the command is ended with the test.
func (s *Systemd) Background(b *Bundle, verb string) *exec.Cmd {
	s.t.Helper()
	b.WriteConfig()
	line := s.command(b.Command(verb, "--bundle", b.Dir, b.ID))
	cmd := exec.Command(line[0], line[1:]...)
	s.enter(cmd)
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// Show gives properties of a unit.
func (s *Systemd) Show(unit string) map[string]string {
	s.t.Helper()
	properties := map[string]string{}
	for line := range strings.Lines(s.Exec("systemctl", "show", "--all", unit).OK().Stdout) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		properties[name] = value
	}
	return properties
}

// Gone fails the test unless the unit and its cgroup are gone, at once.
func (s *Systemd) Gone(unit, cgroup string) {
	s.t.Helper()
	if list := s.Exec("systemctl", "list-units", "--all", "--plain", "--no-legend", unit).OK(); strings.TrimSpace(list.Stdout) != "" {
		s.t.Errorf("unit %s is still there: %s", unit, list.Stdout)
	}
	if _, err := os.Stat(s.Cgroup(cgroup)); err == nil {
		s.t.Errorf("cgroup %s is still there", cgroup)
	}
}

// Soon is like Gone for what takes systemd a moment.
func (s *Systemd) Soon(unit, cgroup string) {
	s.t.Helper()
	for range 100 {
		list := s.Exec("systemctl", "list-units", "--all", "--plain", "--no-legend", unit)
		if _, err := os.Stat(s.Cgroup(cgroup)); err != nil && strings.TrimSpace(list.Stdout) == "" {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.Gone(unit, cgroup)
}
