package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"rt/nsenter"
)

// open opens what a step of the plan takes. The caller closes it.
func (b *birth) open(s nsenter.Source) (int, error) {
	switch s.Kind {
	case nsenter.Namespace:
		return openNamespace(s)
	case nsenter.Tree:
		return b.openTree(s)
	case nsenter.Directory:
		return openPath(s.Path)
	case nsenter.NullDevice:
		return openNull(s)
	case nsenter.CgroupTasks:
		if s.Unified {
			return openForWriting(s.Path + "/cgroup.procs")
		}
		return openForWriting(s.Path + "/tasks")
	case nsenter.CgroupDir:
		return openPath(s.Path)
	case nsenter.StartSocket:
		return b.listen()
	case nsenter.InitPidfd:
		return b.openHost()
	}
	return -1, fmt.Errorf("no such source: %d", s.Kind)
}

// openNamespace checks the type: joining another kind than the config says would silently leave the wrong one in place.
func openNamespace(s nsenter.Source) (int, error) {
	fd, err := unix.Open(s.Path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: s.Path, Err: err}
	}
	kind, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil || uint64(kind) != s.Type {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not a namespace of that type", s.Path)
	}
	return fd, nil
}

func openForWriting(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func openPath(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// openTree takes a detached copy of what is mounted at a path of the host and
// gives it its flags while nobody can see it.
func (b *birth) openTree(s nsenter.Source) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if s.Recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, s.Path, flags)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: s.Path, Err: err}
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); s.IsRoot && err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
		unix.Close(fd)
		return -1, &os.PathError{Op: "open", Path: s.Path, Err: unix.ENOTDIR}
	}
	if err := b.setTree(fd, s); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", s.Path, err)
	}
	return fd, nil
}

func (b *birth) setTree(fd int, s nsenter.Source) error {
	top := unix.MountAttr{Attr_set: s.Set, Attr_clr: s.Clear}
	for i, p := range s.Propagation {
		if i == len(s.Propagation)-1 && !p.Recursive {
			top.Propagation = p.Type // one call does all that is for the top mount
			break
		}
		if err := setMount(fd, p.Recursive, unix.MountAttr{Propagation: p.Type}); err != nil {
			return err
		}
	}
	if top != (unix.MountAttr{}) {
		if err := setMount(fd, false, top); err != nil {
			return err
		}
	}
	if s.RecSet|s.RecClear != 0 {
		if err := setMount(fd, true, unix.MountAttr{Attr_set: s.RecSet, Attr_clr: s.RecClear}); err != nil {
			return err
		}
	}
	if s.IDMap != nil {
		return b.mapTree(fd, s.IDMap)
	}
	return nil
}

func setMount(fd int, recursive bool, attr unix.MountAttr) error {
	flags := uint(unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return os.NewSyscallError("mount_setattr", unix.MountSetattr(fd, "", flags, &attr))
}

// openNull opens our own /dev/null for masks. A mask whose source the image
// could choose would be no mask (CVE-2025-31133).
func openNull(s nsenter.Source) (int, error) {
	const path = "/dev/null"
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, &os.PathError{Op: "open_tree", Path: path, Err: err}
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil && (st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3)) {
		err = unix.ENODEV
	}
	if err == nil {
		err = setMount(fd, false, unix.MountAttr{Attr_set: s.Set, Propagation: unix.MS_PRIVATE})
	}
	if err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "check", Path: path, Err: err}
	}
	return fd, nil
}

// openHost opens the init that a guest joins, and makes sure that it is the one of the record.
func (b *birth) openHost() (int, error) {
	host := Container{record: b.record}
	host.record.Pid, host.record.StartTime = b.guest.init, b.guest.start
	return host.openInit()
}

// listen makes the socket on which the stage waits for start.
func (b *birth) listen() (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: b.entry.path(socketName)})
	if err == nil {
		err = unix.Listen(fd, 64)
	}
	if err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "listen", Path: b.entry.dir + "/" + socketName, Err: err}
	}
	return fd, nil
}

// mapTree makes a detached mount show other owners: those that its user
// namespace maps. That is the container's, or one that a helper holds only for us.
func (b *birth) mapTree(fd int, m *nsenter.IDMap) error {
	userns, err := b.userNamespace(m)
	if err != nil {
		return fmt.Errorf("user namespace of the id-mapped mount: %w", err)
	}
	defer unix.Close(userns)
	err = setMount(fd, m.Recursive, unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(userns)})
	if errors.Is(err, unix.EINVAL) {
		return hint(err, notMappable(fd))
	}
	return err
}

// notMappable: each filesystem has learned it in a version of its own.
func notMappable(fd int) string {
	var fs unix.Statfs_t
	if unix.Fstatfs(fd, &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
		return "a tmpfs can be id-mapped since Linux 6.3"
	}
	return "perhaps the filesystem cannot be id-mapped by this kernel"
}

func (b *birth) userNamespace(m *nsenter.IDMap) (int, error) {
	if len(m.UIDs) == 0 && len(m.GIDs) == 0 {
		return unix.Open("/proc/"+strconv.Itoa(b.record.Pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	}
	// A stage without a plan is a process that does nothing in its namespaces until we hang up. It sets no groups, and
	// could not be allowed to in a user namespace that is not (`unshare -r`).
	holder, err := nsenter.Hold(&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: sysIDMap(m.UIDs), GidMappings: sysIDMap(m.GIDs)})
	if err != nil {
		return -1, err
	}
	defer reap(holder.Pid)
	defer holder.Close()
	return unix.Open("/proc/"+strconv.Itoa(holder.Pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

func sysIDMap(ranges []nsenter.IDRange) []syscall.SysProcIDMap {
	var m []syscall.SysProcIDMap
	for _, r := range ranges {
		m = append(m, syscall.SysProcIDMap{ContainerID: int(r.Inside), HostID: int(r.Outside), Size: int(r.Size)})
	}
	return m
}

// reap waits for a child that is about to end.
func reap(pid int) (status unix.WaitStatus) {
	for {
		_, err := unix.Wait4(pid, &status, 0, nil)
		if err != unix.EINTR {
			return status
		}
	}
}
