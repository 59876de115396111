package clients

import (
	"fmt"
	"strings"
	"sync"
)

func criSeccomp(k kubelet) {
	p := k.pod(nil)
	const mode = "awk '/^Seccomp:/ {print $2}' /proc/self/status"
	for kind, want := range map[string]string{"RuntimeDefault": "2", "Unconfined": "0"} {
		p.prints(want, mode, security(object{"seccomp": object{"profileType": kind}}))
	}
	profile := writeFile(k.t, "/var/lib/kubelet/seccomp/no-mkdir.json",
		`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}`)
	p.prints("2\ndenied", mode+"; mkdir /x 2>/dev/null || echo denied",
		security(object{"seccomp": object{"profileType": "Localhost", "localhostRef": profile}}))
	p.prints("denied", "unshare -U true 2>/dev/null || echo denied",
		security(object{"runAsUser": object{"value": 1000}, "seccomp": object{"profileType": "RuntimeDefault"}}))
}

func criCapabilities(k kubelet) {
	p := k.pod(nil)
	const effective = "awk '/^CapEff/ {print $2}' /proc/self/status"
	for _, c := range []struct{ want, add, drop string }{
		{"00000000a80425fb", "", ""},
		{"00000000a80425fa", "", "CHOWN"},
		{"00000000a80435fb", "NET_ADMIN", ""},
		{"0000000000000000", "", "ALL"},
		{"0000000000001000", "NET_ADMIN", "ALL"},
	} {
		p.prints(c.want, effective, security(object{"capabilities": object{
			"addCapabilities": strings.Fields(c.add), "dropCapabilities": strings.Fields(c.drop)}}))
	}
	p.prints("1", "awk '/^NoNewPrivs/ {print $2}' /proc/self/status", security(object{"noNewPrivs": true}))
}

func criUsers(k kubelet) {
	p := k.pod(nil)
	value := func(n int) object { return object{"value": n} }
	p.prints("0:0", "echo $(id -u):$(id -g)", nil)
	p.prints("1000:1000", "echo $(id -u):$(id -g)", security(object{"runAsUsername": "user"}))
	p.prints("1234:5678", "echo $(id -u):$(id -g)", security(object{"runAsUser": value(1234), "runAsGroup": value(5678)}))
	const groups = "awk '/^Groups/ {$1 = \"\"; print}' /proc/self/status | tr -s ' '"
	p.prints(" 1000 3000 4000", groups, security(object{
		"runAsUser": value(1000), "runAsGroup": value(1000), "supplementalGroups": []int{3000, 4000}, "supplementalGroupsPolicy": "Strict"}))
	p.prints(" 1000 3000", groups, security(object{
		"runAsUser": value(1000), "runAsGroup": value(1000), "supplementalGroups": []int{3000}, "supplementalGroupsPolicy": "Merge"}))
}

func criPaths(k kubelet) {
	p := k.pod(nil)
	p.prints("read-only", "touch /x 2>/dev/null || echo read-only", security(object{"readonlyRootfs": true}))
	masked := security(object{"maskedPaths": []string{"/proc/cpuinfo", "/proc/acpi", "/sys/firmware"}, "readonlyPaths": []string{"/proc/sys"}})
	p.prints("0 0 read-only", "echo $(wc -c </proc/cpuinfo) $(ls /sys/firmware | wc -l) $(echo 1 2>/dev/null >/proc/sys/kernel/panic || echo read-only)", masked)
	p.prints("there", "test $(ls /proc/sys/kernel | wc -l) -gt 10 && echo there", security(object{"maskedPaths": []string{}, "readonlyPaths": []string{}}))
	p.prints("1:3\ntext\ndenied", `stat -c %t:%T /dev/mine; echo text > /dev/mine && echo text; mknod /x c 1 1 && cat /x 2>/dev/null || echo denied`,
		object{"devices": []object{{"containerPath": "/dev/mine", "hostPath": "/dev/null", "permissions": "rw"}}})
}

// criMany starts and ends pods side by side, as a node does that boots.
func criMany(k kubelet) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			config := k.podConfig(nil)
			id := k.call("RunPodSandbox", object{"config": config, "runtimeHandler": "rt"}).get("podSandboxId")
			p := pod{k, id, config, config["logDirectory"].(string)}
			c := p.start(fmt.Sprintf("exit %d", i+1), nil)
			if got := k.ended(c); got != fmt.Sprintf("%d Error", i+1) {
				k.t.Error(i, got)
			}
			k.call("StopPodSandbox", object{"podSandboxId": id})
			k.call("RemovePodSandbox", object{"podSandboxId": id})
		})
	}
	all.Wait()
}
