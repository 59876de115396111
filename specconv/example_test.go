package specconv_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/rootfs"
	"rt/specconv"
)

func TestExampleSurvivesJSON(t *testing.T) {
	for _, rootless := range []bool{false, true} {
		want := specconv.Example(rootless)
		data, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := specconv.Decode("config.json", data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rootless %v: -example +decoded:\n%s", rootless, diff)
		}
	}
}

// CVE-2022-29162: what a default config grants must not outlive execve.
func TestExampleGrantsNoInheritableCapabilities(t *testing.T) {
	caps := specconv.Example(false).Process.Capabilities
	if len(caps.Inheritable) > 0 || len(caps.Ambient) > 0 || len(caps.Bounding) != 3 {
		t.Errorf("%+v", caps)
	}
}

func TestExampleRootless(t *testing.T) {
	s := specconv.Example(true)
	if len(s.Linux.UIDMappings) != 1 || s.Linux.UIDMappings[0] != ids(0, uint32(os.Geteuid()), 1) {
		t.Errorf("uidMappings %v", s.Linux.UIDMappings)
	}
	var types []string
	for _, ns := range s.Linux.Namespaces {
		types = append(types, string(ns.Type))
	}
	if !slices.Contains(types, "user") || slices.Contains(types, "network") {
		t.Errorf("namespaces %q", types)
	}
	if s.Linux.Resources != nil {
		t.Errorf("resources %+v, which the user cannot set", s.Linux.Resources)
	}
	for _, m := range s.Mounts {
		if slices.Contains(m.Options, "gid=5") || m.Type == "sysfs" {
			t.Errorf("mount %+v cannot work without root", m)
		}
	}
}

// What the specification itself gives as good. Those of other platforms, and those that need more than
// they say on Linux, only have to be understood.
func TestSchemaExamples(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "schema/test/config")
	faults := map[string]string{
		"linux-netdevice.json": "linux.netDevices: needs a network namespace in linux.namespaces",
		"spec-example.json":    `ociVersion: "0.5.0-dev" is not supported, only 1.0.0 to 1.3.0`,
	}
	good, err := filepath.Glob(dir + "/good/*.json")
	if err != nil || len(good) == 0 {
		t.Fatalf("no files in %s (%v)", dir, err)
	}
	for _, file := range good {
		spec, err := specconv.Load(file)
		if err != nil {
			t.Error(err)
			continue
		}
		got := ""
		if err := specconv.Validate(spec, specconv.Host{CgroupV2: true}); err != nil {
			got = err.Error()
		}
		if want := faults[filepath.Base(file)]; spec.ZOS == nil && spec.FreeBSD == nil && got != want {
			t.Errorf("%s:\n got %s\nwant %s", filepath.Base(file), got, want)
		}
	}
	if _, err := specconv.Load(dir + "/bad/invalid-json.json"); err == nil {
		t.Error("bad/invalid-json.json was understood")
	}
}

func TestFeatures(t *testing.T) {
	f := specconv.Features(specconv.FeatureInputs{
		Version: "0.1", Commit: "abc", LibseccompVersion: "2.5.4", LastCap: 40,
		SeccompFlags: []string{"SECCOMP_FILTER_FLAG_LOG"}, Systemd: true,
	})
	if f.OCIVersionMin != "1.0.0" || f.OCIVersionMax != specs.Version {
		t.Errorf("versions %s to %s", f.OCIVersionMin, f.OCIVersionMax)
	}
	if diff := cmp.Diff(rootfs.OptionNames(), f.MountOptions); diff != "" {
		t.Errorf("mountOptions: %s", diff)
	}
	if diff := cmp.Diff([]string{"cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"}, f.Linux.Namespaces); diff != "" {
		t.Errorf("namespaces: %s", diff)
	}
	if len(f.Hooks) != 6 || len(f.Linux.Capabilities) != 41 || !*f.Linux.Cgroup.Systemd || !*f.Linux.MountExtensions.IDMap.Enabled {
		t.Errorf("hooks %q, linux %+v", f.Hooks, f.Linux)
	}
	s := f.Linux.Seccomp
	for _, list := range [][]string{s.Actions, s.Operators, s.Archs, s.KnownFlags} {
		if len(list) == 0 || !slices.IsSorted(list) {
			t.Errorf("seccomp: %q", list)
		}
	}
	if !*s.Enabled || !slices.Equal(s.SupportedFlags, []string{"SECCOMP_FILTER_FLAG_LOG"}) {
		t.Errorf("seccomp: %+v", s)
	}
	want := map[string]string{
		"org.opencontainers.runc.version":            "0.1",
		"org.opencontainers.runc.commit":             "abc",
		"org.opencontainers.runc.checkpoint.enabled": "false",
		"io.github.seccomp.libseccomp.version":       "2.5.4",
	}
	if diff := cmp.Diff(want, f.Annotations); diff != "" {
		t.Errorf("annotations: %s", diff)
	}
}

func TestFeaturesWithoutSeccomp(t *testing.T) {
	f := specconv.Features(specconv.FeatureInputs{})
	if s := f.Linux.Seccomp; *s.Enabled || s.Actions != nil {
		t.Errorf("%+v", s)
	}
	if len(f.Linux.Capabilities) != 41 {
		t.Errorf("capabilities of an unknown kernel: %q", f.Linux.Capabilities)
	}
}
