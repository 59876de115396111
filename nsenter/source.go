package nsenter

// SourceKind says what the parent opens for a step.
type SourceKind uint8

// What can be opened. The parent opens, the stage uses: a wrong path is an
// ordinary error of the parent, and nothing on the host side is resolved again
// after entering.
const (
	NoSource    SourceKind = iota
	Namespace              // Path, of type Type (CLONE_NEW…)
	Tree                   // a detached copy of the mounts at Path
	Directory              // Path, O_PATH
	CgroupTasks            // the file that enters a cgroup: tasks below Path on v1, cgroup.procs with Unified
	CgroupDir              // the container's v2 cgroup, to be born in
	NullDevice             // a detached copy of /dev/null, checked to be char 1:3
	StartSocket            // the socket on which `rt start` will call
	InitPidfd              // a pidfd of the container's init, whose namespaces are joined
)

// Source is an fd that a step takes, described; opening it is the parent's.
type Source struct {
	Kind      SourceKind
	Path      string
	Type      uint64 // CLONE_NEW… of a Namespace
	Unified   bool   // CgroupTasks: Path is in a cgroup2 tree
	Recursive bool   // Tree: with everything mounted below
	IsRoot    bool   // Tree: must be a directory, for a container's root
	InCgroup  bool   // Tree: is part of the container's cgroup, which must have been made

	Set, Clear       uint64 // Tree: MOUNT_ATTR_… of the top mount
	RecSet, RecClear uint64 // Tree: … of all of them
	Propagation      []Propagation
	IDMap            *IDMap
}

// Propagation is one change of a mount's propagation (mount(2), MS_SHARED …).
type Propagation struct {
	Type      uint64
	Recursive bool
}

// IDMap maps the owners of a mount's files. With no mappings of its own it is
// that of the container's user namespace.
type IDMap struct {
	UIDs, GIDs []IDRange
	Recursive  bool
}

// IDRange maps Size ids from Inside on to those from Outside on.
type IDRange struct{ Inside, Outside, Size uint32 }
