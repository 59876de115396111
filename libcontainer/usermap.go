package libcontainer

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/internal/sys"
)

// writeUserMap gives a new user namespace its ids; only who made it may, and we do it for init.
func (b *birth) writeUserMap() error {
	if err := b.awaitBirth(); err != nil {
		return err
	}
	return b.eachMap(func(field, file string, maps []specs.LinuxIDMapping) error {
		write := func() error { return writeFile(file, mapText(maps)) }
		if os.Geteuid() != 0 {
			write = func() error { return writeMapAsUser(file, maps) }
		}
		if err := write(); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		return nil
	})
}

// checkUserMap: a config that joins a user namespace and gives mappings must
// give those that the namespace has. Files would else belong to others than it says.
func (b *birth) checkUserMap() error {
	if !b.plan.ns.joins(unix.CLONE_NEWUSER) {
		return nil
	}
	return b.eachMap(func(field, file string, maps []specs.LinuxIDMapping) error {
		if len(maps) == 0 {
			return nil
		}
		data, err := sys.ReadFile(file)
		if err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		if has, want := squeeze(string(data)), squeeze(mapText(maps)); has != want {
			return fmt.Errorf("%s: the namespace that is joined maps %q, the config %q", field, has, want)
		}
		return nil
	})
}

func (b *birth) eachMap(do func(field, file string, maps []specs.LinuxIDMapping) error) error {
	proc := "/proc/" + strconv.Itoa(b.record.Pid)
	if err := do("linux.uidMappings", proc+"/uid_map", b.spec.Linux.UIDMappings); err != nil {
		return err
	}
	return do("linux.gidMappings", proc+"/gid_map", b.spec.Linux.GIDMappings)
}

// mapText is the form of /proc/PID/uid_map (user_namespaces(7)).
func mapText(maps []specs.LinuxIDMapping) string {
	var text strings.Builder
	for _, r := range maps {
		fmt.Fprintf(&text, "%d %d %d\n", r.ContainerID, r.HostID, r.Size)
	}
	return text.String()
}

// squeeze makes one line with single spaces of what the kernel pads.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, ", ")
}

// hostRoot is who root of the container is on the host.
func hostRoot(spec *specs.Spec) (uid, gid int) {
	find := func(maps []specs.LinuxIDMapping) int {
		for _, m := range maps {
			if m.ContainerID == 0 {
				return int(m.HostID)
			}
		}
		return 0
	}
	if spec.Linux == nil {
		return 0, 0
	}
	return find(spec.Linux.UIDMappings), find(spec.Linux.GIDMappings)
}
