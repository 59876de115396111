package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rt/tests/rttest"
)

// object walks down a JSON object, making what is missing.
func object(m map[string]any, path ...string) map[string]any {
	for _, key := range path {
		next, ok := m[key].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[key] = next
		}
		m = next
	}
	return m
}

// addMount appends a mount to a config.
func addMount(m map[string]any, mount map[string]any) {
	m["mounts"] = append(m["mounts"].([]any), mount)
}

type fault struct {
	name  string
	edit  func(m map[string]any)
	words []string // in rt's error: the field, the value
	rt    bool     // runc takes it
}

// Bad configurations, and what the error says about each.
var faults = []fault{
	{"unsupported version", func(m map[string]any) { m["ociVersion"] = "2.0.0" }, []string{"ociVersion", "2.0.0"}, true},
	{"no version", func(m map[string]any) { delete(m, "ociVersion") }, []string{"ociVersion"}, true},
	{"empty args", func(m map[string]any) { object(m, "process")["args"] = []any{} }, []string{"process.args"}, false},
	{"relative cwd", func(m map[string]any) { object(m, "process")["cwd"] = "here" }, []string{"process.cwd", "here"}, false},
	{"empty cwd", func(m map[string]any) { object(m, "process")["cwd"] = "" }, []string{"process.cwd"}, false},
	{"no root", func(m map[string]any) { delete(m, "root") }, []string{"root"}, false},
	{"missing rootfs", func(m map[string]any) { object(m, "root")["path"] = "nosuch" }, []string{"root.path", "nosuch", "no such file or directory"}, false},
	{"rootfs is a file", func(m map[string]any) { object(m, "root")["path"] = "config.json" }, []string{"root.path", "not a directory"}, false},
	{"unknown rlimit", func(m map[string]any) {
		object(m, "process")["rlimits"] = []any{map[string]any{"type": "RLIMIT_NOSUCH", "soft": 1, "hard": 1}}
	}, []string{"process.rlimits[0].type", "RLIMIT_NOSUCH"}, false},
	{"rlimit named twice", func(m map[string]any) {
		one := map[string]any{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}
		object(m, "process")["rlimits"] = []any{one, one}
	}, []string{"process.rlimits[1]", "RLIMIT_CORE"}, true},
	{"soft above hard", func(m map[string]any) {
		object(m, "process")["rlimits"] = []any{map[string]any{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}}
	}, []string{"process.rlimits[0]", "9"}, false},
	{"oom score out of range", func(m map[string]any) { object(m, "process")["oomScoreAdj"] = 5000 }, []string{"process.oomScoreAdj", "5000"}, false},
	{"unknown namespace", func(m map[string]any) { namespaceType(m, "nosuch") }, []string{"linux.namespaces[5].type", "nosuch"}, false},
	{"namespace named twice", func(m map[string]any) { namespaceType(m, "pid") }, []string{"linux.namespaces[5]", "pid"}, false},
	{"id maps without a user namespace", func(m map[string]any) {
		object(m, "linux")["uidMappings"] = []any{map[string]any{"containerID": 0, "hostID": 1, "size": 1}}
	}, []string{"linux.uidMappings"}, true},
	{"user namespace without id maps", func(m map[string]any) { namespaceType(m, "user") }, []string{"linux.uidMappings"}, true},
	{"hostname without a UTS namespace", func(m map[string]any) { dropNamespace(m, "uts") }, []string{"hostname"}, false},
	{"time offset of an unknown clock", func(m map[string]any) {
		namespaceType(m, "time")
		object(m, "linux")["timeOffsets"] = map[string]any{"realtime": map[string]any{"secs": 1}}
	}, []string{"linux.timeOffsets", "realtime"}, false},
	{"unknown propagation", func(m map[string]any) { object(m, "linux")["rootfsPropagation"] = "nosuch" }, []string{"linux.rootfsPropagation", "nosuch"}, false},
	{"relative masked path", func(m map[string]any) { object(m, "linux")["maskedPaths"] = []any{"etc"} }, []string{"linux.maskedPaths[0]", "etc"}, true},
	{"cgroup path with dots", func(m map[string]any) { object(m, "linux")["cgroupsPath"] = "/../../x" }, []string{"linux.cgroupsPath"}, true},
	{"sysctl outside any namespace", func(m map[string]any) {
		object(m, "linux")["sysctl"] = map[string]any{"kernel.panic": "1"}
	}, []string{"linux.sysctl", "kernel.panic"}, false},
	{"sysctl of the host's network", func(m map[string]any) {
		dropNamespace(m, "network")
		object(m, "linux")["sysctl"] = map[string]any{"net.ipv4.ip_forward": "1"}
	}, []string{"linux.sysctl", "net.ipv4.ip_forward"}, false},
	{"sysctl that does not exist", func(m map[string]any) {
		object(m, "linux")["sysctl"] = map[string]any{"net.no.such": "1"}
	}, []string{"linux.sysctl", "net.no.such", "no such file or directory"}, false},
	{"sysctl kernel.hostname", func(m map[string]any) {
		object(m, "linux")["sysctl"] = map[string]any{"kernel.hostname": "x"}
	}, []string{"linux.sysctl", "kernel.hostname"}, false},
	{"unknown seccomp action", func(m map[string]any) {
		object(m, "linux")["seccomp"] = map[string]any{"defaultAction": "SCMP_ACT_NOSUCH"}
	}, []string{"linux.seccomp.defaultAction", "SCMP_ACT_NOSUCH"}, false},
	{"unknown seccomp architecture", func(m map[string]any) {
		object(m, "linux")["seccomp"] = map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "architectures": []any{"SCMP_ARCH_NOSUCH"}}
	}, []string{"linux.seccomp.architectures[0]", "SCMP_ARCH_NOSUCH"}, false},
	{"unknown seccomp operator", func(m map[string]any) {
		object(m, "linux")["seccomp"] = map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{map[string]any{
			"names": []any{"getpid"}, "action": "SCMP_ACT_ERRNO", "args": []any{map[string]any{"index": 0, "value": 1, "op": "SCMP_CMP_NOSUCH"}},
		}}}
	}, []string{"linux.seccomp.syscalls[0].args[0].op", "SCMP_CMP_NOSUCH"}, false},
	{"seccomp notify without a listener", func(m map[string]any) {
		object(m, "linux")["seccomp"] = map[string]any{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []any{map[string]any{
			"names": []any{"mkdir"}, "action": "SCMP_ACT_NOTIFY",
		}}}
	}, []string{"linux.seccomp", "listenerPath"}, false},
	{"unknown mount option", func(m map[string]any) {
		addMount(m, map[string]any{"type": "tmpfs", "source": "t", "destination": "/t", "options": []any{"nosuid", "nosuch"}})
	}, []string{"mounts[6]", "nosuch"}, false},
	{"data option on a bind", func(m map[string]any) {
		addMount(m, map[string]any{"type": "bind", "source": "/etc", "destination": "/t", "options": []any{"bind", "size=1k"}})
	}, []string{"mounts[6]", "size=1k"}, false},
	{"unknown filesystem", func(m map[string]any) {
		addMount(m, map[string]any{"type": "nosuchfs", "source": "t", "destination": "/t"})
	}, []string{"mounts[6]", "nosuchfs", "no such device"}, false},
	{"missing bind source", func(m map[string]any) {
		addMount(m, map[string]any{"type": "bind", "source": "/no/such/source", "destination": "/t", "options": []any{"rbind"}})
	}, []string{"mounts[6]", "/no/such/source", "no such file or directory"}, false},
	{"bad tmpfs size", func(m map[string]any) {
		addMount(m, map[string]any{"type": "tmpfs", "source": "t", "destination": "/t", "options": []any{"size=lots"}})
	}, []string{"mounts[6]", "size=lots"}, false},
	{"mount over the root", func(m map[string]any) {
		addMount(m, map[string]any{"type": "tmpfs", "source": "t", "destination": "/"})
	}, []string{"mounts[6].destination"}, false},
	{"mount below /proc", func(m map[string]any) {
		addMount(m, map[string]any{"type": "bind", "source": "/etc", "destination": "/proc/sys", "options": []any{"bind"}})
	}, []string{"mounts[6]", "/proc/sys"}, false},
	{"file where a directory is mounted", func(m map[string]any) {
		addMount(m, map[string]any{"type": "tmpfs", "source": "t", "destination": "/etc/passwd"})
	}, []string{"mounts[6]", "/etc/passwd", "not a directory"}, false},
	{"directory where a file is bound", func(m map[string]any) {
		addMount(m, map[string]any{"type": "bind", "source": "/etc/passwd", "destination": "/etc", "options": []any{"bind"}})
	}, []string{"mounts[6]", "/etc", "not a directory"}, false},
	{"relative hook", func(m map[string]any) {
		m["hooks"] = map[string]any{"createRuntime": []any{map[string]any{"path": "bin/true"}}}
	}, []string{"hooks.createRuntime[0].path", "bin/true"}, false},
	{"hook timeout of 0", func(m map[string]any) {
		m["hooks"] = map[string]any{"createRuntime": []any{map[string]any{"path": "/bin/true", "timeout": 0}}}
	}, []string{"hooks.createRuntime[0].timeout"}, true},
	{"unknown device type", func(m map[string]any) {
		object(m, "linux")["devices"] = []any{map[string]any{"path": "/dev/x", "type": "z", "major": 1, "minor": 1}}
	}, []string{"linux.devices[0].type", "z"}, false},
	{"relative device", func(m map[string]any) {
		object(m, "linux")["devices"] = []any{map[string]any{"path": "dev/x", "type": "c", "major": 1, "minor": 3}}
	}, []string{"linux.devices[0].path", "dev/x"}, true},
	{"unified key with a slash", func(m map[string]any) {
		object(m, "linux", "resources")["unified"] = map[string]any{"../memory.max": "1"}
	}, []string{"linux.resources.unified", "../memory.max"}, false},
	{"unknown personality", func(m map[string]any) {
		object(m, "linux")["personality"] = map[string]any{"domain": "NOSUCH"}
	}, []string{"linux.personality.domain", "NOSUCH"}, false},
	{"wrong type", func(m map[string]any) { object(m, "process")["args"] = "sh" }, []string{"config.json:1:", "process.args"}, false},
	{"uid that is a name", func(m map[string]any) { object(m, "process", "user")["uid"] = "root" }, []string{"config.json:1:", "uid"}, false},
	{"uid out of range", func(m map[string]any) { object(m, "process", "user")["uid"] = 4294967296 }, []string{"config.json:1:", "uid"}, false},
	{"negative gid", func(m map[string]any) { object(m, "process", "user")["gid"] = -1 }, []string{"config.json:1:", "gid"}, false},
}

