package netdev

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// TestMain runs the tests in a user and a network namespace of their own: as anybody, far from the machine's devices.
func TestMain(m *testing.M) {
	const inside = "RT_NETDEV_TEST"
	if os.Getenv(inside) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// container is a second network namespace; path leads to it.
func container(t *testing.T) (path string, inside *netlink.Handle) {
	t.Helper()
	fd := make(chan int)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends, the namespace stays with the fd
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Error(err)
		}
		ns, err := netns.Get()
		if err != nil {
			t.Error(err)
		}
		fd <- int(ns)
	}()
	ns := <-fd
	h, err := netlink.NewHandleAt(netns.NsHandle(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); unix.Close(ns) })
	return fmt.Sprintf("/proc/self/fd/%d", ns), h
}

// device makes the two ends of a cable: name, which is to move, and name+"-p", which stays.
func device(t *testing.T, name string) netlink.Link {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name, 1400
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name + "-p"}))
	t.Cleanup(func() {
		if l, err := netlink.LinkByName(name + "-p"); err == nil {
			check(t, netlink.LinkDel(l))
		}
	})
	l, err := netlink.LinkByName(name)
	check(t, err)
	return l
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, path string) *Mover {
	t.Helper()
	m, err := Open(path)
	check(t, err)
	t.Cleanup(m.Close)
	return m
}

// addresses are "prefix flags" of a link, of global scope, sorted but for the primary one.
func addresses(t *testing.T, h *netlink.Handle, l netlink.Link) []string {
	t.Helper()
	var list []string
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		addrs, err := h.AddrList(l, family)
		check(t, err)
		for _, a := range addrs {
			if a.Scope == unix.RT_SCOPE_UNIVERSE {
				list = append(list, fmt.Sprintf("%s brd %v flags %#x", a.IPNet, a.Broadcast, a.Flags&(givenFlags|unix.IFA_F_SECONDARY)))
			}
		}
	}
	slices.Sort(list[min(1, len(list)):])
	return list
}

func add(t *testing.T, l netlink.Link, prefix string, edit func(*netlink.Addr)) {
	t.Helper()
	a, err := netlink.ParseAddr(prefix)
	check(t, err)
	if edit != nil {
		edit(a)
	}
	check(t, netlink.AddrAdd(l, a))
}

// dress gives the device every kind of address and sets it up.
func dress(t *testing.T, l netlink.Link) (kept []string) {
	t.Helper()
	add(t, l, "192.0.2.7/24", func(a *netlink.Addr) { a.Broadcast = net.IPv4(192, 0, 2, 255).To4() })
	add(t, l, "192.0.2.9/24", nil)
	add(t, l, "198.51.100.1/32", func(a *netlink.Addr) { a.Flags = unix.IFA_F_NOPREFIXROUTE })
	add(t, l, "2001:db8::7/64", func(a *netlink.Addr) { a.Flags = unix.IFA_F_NODAD })
	check(t, netlink.LinkSetUp(l))
	h, err := netlink.NewHandle()
	check(t, err)
	defer h.Close()
	kept = addresses(t, h, l)
	add(t, l, "169.254.1.1/16", func(a *netlink.Addr) { a.Scope = unix.RT_SCOPE_LINK })
	add(t, l, "203.0.113.5/24", func(a *netlink.Addr) { a.ValidLft, a.PreferedLft = 1000, 1000 })
	add(t, l, "2001:db8:1::1/64", func(a *netlink.Addr) { a.ValidLft, a.PreferedLft = 1000, 1000 })
	return kept
}

