package integration

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"rt/tests/rttest"
)

// host is a network namespace that stands for the machine's own: devices are made in it and the runtime runs in it.
type host struct {
	*netlink.Handle
	t    *testing.T
	path string // of the namespace
}

func newHost(t *testing.T) *host {
	t.Helper()
	rttest.Need(t, rttest.Root, rttest.Command("nsenter"))
	holder := exec.Command("sleep", "1000")
	holder.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNET}
	must(t, holder.Start())
	t.Cleanup(func() {
		must(t, holder.Process.Kill())
		_ = holder.Wait()
	})
	h := &host{t: t, path: fmt.Sprintf("/proc/%d/ns/net", holder.Process.Pid)}
	h.Handle = handleOf(t, h.path)
	return h
}

// handleOf speaks to the network namespace at the path.
func handleOf(t *testing.T, path string) *netlink.Handle {
	t.Helper()
	ns, err := netns.GetFromPath(path)
	must(t, err)
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	must(t, err)
	t.Cleanup(handle.Close)
	return handle
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// bundle is one that create and run start from this network, as if it were the host's.
func (h *host) bundle(devices map[string]string) *rttest.Bundle {
	b := rttest.New(h.t)
	b.Spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{}
	for name, inside := range devices {
		b.Spec.Linux.NetDevices[name] = specs.LinuxNetDevice{Name: inside}
	}
	b.Setup = func(cmd *exec.Cmd) {
		path, err := exec.LookPath("nsenter")
		must(h.t, err)
		cmd.Path, cmd.Args = path, append([]string{"nsenter", "--net=" + h.path}, cmd.Args...)
	}
	return b
}

// device makes a device (one end of a cable) with addresses, and sets it up.
func (h *host) device(name string, addresses ...string) netlink.Link {
	h.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, 1400
	must(h.t, h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "-p"}))
	l, err := h.LinkByName(name)
	must(h.t, err)
	for _, a := range addresses {
		addr, err := netlink.ParseAddr(a)
		must(h.t, err)
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD // usable at once
		}
		must(h.t, h.AddrAdd(l, addr))
	}
	must(h.t, h.LinkSetUp(l))
	return l
}

// inside tells of a device in the container's words: its flag up, its MTU, and its global addresses.
const inside = `inside() { ip link show $1 | grep -o '[<,]UP[,>]'; ip link show $1 | grep -o 'mtu [0-9]*'; ip addr show $1 | grep -v 'scope link' | grep -o 'inet6* [^ ]*'; }; `

func TestNetDevices(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.device("renamed0", "192.0.2.7/24", "198.51.100.3/32")
	h.device("kept0", "203.0.113.9/24")
	b := h.bundle(map[string]string{"renamed0": "inner0", "kept0": ""}).Sh(inside + "inside inner0; inside kept0; ls /sys/class/net | grep -c renamed")
	got := strings.NewReplacer("<", "", ">", "", ",", "").Replace(strings.Join(strings.Fields(b.Run().Stdout), " "))
	want := "UP mtu 1400 inet 192.0.2.7/24 inet 198.51.100.3/32 UP mtu 1400 inet 203.0.113.9/24 0"
	if got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
}

func TestNetDeviceKeepsIPv6(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "IPv6 addresses are kept (runc sets the device down first, which takes them, and then looks for them)")
	h := newHost(t)
	h.device("a", "192.0.2.7/24", "2001:db8::7/64")
	h.bundle(map[string]string{"a": ""}).Sh(inside + "inside a | tail -n 2").Run().OK().Prints("inet 192.0.2.7/24\ninet6 2001:db8::7/64")
}

// The kernel numbers a name with %d in it.
func TestNetDeviceTemplate(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "a name with %d is the kernel's to fill in (runc looks for the device under the template itself)")
	h := newHost(t)
	h.device("a")
	h.device("b")
	h.bundle(map[string]string{"a": "eth%d", "b": "eth%d"}).Sh("ls /sys/class/net").Run().OK().Prints("eth0\neth1\nlo")
}

// In a user namespace the device belongs to the container, though only the host's root could bring it.
func TestNetDeviceInUserNamespace(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.device("a", "192.0.2.7/24")
	b := h.bundle(map[string]string{"a": "eth0"}).MapIDs(100000, 65536).Sh(inside + "inside eth0 | tail -n 1")
	b.Run().OK().Prints("inet 192.0.2.7/24")
}