func namespaceType(m map[string]any, kind string) {
	l := object(m, "linux")
	l["namespaces"] = append(l["namespaces"].([]any), map[string]any{"type": kind})
}

func dropNamespace(m map[string]any, kind string) {
	l := object(m, "linux")
	var keep []any
	for _, ns := range l["namespaces"].([]any) {
		if ns.(map[string]any)["type"] != kind {
			keep = append(keep, ns)
		}
	}
	l["namespaces"] = keep
}

// Bad input: exit status 1, one clear line that names the field, one error record in the log, nothing left behind.
func TestBadConfigs(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			if f.rt {
				rttest.OnlyRT(t, "this configuration is refused")
			}
			b := rttest.New(t)
			b.Edit = f.edit
			log := filepath.Join(b.Dir, "log.json")
			b.Flags = []string{"--log", log, "--log-format", "json"}
			b.Create().FailsNaming(f.words...)
			b.CheckGone()
			if n := len(errorRecords(t, log)); rttest.IsRT(t) && n != 1 {
				t.Errorf("%d error records in the log", n)
			}
			if entries, _ := os.ReadDir(b.Root); len(entries) != 0 {
				t.Errorf("the state root holds %v", entries)
			}
		})
	}
}

func errorRecords(t *testing.T, log string) (errors []map[string]any) {
	t.Helper()
	for _, r := range logRecords(t, log) {
		if r["level"] == "error" {
			errors = append(errors, r)
		}
	}
	return errors
}

