package rootfs

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/nsenter"
	"rt/tests/golden"
)

// usual are the facts of an ordinary container: all namespaces of its own but the user's.
var usual = Facts{Bundle: "/bundle", Root: "/bundle/rootfs", OwnMounts: true, CgroupNS: true, Kcore: true, Cgroups: v1}

var (
	v1 = CgroupView{Hierarchies: []Hierarchy{
		{Name: "cpu,cpuacct", Options: []string{"cpu", "cpuacct"}, Links: []string{"cpu", "cpuacct"}, Dir: "/sys/fs/cgroup/cpu,cpuacct/c"},
		{Name: "memory", Options: []string{"memory"}, Dir: "/sys/fs/cgroup/memory/c"},
		{Name: "systemd", Options: []string{"name=systemd"}, Dir: "/sys/fs/cgroup/systemd/c"},
	}}
	v2 = CgroupView{V2: true, Dir: "/sys/fs/cgroup/c"}
)

func with(change func(*Facts)) Facts {
	f := usual
	change(&f)
	return f
}

func mount(kind, source, target, options string) specs.Mount {
	m := specs.Mount{Destination: target, Type: kind, Source: source}
	if options != "" {
		m.Options = strings.Split(options, ",")
	}
	return m
}

// bare is a config with these mounts and no /dev of its own to fill.
func bare(mounts ...specs.Mount) *specs.Spec {
	return &specs.Spec{Root: &specs.Root{Path: "rootfs"}, Mounts: append(mounts, mount("bind", "/dev", "/dev", "rbind")), Linux: &specs.Linux{}}
}

func ptr[T any](v T) *T { return &v }

