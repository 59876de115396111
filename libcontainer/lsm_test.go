package libcontainer

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Nothing is quietly left unconfined on a host without the module.
func TestLabelsNeedTheirModule(t *testing.T) {
	dir := t.TempDir()
	enabled, disabled := filepath.Join(dir, "Y"), filepath.Join(dir, "N")
	for name, text := range map[string]string{enabled: "Y\n", disabled: "N\n"} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	noSELinux := "SELinux is not enabled on this host (no selinuxfs on " + dir + ")"
	for name, c := range map[string]struct {
		spec specs.Spec
		host lsmHost
		want string
	}{
		"none asked":           {specs.Spec{}, lsmHost{}, ""},
		"a process, no labels": {specs.Spec{Process: &specs.Process{}, Linux: &specs.Linux{}}, lsmHost{}, ""},
		"AppArmor":             {specs.Spec{Process: &specs.Process{ApparmorProfile: "p"}}, lsmHost{apparmor: enabled}, ""},
		"AppArmor off": {specs.Spec{Process: &specs.Process{ApparmorProfile: "p"}}, lsmHost{apparmor: disabled},
			"process.apparmorProfile: AppArmor is not enabled on this host (" + disabled + " does not say Y)"},
		"no AppArmor": {specs.Spec{Process: &specs.Process{ApparmorProfile: "p"}}, lsmHost{apparmor: "/nowhere"},
			"process.apparmorProfile: AppArmor is not enabled on this host (/nowhere does not say Y)"},
		"no SELinux": {specs.Spec{Process: &specs.Process{SelinuxLabel: "l"}}, lsmHost{selinux: dir}, "process.selinuxLabel: " + noSELinux},
		"a mount label": {specs.Spec{Linux: &specs.Linux{MountLabel: "l"}}, lsmHost{selinux: dir},
			"linux.mountLabel: " + noSELinux},
	} {
		err := (&compiler{spec: &c.spec}).checkLabels(c.host)
		if got := ""; err != nil && err.Error() != c.want || err == nil && c.want != got {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// The keyring is labelled before it is made, and what is labelled is what execve makes of the process.
func TestSelinuxSteps(t *testing.T) {
	spec := &specs.Spec{Process: &specs.Process{SelinuxLabel: "l"}}
	c := &compiler{spec: spec, host: host{keyring: true}, plan: &Plan{spec: spec}}
	c.sessionSteps()
	c.labelSteps(spec.Process)
	var order []string
	for _, s := range c.plan.Steps {
		if s.From == "process.selinuxLabel" || s.From == "session keyring" {
			order = append(order, s.What)
		}
	}
	want := []string{"prepare a private procfs", "label the session keyring l", "join a new session keyring _ses.", "let its owner search the keyring", "label the process l"}
	if len(order) != len(want) {
		t.Fatalf("got %q, want %q", order, want)
	}
	for i := range want {
		if order[i] != want[i] {
			t.Errorf("step %d is %q, want %q", i, order[i], want[i])
		}
	}
}