func TestBadBundles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string // "" for none
		words  []string
	}{
		"no config.json": {"", []string{"config.json", "no such file or directory"}},
		"empty":          {" ", []string{"config.json", "empty"}},
		"not JSON":       {"{\n  \"ociVersion\": \"1.0.2\",\n  bad\n}", []string{"config.json:3:3"}},
		"cut off":        {"{\n  \"ociVersion\": \"1.0", []string{"config.json:2:"}},
		"wrong type":     {"{\n  \"ociVersion\": \"1.0.2\",\n  \"mounts\": {}\n}", []string{"config.json:3:", "mounts"}},
		"two documents":  {"{} {}", []string{"config.json:1:4"}},
		"an array":       {"[]", []string{"config.json:1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t)
			if c.config != "" {
				b.WriteFile("config.json", c.config)
			}
			b.RT("create", "--bundle", b.Dir, b.ID).FailsNaming(c.words...)
			b.CheckGone()
		})
	}
	t.Run("no bundle", func(t *testing.T) {
		b := rttest.New(t)
		b.RT("create", "--bundle", "/no/such/bundle", b.ID).Fails("/no/such/bundle", "no such file or directory")
	})
}

// All faults of a config are told at once.
func TestAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	rttest.OnlyRT(t, "all faults at once")
	b := rttest.New(t)
	b.Edit = func(m map[string]any) {
		object(m, "process")["cwd"] = "here"
		object(m, "linux")["rootfsPropagation"] = "nosuch"
		object(m, "linux")["sysctl"] = map[string]any{"kernel.panic": "1"}
		m["hooks"] = map[string]any{"poststop": []any{map[string]any{"path": "relative"}}}
	}
	b.Create().FailsNaming("process.cwd", "linux.rootfsPropagation", "linux.sysctl", "hooks.poststop[0].path")
}

