package netdev

import (
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// routeSocket speaks rtnetlink(7) in one network namespace, and keeps that
// namespace alive while it is open.
type routeSocket struct{ handle *nl.SocketHandle }

// dial opens a socket in the namespace that ns is open on; -1 is our own.
func dial(ns int) (*routeSocket, error) {
	type result struct {
		s   *nl.NetlinkSocket
		err error
	}
	opened := make(chan result)
	go func() {
		if ns >= 0 {
			// A thread that could not get back must not run anything else: never unlocked, it ends with this goroutine.
			runtime.LockOSThread()
		}
		s, err := nl.GetNetlinkSocketAt(netns.NsHandle(ns), netns.None(), unix.NETLINK_ROUTE)
		opened <- result{s, err}
	}()
	r := <-opened
	if r.err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", r.err)
	}
	// The kernel's own words: "The interface netns is immutable" is more than EINVAL.
	if err := r.s.SetExtAck(true); err != nil {
		r.s.Close()
		return nil, fmt.Errorf("setsockopt NETLINK_EXT_ACK: %w", err)
	}
	return &routeSocket{&nl.SocketHandle{Socket: r.s}}, nil
}

func (s *routeSocket) close() { s.handle.Close() }

// attribute is one rtattr of a message.
type attribute struct {
	kind  int
	value []byte
}

// do makes a change and waits for the kernel's word on it.
func (s *routeSocket) do(kind, flags int, head nl.NetlinkRequestData, attrs ...attribute) error {
	_, err := s.request(kind, flags|unix.NLM_F_ACK, 0, head, attrs...)
	return err
}

func (s *routeSocket) request(kind, flags int, reply uint16, head nl.NetlinkRequestData, attrs ...attribute) ([][]byte, error) {
	r := nl.NewNetlinkRequest(kind, flags)
	r.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: s.handle}
	r.AddData(head)
	for _, a := range attrs {
		r.AddData(nl.NewRtAttr(a.kind, a.value))
	}
	return r.Execute(unix.NETLINK_ROUTE, reply)
}

// dump asks for a whole table, again while others change it under the kernel's hands.
func (s *routeSocket) dump(kind int, reply uint16, head nl.NetlinkRequestData) ([][]byte, error) {
	for try := 1; ; try++ {
		messages, err := s.request(kind, unix.NLM_F_DUMP, reply, head)
		if try == 10 || !errors.Is(err, nl.ErrDumpInterrupted) {
			return messages, err
		}
	}
}

// link is a network device of one namespace.
type link struct {
	index    int32
	name     string
	altNames []string
	up       bool
}

func parseLink(message []byte) (link, error) {
	if len(message) < unix.SizeofIfInfomsg {
		return link{}, errors.New("short answer of rtnetlink about a device")
	}
	head := nl.DeserializeIfInfomsg(message)
	l := link{index: head.Index, up: head.Flags&unix.IFF_UP != 0}
	attrs, err := nl.ParseRouteAttr(message[unix.SizeofIfInfomsg:])
	for _, a := range attrs {
		switch a.Attr.Type &^ unix.NLA_F_NESTED {
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(a.Value)
		case unix.IFLA_PROP_LIST:
			l.altNames = append(l.altNames, parseAltNames(a.Value)...)
		}
	}
	return l, err
}

func parseAltNames(list []byte) (names []string) {
	attrs, err := nl.ParseRouteAttr(list)
	if err != nil {
		return nil
	}
	for _, a := range attrs {
		if a.Attr.Type == unix.IFLA_ALT_IFNAME {
			names = append(names, unix.ByteSliceToString(a.Value))
		}
	}
	return names
}

func (l *link) isCalled(name string) bool { return l.name == name || slices.Contains(l.altNames, name) }

func (s *routeSocket) link(name string) (link, error) {
	messages, err := s.request(unix.RTM_GETLINK, 0, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC),
		attribute{unix.IFLA_IFNAME, nl.ZeroTerminated(name)})
	if err != nil {
		return link{}, err
	}
	if len(messages) != 1 {
		return link{}, unix.ENODEV
	}
	return parseLink(messages[0])
}

func (s *routeSocket) links() ([]link, error) {
	messages, err := s.dump(unix.RTM_GETLINK, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	list := make([]link, len(messages))
	for i, m := range messages {
		if list[i], err = parseLink(m); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// setLink changes device index: a flag if any, and attributes.
func (s *routeSocket) setLink(index int32, setFlag uint32, attrs ...attribute) error {
	head := nl.NewIfInfomsg(unix.AF_UNSPEC)
	head.Index, head.Flags, head.Change = index, setFlag, setFlag
	return s.do(unix.RTM_NEWLINK, 0, head, attrs...)
}

func ifName(s string) attribute { return attribute{unix.IFLA_IFNAME, nl.ZeroTerminated(s)} }

func number(kind int, n uint32) attribute { return attribute{kind, nl.Uint32Attr(n)} }
