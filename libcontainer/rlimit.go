package libcontainer

import (
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/specconv"
)

// raiseLimit lifts the hard limit of a process of ours to what the config asks
// for, if it is below. Init has inherited our limits: its own can't be asked
// for once it is another user.
func raiseLimit(pid int, l specs.POSIXRlimit) error {
	n, ok := specconv.RlimitNumber(l.Type)
	if !ok {
		return fmt.Errorf("unknown limit %q", l.Type)
	}
	var now unix.Rlimit
	if err := unix.Prlimit(0, n, nil, &now); err != nil {
		return os.NewSyscallError("prlimit", err)
	}
	if l.Hard <= now.Max {
		return nil
	}
	now.Max = l.Hard
	return os.NewSyscallError("prlimit", unix.Prlimit(pid, n, &now, nil))
}
