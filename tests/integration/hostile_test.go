package integration

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// Ways in which container runtimes were broken into. The rootfs and every process in the container are hostile. A clean
// failure is always acceptable; a changed host file, a host-visible mount or a weaker process never is.

// A victim is a directory of the host that no container may reach.
type victim struct {
	t   *testing.T
	dir string
}

func newVictim(t *testing.T, b *rttest.Bundle) victim {
	t.Helper()
	dir := b.Mkdir("victim")
	b.WriteFile("victim/file", "precious\n")
	return victim{t, dir}
}

// unharmed fails the test when anything was changed, added or mounted there.
func (v victim) unharmed() {
	v.t.Helper()
	entries, err := os.ReadDir(v.dir)
	if err != nil || len(entries) != 1 || read(v.t, v.dir+"/file") != "precious\n" {
		v.t.Errorf("the host's directory was changed: %v (%v)", entries, err)
	}
	if m, ok := rttest.MountAt(rttest.Mounts(rttest.ProcFile(v.t, os.Getpid(), "mountinfo")), v.dir); ok {
		v.t.Errorf("something is mounted on the host: %+v", m)
	}
}

// replace puts a symlink in the place of something in the rootfs.
func replace(t *testing.T, b *rttest.Bundle, path, target string) {
	t.Helper()
	full := b.InRootfs(path)
	if err := os.RemoveAll(full); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, full); err != nil {
		t.Fatal(err)
	}
}

// CVE-2016-3697: ids are numbers; a name in the image's passwd that looks like one means nothing.
func TestNumericNameInPasswd(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /proc/self/status; echo HOME=$HOME")
	b.WriteFile("rootfs/etc/passwd", "1000:x:0:0:evil:/evil:/bin/sh\n")
	b.WriteFile("rootfs/etc/group", "1000:x:0:\nroot:x:0:1000\n")
	b.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	out := b.Run().OK().Stdout
	s := rttest.Status(out)
	if s["Uid"] != "1000 1000 1000 1000" || s["Gid"] != "1000 1000 1000 1000" || s["Groups"] != "" || s["CapEff"] != "0000000000000000" {
		t.Errorf("uid %s gid %s groups %s caps %s", s["Uid"], s["Gid"], s["Groups"], s["CapEff"])
	}
	if strings.Contains(out, "/evil") {
		t.Errorf("HOME comes from a line of another uid")
	}
}

// A passwd that is a FIFO, a device, the host's, or endless must not hang or mislead the runtime.
func TestHostilePasswd(t *testing.T) {
	t.Parallel()
	hostile := map[string]func(path string) error{
		"fifo":       func(path string) error { return unix.Mkfifo(path, 0o644) },
		"directory":  func(path string) error { return os.Mkdir(path, 0o755) },
		"zero":       func(path string) error { return unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))) },
		"of host":    func(path string) error { return os.Symlink("../../../../../../../../etc/passwd", path) },
		"of process": func(path string) error { return os.Symlink("/proc/1/root/etc/passwd", path) },
		"loop":       func(path string) error { return os.Symlink("passwd", path) },
		"garbage": func(path string) error {
			return os.WriteFile(path, []byte("\x00:::::\n:::0\nx:y:99999999999:z\n"), 0o644)
		},
	}
	for name, make := range hostile {
		t.Run(name, func(t *testing.T) {
			if name == "fifo" {
				rttest.OnlyRT(t, "a FIFO does not hang it")
			}
			b := rttest.New(t).Sh("echo $HOME")
			path := b.InRootfs("etc/passwd")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := make(path); err != nil {
				t.Fatal(err)
			}
			b.Spec.Process.User.UID = 12321 // nobody the host knows
			if res := b.Run(); res.Code == 0 {
				res.Prints("/")
			} else {
				res.Exits(1)
			}
		})
	}
}

// CVE-2016-9962: while it holds anything of the host's, nobody in the container can look into init.
func TestWaitingInitIsNotDumpable(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Process.User = specs.User{UID: 1000, GID: 1000}
	b.Create().OK()
	info, err := os.Stat(fmt.Sprintf("/proc/%d/fd", b.Pid()))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("/proc/PID/fd belongs to the container's user: the process is dumpable (%v)", err)
	}
}

