package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// hostWithout is a host that does not have the file.
func hostWithout(path, what string) rttest.Requirement {
	return func() string {
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		return "a host without " + what
	}
}

// A label of a module that the kernel does not run would confine nothing: never dropped silently.
func TestLabelsNeedTheirModule(t *testing.T) {
	t.Parallel()
	const label = "system_u:system_r:container_t:s0:c1,c2"
	noSELinux := hostWithout("/sys/fs/selinux/enforce", "SELinux")
	for name, c := range map[string]struct {
		need rttest.Requirement
		edit func(*specs.Spec)
		word string
	}{
		"process.selinuxLabel":    {noSELinux, func(s *specs.Spec) { s.Process.SelinuxLabel = label }, "SELinux is not enabled"},
		"linux.mountLabel":        {noSELinux, func(s *specs.Spec) { s.Linux.MountLabel = label }, "SELinux is not enabled"},
		"process.apparmorProfile": {hostWithout("/sys/module/apparmor", "AppArmor"), func(s *specs.Spec) { s.Process.ApparmorProfile = "p" }, "AppArmor is not enabled"},
	} {
		t.Run(name, func(t *testing.T) {
			rttest.Need(t, c.need)
			b := rttest.New(t)
			c.edit(b.Spec)
			b.Create().FailsNaming(name, c.word)
			b.CheckGone()
		})
	}
}

// With SELinux what is mounted for the container carries its label.
func TestMountLabel(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.File("/sys/fs/selinux/enforce"))
	const label = "system_u:object_r:container_file_t:s0:c1,c2"
	b := rttest.New(t).Sh("ls -Zd /dev /dev/shm /dev/mqueue")
	b.Spec.Linux.MountLabel = label
	if out := b.Run().OK().Stdout; strings.Count(out, label) != 3 {
		t.Errorf("labels: %s", out)
	}
}

func TestIntelRdtNeedsResctrl(t *testing.T) {
	t.Parallel()
	rttest.Need(t, hostWithout("/sys/fs/resctrl/schemata", "resctrl"))
	b := rttest.New(t)
	b.Spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "gold", L3CacheSchema: "L3:0=f"}
	b.Create().FailsNaming("linux.intelRdt: /sys/fs/resctrl is not mounted")
	b.CheckGone()
}

// Without a closID the container has a group of its own, which goes with it.
func TestIntelRdtGroup(t *testing.T) {
	t.Parallel()
	rttest.Need(t, rttest.File("/sys/fs/resctrl/schemata"))
	b := rttest.New(t).Sh("sleep 1000")
	b.Spec.Linux.IntelRdt = &specs.LinuxIntelRdt{}
	group := filepath.Join("/sys/fs/resctrl", b.ID)
	b.RunDetached().OK()
	tasks, err := os.ReadFile(filepath.Join(group, "tasks"))
	if err != nil || !strings.Contains("\n"+string(tasks), "\n"+strconv.Itoa(b.Pid())+"\n") {
		t.Errorf("tasks %q: %v", tasks, err)
	}
	b.Delete("--force").OK()
	if _, err := os.Stat(group); err == nil {
		t.Errorf("%s is left", group)
	}
}
