package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"rt/tests/rttest"
)

// The life that engines drive: create, state, start, output, kill, state, delete, each with what it must not do too.
func TestLifecycle(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo begun; trap 'echo term; exit 5' TERM; while :; do sleep 0.05; done")
	b.Create().OK()

	created := b.State()
	if created.Status != "created" || created.Pid == 0 {
		t.Fatalf("after create: %+v", created)
	}
	if out := b.Output(); out != "" {
		t.Fatalf("the program ran before start: %q", out)
	}
	b.Start().OK()
	rttest.Eventually(t, "the program prints", func() bool { return b.Output() == "begun\n" })
	running := b.State()
	if running.Status != "running" || running.Pid != created.Pid {
		t.Fatalf("after start: %+v", running)
	}
	b.Kill("TERM").OK()
	if status := b.Wait(created.Pid); status != 5 {
		t.Fatalf("status %d, want 5", status)
	}
	if stopped := b.State(); stopped.Status != "stopped" || stopped.Pid != 0 {
		t.Fatalf("after the end: %+v", stopped)
	}
	b.Delete().OK()
	b.CheckGone()
	b.RT("state", b.ID).Fails("does not exist")
}

func TestStateDocument(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Spec.Annotations = map[string]string{"org.example.key": "value"}
	before := time.Now()
	b.Create().OK()
	s := b.State()
	if s.ID != b.ID || s.Bundle != b.Dir || s.Rootfs != b.InRootfs() || s.OCIVersion == "" {
		t.Errorf("state: %+v", s)
	}
	if s.Annotations["org.example.key"] != "value" || len(s.Annotations) != 1 {
		t.Errorf("annotations: %v", s.Annotations)
	}
	created, err := time.Parse(time.RFC3339Nano, s.Created)
	if err != nil || created.Before(before.Add(-time.Second)) || created.After(time.Now()) {
		t.Errorf("created %q (%v)", s.Created, err)
	}
	text := b.RT("state", b.ID).OK().Stdout
	if !strings.HasPrefix(text, "{\n  \"ociVersion\"") || strings.HasSuffix(text, "\n") {
		t.Errorf("want indented JSON without a final newline: %q", text)
	}
}

// Whatever happens to config.json after create is nothing to the container.
func TestConfigIsReadByCreateOnly(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("echo first; hostname; echo $WHICH; sleep 1000")
	b.Spec.Hostname, b.Spec.Process.Env = "first", append(b.Spec.Process.Env, "WHICH=first")
	b.Create().OK()
	b.WriteFile("config.json", "{}")
	b.Start().OK()
	rttest.Eventually(t, "the process of the first config runs", func() bool { return b.Output() == "first\nfirst\nfirst\n" })
	if err := os.Remove(filepath.Join(b.Dir, "config.json")); err != nil {
		t.Fatal(err)
	}
	b.State()
	b.Delete("--force").OK()
}

func TestCreateRefusesAnIDInUse(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	b.Create().OK()
	b.Create().Fails("container with given ID already exists")
	if s := b.State(); s.Status != "created" {
		t.Errorf("the first container is %s now", s.Status)
	}
}

func TestStartTwice(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Sh("sleep 100")
	b.Create().OK()
	pid := b.Pid()
	b.Start().OK()
	b.Start().Fails("cannot start an already running container")
	b.Kill("KILL").OK()
	b.Wait(pid)
	b.Start().Fails("cannot start a container that has stopped")
}

func TestUnknownContainer(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	for _, verb := range []string{"state", "start", "kill", "delete"} {
		b.RT(verb, "nobody").Fails("container does not exist")
	}
	b.RT("delete", "--force", "nobody").OK()
}