// Sysctls may name the devices.
func TestNetDeviceSysctl(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.device("a")
	b := h.bundle(map[string]string{"a": "eth0"}).Sh("cat /proc/sys/net/ipv4/conf/eth0/forwarding")
	b.Spec.Linux.Sysctl = map[string]string{"net.ipv4.conf.eth0.forwarding": "1"}
	b.Run().OK().Prints("1")
}

// createRuntime hooks find the devices in the container.
func TestNetDeviceBeforeHooks(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	h.device("a")
	b := h.bundle(map[string]string{"a": "eth0"}).Sh("true")
	script := b.WriteFile("hook.sh", `pid=$(sed 's/.*"pid": *\([0-9]*\).*/\1/'); grep -q eth0: /proc/$pid/net/dev || { cat /proc/$pid/net/dev >&2; exit 1; }`)
	b.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", script}}}}
	b.Run().OK()
}

// A namespace that is joined keeps the device when the container ends: it is its owner's.
func TestNetDeviceInJoinedNamespace(t *testing.T) {
	t.Parallel()
	h, pod := newHost(t), newHost(t)
	h.device("a", "192.0.2.7/24")
	b := h.bundle(map[string]string{"a": "eth0"}).Join(specs.NetworkNamespace, pod.path).Sh(inside + "inside eth0 | tail -n 1")
	b.Run().OK().Prints("inet 192.0.2.7/24")
	if _, err := pod.LinkByName("eth0"); err != nil {
		t.Errorf("in the joined namespace: %v", err)
	}
}

// What cannot be moved is an error, and the devices are where and as they were.
func TestNetDeviceFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		devices map[string]string
		words   []string
	}{
		"missing":      {map[string]string{"a": "x", "none": ""}, []string{"linux.netDevices[", "none", "no such device"}},
		"taken inside": {map[string]string{"a": "taken"}, []string{"linux.netDevices[", "a", "taken", "file exists"}},
		"immovable":    {map[string]string{"a": "x", "bridge": ""}, []string{"linux.netDevices[", "bridge", "invalid argument"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, pod := newHost(t), newHost(t)
			pod.device("taken")
			attrs := netlink.NewLinkAttrs()
			attrs.Name = "bridge"
			must(t, h.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
			before := h.device("a", "192.0.2.7/24")
			b := h.bundle(c.devices).Join(specs.NetworkNamespace, pod.path)
			b.Create().FailsNaming(c.words...)
			b.CheckGone()
			if rttest.IsRT(t) {
				h.isBack(before, "192.0.2.7/24")
			}
		})
	}
}

// isBack fails the test unless the device is on the host again, with its index, address and state.
func (h *host) isBack(before netlink.Link, address string) {
	h.t.Helper()
	name := before.Attrs().Name
	l, err := h.LinkByName(name)
	if err != nil {
		h.t.Errorf("%s on the host: %v", name, err)
		return
	}
	addrs, err := h.AddrList(l, unix.AF_INET)
	if err != nil || len(addrs) != 1 || addrs[0].IPNet.String() != address {
		h.t.Errorf("addresses of %s: %v (%v)", name, addrs, err)
	}
	if l.Attrs().Index != before.Attrs().Index || l.Attrs().Flags&net.FlagUp == 0 {
		h.t.Errorf("%s came back as %+v", name, l.Attrs())
	}
}

// A create that fails after the move gives the devices back: the kernel would destroy them with the namespace.
func TestNetDevicesComeBack(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "devices return to the host when create fails")
	for name, edit := range map[string]func(*rttest.Bundle){
		"a hook fails": func(b *rttest.Bundle) {
			b.Spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}
		},
		"the program is missing": func(b *rttest.Bundle) { b.Args("/no/such/program") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			before := h.device("a", "192.0.2.7/24")
			b := h.bundle(map[string]string{"a": "eth0"})
			edit(b)
			b.Run().Fails()
			h.isBack(before, "192.0.2.7/24")
		})
	}
}

func TestNetDevicesNeedANetworkOfTheirOwn(t *testing.T) {
	t.Parallel()
	t.Run("the host's", func(t *testing.T) {
		h := newHost(t)
		h.device("a")
		h.bundle(map[string]string{"a": "b"}).Drop("network").Create().FailsNaming("linux.netDevices", "network namespace")
	})
	t.Run("the host's by its path", func(t *testing.T) {
		rttest.OnlyRT(t, "a joined namespace that is the host's is no place to move devices to")
		h := newHost(t)
		before := h.device("a", "192.0.2.7/24")
		h.bundle(map[string]string{"a": "b"}).Join(specs.NetworkNamespace, h.path).Create().FailsNaming("linux.netDevices", "is the host's")
		h.isBack(before, "192.0.2.7/24")
	})
}
