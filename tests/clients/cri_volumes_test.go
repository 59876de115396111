package clients

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// mounts is a container's configuration with these volumes.
func mounts(list ...object) object { return object{"mounts": list} }

// volume is a directory of the machine with a file in it.
func (k kubelet) volume() string {
	k.t.Helper()
	dir, err := os.MkdirTemp(k.dir, "volume")
	must(k.t, err)
	must(k.t, os.Chmod(dir, 0o755))
	writeFile(k.t, filepath.Join(dir, "in"), "text\n")
	k.t.Cleanup(func() { must(k.t, os.RemoveAll(dir)) })
	return dir
}

// sharedVolume is one that is a mount of its own, shared, with an empty directory sub in it.
func (k kubelet) sharedVolume() string {
	k.t.Helper()
	dir := k.volume()
	must(k.t, os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(k.t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	must(k.t, unix.Mount("", dir, "", unix.MS_SHARED, ""))
	k.t.Cleanup(func() { must(k.t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

func owner(k kubelet, path string) uint32 {
	k.t.Helper()
	var st unix.Stat_t
	must(k.t, unix.Lstat(path, &st))
	return st.Uid
}

func criVolumes(k kubelet) {
	dir := k.volume()
	p := k.pod(nil)
	p.prints("text", "cat /v/in; echo out > /v/out", mounts(object{"containerPath": "/v", "hostPath": dir}))
	if data, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(data) != "out\n" {
		k.t.Errorf("%q, %v", data, err)
	}
	p.prints("text\nread-only", "cat /v/in; touch /v/x 2>/dev/null || echo read-only",
		mounts(object{"containerPath": "/v", "hostPath": dir, "readonly": true}))
	p.prints("text", "cat /f", mounts(object{"containerPath": "/f", "hostPath": filepath.Join(dir, "in"), "readonly": true}))
}

func criPropagation(k kubelet) {
	dir := k.sharedVolume()
	p := k.pod(nil)
	with := func(propagation string, over object) string {
		return p.start("exec sleep 1000", merged(over, mounts(object{"containerPath": "/v", "hostPath": dir, "propagation": propagation})))
	}
	private, slave := with("PROPAGATION_PRIVATE", object{}), with("PROPAGATION_HOST_TO_CONTAINER", object{})
	sub := filepath.Join(dir, "sub")
	must(k.t, unix.Mount("tmpfs", sub, "tmpfs", 0, ""))
	writeFile(k.t, filepath.Join(sub, "later"), "")
	k.sees(slave, "later", "ls /v/sub")
	k.sees(private, "", "ls /v/sub")
	must(k.t, unix.Unmount(sub, 0))

	p = k.pod(security(object{"privileged": true}))
	both := with("PROPAGATION_BIDIRECTIONAL", security(object{"privileged": true}))
	k.sees(both, "", "mount -t tmpfs x /v/sub && touch /v/sub/from-container")
	if _, err := os.Stat(filepath.Join(sub, "from-container")); err != nil {
		k.t.Error(err)
	}
	must(k.t, unix.Unmount(sub, 0))
}

func criReadonly(k kubelet) {
	dir := k.sharedVolume()
	sub := filepath.Join(dir, "sub")
	must(k.t, unix.Mount("tmpfs", sub, "tmpfs", 0, ""))
	p := k.pod(nil)
	const try = "for d in /v /v/sub; do touch $d/x 2>/dev/null && echo written || echo read-only; done"
	for recursive, want := range map[bool]string{false: "read-only\nwritten", true: "read-only\nread-only"} {
		p.prints(want, try, mounts(object{"containerPath": "/v", "hostPath": dir, "readonly": true, "recursiveReadOnly": recursive}))
	}
}

// criUserns is a pod in a user namespace of its own; its volumes are idmapped mounts.
func criUserns(k kubelet) {
	ids := []object{{"containerId": 0, "hostId": 200000, "length": 65536}}
	userns := namespaces(object{"usernsOptions": object{"mode": "POD", "uids": ids, "gids": ids}})
	dir := k.volume()
	volume := object{"containerPath": "/v", "hostPath": dir, "uidMappings": ids, "gidMappings": ids}
	p := k.pod(userns)
	id := p.start("exec sleep 1000", merged(userns, mounts(volume)))
	k.sees(id, "0 200000 65536", "cat /proc/self/uid_map | tr -s ' ' | sed 's/^ //'")
	k.sees(id, "0 0 0", "echo $(stat -c %u / /etc/passwd /v/in)")
	k.sees(id, "0", "touch /v/made && stat -c %u /v/made")
	k.sees(id, p.config["hostname"].(string), "hostname")
	k.sees(id, "nameserver", "grep -o nameserver /etc/resolv.conf || echo nameserver")
	if got := owner(k, filepath.Join(dir, "made")); got != 0 {
		k.t.Error("on the machine the file is", got)
	}
	if got := owner(k, fmt.Sprintf("/proc/%d", k.ctr.taskPid(id))); got != 200000 {
		k.t.Error("the process runs as", got)
	}
	unmapped := p.start("exec sleep 1000", merged(userns, mounts(object{"containerPath": "/v", "hostPath": dir})))
	k.sees(unmapped, "65534", "stat -c %u /v/in")
	user := p.start("exec sleep 1000", merged(merged(userns, mounts(volume)), security(object{"runAsUser": object{"value": 1000}, "runAsGroup": object{"value": 1000}})))
	k.sees(user, "1000:1000", "echo $(id -u):$(id -g)")
	if out := k.run("exec", user, "id", "-u").OK().Stdout; out != "1000\n" {
		k.t.Errorf("%q", out)
	}
}