func TestDelete(t *testing.T) {
	t.Parallel()
	t.Run("refuses a running container", func(t *testing.T) {
		b := rttest.New(t).Sh("sleep 100")
		b.RunDetached().OK()
		b.Delete().Fails("cannot delete container "+b.ID+" that is not stopped", "running")
	})
	t.Run("kills a created one", func(t *testing.T) {
		b := rttest.New(t)
		b.Create().OK()
		pid := b.Pid()
		b.Delete().OK()
		if status := b.Wait(pid); status != 128+9 {
			t.Errorf("init ended with %d, want SIGKILL", status)
		}
		b.CheckGone()
	})
	t.Run("kills a running one by force", func(t *testing.T) {
		b := rttest.New(t).Sh("trap '' TERM INT HUP; while :; do sleep 0.05; done")
		b.RunDetached().OK()
		pid := b.Pid()
		b.Delete("--force").OK()
		if status := b.Wait(pid); status != 128+9 {
			t.Errorf("init ended with %d, want SIGKILL", status)
		}
		b.CheckGone()
	})
	t.Run("removes an id directory without a state", func(t *testing.T) {
		b := rttest.New(t)
		if err := os.MkdirAll(filepath.Join(b.Root, b.ID), 0o700); err != nil {
			t.Fatal(err)
		}
		b.RT("delete", "--force", b.ID).OK()
		b.CheckGone()
	})
}

func TestKill(t *testing.T) {
	t.Parallel()
	for name, signal := range map[string]string{"number": "10", "short name": "USR1", "long name": "SIGUSR1"} {
		t.Run(name, func(t *testing.T) {
			b := rttest.New(t).Sh("trap 'exit 3' USR1; echo up; while :; do sleep 0.05; done")
			b.RunDetached().OK()
			pid := b.Pid()
			rttest.Eventually(t, "the trap is set", func() bool { return b.Output() == "up\n" })
			b.Kill(signal).OK()
			if status := b.Wait(pid); status != 3 {
				t.Errorf("status %d, want 3", status)
			}
		})
	}
	t.Run("TERM by default", func(t *testing.T) {
		b := rttest.New(t).Sh("trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done")
		b.RunDetached().OK()
		pid := b.Pid()
		rttest.Eventually(t, "the trap is set", func() bool { return b.Output() == "up\n" })
		b.RT("kill", b.ID).OK()
		if status := b.Wait(pid); status != 4 {
			t.Errorf("status %d, want 4", status)
		}
	})
	t.Run("a created container", func(t *testing.T) {
		b := rttest.New(t)
		b.Create().OK()
		pid := b.Pid()
		b.Kill("KILL").OK()
		if status := b.Wait(pid); status != 128+9 {
			t.Errorf("status %d, want 137", status)
		}
		if s := b.State(); s.Status != "stopped" {
			t.Errorf("state %+v", s)
		}
	})
	t.Run("refuses a stopped container", func(t *testing.T) {
		b := rttest.New(t)
		b.RunDetached().OK()
		rttest.Eventually(t, "it ends", func() bool { return b.State().Status == "stopped" })
		b.Kill("TERM").Fails("container not running")
		b.RT("kill", "--all", b.ID, "KILL").OK()
	})
	t.Run("refuses no signal at all", func(t *testing.T) {
		b := rttest.New(t).Sh("sleep 100")
		b.RunDetached().OK()
		for _, bad := range []string{"NOSUCH", "99999", "SIG"} {
			b.Kill(bad).Exits(1)
		}
		if s := b.State(); s.Status != "running" {
			t.Errorf("state %+v", s)
		}
	})
}

// Without a PID namespace of its own, KILL must reach everything in the cgroup, not only init.
func TestKillWithSharedPIDNamespaceReachesAll(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"KILL"}, {"--all", "KILL"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			b := rttest.New(t).Drop("pid").Sh("sleep 100 & sleep 100 & echo up; wait")
			b.RunDetached().OK()
			rttest.Eventually(t, "children run", func() bool { return b.Output() == "up\n" })
			pids := cgroupPids(t, b)
			if len(pids) != 3 {
				t.Fatalf("processes in the cgroup: %v", pids)
			}
			if args[0] == "--all" {
				b.RT("kill", "--all", b.ID, "KILL").OK()
			} else {
				b.Kill("KILL").OK()
			}
			for _, pid := range pids {
				rttest.WaitPid(t, pid)
			}
		})
	}
}

