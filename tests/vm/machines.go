package main

// A machine is one way to boot.
type machine struct {
	name    string
	cmdline string // more of the kernel's command line
	init    string // what the kernel starts, see init.sh
	tests   string // what runs of the tests unless asked for all, as go test -run; all but tooSlow if empty
	systemd bool   // runs the tests of the systemd driver, too
}

// Slow as a machine in software is, most run what depends on cgroups only; the rest is the same on every machine.
const cgroupTests = "Cgroup|Limit|Hugetlb|Blkio|Device|Cpuset|Quota|Pause|TestKill(All|With|Of)|TestDelete|Events|Update|TestPs|Frozen|OutOfMemory"

// tooSlow are tests of hundreds of containers each, and those of the systemd driver, which have a machine of their own.
const tooSlow = "TestKilled|TestTwoHundredCycles|TestExecIsOutOfReach|TestBadConfigs|TestSystemd"

var machines = []machine{
	{name: "v2", init: "v2"},
	{name: "v2-systemd", init: "systemd", cmdline: "systemd.unified_cgroup_hierarchy=1", tests: cgroupTests, systemd: true},
	{name: "v1", init: "v1", tests: cgroupTests},
	{name: "hybrid", init: "hybrid", tests: cgroupTests},
	{name: "v1-systemd", init: "systemd", tests: cgroupTests,
		cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"},
	{name: "hybrid-systemd", init: "systemd", tests: cgroupTests,
		cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0"},
}
