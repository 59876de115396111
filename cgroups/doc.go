// Package cgroups makes, limits, measures and removes the one cgroup of a container.
//
// A cgroup here is a set of directories: one in each cgroup v1 hierarchy, one in the cgroup2 tree, or
// both (hybrid). [Open] finds out which, [Cgroup.Create] makes them and writes the limits,
// [Cgroup.MountSources] names the directories that a process enters, [Cgroup.Kill] and [Cgroup.Remove]
// end it. [Load] gives the same object back from a state record.
//
// Each controller has a file of its own (pids.go, memory.go, …) that translates its part of
// specs.LinuxResources into writes, for v1 and for v2; it touches nothing. limits.go decides which
// translation applies, and performs the writes. Where a controller lives decides, not the mode: on a
// hybrid machine one container may have cpu limits in v1 files and hugetlb limits in v2 files.
//
// With the systemd cgroup manager the directories belong to a unit, which systemd starts around a process
// that waits ([Cgroup.Adopt]); unit.go is what differs, properties.go says the limits in systemd's words,
// and package cgroups/systemd talks to it. All else is the same.
//
// The package never writes a process id into cgroup.procs (moving a process waits for an RCU grace
// period, 5 to 14 ms), never parses mountinfo, and starts no goroutine. It does not mount anything and
// knows nothing of namespaces: what a container sees in /sys/fs/cgroup is made from [MountSources].
package cgroups
