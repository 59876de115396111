package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"rt/specconv"
)

// Store is the directory that holds a directory for each container, its
// --root. Each belongs to us alone (0700); what is in it:
//
//	creating.json  a first record, there from before the first side effect until the making is done
//	state.json     the record, from the birth of init on, written by rename
//	seccomp.bpf    its filter, for exec
//	start.sock     where the waiting stage takes the call of `rt start`
//	notify/        what the container sees as /run/notify: the socket of its NOTIFY_SOCKET
type Store struct {
	Root string
	Warn func(string) // told what the user should know but no command fails for, if set

	NotifySocket string // of our service manager, $NOTIFY_SOCKET; empty for none
}

const (
	creatingName  = "creating.json"
	recordName    = "state.json"
	temporaryName = "state.json.tmp"
	socketName    = "start.sock"
	cacheName     = ".cache" // compiled filters; no container id may begin with a dot-directory of ours
)

func (s *Store) warn(text string) {
	if s.Warn != nil {
		s.Warn(text)
	}
}

// NewStore names a store; it touches nothing.
func NewStore(root string) *Store { return &Store{Root: root} }

// entry is the open directory of one container; while it is held locked no
// other command changes that container.
type entry struct {
	id  string
	dir string
	f   *os.File
}

// open opens the directory of id. O_NOFOLLOW and the owner check: somebody who
// can write to the parent must not lead us to a directory of his own.
func (s *Store) open(id string) (*entry, error) {
	if err := specconv.ValidID(id); err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Root, id)
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || id == cacheName {
		return nil, fmt.Errorf("%w: %q in %s", ErrNotExist, id, s.Root)
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	e := &entry{id: id, dir: dir, f: os.NewFile(uintptr(fd), dir)}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || int(st.Uid) != os.Geteuid() {
		e.f.Close()
		return nil, fmt.Errorf("%s belongs to uid %d, not to us (%d)", dir, st.Uid, os.Geteuid())
	}
	return e, nil
}

// make creates the directory of a new container and locks it.
func (s *Store) make(id string) (*entry, error) {
	if err := specconv.ValidID(id); err != nil {
		return nil, err
	}
	err := os.Mkdir(filepath.Join(s.Root, id), 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.MkdirAll(s.Root, 0o711); err == nil {
			err = os.Mkdir(filepath.Join(s.Root, id), 0o700)
		}
	}
	if err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%w: %q in %s", ErrExist, id, s.Root)
		}
		return nil, err
	}
	e, err := s.open(id)
	if err != nil {
		return nil, err
	}
	return e, e.lock(0)
}

// lock waits up to the given time for the container's lock. The lock goes with
// the process that holds it, so a killed rt leaves none behind.
func (e *entry) lock(wait time.Duration) error {
	for end := time.Now().Add(wait); ; {
		err := unix.Flock(int(e.f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return e.stillThere()
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return &os.PathError{Op: "flock", Path: e.dir, Err: err}
		}
		if time.Now().After(end) {
			return fmt.Errorf("container %q is busy: another command holds its lock for more than %s", e.id, wait)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// unlock lets other commands change the container again, before we end.
func (e *entry) unlock() { _ = unix.Flock(int(e.f.Fd()), unix.LOCK_UN) } // cannot fail on an fd that holds the lock

// stillThere: whoever held the lock before may have deleted the container.
func (e *entry) stillThere() error {
	var st unix.Stat_t
	if err := unix.Fstat(int(e.f.Fd()), &st); err != nil || st.Nlink == 0 {
		return fmt.Errorf("%w: %q", ErrNotExist, e.id)
	}
	return nil
}

// path names a file of the entry by its fd: it stays right, and short enough for a socket's address.
func (e *entry) path(name string) string {
	return "/proc/self/fd/" + strconv.Itoa(int(e.f.Fd())) + "/" + name
}

func (e *entry) close() { e.f.Close() }

// remove deletes the directory and what rt put there.
func (e *entry) remove() error {
	for _, name := range []string{socketName, creatingName, recordName, temporaryName, filterName} {
		if err := unix.Unlinkat(int(e.f.Fd()), name, 0); err != nil && err != unix.ENOENT {
			return &os.PathError{Op: "unlink", Path: filepath.Join(e.dir, name), Err: err}
		}
	}
	if err := unix.Rmdir(e.dir); err != nil && err != unix.ENOENT {
		return os.RemoveAll(e.dir)
	}
	return nil
}

// IDs lists the containers of the store, sorted. A missing store is fs.ErrNotExist.
func (s *Store) IDs() ([]string, error) {
	entries, err := os.ReadDir(s.Root)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, e := range entries {
		if e.IsDir() && e.Name() != cacheName && specconv.ValidID(e.Name()) == nil {
			ids = append(ids, e.Name())
		}
	}
	sort.Strings(ids)
	return ids, nil
}

// Get loads one container.
func (s *Store) Get(id string) (*Container, error) {
	e, err := s.open(id)
	if err != nil {
		return nil, err
	}
	return s.load(e)
}

func (s *Store) load(e *entry) (*Container, error) {
	r, err := e.read()
	if err != nil {
		e.close()
		return nil, err
	}
	return &Container{store: s, entry: e, record: *r}, nil
}

// States computes the state of every container, one at a time; those that vanish
// meanwhile or have no record are left out.
func (s *Store) States() ([]State, error) {
	ids, err := s.IDs()
	if err != nil {
		return nil, err
	}
	var all []State
	for _, id := range ids {
		state, err := s.state(id)
		if errors.Is(err, ErrNotExist) || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, state)
	}
	return all, nil
}

func (s *Store) state(id string) (State, error) {
	c, err := s.Get(id)
	if err != nil {
		return State{}, err
	}
	defer c.entry.close()
	return c.State()
}