// cgroupPids are the processes in the container's cgroup, in the hierarchy that every runtime uses for it.
func cgroupPids(t *testing.T, b *rttest.Bundle) []int {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(rttest.CgroupDir(t, "devices", b.Spec.Linux.CgroupsPath), "cgroup.procs"))
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, f := range strings.Fields(string(data)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	return pids
}

func TestKillAllOfAStoppedContainerWithSharedPIDNamespace(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Drop("pid").Sh("sleep 100 & echo up")
	b.Create().OK()
	b.Finish()
	orphans := cgroupPids(t, b)
	if len(orphans) != 1 {
		t.Fatalf("processes in the cgroup: %v", orphans)
	}
	b.RT("kill", "--all", b.ID, "KILL").OK()
	if status := rttest.WaitPid(t, orphans[0]); status != 128+9 {
		t.Errorf("the orphan ended with %d", status)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	one, two := rttest.New(t).Sh("sleep 100"), rttest.New(t)
	two.Root = one.Root
	one.RT("list").Fails() // an explicit root that does not exist
	one.RunDetached().OK()
	two.Create().OK()

	var list []rttest.State
	if err := json.Unmarshal([]byte(one.RT("list", "--format", "json").OK().Stdout), &list); err != nil {
		t.Fatal(err)
	}
	status := map[string]string{}
	for _, s := range list {
		status[s.ID] = s.Status
		if s.Pid == 0 || s.Bundle == "" || s.Owner != "root" {
			t.Errorf("list: %+v", s)
		}
	}
	if len(list) != 2 || status[one.ID] != "running" || status[two.ID] != "created" {
		t.Errorf("list: %v", status)
	}
	quiet := strings.Fields(one.RT("list", "-q").OK().Stdout)
	if len(quiet) != 2 {
		t.Errorf("list -q: %q", quiet)
	}
	table := strings.Split(strings.TrimSpace(one.RT("list").OK().Stdout), "\n")
	if got := strings.Fields(table[0]); strings.Join(got, " ") != "ID PID STATUS BUNDLE CREATED OWNER" {
		t.Errorf("table heading: %q", table[0])
	}
	if len(table) != 3 {
		t.Errorf("table: %q", table)
	}
	one.RT("list", "--format", "yaml").Fails()
}

func TestListOfNothing(t *testing.T) {
	t.Parallel()
	b := rttest.New(t)
	if err := os.Mkdir(b.Root, 0o700); err != nil {
		t.Fatal(err)
	}
	b.RT("list", "--format", "json").OK().Prints("null")
	b.RT("list", "-q").OK().Prints("")
}

func TestSpec(t *testing.T) {
	t.Parallel()
	t.Run("writes a bundle that runs", func(t *testing.T) {
		b := rttest.New(t)
		b.RT("spec", "--bundle", b.Dir).OK()
		b.RT("spec", "--bundle", b.Dir).Fails("config.json")
		var config map[string]any
		data, err := os.ReadFile(filepath.Join(b.Dir, "config.json"))
		if err == nil {
			err = json.Unmarshal(data, &config)
		}
		if err != nil {
			t.Fatal(err)
		}
		process := config["process"].(map[string]any)
		process["terminal"] = false
		process["args"] = []string{"/bin/sh", "-c", "hostname; touch /x"}
		config["linux"].(map[string]any)["cgroupsPath"] = b.Spec.Linux.CgroupsPath
		b.Edit = func(m map[string]any) {
			clear(m)
			for k, v := range config {
				m[k] = v
			}
		}
		res := b.Run().Exits(1)
		if !strings.Contains(res.Stderr, "Read-only file system") || strings.TrimSpace(res.Stdout) == "" {
			t.Errorf("want a host name, and a read-only root: %s", res)
		}
	})
	t.Run("rootless", func(t *testing.T) {
		b := rttest.New(t)
		b.RT("spec", "--rootless", "--bundle", b.Dir).OK()
		data, err := os.ReadFile(filepath.Join(b.Dir, "config.json"))
		if err != nil || !strings.Contains(string(data), `"uidMappings"`) || !strings.Contains(string(data), `"user"`) {
			t.Errorf("no user namespace in it (%v): %s", err, data)
		}
	})
}
