package seccomp

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// small is a profile with every part that a key is made of.
func small() *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: ret(1),
		Architectures: []specs.Arch{native0()},
		Syscalls: []specs.LinuxSyscall{
			{Names: []string{"read", "write"}, Action: specs.ActAllow},
			{Names: []string{"bpf"}, Action: specs.ActErrno, ErrnoRet: ret(2)},
			{Names: []string{"ioctl"}, Action: specs.ActErrno, ErrnoRet: ret(3),
				Args: []specs.LinuxSeccompArg{{Index: 1, Value: 5, ValueTwo: 6, Op: specs.OpMaskedEqual}}},
		},
	}
}

func native0() specs.Arch {
	list, _ := profileArchs(&specs.LinuxSeccomp{})
	return list[0].word
}

func mustKey(t *testing.T, s *specs.LinuxSeccomp) key {
	t.Helper()
	k, err := keyOf(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// Two profiles that differ in anything that changes the program never share a
// key. One errnoRet, and fields without separators, were what another
// runtime's cache forgot.
func TestKeysDiffer(t *testing.T) {
	base := mustKey(t, small())
	if !bytes.Equal(base, mustKey(t, small())) {
		t.Fatal("the key of one profile is not stable")
	}
	for name, change := range map[string]func(*specs.LinuxSeccomp){
		"one errnoRet":           func(s *specs.LinuxSeccomp) { s.Syscalls[1].ErrnoRet = ret(4) },
		"errnoRet gone":          func(s *specs.LinuxSeccomp) { s.Syscalls[1].ErrnoRet = nil },
		"errnoRet 0":             func(s *specs.LinuxSeccomp) { s.Syscalls[1].ErrnoRet = ret(0) },
		"defaultErrnoRet":        func(s *specs.LinuxSeccomp) { s.DefaultErrnoRet = ret(2) },
		"defaultErrnoRet gone":   func(s *specs.LinuxSeccomp) { s.DefaultErrnoRet = nil },
		"defaultAction":          func(s *specs.LinuxSeccomp) { s.DefaultAction = specs.ActTrace },
		"architecture gone":      func(s *specs.LinuxSeccomp) { s.Architectures = nil },
		"name moved":             func(s *specs.LinuxSeccomp) { s.Syscalls[0].Names = []string{"readwrite"} },
		"letter moved":           func(s *specs.LinuxSeccomp) { s.Syscalls[0].Names = []string{"readw", "rite"} },
		"name order":             func(s *specs.LinuxSeccomp) { s.Syscalls[0].Names = []string{"write", "read"} },
		"name to the next entry": func(s *specs.LinuxSeccomp) { s.Syscalls[0].Names = nil; s.Syscalls[1].Names = []string{"read"} },
		"entry gone":             func(s *specs.LinuxSeccomp) { s.Syscalls = s.Syscalls[1:] },
		"action":                 func(s *specs.LinuxSeccomp) { s.Syscalls[0].Action = specs.ActLog },
		"arg index":              func(s *specs.LinuxSeccomp) { s.Syscalls[2].Args[0].Index = 2 },
		"arg value":              func(s *specs.LinuxSeccomp) { s.Syscalls[2].Args[0].Value = 7 },
		"arg valueTwo":           func(s *specs.LinuxSeccomp) { s.Syscalls[2].Args[0].ValueTwo = 7 },
		"arg op":                 func(s *specs.LinuxSeccomp) { s.Syscalls[2].Args[0].Op = specs.OpEqualTo },
		"args gone":              func(s *specs.LinuxSeccomp) { s.Syscalls[2].Args = nil },
	} {
		s := small()
		change(s)
		if k := mustKey(t, s); bytes.Equal(k, base) || k.fileName() == base.fileName() {
			t.Errorf("%s: same key", name)
		}
	}
}

// The key must follow the types: a new field changes what a profile means.
func TestKeyKnowsAllFields(t *testing.T) {
	for typ, want := range map[reflect.Type]int{
		reflect.TypeFor[specs.LinuxSeccomp]():    7,
		reflect.TypeFor[specs.LinuxSyscall]():    4,
		reflect.TypeFor[specs.LinuxSeccompArg](): 4,
	} {
		if n := typ.NumField(); n != want {
			t.Errorf("%v has %d fields, keyOf was written for %d", typ, n, want)
		}
	}
}

// The table is ours, so libseccomp's version does not tell that it changed.
func TestTableBelongsToFormat(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the sum below is for little endian")
	}
	s := small()
	p, err := parse(s)
	check(t, err)
	front, err := table(s, p, archs[:3])
	check(t, err)
	if got := checksum(nil, front); formatVersion != 1 || got != 0x3fded72e5d2c8c56 {
		t.Errorf("the table's sum is now %#x: raise formatVersion and change this test", got)
	}
}

func mustLoad(t *testing.T, s *specs.LinuxSeccomp, dir string) *Filter {
	t.Helper()
	f, err := Load(s, dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// entries lists the names in a cache directory.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}

// filled is a cache that holds the entry for small, and that entry's path.
func filled(t *testing.T) (dir, entry string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "cache")
	mustLoad(t, small(), dir)
	names := entries(t, dir)
	if len(names) != 1 {
		t.Fatalf("the cache holds %v, want one entry", names)
	}
	return dir, filepath.Join(dir, names[0])
}

func TestLoadMakesPrivateFiles(t *testing.T) {
	dir, entry := filled(t)
	for path, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, entry: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want mode %v", path, info.Mode(), err, want)
		}
	}
}

