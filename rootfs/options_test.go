package rootfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestParseOptions(t *testing.T) {
	const (
		ro, nosuid, nodev, noexec = unix.MOUNT_ATTR_RDONLY, unix.MOUNT_ATTR_NOSUID, unix.MOUNT_ATTR_NODEV, unix.MOUNT_ATTR_NOEXEC
		nodiratime, nosymfollow   = unix.MOUNT_ATTR_NODIRATIME, unix.MOUNT_ATTR_NOSYMFOLLOW
		atime                     = unix.MOUNT_ATTR__ATIME
		noatime, strictatime      = unix.MOUNT_ATTR_NOATIME, unix.MOUNT_ATTR_STRICTATIME
	)
	for _, test := range []struct {
		opts string
		want Options
	}{
		{"", Options{}},
		{"defaults", Options{}},
		{"ro", Options{Set: ro, SB: []string{"ro"}}},
		{"rw", Options{Clear: ro, SBClear: []string{"rw"}}},
		{"ro rw", Options{Clear: ro, SB: []string{}, SBClear: []string{"rw"}}},
		{"rw ro", Options{Set: ro, SB: []string{"ro"}, SBClear: []string{}}},
		{"ro defaults", Options{Set: ro, SB: []string{"ro"}}},
		{"ro ro", Options{Set: ro, SB: []string{"ro"}}},
		{"nosuid nodev noexec nodiratime nosymfollow", Options{Set: nosuid | nodev | noexec | nodiratime | nosymfollow}},
		{"suid dev exec diratime symfollow", Options{Clear: nosuid | nodev | noexec | nodiratime | nosymfollow}},
		{"nosuid suid noexec", Options{Set: noexec, Clear: nosuid}},

		{"noatime", Options{Set: noatime, Clear: atime}},
		{"strictatime", Options{Set: strictatime, Clear: atime}},
		{"relatime", Options{Clear: atime}},
		{"noatime strictatime", Options{Set: strictatime, Clear: atime}},
		{"strictatime relatime", Options{Clear: atime}},
		{"atime", Options{Clear: atime}},
		{"noatime atime", Options{Clear: atime}},
		{"strictatime atime", Options{Set: strictatime, Clear: atime}},
		{"nostrictatime", Options{Clear: atime}},
		{"strictatime nostrictatime", Options{Clear: atime}},
		{"noatime nostrictatime", Options{Set: noatime, Clear: atime}},
		{"norelatime", Options{}},
		{"relatime norelatime", Options{}},
		{"noatime norelatime", Options{Set: noatime, Clear: atime}},
		{"noatime nodiratime relatime", Options{Set: nodiratime, Clear: atime}},

		{"sync dirsync lazytime mand silent iversion", Options{SB: []string{"sync", "dirsync", "lazytime", "mand", "silent", "iversion"}}},
		{"async nolazytime nomand loud noiversion", Options{SBClear: []string{"async", "nolazytime", "nomand", "loud", "noiversion"}}},
		{"sync async", Options{SB: []string{}, SBClear: []string{"async"}}},
		{"async sync dirsync", Options{SB: []string{"sync", "dirsync"}, SBClear: []string{}}},

		{"bind", Options{Bind: true}},
		{"rbind", Options{Bind: true, Recursive: true}},
		{"rbind bind", Options{Bind: true, Recursive: true}},
		{"remount bind ro", Options{Set: ro, SB: []string{"ro"}, Bind: true, Remount: true}},
		{"rprivate shared", Options{Propagation: []Propagation{{unix.MS_PRIVATE, true}, {unix.MS_SHARED, false}}}},
		{"slave rslave unbindable runbindable private rshared", Options{Propagation: []Propagation{
			{unix.MS_SLAVE, false}, {unix.MS_SLAVE, true}, {unix.MS_UNBINDABLE, false},
			{unix.MS_UNBINDABLE, true}, {unix.MS_PRIVATE, false}, {unix.MS_SHARED, true},
		}}},

		{"rro", Options{RecSet: ro}},
		{"rro rrw", Options{RecClear: ro}},
		{"rnosuid rnodev rnoexec rnodiratime rnosymfollow", Options{RecSet: nosuid | nodev | noexec | nodiratime | nosymfollow}},
		{"rsuid rdev rexec rdiratime rsymfollow", Options{RecClear: nosuid | nodev | noexec | nodiratime | nosymfollow}},
		{"rnoatime rrelatime", Options{RecClear: atime}},
		{"rstrictatime ratime", Options{RecSet: strictatime, RecClear: atime}},
		{"rnoatime rnostrictatime rnorelatime", Options{RecSet: noatime, RecClear: atime}},
		{"rro rw", Options{Clear: ro, RecSet: ro, SBClear: []string{"rw"}}},

		{"tmpcopyup", Options{CopyUp: true}},
		{"idmap", Options{IDMap: true}},
		{"rbind ridmap", Options{Bind: true, Recursive: true, RIDMap: true}},
		{"mode=755 nosuid size=64k acl RO", Options{Set: nosuid, Data: []string{"mode=755", "size=64k", "acl", "RO"}}},
	} {
		got, err := ParseOptions(strings.Fields(test.opts))
		if err != nil {
			t.Errorf("%q: %v", test.opts, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", test.opts, diff)
		}
	}
}

func TestParseOptionsSkipsTheEmptyWord(t *testing.T) {
	if o, err := ParseOptions([]string{"", "a", ""}); err != nil || !slices.Equal(o.Data, []string{"a"}) {
		t.Errorf("got %+v, %v", o, err)
	}
}

func TestParseOptionsFaults(t *testing.T) {
	for _, test := range []struct {
		opts []string
		want string
	}{
		{[]string{"rbind", "idmap", "ridmap"}, "options[2]: idmap and ridmap exclude each other"},
		{[]string{"ridmap", "idmap"}, "options[1]: idmap and ridmap exclude each other"},
		{[]string{"mode=755\x00"}, `options[0]: "mode=755\x00" holds a NUL byte`},
	} {
		if _, err := ParseOptions(test.opts); err == nil || err.Error() != test.want {
			t.Errorf("%q: got %v, want %s", test.opts, err, test.want)
		}
	}
}

// The names that the specification says a runtime must, should or may know, and this runtime's own.
func TestOptionNames(t *testing.T) {
	names := OptionNames()
	if !slices.IsSorted(names) {
		t.Errorf("not sorted, so some are never found: %q", names)
	}
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) {
		t.Errorf("a name is there twice: %q", names)
	}
	want := strings.Fields(`async atime bind defaults dev diratime dirsync exec idmap iversion lazytime loud mand
		noatime nodev nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow
		private ratime rbind rdev rdiratime relatime remount rexec ridmap rnoatime rnodev rnodiratime rnoexec
		rnorelatime rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime
		rsuid rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable`)
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for _, name := range names {
		if o, err := ParseOptions([]string{name}); err != nil || len(o.Data) > 0 {
			t.Errorf("%s: %+v, %v", name, o, err)
		}
	}
}

