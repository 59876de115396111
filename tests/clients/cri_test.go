package clients

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"rt/tests/rttest"
)

// cniDir is where Debian's containernetworking-plugins are.
const cniDir = "/usr/lib/cni"

// A kubelet is the CRI's side that asks, with ctr for what the CRI has no word for.
type kubelet struct {
	engine
	ctr engine
	dir string
}

const criConfig = `version = 3
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/s"
[plugins."io.containerd.cri.v1.images"]
  stats_collect_period = 1
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "IMAGE"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["CNI"]
    conf_dir = "DIR"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "none"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.none]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.none.options]
        BinaryName = "/no/such/runtime"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.rt]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.rt.options]
        BinaryName = "RT"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
`

// criConfig16 is the same for Debian's containerd 1.6.
const criConfig16 = `version = 2
root = "DIR/root"
state = "DIR/state"
[grpc]
  address = "DIR/s"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "IMAGE"
  stats_collect_period = 1
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "CNI"
    conf_dir = "DIR"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "none"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.none]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.none.options]
        BinaryName = "/no/such/runtime"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.rt]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.rt.options]
        BinaryName = "RT"
`

// The firewall plugin: a dockerd that ran here before has the kernel drop what is forwarded, over bridges too.
const cniConfig = `{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "bridge", "bridge": "pods0", "isGateway": true,
	"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.88.0.0/16"}]], "routes": []}}, {"type": "firewall"}]}`

// startCRI runs the containerd in $PATH whose CRI knows the runtime as the handler "rt" and has a default that cannot run.
func startCRI(t *testing.T, config string) kubelet {
	t.Helper()
	useBuilt(t, "cri")
	need(t, "iptables")
	rttest.Need(t, rttest.File(cniDir+"/bridge"))
	dir := workDir(t, "cri")
	must(t, os.MkdirAll("/var/lib/kubelet/seccomp", 0o755)) // in the sandbox
	text := strings.NewReplacer("DIR", dir, "IMAGE", imageName, "CNI", cniDir, "RT", rttest.Runtime(t)).Replace(config)
	file := writeFile(t, filepath.Join(dir, "config.toml"), text)
	writeFile(t, filepath.Join(dir, "10-pods.conflist"), cniConfig)
	startDaemon(t, dir, "containerd", "--config", file)
	socket := filepath.Join(dir, "s")
	k := kubelet{engine{t: t, base: []string{"cri", "-a", socket}}, engine{t: t, base: []string{"ctr", "-a", socket, "-n", "k8s.io"}}, dir}
	k.ctr.eventually("Server:", "version")
	k.ctr.run("image", "import", writeImage(t, dir)).OK()
	return k
}

func (k kubelet) in(t *testing.T) kubelet {
	k.t, k.ctr.t = t, t
	return k
}

// An answer is what came back from a call.
type answer struct{ value any }