// A waiting init holds no directory of the host, not even one that its caller left open (CVE-2016-9962, CVE-2024-21626).
func TestWaitingInitHoldsNoHostDirectory(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "descriptors are closed before the wait")
	b := rttest.New(t)
	b.Setup = func(cmd *exec.Cmd) {
		f, err := os.Open("/etc")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		cmd.ExtraFiles = []*os.File{f, nil, nil, nil, nil, nil, nil, nil, f}
	}
	b.Create().OK()
	dir := fmt.Sprintf("/proc/%d/fd", b.Pid())
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	inside := rttest.ProcFile(t, b.Pid(), "mountinfo")
	for _, e := range entries {
		info, err := os.Stat(filepath.Join(dir, e.Name()))
		if err != nil || !info.IsDir() {
			continue
		}
		mount := rttest.Status(rttest.ProcFile(t, b.Pid(), "fdinfo/"+e.Name()))["mnt_id"]
		if !strings.Contains("\n"+inside, "\n"+mount+" ") {
			target, _ := os.Readlink(filepath.Join(dir, e.Name()))
			t.Errorf("fd %s is a directory of the host: %s", e.Name(), target)
		}
	}
}

// CVE-2019-5736: the entry point is the runtime itself. Its file must stay as it is and not be writable through /proc.
func TestEntryPointProcSelfExe(t *testing.T) {
	t.Parallel()
	before := sha256.Sum256([]byte(read(t, rttest.Runtime(t))))
	for name, args := range map[string][]string{
		"directly": {"/proc/self/exe", "--version"}, "as an interpreter": {"/script", "--version"},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Args(args...)
			b.WriteFile("rootfs/script", "#!/proc/self/exe\n")
			if err := os.Chmod(b.InRootfs("script"), 0o755); err != nil {
				t.Fatal(err)
			}
			// A copy, so that nobody else runs it.
			runtime := b.WriteFile("runtime", read(t, rttest.Runtime(t)))
			if err := os.Chmod(runtime, 0o755); err != nil {
				t.Fatal(err)
			}
			b.Setup = func(cmd *exec.Cmd) { cmd.Path = runtime }
			if res := b.Create(); res.Code != 0 {
				return // refused: fine
			}
			pid := b.Pid()
			exe, err := unix.Open(fmt.Sprintf("/proc/%d/exe", pid), unix.O_PATH|unix.O_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(exe)
			b.Start() // may fail or not
			b.Delete("--force").OK()
			b.Wait(pid)
			// Nobody runs it any more, so this is no ETXTBSY.
			w, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", exe), unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				unix.Close(w)
				t.Error("what init ran can be opened for writing through /proc/PID/exe")
			} else if err == unix.ETXTBSY {
				t.Error("only a running process kept it from being written")
			}
		})
	}
	if after := sha256.Sum256([]byte(read(t, rttest.Runtime(t)))); after != before {
		t.Error("the runtime's binary was changed")
	}
}

// CVE-2019-19921, 2023-27561, 2023-28642, 2025-54867, 2026-41579: the image's /proc, /sys or /dev is a symlink.
func TestSymlinkedSystemDirectories(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"proc", "sys", "dev"} {
		for _, kind := range []string{"to the host", "upwards", "inside", "dangling"} {
			t.Run(dir+" "+kind, func(t *testing.T) {
				b := rttest.New(t).Sh("stat -f -c %T /proc /sys /dev; stat -c %t:%T /dev/null")
				v := newVictim(t, b)
				target := map[string]string{
					"to the host": v.dir, "upwards": "../victim", "inside": "/tmp", "dangling": "/not/there",
				}[kind]
				replace(t, b, dir, target)
				res := b.Run()
				v.unharmed()
				b.CheckGone()
				if dir != "dev" {
					res.Fails("/" + dir)
				} else if res.Code == 0 && !strings.HasSuffix(strings.TrimSpace(res.Stdout), "1:3") {
					t.Errorf("/dev/null is not the device: %s", res)
				}
			})
		}
	}
}

// CVE-2019-18837, 2021-30465, 2024-45310: mount targets that are symlinks, or run through them, stay in the rootfs.
func TestSymlinkedMountTargets(t *testing.T) {
	t.Parallel()
	for name, target := range map[string]func(v victim) string{
		"absolute":      func(v victim) string { return v.dir },
		"absolute file": func(v victim) string { return v.dir + "/file" },
		"absolute new":  func(v victim) string { return v.dir + "/new/deep" },
		"upwards":       func(v victim) string { return "../../../../../../../.." + v.dir },
		"of proc":       func(v victim) string { return "/proc/1/root" + v.dir },
		"of a fd":       func(v victim) string { return "/proc/self/fd/3" },
		"of cwd":        func(v victim) string { return "/proc/self/cwd/victim" },
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t)
			v := newVictim(t, b)
			replace(t, b, "target", target(v))
			b.WriteFile("rootfs/dir/placeholder", "")
			replace(t, b, "dir/target", target(v))
			source, tmpfs := b.Mkdir("source"), specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: "/dir/target/sub"}
			file := b.WriteFile("one", "x")
			for _, m := range []specs.Mount{bind(source, "/target", "bind"), bind(file, "/dir/target", "bind"), tmpfs} {
				mounts := b.Spec.Mounts
				b.Mount(m)
				b.Run() // may fail or not
				v.unharmed()
				b.CheckGone()
				b.Spec.Mounts = mounts
			}
			b.Spec.Linux.MaskedPaths = []string{"/target", "/dir/target"}
			b.Spec.Linux.ReadonlyPaths = []string{"/target", "/dir/target/file"}
			b.Run()
			v.unharmed()
		})
	}
}

