package sys

import (
	"sync"

	"golang.org/x/sys/unix"
)

// initialUserNS is the inode number of the first user namespace on every
// kernel: PROC_USER_INIT_INO of include/linux/proc_ns.h.
const initialUserNS = 0xEFFFFFFD

var userNS struct {
	sync.Once
	own bool
}

// InUserNamespace tells whether we are in another user namespace than the first; false when /proc cannot tell.
func InUserNamespace() bool {
	userNS.Do(func() {
		var st unix.Stat_t
		userNS.own = unix.Stat("/proc/self/ns/user", &st) == nil && st.Ino != initialUserNS
	})
	return userNS.own
}
