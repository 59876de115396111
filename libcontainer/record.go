package libcontainer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/nsenter"
)

// recordVersion grows when a field changes its meaning.
const recordVersion = 1

// record is what is kept of a container. Its status is not: that is computed.
type record struct {
	Version     int               `json:"version"`
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Creating    bool              `json:"creating,omitzero"` // create has not finished, or was killed
	Pid         int               `json:"init_process_pid"`
	StartTime   uint64            `json:"init_process_start"` // of Pid, in clock ticks since boot: tells it from a later process of the same number
	OwnPidNS    bool              `json:"own_pid_namespace"`
	Cgroup      cgroups.State     `json:"cgroup"`
	CgroupPaths map[string]string `json:"cgroup_paths,omitempty"` // as monitoring tools look for it
	Annotations map[string]string `json:"annotations,omitempty"`
	Hooks       *specs.Hooks      `json:"hooks,omitempty"` // of start and delete
	Listener    *listener         `json:"seccomp_listener,omitempty"`
	FirstLate   int               `json:"first_late_step,omitzero"`
	Late        []lateStep        `json:"late_steps,omitempty"` // to word what fails after start
}

// write puts the record in place at once: a reader, or a crash, sees the old one or the new one.
func (e *entry) write(r *record) error {
	data, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the record of %q: %w", e.id, err)
	}
	tmp := recordName + ".tmp"
	dir := int(e.f.Fd())
	fd, err := unix.Openat(dir, tmp, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(e.dir, tmp), Err: err}
	}
	_, err = unix.Write(fd, data)
	unix.Close(fd)
	if err == nil {
		err = unix.Renameat(dir, tmp, dir, recordName)
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: filepath.Join(e.dir, recordName), Err: err}
	}
	return nil
}

func (e *entry) read() (*record, error) {
	name := filepath.Join(e.dir, recordName)
	fd, err := unix.Openat(int(e.f.Fd()), recordName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	var r record
	if err := json.UnmarshalRead(f, &r); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if r.Version != recordVersion || r.ID != e.id {
		return nil, fmt.Errorf("read %s: a record of version %d for %q is not ours", name, r.Version, r.ID)
	}
	return &r, nil
}

// lateStep is a step after the wait, in the words that `rt start` needs if it
// fails: the plan itself ends with create.
type lateStep struct {
	Op   nsenter.Op `json:"op"`
	From string     `json:"from"`
	What string     `json:"what"`
	Name string     `json:"name,omitzero"` // the program or hook
}

// lateSteps are the steps after the wait; their numbers go on from first.
func lateSteps(p *Plan) (first int, late []lateStep) {
	first = len(p.Steps)
	for i, s := range p.Steps {
		if s.Op == nsenter.OpWait {
			first = i + 1
		}
		if i < first {
			continue
		}
		l := lateStep{Op: s.Op, From: s.From, What: s.What}
		if s.Op == nsenter.OpHook || s.Op == nsenter.OpExec {
			l.Name, _, _ = strings.Cut(s.Text[0], "\x00")
		}
		late = append(late, l)
	}
	return first, late
}

// latePlan is what the record knows of the plan.
func (r *record) latePlan() *nsenter.Plan {
	p := &nsenter.Plan{Steps: make([]nsenter.Step, r.FirstLate)}
	for _, l := range r.Late {
		p.Add(nsenter.Step{Op: l.Op, From: l.From, What: l.What, Text: []string{l.Name}, Num: []uint64{0}})
	}
	return p
}