func TestMove(t *testing.T) {
	path, inside := container(t)
	host := device(t, "veth0")
	want := dress(t, host)
	check(t, open(t, path).Move("veth0", "inner"))
	if _, err := netlink.LinkByName("veth0"); !errors.As(err, &netlink.LinkNotFoundError{}) {
		t.Errorf("veth0 is still here: %v", err)
	}
	got, err := inside.LinkByName("inner")
	check(t, err)
	if list := addresses(t, inside, got); !slices.Equal(list, want) || len(list) != 4 {
		t.Errorf("addresses inside\n%q, want\n%q", list, want)
	}
	if got.Attrs().Flags&net.FlagUp == 0 || got.Attrs().MTU != 1400 || got.Attrs().HardwareAddr.String() != host.Attrs().HardwareAddr.String() {
		t.Errorf("inside: %+v", got.Attrs())
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ title, inside, taken, want string }{
		{"keeps its name", "", "", "dev"},
		{"its own name given", "dev", "", "dev"},
		{"its name is taken, but it gets another", "other", "dev", "other"},
		{"a pattern", "eth%d", "", "eth0"},
		{"a pattern with a number that is taken", "eth%d", "eth0", "eth1"},
		{"a pattern, and its name is taken", "dev%d", "dev", "dev0"},
	} {
		t.Run(c.title, func(t *testing.T) {
			path, inside := container(t)
			device(t, "dev")
			if c.taken != "" {
				attrs := netlink.NewLinkAttrs()
				attrs.Name = c.taken
				check(t, inside.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
			}
			check(t, open(t, path).Move("dev", c.inside))
			l, err := inside.LinkByName(c.want)
			check(t, err)
			if l.Type() != "veth" || l.Attrs().Flags&net.FlagUp == 0 {
				t.Errorf("%s inside: %s, %v", c.want, l.Type(), l.Attrs().Flags)
			}
		})
	}
}

// Two devices may take each other's name, and an index that is taken inside is no obstacle.
func TestSwap(t *testing.T) {
	path, inside := container(t)
	for name, host := range map[string]netlink.Link{"a": device(t, "a"), "b": device(t, "b")} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = "in-"+name, host.Attrs().Index
		check(t, inside.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
		add(t, host, map[string]string{"a": "192.0.2.1/24", "b": "192.0.2.2/24"}[name], nil)
	}
	m := open(t, path)
	check(t, m.Move("a", "b"))
	check(t, m.Move("b", "a"))
	for name, want := range map[string]string{"a": "192.0.2.2/24", "b": "192.0.2.1/24"} {
		l, err := inside.LinkByName(name)
		check(t, err)
		if got := addresses(t, inside, l); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("%s has %q, not %s", name, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	path, inside := container(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "taken"
	check(t, inside.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	attrs.Name = "bridge"
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	check(t, netlink.LinkAdd(bridge))
	t.Cleanup(func() { check(t, netlink.LinkDel(bridge)) })
	device(t, "cable")
	for _, c := range []struct {
		host, inside string
		errno        syscall.Errno
		text         string
	}{
		{"nowhere", "", unix.ENODEV, "find the device"},
		{"cable", "taken", unix.EEXIST, "has a device taken"},
		{"bridge", "", unix.EINVAL, "move it into the container's network namespace"},
		{"lo", "lo0", unix.EINVAL, "move it into the container's network namespace"},
	} {
		m := open(t, path)
		err := m.Move(c.host, c.inside)
		if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s as %q: %v", c.host, c.inside, err)
		}
		if err := m.GiveBack(); err != nil {
			t.Error(err)
		}
		if _, err := netlink.LinkByName(c.host); err != nil && c.errno != unix.ENODEV {
			t.Errorf("%s has gone: %v", c.host, err)
		}
	}
}

func TestOwnNamespace(t *testing.T) {
	if _, err := Open("/proc/thread-self/ns/net"); err == nil || err.Error() != "the container's network namespace is the host's" {
		t.Error(err)
	}
	if _, err := Open("/proc/self/ns/nothing"); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

func TestGiveBack(t *testing.T) {
	path, inside := container(t)
	up, down := device(t, "up"), device(t, "down")
	want := dress(t, up)
	m := open(t, path)
	check(t, m.Move("up", "x"))
	check(t, m.Move("down", "up"))
	check(t, m.GiveBack())
	if links, err := inside.LinkList(); err != nil || len(links) != 1 {
		t.Errorf("left inside: %v, %v", links, err)
	}
	h, err := netlink.NewHandle()
	check(t, err)
	defer h.Close()
	for _, before := range []netlink.Link{up, down} {
		name := before.Attrs().Name
		after, err := netlink.LinkByName(name)
		check(t, err)
		if after.Attrs().Index != before.Attrs().Index || (after.Attrs().Flags&net.FlagUp != 0) != (name == "up") {
			t.Errorf("%s came back as %+v", name, after.Attrs())
		}
	}
	if got := addresses(t, h, up); !slices.Equal(got, want) {
		t.Errorf("addresses %q, want %q", got, want)
	}
}

// What cannot be done inside leaves the device where GiveBack finds it.
func TestAddressRefused(t *testing.T) {
	path, inside := container(t)
	host := device(t, "six")
	add(t, host, "2001:db8::1/64", nil)
	m := open(t, path)
	disableIPv6(t, path)
	err := m.Move("six", "")
	if err == nil || !strings.HasPrefix(err.Error(), "add address 2001:db8::1/64: ") {
		t.Errorf("got %v", err)
	}
	check(t, m.GiveBack())
	if _, err := inside.LinkByName("six"); err == nil {
		t.Error("six is still inside")
	}
	if _, err := netlink.LinkByName("six"); err != nil {
		t.Error(err)
	}
}

func disableIPv6(t *testing.T, path string) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNET)
			unix.Close(ns)
		}
		if err == nil {
			err = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		}
		done <- err
	}()
	check(t, <-done)
}
