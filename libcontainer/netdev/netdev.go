// Package netdev moves network devices of the host into a container's network
// namespace (config-linux.md, "Network Devices") and back while the container
// is not made yet.
//
// It is not for making devices, for routes or for name servers, nor for what
// becomes of a device when its namespace ends: that is the kernel's.
package netdev

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Mover moves devices between our network namespace and another one.
type Mover struct {
	fdHere, fdThere int
	here, there     *routeSocket
	moved           []moved
}

// moved is a device that has changed sides, and what it was before.
type moved struct {
	link
	addresses []address
	there     int32 // its index on the other side
}

// Open prepares moves into the network namespace at path (/proc/PID/ns/net).
// While the Mover is open that namespace lives. It must not be our own: there
// would be nothing to move, only the host's devices to rename.
func Open(path string) (_ *Mover, err error) {
	m := &Mover{fdHere: -1, fdThere: -1}
	defer func() {
		if err != nil {
			m.Close()
		}
	}()
	if m.fdHere, err = openNamespace("/proc/thread-self/ns/net"); err != nil {
		return nil, err
	}
	if m.fdThere, err = openNamespace(path); err != nil {
		return nil, err
	}
	if err = differ(m.fdHere, m.fdThere); err != nil {
		return nil, err
	}
	if m.here, err = dial(-1); err != nil {
		return nil, err
	}
	m.there, err = dial(m.fdThere)
	return m, err
}

func openNamespace(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

func differ(a, b int) error {
	var sa, sb unix.Stat_t
	if err := errors.Join(unix.Fstat(a, &sa), unix.Fstat(b, &sb)); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	if sa.Dev == sb.Dev && sa.Ino == sb.Ino {
		return errors.New("the container's network namespace is the host's")
	}
	return nil
}

// Close ends the work; what has been moved stays where it is. It may be called twice, and on nil.
func (m *Mover) Close() {
	if m == nil {
		return
	}
	for _, s := range []*routeSocket{m.here, m.there} {
		if s != nil {
			s.close()
		}
	}
	for _, fd := range []int{m.fdHere, m.fdThere} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	*m = Mover{fdHere: -1, fdThere: -1}
}

// Move moves device host, calls it inside ("" keeps its name; with "%d" in it
// the kernel fills in a number), gives it its permanent global addresses again,
// which a move takes from it, and sets it up. After an error the device may be
// on the other side already: GiveBack undoes that.
func (m *Mover) Move(host, inside string) error {
	d, err := m.here.link(host)
	if err != nil {
		return fmt.Errorf("find the device: %w", err)
	}
	if inside == "" {
		inside = d.name
	}
	addresses, err := m.here.addresses(d.index)
	if err != nil {
		return fmt.Errorf("read its addresses: %w", err)
	}
	index, err := m.send(d, inside)
	if err != nil {
		return err
	}
	m.moved = append(m.moved, moved{d, addresses, index})
	if inside != d.name {
		if err := m.there.setLink(index, 0, ifName(inside)); err != nil {
			return fmt.Errorf("rename it to %s: %w", inside, err)
		}
	}
	if err := m.there.addAddresses(index, addresses); err != nil {
		return err
	}
	if err := m.there.setLink(index, unix.IFF_UP); err != nil {
		return fmt.Errorf("set it up: %w", err)
	}
	return nil
}

// send moves a device and returns its index there. We choose that index: the
// kernel would keep the old one only if it is free, and tell nobody otherwise.
func (m *Mover) send(d link, inside string) (int32, error) {
	others, err := m.there.links()
	if err != nil {
		return 0, fmt.Errorf("list the devices of the container's network namespace: %w", err)
	}
	if slices.ContainsFunc(others, func(o link) bool { return o.isCalled(inside) }) {
		return 0, fmt.Errorf("the container's network namespace has a device %s: %w", inside, unix.EEXIST)
	}
	index := freeIndex(others, d.index)
	attrs := []attribute{number(unix.IFLA_NET_NS_FD, uint32(m.fdThere)), number(unix.IFLA_NEW_IFINDEX, uint32(index))}
	if slices.ContainsFunc(others, func(o link) bool { return o.isCalled(d.name) }) {
		attrs = append(attrs, ifName("moving%d")) // until it gets its own
	}
	if err := m.here.setLink(d.index, 0, attrs...); err != nil {
		return 0, fmt.Errorf("move it into the container's network namespace: %w", err)
	}
	return index, nil
}

// freeIndex is want if no device has it, else one above all others.
func freeIndex(taken []link, want int32) int32 {
	highest, free := int32(0), true
	for _, l := range taken {
		highest = max(highest, l.index)
		free = free && l.index != want
	}
	if free {
		return want
	}
	return highest + 1
}

// GiveBack undoes the moves, the latest first: for a container that is not made
// after all. Of a device's state only its routes are lost.
func (m *Mover) GiveBack() error {
	if m == nil {
		return nil
	}
	var errs []error
	for _, d := range slices.Backward(m.moved) {
		if err := m.giveBack(d); err != nil {
			errs = append(errs, fmt.Errorf("give %s back: %w", d.name, err))
		}
	}
	m.moved = nil
	return errors.Join(errs...)
}

func (m *Mover) giveBack(d moved) error {
	err := m.there.setLink(d.there, 0, number(unix.IFLA_NET_NS_FD, uint32(m.fdHere)),
		number(unix.IFLA_NEW_IFINDEX, uint32(d.index)), ifName(d.name))
	if err != nil {
		return err
	}
	if err := m.here.addAddresses(d.index, d.addresses); err != nil || !d.up {
		return err
	}
	return m.here.setLink(d.index, unix.IFF_UP)
}