// A chain of symlinks longer than the kernel follows is an error, not a hang.
func TestSymlinkLoops(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	replace(t, b, "l0", "/l0")
	for i := 1; i < 60; i++ {
		replace(t, b, fmt.Sprintf("c%d", i), fmt.Sprintf("/c%d", i+1))
	}
	mounts := b.Spec.Mounts
	for _, target := range []string{"/l0", "/l0/x", "/c1/x"} {
		b.Spec.Mounts = append(mounts[:len(mounts):len(mounts)], bind(b.Mkdir("s"), target, "bind"))
		b.Run().FailsNaming("mounts[6]", target)
		b.CheckGone()
	}
}

// Devices and links that the runtime makes in an image's own /dev, when the config mounts nothing there.
func TestImageWithItsOwnDev(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(t *testing.T, b *rttest.Bundle, v victim){
		"symlinks to the host": func(t *testing.T, b *rttest.Bundle, v victim) {
			for _, d := range []string{"null", "zero", "full", "tty", "random", "urandom", "console", "ptmx", "pts", "fd", "stdin", "stdout", "stderr", "core", "shm", "mqueue"} {
				replace(t, b, "dev/"+d, v.dir+"/file")
			}
		},
		"a symlinked directory": func(t *testing.T, b *rttest.Bundle, v victim) {
			for _, d := range []string{"pts", "shm", "mqueue"} {
				replace(t, b, "dev/"+d, v.dir)
			}
		},
		"regular files": func(t *testing.T, b *rttest.Bundle, v victim) {
			for _, d := range []string{"null", "zero", "full", "tty", "random", "urandom", "console"} {
				b.WriteFile("rootfs/dev/"+d, "fake\n")
			}
		},
	} {
		for _, terminal := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, terminal %v", name, terminal), func(t *testing.T) {
				b := rttest.New(t).Sh("stat -c %t:%T /dev/null; echo visible; cat /proc/keys")
				b.Spec.Mounts = withoutMount(b.Spec.Mounts, "/dev")
				v := newVictim(t, b)
				plant(t, b, v)
				if terminal {
					b.Spec.Process.Terminal = true
					socket := rttest.ListenFD(t)
					if b.Create("--console-socket", socket.Path).Code == 0 {
						b.Start()
					}
					v.unharmed()
					return
				}
				res := b.Run()
				v.unharmed()
				if res.Code == 0 && !strings.HasPrefix(res.Stdout, "1:3\nvisible\n") {
					t.Errorf("/dev/null is not the device, or output went elsewhere: %s", res)
				}
				if strings.Contains(res.Stdout, "fake") {
					t.Errorf("the image's file masks /proc/keys: %s", res)
				}
			})
		}
	}
}

// CVE-2025-31133, 2025-62161: what masks a path is a verified /dev/null of ours, even when the image has none or a fake.
func TestMaskSourceIsNotTheImages(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(b *rttest.Bundle){
		"absent": func(b *rttest.Bundle) {},
		"fake":   func(b *rttest.Bundle) { b.WriteFile("rootfs/dev/null", "fake\n") },
		"a link": func(b *rttest.Bundle) { replace(t, b, "dev/null", "/etc/passwd") },
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Sh("stat -c '%F %t:%T' /secret; cat /secret; echo end")
			b.WriteFile("rootfs/secret", "secret\n")
			plant(b)
			b.Spec.Mounts = withoutMount(b.Spec.Mounts, "/dev")
			b.Spec.Linux.MaskedPaths = []string{"/secret"}
			if res := b.Run(); res.Code == 0 {
				res.Prints("character special file 1:3\nend")
			}
		})
	}
}

