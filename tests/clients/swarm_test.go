package clients

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rt/tests/rttest"
)

// One machine is a swarm, too. Services take no --runtime: theirs is the default. There is no routing mesh here, which
// wants ip_vs, so the services are without a virtual address.
func TestSwarm(t *testing.T) {
	eachDocker(t, func(t *testing.T, daemon *dockerDaemon) {
		daemon.byFlags = true
		d := daemon.start(t)
		d.run("swarm", "init", "--advertise-addr", "127.0.0.1", "--listen-addr", "127.0.0.1").OK()
		t.Cleanup(func() { d.run("swarm", "leave", "--force").OK() })
		d.all(t, swarmChecks)
	})
}

var swarmChecks = []check{
	{"a task has the default runtime", func(d engine) {
		tasks := d.service(1)
		if got := d.inspect(tasks[0], "{{.HostConfig.Runtime}}"); got != "rt" {
			d.t.Errorf("the task runs on %q", got)
		}
	}},
	{"scale", func(d engine) {
		d.service(3)
		d.run("service", "scale", "-d", "web=5").OK()
		d.tasks(5)
		d.run("service", "scale", "-d", "web=1").OK()
		d.tasks(1)
	}},
	{"rolling update", func(d engine) {
		before := d.service(3, "--update-parallelism", "1", "--update-delay", "100ms")
		d.run("service", "update", "-d", "--env-add", "VERSION=2", "web").OK()
		d.eventually("completed", "service", "inspect", "--format", "{{.UpdateStatus.State}}", "web")
		for _, id := range d.tasks(3) {
			if slices.Contains(before, id) {
				d.t.Errorf("%s is from before the update", id)
			}
			d.says("2", "exec", id, "sh", "-c", "echo $VERSION")
		}
	}},
	{"a killed task comes back", func(d engine) {
		before := d.service(3, "--restart-delay", "100ms")
		d.run("kill", before[0]).OK()
		rttest.Eventually(d.t, "the service is whole again without the task", func() bool {
			now := d.running()
			return len(now) == 3 && !slices.Contains(now, before[0])
		})
	}},
	{"limits, a secret, a hostname", func(d engine) {
		dir := openDir(d.t)
		d.run("secret", "create", "key", writeFile(d.t, dir+"/key", "hidden")).OK()
		d.t.Cleanup(func() { d.run("secret", "rm", "key").OK() })
		id := d.service(1, "--secret", "key", "--limit-memory", "32m", "--hostname", "box-{{.Task.Slot}}", "--read-only")[0]
		d.says("hidden box-1", "exec", id, "sh", "-c", "echo $(cat /run/secrets/key) $(hostname)")
		d.cgroupSays("33554432", "memory", id, "memory.limit_in_bytes")
		d.run("service", "rm", "web").OK() // before its secret
	}},
	{"an overlay network", func(d engine) {
		d.run("network", "create", "-d", "overlay", "net").OK()
		id := d.service(1, "--network", "net", "--endpoint-mode", "dnsrr")[0]
		contains(d.t, d.run("exec", id, "ip", "addr").OK().Stdout, "inet 10.0.")
		d.run("service", "rm", "web").OK()
		d.tasks(0)
		d.run("network", "rm", "net").OK()
	}},
}

// service starts a service with that many tasks and returns their containers. It ends with the test.
func (e engine) service(tasks int, flags ...string) []string {
	e.t.Helper()
	e.run(slices.Concat([]string{"service", "create", "-d", "--name", "web", "--no-resolve-image", "--stop-signal", "KILL", "--replicas", strconv.Itoa(tasks)},
		flags, []string{imageName, "sh", "-c", "exec sleep 1000"})...).OK()
	e.t.Cleanup(func() {
		e.run("service", "rm", "web") // the test may have done it
		e.tasks(0)
	})
	return e.tasks(tasks)
}

// tasks waits until that many containers run and returns them.
func (e engine) tasks(n int) (ids []string) {
	e.t.Helper()
	rttest.Eventually(e.t, fmt.Sprint("the service has tasks: ", n), func() bool {
		ids = e.running()
		return len(ids) == n
	})
	return ids
}

func (e engine) running() []string {
	e.t.Helper()
	return strings.Fields(e.run("ps", "-q", "--no-trunc").OK().Stdout)
}
