package netdev

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// address is an address of a device in the kernel's own words, so that it can
// be given to the device again as it was.
type address struct {
	head  nl.IfAddrmsg
	attrs []attribute
	local netip.Prefix // for messages
}

// addresses are those of device index that must survive a move: permanent and
// of global scope. Others (link-local ones, leases with an end) are made by the
// new namespace or by whoever manages it.
func (s *routeSocket) addresses(index int32) ([]address, error) {
	messages, err := s.dump(unix.RTM_GETADDR, unix.RTM_NEWADDR, nl.NewIfAddrmsg(unix.AF_UNSPEC))
	if err != nil {
		return nil, err
	}
	var list []address
	for _, m := range messages {
		if len(m) < unix.SizeofIfAddrmsg {
			return nil, errors.New("short answer of rtnetlink about an address")
		}
		head := nl.DeserializeIfAddrmsg(m)
		if head.Index != uint32(index) || head.Scope != unix.RT_SCOPE_UNIVERSE {
			continue
		}
		a, permanent, err := parseAddress(*head, m[unix.SizeofIfAddrmsg:])
		if err != nil {
			return nil, err
		}
		if permanent {
			list = append(list, a)
		}
	}
	return list, nil
}

// ifaProto is IFA_PROTO of linux/if_addr.h: who has added the address.
const ifaProto = 11

// givenFlags are those of an address that whoever adds it chooses; the others are its state.
const givenFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN

func parseAddress(head nl.IfAddrmsg, body []byte) (a address, permanent bool, err error) {
	attrs, err := nl.ParseRouteAttr(body)
	if err != nil {
		return a, false, err
	}
	flags := uint32(head.Flags) // older than IFA_FLAGS, and cut to eight bits
	for _, r := range attrs {
		switch kind := int(r.Attr.Type); kind {
		case unix.IFA_FLAGS:
			flags = nl.NativeEndian().Uint32(r.Value)
		case unix.IFA_LOCAL, unix.IFA_ADDRESS:
			a.note(kind, r.Value)
			a.attrs = append(a.attrs, attribute{kind, r.Value})
		case unix.IFA_BROADCAST, unix.IFA_RT_PRIORITY, ifaProto:
			a.attrs = append(a.attrs, attribute{kind, r.Value})
		}
	}
	a.local = netip.PrefixFrom(a.local.Addr(), int(head.Prefixlen))
	a.head = head
	a.head.Flags = 0
	a.attrs = append(a.attrs, number(unix.IFA_FLAGS, flags&givenFlags))
	return a, flags&unix.IFA_F_PERMANENT != 0, nil
}

// note keeps the address itself: IFA_LOCAL, or IFA_ADDRESS where that is not the peer's.
func (a *address) note(kind int, value []byte) {
	ip, ok := netip.AddrFromSlice(value)
	if ok && (kind == unix.IFA_LOCAL || !a.local.Addr().IsValid()) {
		a.local = netip.PrefixFrom(ip, ip.BitLen())
	}
}

// addAddresses gives device index the addresses, in their order: the first of a subnet is its primary one.
func (s *routeSocket) addAddresses(index int32, list []address) error {
	for _, a := range list {
		head := a.head
		head.Index = uint32(index)
		if err := s.do(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, &head, a.attrs...); err != nil {
			return fmt.Errorf("add address %s: %w", a.local, err)
		}
	}
	return nil
}