func TestLoadEqualsCompile(t *testing.T) {
	dir, _ := filled(t)
	if got, want := mustLoad(t, small(), dir), mustCompile(t, small()); !reflect.DeepEqual(got, want) {
		t.Errorf("a cached filter differs from a compiled one:\n%v\n%v", got, want)
	}
}

// A warm Load reads the program and does not compile: it returns a program that
// no compiler would make.
func TestLoadUsesEntry(t *testing.T) {
	dir, entry := filled(t)
	marker := odd()
	if err := os.WriteFile(entry, encode(mustKey(t, small()), marker), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := mustLoad(t, small(), dir); !bytes.Equal(got.Prog, marker) {
		t.Errorf("Load compiled although there was an entry")
	}
}

// odd is a program that no profile compiles to.
func odd() []byte {
	var a assembler
	a.emit(insn{code: unix.BPF_RET, k: 0x12345678})
	return a.bytes()
}

// Flags come from the profile and the kernel, not from the entry.
func TestLoadKeepsFlagsApart(t *testing.T) {
	dir, _ := filled(t)
	s := small()
	s.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog}
	if got := mustLoad(t, s, dir); got.Flags != unix.SECCOMP_FILTER_FLAG_LOG {
		t.Errorf("flags %#x", got.Flags)
	}
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("profiles that differ in flags have entries %v", names)
	}
	s.Flags[0] = "BOGUS"
	if _, err := Load(s, dir); err == nil {
		t.Errorf("a warm cache hides an unknown flag")
	}
}

func TestDamagedEntries(t *testing.T) {
	k := mustKey(t, small())
	good := encode(k, mustCompile(t, small()).Prog)
	if _, err := decode(good, k); err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := decode(good[:n], k); err == nil {
			t.Fatalf("an entry cut to %d of %d bytes is taken", n, len(good))
		}
		for bit := range 8 {
			bad := bytes.Clone(good)
			bad[n] ^= 1 << bit
			if _, err := decode(bad, k); err == nil {
				t.Fatalf("an entry with bit %d of byte %d flipped is taken", bit, n)
			}
		}
	}
	if _, err := decode(append(bytes.Clone(good), 0), k); err == nil {
		t.Error("an entry with a byte more is taken")
	}
}

