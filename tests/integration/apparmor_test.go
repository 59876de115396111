package integration

import (
	"strings"
	"testing"

	"rt/tests/rttest"
)

// appArmorProfile lets a process do all but write to one file, and tell of itself.
const appArmorProfile = `profile NAME flags=(attach_disconnected,mediate_deleted) {
	file,
	capability,
	network,
	signal,
	unix,
	deny /tmp/denied w,
}
`

// loadProfile gives the kernel the profile under a name of the bundle's, until the test ends.
func loadProfile(t *testing.T, b *rttest.Bundle) (name string) {
	t.Helper()
	rttest.Need(t, rttest.File("/sys/kernel/security/apparmor/profiles"), rttest.Command("apparmor_parser"))
	file := b.WriteFile("profile", strings.ReplaceAll(appArmorProfile, "NAME", b.ID))
	rttest.Exec(t, nil, "apparmor_parser", "--skip-cache", "--add", file).OK()
	t.Cleanup(func() { rttest.Exec(t, nil, "apparmor_parser", "--remove", file).OK() })
	return b.ID
}

// confinement tells what a process is confined by, and tries it.
const confinement = `cat /proc/self/attr/current /proc/self/attr/apparmor/current
	(echo x >/tmp/denied) 2>/dev/null && echo written || echo denied
	echo x >/tmp/allowed && echo allowed`

// The profile confines init and whoever joins, with a user namespace, too, where others once lost it silently.
func TestAppArmor(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*rttest.Bundle){
		"as root":             func(*rttest.Bundle) {},
		"in a user namespace": func(b *rttest.Bundle) { b.MapIDs(100000, 65536) },
		"of another user":     func(b *rttest.Bundle) { b.Spec.Process.User.UID, b.Spec.Process.Capabilities = 1000, nil },
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Sh(confinement + "; exec sleep 1000")
			profile := loadProfile(t, b)
			want := strings.Repeat(profile+" (enforce)\n", 2) + "denied\nallowed\n"
			edit(b)
			b.Spec.Process.ApparmorProfile = profile
			b.RunDetached().OK()
			rttest.Eventually(t, "init has tried", func() bool { return strings.Contains(b.Output(), "allowed") })
			if got := b.Output(); got != want {
				t.Errorf("init: got %q, want %q", got, want)
			}
			b.RT("exec", b.ID, "sh", "-c", confinement).OK().Prints(strings.TrimSpace(want))
			b.RT("exec", "--apparmor", "unconfined", b.ID, "cat", "/proc/self/attr/current").OK().Prints("unconfined")
		})
	}
}

// A profile for one process only, and one that nobody has loaded.
func TestAppArmorOfExec(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	profile := loadProfile(t, b)
	b.RunDetached().OK()
	b.RT("exec", b.ID, "cat", "/proc/self/attr/current").OK().Prints("unconfined")
	b.RT("exec", "--apparmor", profile, b.ID, "cat", "/proc/self/attr/current").OK().Prints(profile + " (enforce)")
	res := b.RT("exec", "--apparmor", profile+"-x", b.ID, "true").Exits(255)
	if rttest.IsRT(t) && !strings.Contains(res.Stderr, "process.apparmorProfile") {
		t.Errorf("the error names no field: %s", res)
	}
}

func TestAppArmorProfileIsUnknown(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	profile := loadProfile(t, b) + "-x"
	b.Spec.Process.ApparmorProfile = profile
	b.Create().FailsNaming("process.apparmorProfile", profile)
	b.CheckGone()
}
