package libcontainer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"rt/internal/sys"
	"rt/libcontainer/seccomp"
)

// filterName is the container's compiled filter, kept for exec: its flags in 8
// bytes, then the program. The profile itself is not needed again.
const filterName = "seccomp.bpf"

func (e *entry) saveFilter(f *seccomp.Filter) error {
	if f == nil {
		return nil
	}
	fd, err := unix.Openat(int(e.f.Fd()), filterName, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(e.dir, filterName), Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, append(binary.NativeEndian.AppendUint64(nil, f.Flags), f.Prog...)); err != nil {
		return &os.PathError{Op: "write", Path: filepath.Join(e.dir, filterName), Err: err}
	}
	return nil
}

// savedFilter is the filter of a container; nil if it has none.
func (c *Container) savedFilter() (*seccomp.Filter, error) {
	data, err := sys.ReadFile(c.entry.path(filterName))
	if errors.Is(err, fs.ErrNotExist) {
		if c.record.Filtered {
			return nil, fmt.Errorf("%s is gone: nothing is executed without the container's filter", filepath.Join(c.entry.dir, filterName))
		}
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if len(data) < 16 || len(data)%8 != 0 {
		return nil, fmt.Errorf("%s is damaged", filepath.Join(c.entry.dir, filterName))
	}
	flags := binary.NativeEndian.Uint64(data)
	return &seccomp.Filter{Prog: data[8:], Flags: flags, Notify: flags&unix.SECCOMP_FILTER_FLAG_NEW_LISTENER != 0}, nil
}