// plans are the small configs of the golden files, by file name.
func plans() map[string]struct {
	facts Facts
	spec  *specs.Spec
} {
	type plan = struct {
		facts Facts
		spec  *specs.Spec
	}
	cgroup, cgroupRO := mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime"), mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid,noexec,nodev,relatime,ro")
	noNS := with(func(f *Facts) { f.CgroupNS = false })
	unified := with(func(f *Facts) { f.Cgroups = v2 })
	rootlessUnified := with(func(f *Facts) { f.Cgroups, f.CgroupNS, f.UserNS = v2, false, true })
	rootless := with(func(f *Facts) { f.CgroupNS, f.UserNS = false, true })
	return map[string]plan{
		"nothing": {usual, &specs.Spec{}},
		"types": {usual, bare(
			mount("proc", "proc", "/proc", ""),
			mount("sysfs", "sysfs", "/sys", "nosuid,noexec,nodev,ro"),
			mount("devpts", "devpts", "/dev/pts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
			mount("mqueue", "mqueue", "/dev/mqueue", "nosuid,noexec,nodev"),
			mount("ramfs", "ramfs", "/ram", "sync,dirsync,lazytime,mand,silent,iversion,noatime,nodiratime"),
			mount("tmpfs", "shm", "dev/shm/../shm", "mode=1777,size=65536k"),
			mount("overlay", "overlay", "/over", "lowerdir=/l1:/l2,upperdir=/u,workdir=/w"),
		)},
		"tmpfs": {usual, bare(
			mount("tmpfs", "tmpfs", "/plain", ""),
			mount("tmpfs", "tmpfs", "/mode", "mode=700"),
			mount("tmpfs", "tmpfs", "/copied", "tmpcopyup,nosuid"),
			mount("tmpfs", "tmpfs", "/ro", "ro,size=1m"),
			mount("bind", "/data", "/ro/data", "bind"),
		)},
		"overlay-long": {usual, bare(
			mount("overlay", "overlay", "/over", "lowerdir="+strings.Repeat("/layer", 43)+",upperdir=/u,workdir=/w,ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow,sync,dirsync,lazytime,mand,silent,iversion"),
			mount("overlay", "overlay", "/strict", "lowerdir="+strings.Repeat("/layer", 43)+",strictatime"),
			mount("overlay", "overlay", "/fits", "lowerdir="+strings.Repeat("/layer", 42)+"xyz"),
		)},
		"binds": {usual, bare(
			mount("bind", "/host/dir", "/plain", "bind"),
			mount("", "/host/dir", "/no-type", "rbind"),
			mount("bind", "relative/dir", "/type-only", ""),
			mount("bind", "/a/../b", "/x/../../y", "bind,ro,nosuid,nodev,noexec,noatime"),
			mount("bind", "/host/dir", "/back", "bind,rw,suid,dev,exec,atime"),
			mount("bind", "/host/dir", "/recursive", "rbind,rro,rnosuid,rnodev,rnoexec,rstrictatime,rsymfollow"),
			mount("bind", "/host/file", "/proc/cpuinfo", "bind,ro"),
			mount("bind", "/host/file", "/proc/sys/other", "bind,ro"),
		)},
		"idmap": {usual, bare(
			specs.Mount{Destination: "/own", Source: "/d", Options: []string{"bind", "idmap"}, UIDMappings: []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 10}}, GIDMappings: []specs.LinuxIDMapping{{ContainerID: 5, HostID: 2000, Size: 1}, {ContainerID: 7, HostID: 3000, Size: 2}}},
			mount("bind", "/d", "/container", "rbind,ridmap"),
			specs.Mount{Destination: "/implied", Source: "/d", Type: "bind", UIDMappings: []specs.LinuxIDMapping{{HostID: 1, Size: 1}}, GIDMappings: []specs.LinuxIDMapping{{HostID: 1, Size: 1}}},
		)},
		"remount": {usual, bare(
			mount("tmpfs", "tmpfs", "/t", ""),
			mount("tmpfs", "tmpfs", "/t", "remount,ro,nosuid,size=5m"),
			mount("bind", "", "/t", "bind,remount,ro,size=5m"),
			mount("tmpfs", "tmpfs", "/t", "remount,rw,async,shared,rslave"),
		)},
		"attributes-after": {usual, bare(
			mount("tmpfs", "tmpfs", "/t", "shared,rprivate,rro,rnosuid"),
		)},
		"cgroup-v1":            {usual, bare(cgroup)},
		"cgroup-v1-ro":         {usual, bare(cgroupRO)},
		"cgroup-v1-without-ns": {noNS, bare(cgroupRO)},
		"cgroup-v1-rootless":   {rootless, bare(cgroup)},
		"cgroup-v2":            {unified, bare(mount("cgroup", "cgroup", "/sys/fs/cgroup", "nosuid,name=x,nsdelegate"))},
		"cgroup-v2-ro":         {unified, bare(mount("cgroup2", "cgroup", "/sys/fs/cgroup", "ro"))},
		"cgroup-v2-without-ns": {with(func(f *Facts) { f.Cgroups, f.CgroupNS = v2, false }), bare(cgroup)},
		"cgroup-v2-rootless":   {rootlessUnified, bare(cgroup)},
		"cgroup-none":          {with(func(f *Facts) { f.Cgroups = CgroupView{} }), bare(cgroupRO)},
		"devices":              {usual, devicesSpec()},
		"devices-userns":       {with(func(f *Facts) { f.UserNS = true }), devicesSpec()},
		"dev-tmpfs":            {with(func(f *Facts) { f.Kcore = false }), &specs.Spec{Mounts: []specs.Mount{mount("tmpfs", "tmpfs", "/dev/", "nosuid,mode=755")}}},
		"dev-bound":            {usual, &specs.Spec{Mounts: []specs.Mount{mount("bind", "/dev", "/dev/../dev", "")}, Linux: &specs.Linux{Devices: []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}}}},
		"masks":                {usual, sealedSpec(true)},
		"masks-rw-root":        {usual, sealedSpec(false)},
		"no-mount-ns":          {with(func(f *Facts) { f.OwnMounts = false }), &specs.Spec{Root: &specs.Root{Path: "rootfs", Readonly: true}, Mounts: []specs.Mount{mount("proc", "proc", "/proc", "")}, Process: &specs.Process{Cwd: "/work"}, Linux: &specs.Linux{RootfsPropagation: "rshared"}}},
		"no-pivot":             {with(func(f *Facts) { f.NoPivot, f.OldProcfs = true, []string{"/proc", "/sys", "/mnt/my proc"} }), bare()},
		"hooks":                {with(func(f *Facts) { f.Hooks = true }), bare()},
		"cwd":                  {usual, &specs.Spec{Process: &specs.Process{Cwd: "/a/b/../c/"}, Mounts: []specs.Mount{mount("bind", "/dev", "/dev", "")}}},
	}
}