// Without a process there is nothing to start. The specification lets create take such a config; runc does not.
func TestNoProcess(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Edit = func(m map[string]any) { delete(m, "process") }
	b.Run().FailsNaming("process")
	b.CheckGone()
	if res := b.Create(); res.Code == 0 {
		b.Start().FailsNaming("process")
		if s := b.State(); s.Status == "running" {
			t.Errorf("it runs: %+v", s)
		}
	}
}

// Fields of a later specification, or of nobody's, are no fault, nor are annotations that only others know.
func TestUnknownFieldsAreTolerated(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Annotations = map[string]string{"org.nobody.knows": ""}
	b.Edit = func(m map[string]any) {
		m["vendor"] = map[string]any{"x": []any{1, "two", nil}}
		object(m, "process")["future"] = true
		object(m, "linux")["future"] = map[string]any{}
	}
	b.Run().OK()
}

func TestNewerMinorVersionIsTolerated(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"1.0.0", "1.0.2-dev", "1.3.0", "1.9.0"} {
		b := rttest.New(t)
		b.Spec.Version = version
		b.Run().OK()
	}
}

func TestBadIDs(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.WriteConfig()
	for _, id := range []string{"", ".", "..", "a/b", "../x", "a b", "a\nb", "ä", "a,b", "$x"} {
		for _, verb := range []string{"create", "run"} {
			b.RT(verb, "--bundle", b.Dir, id).Exits(1)
		}
		for _, verb := range []string{"state", "start", "delete"} {
			b.RT(verb, id).Exits(1)
		}
	}
	if entries, _ := os.ReadDir(b.Root); len(entries) != 0 {
		t.Errorf("the state root holds %v", entries)
	}
}

func TestGoodIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a", "A_b-c.d+e", "0", strings.Repeat("x", 200)} {
		b := rttest.New(t)
		b.ID = id
		b.Run().OK()
	}
}

// A failed create of a used id harms nothing, nor does any command's failure touch another container.
func TestFailedCreateLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	one, two := rttest.New(t).Args("sleep", "1000"), rttest.New(t)
	two.Root = one.Root
	one.RunDetached().OK()
	two.Edit = func(m map[string]any) { object(m, "root")["path"] = "nosuch" }
	two.Create().Fails()
	if s := one.State(); s.Status != "running" {
		t.Errorf("the other container is %s", s.Status)
	}
	var list []rttest.State
	if err := json.Unmarshal([]byte(one.RT("list", "-f", "json").OK().Stdout), &list); err != nil || len(list) != 1 {
		t.Errorf("list: %v (%v)", list, err)
	}
}
