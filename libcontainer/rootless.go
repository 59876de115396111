package libcontainer

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/internal/sys"
	"rt/nsenter"
)

// mayOpenTrees tells whether we may copy mounts of our own namespace. Who may
// not has to leave it to the stage, in the mount namespace that it makes.
func mayOpenTrees(userNS bool) bool {
	if os.Geteuid() == 0 && !userNS {
		return true
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, "/", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == nil {
		unix.Close(fd)
	}
	// EPERM comes first. EINVAL says that what is mounted below is locked, as all is that a user namespace inherited.
	return err == nil || err == unix.EINVAL
}

// openInside rewrites the steps that take a tree so that the stage opens it
// itself. Id-mapped mounts need us; Validate has refused them to an ordinary user.
func openInside(steps []nsenter.Step) error {
	for i := range steps {
		s := &steps[i]
		f := s.Feed
		if f.Kind != nsenter.Tree && f.Kind != nsenter.NullDevice {
			continue
		}
		if f.IDMap != nil {
			return fmt.Errorf("%s: an id-mapped mount takes more rights than we have", s.From)
		}
		if f.Kind == nsenter.NullDevice {
			f.Path = "/dev/null"
		}
		num := append(s.Num, 0, 0)[:2]
		s.Num = append(num, flag(f.Recursive), f.Set, f.Clear, f.RecSet, f.RecClear)
		s.Text = append(append(s.Text, "")[:1], f.Path, propagationPairs(f.Propagation))
		s.What += ", opened inside"
		s.Feed = nsenter.Source{}
	}
	return nil
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

func propagationPairs(list []nsenter.Propagation) string {
	var b []byte
	for _, p := range list {
		b = binary.NativeEndian.AppendUint64(b, p.Type)
		b = binary.NativeEndian.AppendUint64(b, flag(p.Recursive))
	}
	return string(b)
}

// writeMapAsUser maps ids without being root. The kernel lets an ordinary user
// map itself, after giving up setgroups(2); for ranges of /etc/subuid and
// /etc/subgid there are setuid helpers (user_namespaces(7), newuidmap(1)).
func writeMapAsUser(file string, maps []specs.LinuxIDMapping) error {
	dir, name, _ := cutLast(file)
	own := os.Geteuid()
	if name == "gid_map" {
		own = os.Getegid()
	}
	if len(maps) == 1 && maps[0].Size == 1 && int(maps[0].HostID) == own {
		if name == "gid_map" {
			if err := writeFile(dir+"/setgroups", "deny"); err != nil {
				return err
			}
		}
		return writeFile(file, mapText(maps))
	}
	helper := "new" + strings.TrimSuffix(name, "_map") + "map" // newuidmap, newgidmap
	args := []string{strings.TrimPrefix(dir, "/proc/")}
	for _, m := range maps {
		for _, n := range []uint32{m.ContainerID, m.HostID, m.Size} {
			args = append(args, strconv.FormatUint(uint64(n), 10))
		}
	}
	defer sys.AsCaller()()
	out, err := exec.Command(helper, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %v: %s", helper, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func cutLast(path string) (dir, name string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}