func devicesSpec() *specs.Spec {
	return &specs.Spec{Linux: &specs.Linux{Devices: []specs.LinuxDevice{
		{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229},
		{Path: "/dev/sda", Type: "b", Major: 8, Minor: 0, FileMode: ptr(os.FileMode(0o660)), UID: ptr(uint32(0)), GID: ptr(uint32(6))},
		{Path: "/dev/pipe", Type: "p", FileMode: ptr(os.FileMode(0o600)), UID: ptr(uint32(1000)), GID: ptr(uint32(1000))},
		{Path: "/dev/raw", Type: "u", Major: 300, Minor: 70000, FileMode: ptr(os.FileMode(0o1640))},
		{Path: "/dev/./null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o600))}, // instead of the default one
	}}}
}

func sealedSpec(ro bool) *specs.Spec {
	s := bare()
	s.Root.Readonly = ro
	s.Linux.MaskedPaths = []string{"/proc/kcore", "/proc/acpi"}
	s.Linux.ReadonlyPaths = []string{"/proc/sys", "/proc/bus"}
	s.Linux.RootfsPropagation = "rslave"
	s.Mounts = append(s.Mounts, mount("tmpfs", "tmpfs", "/run", "ro"))
	return s
}

// dump is the plan of the three places.
func dump(t *testing.T, spec *specs.Spec, f Facts) string {
	t.Helper()
	s, err := Plan(spec, f)
	if err != nil {
		t.Fatal(err)
	}
	return "== build\n" + golden.Steps(s.Build) + "== enter\n" + golden.Steps(s.Enter) + "== seal\n" + golden.Steps(s.Seal)
}

func TestPlan(t *testing.T) {
	for name, p := range plans() {
		t.Run(name, func(t *testing.T) {
			got := dump(t, p.spec, p.facts)
			golden.Check(t, name, got)
			if again := dump(t, p.spec, p.facts); again != got {
				t.Error("the same config gives another plan the second time")
			}
		})
	}
}

// What becomes of a bind mount's peers: each option under each rootfsPropagation.
func TestBindPropagation(t *testing.T) {
	var b strings.Builder
	for _, root := range []string{"", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"} {
		fmt.Fprintf(&b, "rootfsPropagation %q\n", root)
		for _, option := range []string{"", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable", "rprivate,rshared"} {
			spec := bare(mount("bind", "/d", "/m", strings.TrimSuffix("rbind,"+option, ",")))
			spec.Linux.RootfsPropagation = root
			s, err := Plan(spec, usual)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range s.Build {
				if step.Op == nsenter.OpTree && step.Text[0] == "/m" {
					_, words, _ := strings.Cut(golden.Steps([]nsenter.Step{step}), "< tree /d recursive ")
					fmt.Fprintf(&b, "    %-18s%s\n", option, strings.TrimSpace(words))
				}
			}
		}
		s, err := Plan(&specs.Spec{Linux: &specs.Linux{RootfsPropagation: root}}, usual)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString(golden.Steps(s.Seal))
	}
	golden.Check(t, "propagation", b.String())
}

// Nothing is ever mounted in the host's mount namespace: without one of its own a container's root is attached nowhere.
func TestMountsWithoutANamespace(t *testing.T) {
	f := with(func(f *Facts) { f.OwnMounts = false })
	for name, spec := range map[string]*specs.Spec{
		"directory":          {Hostname: "h", Linux: &specs.Linux{}},
		"tree for shared":    {Linux: &specs.Linux{RootfsPropagation: "rshared"}},
		"tree for devices":   devicesSpec(),
		"tree for read-only": {Root: &specs.Root{Readonly: true}},
		"tree for mounts":    {Mounts: []specs.Mount{mount("proc", "proc", "/proc", "")}, Linux: &specs.Linux{MaskedPaths: []string{"/proc/keys"}}},
	} {
		s, err := Plan(spec, f)
		if err != nil {
			t.Fatal(err)
		}
		root := s.Build[0]
		if root.Op != nsenter.OpRoot || root.Num[0] != 0 || (root.Feed.Kind == nsenter.Tree) == (name == "directory") {
			t.Errorf("%s: %s", name, root.What)
		}
		if name == "directory" && len(s.Build)+len(s.Seal) != 1 {
			t.Errorf("%d steps on the host's mounts", len(s.Build)+len(s.Seal)-1)
		}
		if s.Enter[0].Op != nsenter.OpPivot || s.Enter[0].Num[0] != 1 {
			t.Errorf("%s: %s", name, s.Enter[0].What)
		}
	}
}

func TestPlanErrorsNameTheField(t *testing.T) {
	for want, m := range map[string]specs.Mount{
		`mounts[1].options[1]: "a\x00b" holds a NUL byte`:           mount("tmpfs", "tmpfs", "/t", "ro,a\x00b"),
		"mounts[1].options[2]: idmap and ridmap exclude each other": mount("bind", "/d", "/t", "bind,idmap,ridmap"),
	} {
		_, err := Plan(&specs.Spec{Mounts: []specs.Mount{mount("proc", "proc", "/proc", ""), m}}, usual)
		if err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
