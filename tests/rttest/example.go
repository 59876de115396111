package rttest

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// DefaultCaps are the fourteen capabilities that engines give a container.
var DefaultCaps = []string{
	"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
	"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
}

// Example is a small container as an engine would ask for: root with the default capabilities, five namespaces, the
// usual mounts, a writable root, no limits. It runs true.
func Example() *specs.Spec {
	return &specs.Spec{
		Version: "1.0.2",
		Root:    &specs.Root{Path: "rootfs"},
		Process: &specs.Process{
			Args:            []string{"/bin/true"},
			Env:             []string{"PATH=/bin"},
			Cwd:             "/",
			NoNewPrivileges: true,
			Capabilities: &specs.LinuxCapabilities{
				Bounding: DefaultCaps, Effective: DefaultCaps, Permitted: DefaultCaps,
			},
		},
		Hostname: "rttest",
		Mounts:   exampleMounts(),
		Linux: &specs.Linux{
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
			},
			Resources:     &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			MaskedPaths:   []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

func exampleMounts() []specs.Mount {
	return []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
			Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
	}
}

// Drop removes the namespaces of these kinds from the spec, so that the container shares ours.
func (b *Bundle) Drop(kinds ...specs.LinuxNamespaceType) *Bundle {
	var keep []specs.LinuxNamespace
	for _, ns := range b.Spec.Linux.Namespaces {
		if !contains(kinds, ns.Type) {
			keep = append(keep, ns)
		}
	}
	b.Spec.Linux.Namespaces = keep
	return b
}

func contains[T comparable](list []T, item T) bool {
	for _, x := range list {
		if x == item {
			return true
		}
	}
	return false
}

// Join puts the container into a namespace: a new one for an empty path, else the one at the path. It replaces one
// of the same kind.
func (b *Bundle) Join(kind specs.LinuxNamespaceType, path string) *Bundle {
	b.Drop(kind)
	b.Spec.Linux.Namespaces = append(b.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: kind, Path: path})
	return b
}

// MapIDs puts the container into a new user namespace whose ids 0 to size-1 are first and up on the host, and gives
// the rootfs to its root.
func (b *Bundle) MapIDs(first, size uint32) *Bundle {
	b.t.Helper()
	b.Join(specs.UserNamespace, "")
	m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: first, Size: size}}
	b.Spec.Linux.UIDMappings, b.Spec.Linux.GIDMappings = m, m
	b.chown(int(first))
	return b
}

// AllCaps are the names of all capabilities, in the kernel's order.
func AllCaps() []string {
	list := strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
		LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT
		SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE
		AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
		CHECKPOINT_RESTORE`)
	for i := range list {
		list[i] = "CAP_" + list[i]
	}
	return list
}