// get is the value at a path such as status.state or items.0.name, as text.
func (a answer) get(path string) string {
	v := a.value
	for key := range strings.SplitSeq(path, ".") {
		switch at := v.(type) {
		case object:
			v = at[key]
		case []any:
			if i, err := strconv.Atoi(key); err == nil && i < len(at) {
				v = at[i]
			} else {
				v = nil
			}
		default:
			v = nil
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// number is the value at the path, which JSON has as text if it has 64 bits.
func (a answer) number(path string) (n int) {
	n, _ = strconv.Atoi(a.get(path))
	return n
}

// try is a call that may fail.
func (k kubelet) try(method string, request object) *rttest.Result {
	k.t.Helper()
	if request == nil {
		request = object{}
	}
	return k.run("call", method, string(toJSON(k.t, request)))
}

func (k kubelet) call(method string, request object) (a answer) {
	k.t.Helper()
	must(k.t, json.Unmarshal([]byte(k.try(method, request).OK().Stdout), &a.value))
	return a
}

// merged is the first object with the second's fields in it.
func merged(base, over object) object {
	all := maps.Clone(base)
	for key, v := range over {
		inner, ok := v.(object)
		if below, both := all[key].(object); ok && both {
			v = merged(below, inner)
		}
		all[key] = v
	}
	return all
}

// A pod is a sandbox that lives until its test ends.
type pod struct {
	kubelet
	id     string
	config object
	logs   string
}

var serial atomic.Int32

// ownPIDs is what a kubelet asks for if a pod says nothing; the CRI's default is one PID namespace for a whole pod.
var ownPIDs = object{"pid": "CONTAINER"}

// podConfig is a small pod of one's own, with what the caller adds.
func (k kubelet) podConfig(over object) object {
	name := fmt.Sprintf("pod%d", serial.Add(1))
	return merged(object{
		"metadata":     object{"name": name, "namespace": "default", "uid": name},
		"hostname":     name,
		"logDirectory": filepath.Join(k.dir, "logs", name),
		"linux": object{
			"cgroupParent":    rttest.CgroupParent(),
			"securityContext": object{"namespaceOptions": ownPIDs},
		},
	}, over)
}

func (k kubelet) pod(over object) pod {
	k.t.Helper()
	config := k.podConfig(over)
	id := k.call("RunPodSandbox", object{"config": config, "runtimeHandler": "rt"}).get("podSandboxId")
	k.t.Cleanup(func() {
		k.call("StopPodSandbox", object{"podSandboxId": id})
		k.call("RemovePodSandbox", object{"podSandboxId": id})
	})
	return pod{k, id, config, config["logDirectory"].(string)}
}

// security is a pod's or a container's configuration with this in its security context.
func security(context object) object { return object{"linux": object{"securityContext": context}} }

// resources is a container's configuration with these limits.
func resources(limits object) object { return object{"linux": object{"resources": limits}} }

// create makes a container of the pod with a shell script in it.
func (p pod) create(script string, over object) string {
	p.t.Helper()
	name := fmt.Sprintf("c%d", serial.Add(1))
	config := merged(object{
		"metadata": object{"name": name},
		"image":    object{"image": imageName},
		"command":  []string{"sh", "-c", script},
		"logPath":  name + ".log",
		"linux":    object{"securityContext": object{"namespaceOptions": ownPIDs}},
	}, over)
	return p.call("CreateContainer", object{"podSandboxId": p.id, "config": config, "sandboxConfig": p.config}).get("containerId")
}

// start runs a shell script in a container of the pod.
func (p pod) start(script string, over object) string {
	p.t.Helper()
	id := p.create(script, over)
	p.call("StartContainer", object{"containerId": id})
	return id
}

func (k kubelet) status(id string) answer {
	k.t.Helper()
	return k.call("ContainerStatus", object{"containerId": id})
}

// ended waits for the container's end and returns exit status and reason.
func (k kubelet) ended(id string) string {
	k.t.Helper()
	var s answer
	rttest.Eventually(k.t, "the container ends", func() bool {
		s = k.status(id)
		return s.get("status.state") == "CONTAINER_EXITED"
	})
	return s.get("status.exitCode") + " " + s.get("status.reason")
}

// logOf is the container's log without times: "stdout F text".
func (p pod) logOf(id string) string {
	p.t.Helper()
	data, err := os.ReadFile(p.status(id).get("status.logPath"))
	must(p.t, err)
	var out []string
	for line := range strings.Lines(string(data)) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		out = append(out, rest)
	}
	return strings.Join(out, "\n")
}

// prints runs a script to its end in a container of its own, and compares what it printed.
func (p pod) prints(want, script string, over object) {
	p.t.Helper()
	id := p.start(script, over)
	status := p.ended(id)
	got := strings.ReplaceAll(p.logOf(id), "stdout F ", "")
	if got != want || status != "0 Completed" {
		p.t.Errorf("%s: %q, want %q", status, got, want)
	}
}

// execSync runs a shell script in the container.
func (k kubelet) execSync(id, script string) (stdout, stderr string, status int) {
	k.t.Helper()
	a := k.call("ExecSync", object{"containerId": id, "cmd": []string{"sh", "-c", script}, "timeout": 20})
	return decoded(k.t, a.get("stdout")), decoded(k.t, a.get("stderr")), a.number("exitCode")
}

func decoded(t *testing.T, text string) string {
	t.Helper()
	data, err := base64.StdEncoding.DecodeString(text)
	must(t, err)
	return strings.TrimSuffix(string(data), "\n")
}

// sees compares what a script prints in the running container.
func (k kubelet) sees(id, want, script string) {
	k.t.Helper()
	if out, errs, status := k.execSync(id, script); out != want || status != 0 {
		k.t.Errorf("%s: %q, status %d, %q, want %q", script, out, status, errs, want)
	}
}
