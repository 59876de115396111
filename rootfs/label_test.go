package rootfs

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/nsenter"
)

const testLabel = "system_u:object_r:container_file_t:s0:c715,c811"

// mounts plans the mounts with a label and returns the mount steps of the config's own entries, by target.
func labelled(t *testing.T, label string, mounts ...specs.Mount) map[string]nsenter.Step {
	t.Helper()
	spec := &specs.Spec{Root: &specs.Root{Path: "/r"}, Mounts: mounts, Linux: &specs.Linux{MountLabel: label, MaskedPaths: []string{"/x"}}}
	view := CgroupView{Hierarchies: []Hierarchy{{Name: "pids", Options: []string{"pids"}, Dir: "/sys/fs/cgroup/pids/c"}}}
	s, err := Plan(spec, Facts{Bundle: "/b", Root: "/r", OwnMounts: true, CgroupNS: true, Cgroups: view})
	if err != nil {
		t.Fatal(err)
	}
	steps := map[string]nsenter.Step{}
	for _, step := range s.Build {
		if step.Op == nsenter.OpMount {
			steps[step.Text[3]] = step
		}
	}
	return steps
}

func contexts(s nsenter.Step) (list []string) {
	for o := range strings.SplitSeq(s.Text[2], "\x00") {
		if isContext(o) {
			list = append(list, o)
		}
	}
	return list
}

func TestMountLabel(t *testing.T) {
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc"},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs"},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup"},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue"},
		{Destination: "/own", Type: "tmpfs", Source: "tmpfs", Options: []string{"context=its_own"}},
		{Destination: "/own-default", Type: "ext4", Source: "/dev/x", Options: []string{"defcontext=its_own"}},
	}
	all := []string{"context=" + testLabel}
	want := map[string][]string{"/dev": all, "/dev/pts": all, "/own": {"context=its_own"}, "/own-default": {"defcontext=its_own"},
		"/sys/fs/cgroup": all, // the tmpfs below the hierarchies
		"":               all, // what covers masked directories
		"/proc":          nil, "/sys": nil, "/sys/fs/cgroup/pids": nil, "/dev/mqueue": nil}
	steps := labelled(t, testLabel, mounts...)
	if len(steps) != len(want) {
		t.Errorf("%d mounts, want %d", len(steps), len(want))
	}
	for target, s := range steps {
		if got := contexts(s); !slices.Equal(got, want[target]) {
			t.Errorf("%q: %q, want %q", target, got, want[target])
		}
		if xattr := s.Text[5]; (xattr == testLabel) != (target == "/dev/mqueue") {
			t.Errorf("%q: the root is labelled %q", target, xattr)
		}
	}
	for target, s := range labelled(t, "", mounts...) {
		if got := contexts(s); len(got) > 0 && !strings.HasPrefix(target, "/own") || s.Text[5] != "" {
			t.Errorf("%q without a label: %q, %q", target, got, s.Text[5])
		}
	}
}

// mount(2) splits options at commas; fsconfig(2) would take quotes as part of the label.
func TestMountLabelOfLongMount(t *testing.T) {
	lower := "lowerdir=/" + strings.Repeat("a", 300)
	s := labelled(t, testLabel, specs.Mount{Destination: "/o", Type: "overlay", Source: "overlay", Options: []string{lower}})["/o"]
	if want := lower + `,context="` + testLabel + `"`; s.Text[4] != want {
		t.Errorf("got %q, want %q", s.Text[4], want)
	}
}

func TestMountLabelIsNotForBinds(t *testing.T) {
	for target, s := range labelled(t, testLabel, specs.Mount{Destination: "/b", Type: "bind", Source: "/x", Options: []string{"rbind"}},
		specs.Mount{Destination: "/m", Type: "tmpfs", Options: []string{"remount", "ro"}}) {
		if target != "" {
			t.Errorf("%q is mounted: %+v", target, s)
		}
	}
}
