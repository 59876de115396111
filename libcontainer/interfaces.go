package libcontainer

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// NetworkInterface counts what a network device has received and sent. The JSON names are those that callers of
// runc read: Go's own.
type NetworkInterface struct {
	Name      string
	RxBytes   uint64
	RxPackets uint64
	RxErrors  uint64
	RxDropped uint64
	TxBytes   uint64
	TxPackets uint64
	TxErrors  uint64
	TxDropped uint64
}

// interfaces lists the devices in the network namespace of a process; none when that is our own, whose traffic
// is not the container's alone.
func interfaces(pid int) ([]NetworkInterface, error) {
	theirs := "/proc/" + strconv.Itoa(pid)
	same, err := sameFile(theirs+"/ns/net", "/proc/self/ns/net")
	if err != nil || same {
		return nil, err
	}
	name := theirs + "/net/dev"
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	list, err := parseInterfaces(string(text))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return list, nil
}

func sameFile(a, b string) (bool, error) {
	var st [2]unix.Stat_t
	for i, name := range []string{a, b} {
		if err := unix.Stat(name, &st[i]); err != nil {
			return false, &os.PathError{Op: "stat", Path: name, Err: err}
		}
	}
	return st[0].Dev == st[1].Dev && st[0].Ino == st[1].Ino, nil
}

// parseInterfaces understands /proc/net/dev: two lines of heading, then a line for each device, with eight
// counters of each direction after its name (proc_pid_net(5)).
func parseInterfaces(text string) ([]NetworkInterface, error) {
	var list []NetworkInterface
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(line, ":")
		if !ok {
			continue // the heading
		}
		n := make([]uint64, 0, 16)
		for field := range strings.FieldsSeq(rest) {
			value, err := strconv.ParseUint(field, 10, 64)
			if err != nil {
				return nil, err
			}
			n = append(n, value)
		}
		if len(n) < 12 {
			return nil, fmt.Errorf("cannot understand line %q", line)
		}
		list = append(list, NetworkInterface{
			Name:    strings.TrimSpace(name),
			RxBytes: n[0], RxPackets: n[1], RxErrors: n[2], RxDropped: n[3],
			TxBytes: n[8], TxPackets: n[9], TxErrors: n[10], TxDropped: n[11],
		})
	}
	return list, nil
}