// CVE-2024-21626: a working directory through a leaked descriptor leads to the host.
func TestWorkingDirectoryThroughDescriptors(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("for up in . .. ../.. ../../../../../..; do cat $up/etc/debian_version; done 2>/dev/null; true")
	b.Setup = func(cmd *exec.Cmd) { // some of the caller's, too
		for range 3 {
			f, err := os.Open("/")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
	}
	host := strings.TrimSpace(read(t, "/etc/debian_version"))
	for fd := 3; fd < 20; fd++ {
		for _, cwd := range []string{fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/link%d", fd)} {
			if strings.HasPrefix(cwd, "/link") {
				replace(t, b, cwd, fmt.Sprintf("/proc/self/fd/%d", fd))
			}
			b.Spec.Process.Cwd = cwd
			if res := b.Run(); strings.Contains(res.Stdout, host) {
				t.Fatalf("the host's root was reached: %s", res)
			}
		}
	}
}

// CVE-2021-43784: long fields are checked or carried, never cut.
func TestLongFields(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<16)
	for name, edit := range map[string]func(b *rttest.Bundle){
		"namespace path":    func(b *rttest.Bundle) { b.Join("network", "/"+long) },
		"mount destination": func(b *rttest.Bundle) { b.Mount(specs.Mount{Type: "tmpfs", Source: "t", Destination: "/" + long}) },
		"cwd":               func(b *rttest.Bundle) { b.Spec.Process.Cwd = "/" + long },
		"hostname":          func(b *rttest.Bundle) { b.Spec.Hostname = long },
		"program":           func(b *rttest.Bundle) { b.Args("/" + long) },
		"cgroup":            func(b *rttest.Bundle) { b.Spec.Linux.CgroupsPath += "-" + long },
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t)
			edit(b)
			b.Run().Fails()
			b.CheckGone()
		})
	}
	t.Run("many id maps", func(t *testing.T) {
		b := rttest.New(t).MapIDs(100000, 65536).Sh("wc -l < /proc/self/uid_map")
		b.Spec.Linux.UIDMappings = nil
		for i := range uint32(200) { // the kernel takes 340, in less than a page of text
			b.Spec.Linux.UIDMappings = append(b.Spec.Linux.UIDMappings, specs.LinuxIDMapping{ContainerID: 10 * i, HostID: 100000 + 10*i, Size: 1})
		}
		b.Run().OK().Prints("200")
	})
	t.Run("environment", func(t *testing.T) {
		b := rttest.New(t).Sh("echo ${#LONG}")
		b.Spec.Process.Env = append(b.Spec.Process.Env, "LONG="+long)
		b.Run().OK().Prints("65536")
	})
}

// What tmpcopyup copies is the image's own, whatever kind of file it is.
func TestTmpCopyUpOfHostileFiles(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("ls /copied; cat /copied/link 2>/dev/null; ls /linked 2>/dev/null; true")
	v := newVictim(t, b)
	b.WriteFile("rootfs/copied/plain", "")
	if err := unix.Mkfifo(b.InRootfs("copied/fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	replace(t, b, "copied/link", v.dir+"/file")
	replace(t, b, "linked", v.dir)
	for _, destination := range []string{"/copied", "/linked"} {
		b.Mount(specs.Mount{Type: "tmpfs", Source: "tmpfs", Destination: destination, Options: []string{"tmpcopyup"}})
	}
	if !rttest.IsRT(t) { // runc stops at a FIFO
		if err := os.Remove(b.InRootfs("copied/fifo")); err != nil {
			t.Fatal(err)
		}
	}
	if res := b.Run(); strings.Contains(res.Stdout, "precious") || strings.Contains(res.Stdout, "file") {
		t.Errorf("the host's files were copied: %s", res)
	}
	v.unharmed()
}

// A state directory that is somebody's symlink is not followed.
func TestSymlinkInTheStateRoot(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	v := newVictim(t, b)
	if err := os.MkdirAll(b.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(b.Root, b.ID)
	if err := os.Symlink(v.dir, link); err != nil {
		t.Fatal(err)
	}
	b.Create().Fails()
	v.unharmed()
	b.RT("state", b.ID).Fails()
	b.RT("delete", "--force", b.ID)
	v.unharmed()
	_ = os.Remove(link)
}

// No file that the runtime keeps about a container is for others to read or write.
func TestStateIsPrivate(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	info, err := os.Stat(filepath.Join(b.Root, b.ID))
	if err != nil || info.Mode().Perm()&0o077 != 0 && info.Mode().Perm()&0o066 != 0 {
		t.Errorf("state directory: %v (%v)", info.Mode(), err)
	}
	_ = filepath.Walk(filepath.Join(b.Root, b.ID), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o022 != 0 {
			t.Errorf("%s is writable by others: %v", path, info.Mode())
		}
		return nil
	})
}

// CVE-2022-29162 and kin: no inheritable or ambient capability unless the config says so, in the default config neither.
func TestDefaultSpecHasNoInheritableCapabilities(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.RT("spec", "--bundle", b.Dir).OK()
	for _, word := range []string{"inheritable", "ambient"} {
		if text := read(t, b.Dir+"/config.json"); strings.Contains(text, word) {
			t.Errorf("%s capabilities in the default config", word)
		}
	}
}

// --no-pivot keeps the masks and the read-only paths.
func TestNoPivotKeepsMasks(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("cat /proc/keys; echo 1 > /proc/sys/kernel/panic; ls /sys/firmware; echo end")
	res := b.Run("--no-pivot").OK().Prints("end")
	if !strings.Contains(res.Stderr, "Read-only file system") {
		t.Errorf("/proc/sys is writable: %s", res)
	}
}