// Load repairs what it cannot use.
func TestLoadRepairs(t *testing.T) {
	other := small()
	other.Syscalls[1].ErrnoRet = ret(99)
	for name, damage := range map[string]func(t *testing.T, entry string){
		"empty":  func(t *testing.T, entry string) { check(t, os.Truncate(entry, 0)) },
		"short":  func(t *testing.T, entry string) { check(t, os.Truncate(entry, headerSize+5)) },
		"huge":   func(t *testing.T, entry string) { check(t, os.Truncate(entry, 1<<40)) },
		"a fifo": func(t *testing.T, entry string) { check(t, os.Remove(entry)); check(t, unix.Mkfifo(entry, 0o600)) },
		"symlink": func(t *testing.T, entry string) {
			check(t, os.Rename(entry, entry+".x"))
			check(t, os.Symlink(entry+".x", entry))
		},
		"another profile's": func(t *testing.T, entry string) { // as if their hashes were equal
			check(t, os.WriteFile(entry, encode(mustKey(t, other), mustCompile(t, other).Prog), 0o600))
		},
		"writable by others": func(t *testing.T, entry string) {
			check(t, os.WriteFile(entry, encode(mustKey(t, small()), make([]byte, 8)), 0o600))
			check(t, os.Chmod(entry, 0o666))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, entry := filled(t)
			want, err := os.ReadFile(entry)
			check(t, err)
			damage(t, entry)
			if got := mustLoad(t, small(), dir); !bytes.Equal(got.Prog, mustCompile(t, small()).Prog) {
				t.Error("Load returned another program")
			}
			info, err := os.Lstat(entry)
			check(t, err)
			if got, err := os.ReadFile(entry); info.Mode() != 0o600 || err != nil || !bytes.Equal(got, want) {
				t.Errorf("the entry is not repaired: mode %v, %v", info.Mode(), err)
			}
		})
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A directory that others can reach is neither read nor written.
func TestForeignDirectory(t *testing.T) {
	for name, lay := range map[string]func(t *testing.T, dir string) string{
		"mode 0755": func(t *testing.T, dir string) string { check(t, os.Chmod(dir, 0o755)); return dir },
		"symlink":   func(t *testing.T, dir string) string { check(t, os.Symlink(dir, dir+".l")); return dir + ".l" },
		"a file": func(t *testing.T, dir string) string {
			check(t, os.WriteFile(dir+".f", nil, 0o600))
			return dir + ".f"
		},
		"no parent": func(t *testing.T, dir string) string { return filepath.Join(dir, "no", "such") },
	} {
		t.Run(name, func(t *testing.T) {
			dir, entry := filled(t)
			marker := odd()
			check(t, os.WriteFile(entry, encode(mustKey(t, small()), marker), 0o600))
			path := lay(t, dir)
			if got := mustLoad(t, small(), path); bytes.Equal(got.Prog, marker) {
				t.Error("Load used an entry from there")
			}
			other := small()
			other.DefaultErrnoRet = ret(77)
			mustLoad(t, other, path)
			if names := entries(t, dir); len(names) != 1 {
				t.Errorf("Load wrote there: %v", names)
			}
		})
	}
}

func TestForeignOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give files away")
	}
	for _, what := range []string{"directory", "entry"} {
		dir, entry := filled(t)
		marker := odd()
		check(t, os.WriteFile(entry, encode(mustKey(t, small()), marker), 0o600))
		if what == "directory" {
			check(t, os.Chown(dir, 12345, 0))
		} else {
			check(t, os.Chown(entry, 12345, 0))
		}
		if got := mustLoad(t, small(), dir); bytes.Equal(got.Prog, marker) {
			t.Errorf("Load used an entry although the %s belongs to somebody else", what)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	s := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow,
		Syscalls: []specs.LinuxSyscall{{Names: []string{"bpf"}, Action: specs.ActErrno}}}
	for n := range uint(maxEntries + 10) {
		s.Syscalls[0].ErrnoRet = ret(n)
		mustLoad(t, s, dir)
	}
	if n := len(entries(t, dir)); n != maxEntries {
		t.Errorf("%d entries, want %d", n, maxEntries)
	}
	if _, err := lookup(dir, mustKey(t, s).fileName(), mustKey(t, s)); err != nil {
		t.Errorf("the newest entry was evicted: %v", err)
	}
}

func TestLoadInParallel(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cache")
	want := mustCompile(t, small())
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 20 {
				if got, err := Load(small(), dir); err != nil || !reflect.DeepEqual(got, want) {
					t.Errorf("got %v, %v", got, err)
				}
			}
		})
	}
	group.Wait()
	if names := entries(t, dir); len(names) != 1 {
		t.Errorf("left over: %v", names)
	}
}

func BenchmarkLoadWarm(b *testing.B) {
	s := profile(b, filepath.Join(configs, "docker-default.json"))
	dir := filepath.Join(b.TempDir(), "cache")
	for b.Loop() {
		if _, err := Load(s, dir); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	s := profile(b, filepath.Join(configs, "docker-default.json"))
	for b.Loop() {
		if _, err := Compile(s); err != nil {
			b.Fatal(err)
		}
	}
}
