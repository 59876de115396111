package libcontainer

import (
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseInterfaces(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0
  eth0: 5131862    4095    1    2    0     0          0         7   412345    3021    3    4    0     0       0          0
verylongname15:99 1 0 0 0 0 0 0 88 2 0 0 0 0 0 0
`
	want := []NetworkInterface{
		{Name: "lo"},
		{"eth0", 5131862, 4095, 1, 2, 412345, 3021, 3, 4},
		{"verylongname15", 99, 1, 0, 0, 88, 2, 0, 0},
	}
	got, err := parseInterfaces(text)
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for _, bad := range []string{"eth0: 1 2 3\n", "eth0: 1 2 x 4 5 6 7 8 9 10 11 12\n"} {
		if _, err := parseInterfaces(bad); err == nil {
			t.Errorf("%q is understood", bad)
		}
	}
}

// Our own devices are not the container's.
func TestInterfacesOfASharedNamespace(t *testing.T) {
	if got, err := interfaces(os.Getpid()); err != nil || got != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := interfaces(1 << 30); err == nil {
		t.Error("no error for a process that does not exist")
	}
}
