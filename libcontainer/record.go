package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"rt/cgroups"
	"rt/internal/object"
	"rt/internal/sys"
	"rt/libcontainer/intelrdt"
	"rt/nsenter"
	"rt/specconv"
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
	Created     string            `json:"created"` // RFC 3339
	Creating    bool              `json:"-"`       // create has not finished, or was killed: its first record is still there
	Pid         int               `json:"init_process_pid"`
	StartTime   uint64            `json:"init_process_start"` // of Pid, in clock ticks since boot: tells it from a later process of the same number
	OwnPidNS    bool              `json:"own_pid_namespace"`
	Cgroup      cgroups.State     `json:"cgroup"`
	CgroupPaths map[string]string `json:"cgroup_paths,omitempty"` // as monitoring tools look for it
	Annotations map[string]string `json:"annotations,omitempty"`
	Hooks       *savedHooks       `json:"hooks,omitempty"`  // of start and delete
	Filtered    bool              `json:"seccomp,omitzero"` // its filter is kept for exec
	Listener    *listener         `json:"seccomp_listener,omitempty"`
	IntelRdt    *intelrdt.Group   `json:"intel_rdt,omitempty"`
	Guests      guestDefaults     `json:"exec,omitzero"`       // what exec'd processes share with init
	Joined      int               `json:"-"`                   // this is an exec'd process, which joined the init of this pid
	CPUShares   *uint64           `json:"cpu_shares,omitzero"` // of the config or an update: the only limit that the kernel forgets
	FirstLate   int               `json:"first_late_step,omitzero"`
	Late        []lateStep        `json:"late_steps,omitempty"` // to word what fails after start
}

// announce writes the first record, before anything else happens: enough to undo the making.
func (e *entry) announce(r *record) error {
	return e.writeFile(creatingName, &record{Version: r.Version, OCIVersion: r.OCIVersion, ID: r.ID, Bundle: r.Bundle, Rootfs: r.Rootfs,
		Created: r.Created, Cgroup: r.Cgroup, IntelRdt: r.IntelRdt})
}

// write fills the object that a record is kept as. Only what is rare is left to the JSON library.
func (r *record) write(w *object.Writer) {
	w.Number("version", uint64(r.Version))
	w.Text("ociVersion", r.OCIVersion)
	w.Text("id", r.ID)
	w.Text("bundle", r.Bundle)
	w.Text("rootfs", r.Rootfs)
	w.Text("created", r.Created)
	w.Number("init_process_pid", uint64(r.Pid))
	w.Number("init_process_start", r.StartTime)
	w.Bool("own_pid_namespace", r.OwnPidNS)
	w.Object("cgroup", r.Cgroup.Write)
	w.Texts("cgroup_paths", r.CgroupPaths)
	w.Texts("annotations", r.Annotations)
	object.Other(w, "hooks", r.Hooks)
	w.Bool("seccomp", r.Filtered)
	object.Other(w, "seccomp_listener", r.Listener)
	object.Other(w, "intel_rdt", r.IntelRdt)
	w.Object("exec", r.Guests.write)
	object.Other(w, "cpu_shares", r.CPUShares)
	w.Number("first_late_step", uint64(r.FirstLate))
	w.Objects("late_steps", len(r.Late), func(w *object.Writer, i int) { r.Late[i].write(w) })
}

func (l *lateStep) write(w *object.Writer) {
	w.Number("op", uint64(l.Op))
	w.Text("from", l.From)
	w.Text("what", l.What)
	w.Text("name", l.Name)
}

// settle says that the making is done: only now does the container count as created.
func (e *entry) settle() error {
	if err := unix.Unlinkat(int(e.f.Fd()), creatingName, 0); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "unlink", Path: filepath.Join(e.dir, creatingName), Err: err}
	}
	return nil
}

// write puts the record in place at once: a reader, or a crash, sees the one
// before or this one. It is written once: renaming over an older file makes some
// filesystems flush it to the disk.
func (e *entry) write(r *record) error {
	if err := e.writeFile(temporaryName, r); err != nil {
		return err
	}
	dir := int(e.f.Fd())
	if err := unix.Renameat(dir, temporaryName, dir, recordName); err != nil {
		return &os.PathError{Op: "rename", Path: filepath.Join(e.dir, recordName), Err: err}
	}
	return nil
}

func (e *entry) writeFile(name string, r *record) error {
	data, err := object.Marshal(r.write)
	if err != nil {
		return fmt.Errorf("encode the record of %q: %w", e.id, err)
	}
	return e.writeBytes(name, data)
}

func (e *entry) writeBytes(name string, data []byte) error {
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(e.f.Fd()), name, flags, 0o600)
	if err != nil {
		return &os.PathError{Op: "open", Path: filepath.Join(e.dir, name), Err: err}
	}
	defer unix.Close(fd)
	if _, err := unix.Write(fd, data); err != nil {
		return &os.PathError{Op: "write", Path: filepath.Join(e.dir, name), Err: err}
	}
	return nil
}

// read reads the record; fs.ErrNotExist when there is none.
func (e *entry) read() (*record, error) {
	var st unix.Stat_t
	creating := unix.Fstatat(int(e.f.Fd()), creatingName, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
	r, err := e.readFile(recordName)
	if creating && errors.Is(err, fs.ErrNotExist) {
		r, err = e.readFile(creatingName)
	}
	if err != nil {
		return nil, err
	}
	r.Creating = creating
	return r, nil
}

func (e *entry) readFile(file string) (*record, error) {
	name := filepath.Join(e.dir, file)
	fd, err := unix.Openat(int(e.f.Fd()), file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	data, err := sys.ReadFD(fd, name)
	unix.Close(fd)
	if err != nil {
		return nil, err
	}
	var r record
	if err := specconv.DecodeInto(name, data, &r); err != nil {
		return nil, fmt.Errorf("read the record: %w", err)
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
