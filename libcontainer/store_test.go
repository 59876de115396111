package libcontainer

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/cgroups"
	"rt/libcontainer/intelrdt"
	"rt/nsenter"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	return NewStore(filepath.Join(t.TempDir(), "run", "rt"))
}

func (s *Store) mustMake(t *testing.T, id string) *entry {
	t.Helper()
	e, err := s.make(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return e
}

func (s *Store) mustOpen(t *testing.T, id string) *entry {
	t.Helper()
	e, err := s.open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.close)
	return e
}

// aRecord is a record with every field.
func aRecord(id string) *record {
	return &record{Version: recordVersion, OCIVersion: "1.2.0", ID: id, Bundle: `/b "é"\`, Rootfs: "/b/r", Created: "2026-01-02T03:04:05.000000006Z",
		Pid: 77, StartTime: 1 << 60, OwnPidNS: true, Cgroup: onHybrid, CgroupPaths: onHybrid.Paths, Annotations: map[string]string{"a": "1", "": "é"},
		Hooks: saveHooks(&specs.Hooks{Poststop: []specs.Hook{{Path: "/h", Args: []string{"h"}, Env: []string{"A=1"}, Timeout: ptr(3)}, {Path: "/e", Env: []string{}}, {Path: "/n"}}}), Filtered: true,
		Listener: &listener{Path: "/s", Metadata: "m"}, IntelRdt: &intelrdt.Group{Mount: "/m", Dir: "/m/c", Own: true, Monitor: "/m/c/mon"}, CPUShares: ptr(uint64(5)),
		Guests: guestDefaults{ApparmorProfile: "a", SelinuxLabel: "s", OOMScoreAdj: ptr(-5), Scheduler: &specs.Scheduler{Policy: specs.SchedBatch, Nice: -3},
			IOPriority: &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 3}, ExecCPUAffinity: &specs.CPUAffinity{Final: "0"},
			Personality: &specs.LinuxPersonality{Domain: specs.PerLinux32}, MemoryPolicy: &specs.LinuxMemoryPolicy{Mode: specs.MpolLocal}, NoNewKeyring: true},
		FirstLate: 9, Late: []lateStep{{Op: nsenter.OpExec, From: "process.args", What: "execute sh", Name: "sh"}}}
}

// A field that is new is written, too: the record names its fields one by one.
func TestRecordIsWhole(t *testing.T) {
	r := aRecord("c")
	for name, v := range map[string]reflect.Value{"record": reflect.ValueOf(*r), "record.Guests": reflect.ValueOf(r.Guests), "record.Late[0]": reflect.ValueOf(r.Late[0])} {
		for i := range v.NumField() {
			if f := v.Type().Field(i); v.Field(i).IsZero() && f.Tag.Get("json") != "-" {
				t.Errorf("aRecord has nothing in %s.%s, so no test sees whether it is kept", name, f.Name)
			}
		}
	}
}

func TestRecordRoundTrip(t *testing.T) {
	s := newStore(t)
	e := s.mustMake(t, "c")
	if _, err := e.read(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without any record: %v", err)
	}
	want := aRecord("c")
	want.Creating = true
	if err := e.announce(want); err != nil {
		t.Fatal(err)
	}
	// Enough to undo the making.
	same(t, "announced", s, &record{Version: recordVersion, OCIVersion: want.OCIVersion, ID: want.ID, Bundle: want.Bundle, Rootfs: want.Rootfs,
		Created: want.Created, Creating: true, Cgroup: want.Cgroup, IntelRdt: want.IntelRdt})
	if err := e.write(want); err != nil {
		t.Fatal(err)
	}
	same(t, "born", s, want)
	want.Creating = false
	if err := errors.Join(e.settle(), e.settle()); err != nil {
		t.Fatal(err)
	}
	same(t, "settled", s, want)
	want.Annotations = nil
	if err := e.write(want); err != nil {
		t.Fatal(err)
	}
	same(t, "written again", s, want)
	if left, _ := filepath.Glob(e.dir + "/*.tmp"); len(left) > 0 {
		t.Errorf("%q is left", left)
	}
}

func same(t *testing.T, when string, s *Store, want *record) {
	t.Helper()
	got, err := s.mustOpen(t, want.ID).read()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(record{})); diff != "" {
		t.Errorf("%s: %s", when, diff)
	}
}

func TestRecordIsPrivate(t *testing.T) {
	e := newStore(t).mustMake(t, "c")
	if err := e.write(aRecord("c")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{e.dir: os.ModeDir | 0o700, filepath.Join(e.dir, recordName): 0o600} {
		if st, err := os.Stat(path); err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v", path, st.Mode(), err)
		}
	}
}

func TestRecordRefused(t *testing.T) {
	s := newStore(t)
	e := s.mustMake(t, "c")
	file := filepath.Join(e.dir, recordName)
	for text, want := range map[string]string{
		`{"version":2,"id":"c"}`:     `a record of version 2 for "c" is not ours`,
		`{"id":"c"}`:                 `a record of version 0 for "c" is not ours`,
		`{"version":1,"id":"other"}`: `a record of version 1 for "other" is not ours`,
		`{"version":1,"id":"c"`:      "the text ends where",
		``:                           "the file is empty",
		`[]`:                         "an array is where an object has to be",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := e.read(); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	os.Remove(file)
	elsewhere := filepath.Join(t.TempDir(), "state.json")
	if err := errors.Join(os.WriteFile(elsewhere, []byte(`{"version":1,"id":"c"}`), 0o600), os.Symlink(elsewhere, file)); err != nil {
		t.Fatal(err)
	}
	if r, err := e.read(); err == nil {
		t.Errorf("a record behind a link is read: %v", r)
	}
}

func TestStoreMake(t *testing.T) {
	s := newStore(t)
	if ids, err := s.IDs(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a store that is not there lists %q, %v", ids, err)
	}
	s.mustMake(t, "b").close()
	s.mustMake(t, "a").close()
	if _, err := s.make("a"); !errors.Is(err, ErrExist) {
		t.Errorf("made twice: %v", err)
	}
	for _, id := range []string{"", "..", ".", "a/b", "a b", "../x", strings.Repeat("x", 5000)} {
		if _, err := s.make(id); err == nil {
			t.Errorf("%q is made", id)
		}
		if _, err := s.open(id); err == nil || errors.Is(err, ErrNotExist) {
			t.Errorf("%q is opened: %v", id, err)
		}
	}
	if err := errors.Join(os.Mkdir(filepath.Join(s.Root, cacheName), 0o700), os.WriteFile(filepath.Join(s.Root, "file"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if ids, err := s.IDs(); err != nil || !slices.Equal(ids, []string{"a", "b"}) {
		t.Errorf("it lists %q, %v", ids, err)
	}
	if _, err := s.open(cacheName); err == nil {
		t.Error("the cache is a container")
	}
	if _, err := s.Get("none"); !errors.Is(err, ErrNotExist) {
		t.Errorf("none: %v", err)
	}
}

// Somebody who can write to the store's parent must not lead us to another directory.
func TestStoreFollowsNoLink(t *testing.T) {
	s := newStore(t)
	s.mustMake(t, "real")
	if err := os.Symlink("real", filepath.Join(s.Root, "link")); err != nil {
		t.Fatal(err)
	}
	if e, err := s.open("link"); err == nil || errors.Is(err, ErrNotExist) {
		t.Errorf("a link is opened: %v, %v", e, err)
	}
	if err := s.Delete("link", true); err == nil {
		t.Error("a link is deleted as a container")
	}
	if _, err := os.Stat(filepath.Join(s.Root, "real")); err != nil {
		t.Error(err)
	}
	if os.Geteuid() != 0 {
		return // only root can give a directory away
	}
	if err := os.Chown(filepath.Join(s.Root, "real"), 65534, 65534); err != nil {
		t.Fatal(err)
	}
	if _, err := s.open("real"); err == nil || !strings.Contains(err.Error(), "belongs to uid 65534, not to us (0)") {
		t.Errorf("another user's directory: %v", err)
	}
}

func TestLock(t *testing.T) {
	s := newStore(t)
	first := s.mustMake(t, "c") // locked
	second := s.mustOpen(t, "c")
	begin := time.Now()
	if err := second.lock(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), `container "c" is busy`) {
		t.Errorf("locked twice: %v", err)
	}
	if took := time.Since(begin); took < 50*time.Millisecond || took > 5*time.Second {
		t.Errorf("waiting for 50 ms took %s", took)
	}
	time.AfterFunc(30*time.Millisecond, first.close)
	if err := second.lock(5 * time.Second); err != nil {
		t.Errorf("after it was given up: %v", err)
	}
	if err := second.lock(0); err != nil {
		t.Errorf("locked again by its holder: %v", err)
	}
}

// Who waited for a container's lock while it was deleted gets no container.
func TestLockOfWhatIsGone(t *testing.T) {
	s := newStore(t)
	first := s.mustMake(t, "c")
	second := s.mustOpen(t, "c")
	if err := first.remove(); err != nil {
		t.Fatal(err)
	}
	again := s.mustMake(t, "c") // another one of the same name is another one
	first.close()
	if err := second.lock(time.Second); !errors.Is(err, ErrNotExist) {
		t.Errorf("locked: %v", err)
	}
	if err := again.stillThere(); err != nil {
		t.Error(err)
	}
}

func TestRemove(t *testing.T) {
	s := newStore(t)
	e := s.mustMake(t, "c")
	for _, name := range []string{socketName, creatingName, recordName, temporaryName, "something else", "dir/file"} {
		path := filepath.Join(e.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(e.remove(), e.remove()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(e.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

func TestDeleteWhatIsHalfThere(t *testing.T) {
	for name, prepare := range map[string]func(*entry) error{
		"an empty directory": func(*entry) error { return nil },
		"announced": func(e *entry) error {
			return e.announce(&record{Version: recordVersion, ID: e.id, Cgroup: cgroups.State{Mode: cgroups.Disabled}})
		},
		"a record that is cut off": func(e *entry) error { return os.WriteFile(filepath.Join(e.dir, recordName), []byte(`{"ver`), 0o600) },
		"a temporary file only":    func(e *entry) error { return os.WriteFile(filepath.Join(e.dir, temporaryName), []byte(`{"ver`), 0o600) },
	} {
		s := newStore(t)
		e := s.mustMake(t, "c")
		if err := prepare(e); err != nil {
			t.Fatal(err)
		}
		e.close()
		for range 2 {
			if err := s.Delete("c", true); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if ids, err := s.IDs(); err != nil || len(ids) > 0 {
			t.Errorf("%s: %q, %v", name, ids, err)
		}
		if err := s.Delete("c", false); !errors.Is(err, ErrNotExist) {
			t.Errorf("%s: without force: %v", name, err)
		}
	}
}

func TestStatesLeaveOutWhatHasNoRecord(t *testing.T) {
	s := newStore(t)
	s.mustMake(t, "empty")
	e := s.mustMake(t, "stopped")
	r := aRecord("stopped")
	r.Pid, r.StartTime, r.Cgroup = os.Getpid(), 1, cgroups.State{Mode: cgroups.Disabled} // the pid is somebody else's by now
	if err := e.write(r); err != nil {
		t.Fatal(err)
	}
	all, err := s.States()
	if err != nil || len(all) != 1 || all[0].ID != "stopped" || all[0].Status != Stopped || all[0].Pid != 0 {
		t.Errorf("%+v, %v", all, err)
	}
}

// An empty environment is asked for, none means ours: the record must not make one of the other.
func TestHooksKeepTheirEnvironment(t *testing.T) {
	list := []specs.Hook{{Path: "/empty", Env: []string{}}, {Path: "/none"}, {Path: "/one", Env: []string{"A=1"}}}
	data, err := json.Marshal(saveHooks(&specs.Hooks{Poststop: list}))
	if err != nil {
		t.Fatal(err)
	}
	var saved savedHooks
	if err := json.Unmarshal(data, &saved); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(list, hookList(saved.Poststop)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}
