package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// inside marks the two inner stages of the program in the environment.
const inside = "RT_BENCH_INSIDE"

// enclose runs body in a new mount and PID namespace. The program starts itself
// twice: as PID 1, which only reaps (detached containers lose their parent, and a
// runtime waits in vain for a zombie to go), and below it as the one that measures.
func enclose(body func() error) error {
	switch os.Getenv(inside) {
	case "":
		return again("init", &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID})
	case "init":
		if err := prepareMounts(); err != nil {
			return err
		}
		return reap()
	case "body":
		return body()
	default:
		return fmt.Errorf("%s=%q in the environment", inside, os.Getenv(inside))
	}
}

// again starts this program with the same arguments as the named stage and gives
// its failure as an error.
func again(stage string, attr *syscall.SysProcAttr) error {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inside+"="+stage)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = attr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		os.Exit(1) // the inner stage has said why
	}
	return err
}

// reap is PID 1: it starts the measuring stage, collects every child that dies and
// ends with that stage; the kernel then kills what is left in the namespace.
func reap() error {
	// A signal from the terminal ends the measuring stage; this one still cleans up.
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, unix.SIGTERM)
	if err := os.Setenv(inside, "body"); err != nil {
		return err
	}
	pid, err := syscall.ForkExec("/proc/self/exe", os.Args, &syscall.ProcAttr{Env: os.Environ(), Files: []uintptr{0, 1, 2}})
	if err != nil {
		return os.NewSyscallError("fork", err)
	}
	status := waitAll(pid)
	_ = unix.Kill(-1, unix.SIGKILL) // containers that a failure left behind
	waitAll(0)
	sweepCgroups()
	hugetlbBack()
	os.Exit(status)
	return nil
}

// waitAll collects children until the one with this pid ends, and gives its status;
// with 0, until there are none.
func waitAll(pid int) int {
	for {
		var ws syscall.WaitStatus
		got, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return 0
		case got == pid:
			return ws.ExitStatus() & 0xff // killed by a signal: -1, so 255
		}
	}
}

// prepareMounts makes the mount namespace private, gives it the /proc of the new
// PID namespace and, on a machine with cgroup v1, all controllers as v1.
func prepareMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return &fs.PathError{Op: "make private", Path: "/", Err: err}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return &fs.PathError{Op: "mount", Path: "/proc", Err: err}
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return &fs.PathError{Op: "mount", Path: "/run", Err: err}
	}
	if err := hugetlbAsV1(cgroupRoot); err != nil {
		return err
	}
	sweepCgroups() // of a run that was killed
	return nil
}

const (
	cgroupRoot   = "/sys/fs/cgroup"
	copiedTree   = "/run/cgroup"
	cgroupParent = "/rt-bench" // every container of a measurement lives below it
)

// sweepCgroups removes the cgroups of all measurements, in every hierarchy.
func sweepCgroups() {
	tops, _ := filepath.Glob(cgroupRoot + "/*" + cgroupParent) // the pattern is well formed
	for _, top := range append(tops, cgroupRoot+cgroupParent) {
		var dirs []string
		_ = filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, d := range slices.Backward(dirs) {
			_ = unix.Rmdir(d) // what is left is swept by the next run
		}
	}
}

// hugetlbAsV1 moves hugetlb out of a cgroup2 tree beside v1 hierarchies: crun calls
// that "hybrid mode" and refuses to run. The mount point would be visible to the
// whole machine if it were made in dir, so a copy of dir takes its place here.
func hugetlbAsV1(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "unified")); err != nil {
		return nil // no hybrid
	}
	var st unix.Statfs_t
	if unix.Statfs(filepath.Join(dir, "hugetlb"), &st) == nil && st.Type == unix.CGROUP_SUPER_MAGIC {
		return nil
	}
	tree := copiedTree
	if err := copyMounts(dir, tree); err != nil {
		return err
	}
	huge := filepath.Join(tree, "hugetlb")
	if err := os.MkdirAll(huge, 0o755); err != nil {
		return err
	}
	var err error
	took := eventually(time.Minute, func() bool {
		err = unix.Mount("cgroup", huge, "cgroup", 0, "hugetlb")
		return !errors.Is(err, unix.EBUSY)
	})
	if !took || err != nil {
		return fmt.Errorf("take hugetlb out of the cgroup2 tree, where a cgroup uses it: %w", err)
	}
	if err := unix.Mount(tree, dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "bind " + tree, Path: dir, Err: err}
	}
	return nil
}

// hugetlbBack gives hugetlb back to the cgroup2 tree. A v1 hierarchy outlives its last
// mount when a removed cgroup is not yet freed at that moment (a matter of RCU): then
// it is mounted and unmounted again.
func hugetlbBack() {
	huge := filepath.Join(copiedTree, "hugetlb")
	_ = unix.Unmount(filepath.Join(cgroupRoot, "hugetlb"), unix.MNT_DETACH) // EINVAL: it was never moved
	for range 5 {
		if unix.Unmount(huge, unix.MNT_DETACH) != nil || eventually(2*time.Second, func() bool { return !hugetlbIsV1() }) {
			return
		}
		_ = unix.Mount("cgroup", huge, "cgroup", 0, "hugetlb") // the next round's unmount says if not
	}
}

// eventually waits for a condition, as long as patience lasts.
func eventually(patience time.Duration, holds func() bool) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return false
}

// hugetlbIsV1 tells whether the controller sits in a hierarchy of its own.
func hugetlbIsV1() bool {
	f := strings.Fields(firstOf("/proc/cgroups", "hugetlb")) // hierarchy, cgroups, enabled
	return len(f) > 0 && f[0] != "0"
}

// copyMounts makes a tmpfs at to with the directories and links of from, each
// directory a bind mount of the original.
func copyMounts(from, to string) error {
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", to, "tmpfs", 0, "mode=755"); err != nil {
		return &fs.PathError{Op: "mount", Path: to, Err: err}
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := copyMount(filepath.Join(from, e.Name()), filepath.Join(to, e.Name()), e); err != nil {
			return err
		}
	}
	return nil
}

func copyMount(from, to string, e fs.DirEntry) error {
	if e.Type() == fs.ModeSymlink {
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &fs.PathError{Op: "bind " + from, Path: to, Err: err}
	}
	return nil
}