// FuzzMountOptions holds ParseOptions to what mount_setattr(2) and fsconfig(2) need to be true.
func FuzzMountOptions(f *testing.F) {
	for _, opts := range []string{
		"ro,rw,ro", "nosuid,noexec,nodev,mode=1777,size=65536k", "rbind,rprivate,ro", "noatime,norelatime,atime",
		"rro,rrw,rnoatime,rstrictatime", "sync,async,silent,loud", "idmap,ridmap", ",,\x00", strings.Join(OptionNames(), ","),
	} {
		f.Add(opts)
	}
	f.Fuzz(func(t *testing.T, joined string) {
		opts := strings.Split(joined, ",")
		o, err := ParseOptions(opts)
		if err != nil {
			return
		}
		for _, a := range [][2]uint64{{o.Set, o.Clear}, {o.RecSet, o.RecClear}} {
			set, clr := a[0], a[1]
			if set&clr&^unix.MOUNT_ATTR__ATIME != 0 {
				t.Errorf("%q: %#x is set and cleared", opts, set&clr)
			}
			if a := clr & unix.MOUNT_ATTR__ATIME; a != 0 && a != unix.MOUNT_ATTR__ATIME || a == 0 && set&unix.MOUNT_ATTR__ATIME != 0 {
				t.Errorf("%q: the access time mode is set without clearing the field: set %#x clear %#x", opts, set, clr)
			}
		}
		for _, on := range o.SB {
			w := findWord(on)
			if w == nil || w.sb != raises || slices.Contains(o.SBClear, w.contrary) {
				t.Errorf("%q: SB %q, SBClear %q", opts, o.SB, o.SBClear)
			}
		}
		again, err := ParseOptions(o.Data)
		if err != nil || !slices.Equal(again.Data, o.Data) || !cmp.Equal(again, Options{Data: again.Data}) {
			t.Errorf("%q: Data %q means something: %+v, %v", opts, o.Data, again, err)
		}
	})
}
