package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// An entry is a header, the key and the program:
//
//	magic    8 bytes
//	key      length, 4 bytes
//	program  length, 4 bytes
//	sum      FNV-1a of key and program, 8 bytes
//
// Numbers are in native byte order, as the program is.
const (
	magic      = "rt\x00bpf\x00\n"
	headerSize = 24
	maxEntry   = 1 << 20
)

// maxEntries bounds the directory, should somebody give every container a
// profile of its own.
const maxEntries = 64

var errEntry = errors.New("not an entry for this profile")

// cached is compile through the directory dir.
func cached(s *specs.LinuxSeccomp, dir string) ([]byte, error) {
	k, err := keyOf(s)
	if err != nil {
		return nil, err
	}
	name := k.fileName()
	if prog, err := lookup(dir, name, k); err == nil {
		return prog, nil
	}
	prog, err := compile(s)
	if err != nil {
		return nil, err
	}
	// A program that could not be kept is as good as one that was.
	_ = keep(dir, name, encode(k, prog))
	return prog, nil
}

// fileName need not be unique, see [key].
func (k key) fileName() string {
	h := fnv.New64a()
	h.Write(k)
	return strconv.FormatUint(h.Sum64(), 16)
}

// lookup reads the entry for k. Any error means that there is none.
func lookup(dir, name string, k key) ([]byte, error) {
	dirfd, err := openDir(dir)
	if err != nil {
		return nil, err
	}
	defer unix.Close(dirfd)
	fd, err := unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "openat", Path: filepath.Join(dir, name), Err: err}
	}
	defer unix.Close(fd)
	data, err := readEntry(fd)
	if err != nil {
		return nil, err
	}
	return decode(data, k)
}

// openDir opens dir if only its owner, and that is us, can write or look into
// it: programs found there become the container's filter.
func openDir(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: dir, Err: err}
	}
	if _, err := ownedBy(fd, unix.S_IFDIR, 0o077); err != nil {
		unix.Close(fd)
		return -1, &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	return fd, nil
}

// ownedBy checks that fd is of the given type, belongs to this user, and that
// its mode has none of the bits in forbidden. It returns the size.
func ownedBy(fd int, kind, forbidden uint32) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	if st.Mode&unix.S_IFMT != kind || st.Uid != uint32(os.Geteuid()) || st.Mode&forbidden != 0 {
		return 0, fs.ErrPermission
	}
	return st.Size, nil
}

func readEntry(fd int) ([]byte, error) {
	size, err := ownedBy(fd, unix.S_IFREG, 0o022)
	if err != nil {
		return nil, err
	}
	if size < headerSize || size > maxEntry {
		return nil, errEntry
	}
	data := make([]byte, size)
	n, err := unix.Pread(fd, data, 0)
	return data[:max(n, 0)], os.NewSyscallError("pread", err)
}

func encode(k key, prog []byte) []byte {
	data := append(make([]byte, 0, headerSize+len(k)+len(prog)), magic...)
	data = binary.NativeEndian.AppendUint32(data, uint32(len(k)))
	data = binary.NativeEndian.AppendUint32(data, uint32(len(prog)))
	data = binary.NativeEndian.AppendUint64(data, checksum(k, prog))
	return append(append(data, k...), prog...)
}

// decode returns the program in data if data is whole and was made for k.
func decode(data []byte, k key) ([]byte, error) {
	if len(data) < headerSize || string(data[:8]) != magic {
		return nil, errEntry
	}
	keyLen := uint64(binary.NativeEndian.Uint32(data[8:]))
	progLen := uint64(binary.NativeEndian.Uint32(data[12:]))
	body := data[headerSize:]
	if keyLen+progLen != uint64(len(body)) || progLen == 0 || progLen%insnSize != 0 {
		return nil, errEntry
	}
	prog := body[keyLen:]
	if !bytes.Equal(body[:keyLen], k) || binary.NativeEndian.Uint64(data[16:]) != checksum(k, prog) {
		return nil, errEntry
	}
	return prog, nil
}

// checksum finds damage, not malice: who can write here is the owner. Every
// step of FNV-1a is a bijection, so a change to one byte always shows.
func checksum(k key, prog []byte) uint64 {
	h := fnv.New64a()
	h.Write(k)
	h.Write(prog)
	return h.Sum64()
}

// keep stores an entry under name by temp file and rename, so that readers see
// a whole entry or none, and makes room first.
func keep(path, name string, entry []byte) error {
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	fd, err := openDir(path)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	evict(dir)
	temp := name + "." + strconv.FormatUint(rand.Uint64(), 16)
	if err := writeFile(fd, temp, entry); err != nil {
		_ = unix.Unlinkat(fd, temp, 0)
		return err
	}
	return os.NewSyscallError("renameat", unix.Renameat(fd, temp, fd, name))
}

func writeFile(dirfd int, name string, data []byte) error {
	fd, err := unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "openat", Path: name, Err: err}
	}
	file := os.NewFile(uintptr(fd), name)
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

// evict removes the oldest files until there is room for one more. Temp files
// of writers that died count like entries.
func evict(dir *os.File) {
	files, err := dir.ReadDir(-1)
	if err != nil || len(files) < maxEntries {
		return
	}
	slices.SortFunc(files, func(a, b fs.DirEntry) int { return modTime(a).Compare(modTime(b)) })
	for _, f := range files[:len(files)-maxEntries+1] {
		_ = unix.Unlinkat(int(dir.Fd()), f.Name(), 0)
	}
}

func modTime(f fs.DirEntry) time.Time {
	info, err := f.Info()
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
