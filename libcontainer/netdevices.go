package libcontainer

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"rt/libcontainer/netdev"
	"rt/nsenter"
)

// netDevicesStep comes before the hooks, which may look for the devices, and before the sysctls that name them.
func (c *compiler) netDevicesStep() {
	if c.spec.Linux == nil || len(c.spec.Linux.NetDevices) == 0 {
		return
	}
	var words []string
	for _, host := range slices.Sorted(maps.Keys(c.spec.Linux.NetDevices)) {
		if inside := c.spec.Linux.NetDevices[host].Name; inside != "" && inside != host {
			host += " as " + inside
		}
		words = append(words, host)
	}
	c.plan.Add(nsenter.Ask("linux.netDevices", "let rt move "+strings.Join(words, ", ")+" into the network namespace", nsenter.AskNetDevices))
}

// moveNetDevices is done by the parent: it takes rights over both namespaces, and the devices' host side.
func (b *birth) moveNetDevices() (err error) {
	b.netDevices, err = netdev.Open("/proc/" + strconv.Itoa(b.record.Pid) + "/ns/net")
	if err != nil {
		return fmt.Errorf("linux.netDevices: %w", err)
	}
	for _, host := range slices.Sorted(maps.Keys(b.spec.Linux.NetDevices)) {
		if err := b.netDevices.Move(host, b.spec.Linux.NetDevices[host].Name); err != nil {
			return fmt.Errorf("linux.netDevices[%q]: %w", host, err)
		}
	}
	return nil
}

// returnNetDevices undoes the moves of a container that was not made: with its
// namespace the kernel would destroy virtual devices and leave others renamed.
func (b *birth) returnNetDevices() {
	if err := b.netDevices.GiveBack(); err != nil {
		b.store.warn("linux.netDevices: " + err.Error())
	}
}
