package main

// A machine is one way to boot.
type machine struct {
	name    string
	cmdline string // more of the kernel's command line
	init    string // what the kernel starts, see init.sh
	tests   string // what runs of the tests unless asked for all, as go test -run; all but tooSlow if empty
}

// A run is one time that the tests run in a machine.
type run struct {
	name string // below the machine's
	mode string // "sandbox", as everywhere; "machine": in the machine's own namespaces, with its systemd
	args string // the command line of the tests; it is split at white space, unquoted
}

// Slow as a machine in software is, most run what depends on cgroups only; the rest is the same on every machine.
const cgroupTests = "Cgroup|Limit|Hugetlb|Blkio|Device|Cpuset|Quota|Pause|TestKill(All|With|Of)|TestDelete|Events|Update|TestPs|Frozen|OutOfMemory"

// tooSlow are tests of many containers each that are the same on every machine, and those of the systemd driver, which have
// machines of their own.
const tooSlow = "TestKilled|TestTwoHundredCycles|TestExecIsOutOfReach|TestExecWhileDeleting|TestBadConfigs|TestSystemd|" +
	"TestContract|TestSeccompAr|TestBadIDs|TestGoodIDs"

var machines = []machine{
	{name: "v2", init: "v2"},
	{name: "v2-systemd", init: "systemd", tests: cgroupTests, cmdline: "systemd.unified_cgroup_hierarchy=1"},
	{name: "v1", init: "v1", tests: cgroupTests},
	{name: "hybrid", init: "hybrid", tests: cgroupTests},
	{name: "v1-systemd", init: "systemd", tests: cgroupTests,
		cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"},
	{name: "hybrid-systemd", init: "systemd", tests: cgroupTests,
		cmdline: "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=0"},
}

// runs lists what runs in a machine: the tests, and where systemd runs the machine, those of its driver with that one.
func (o *options) runs(m machine) []run {
	common := "-test.v=test2json -test.timeout=" + o.limit.String()
	list := []run{{mode: "sandbox", args: common + o.chosen(m)}}
	if m.init != "systemd" {
		return list
	}
	own := common + " -test.run=^TestSystemd"
	if o.run != "" || o.skip != "" {
		own = common + o.chosen(m)
	}
	return append(list, run{name: "/systemd", mode: "machine", args: own})
}

// chosen are the arguments that choose among the tests.
func (o *options) chosen(m machine) (args string) {
	if o.run != "" {
		args += " -test.run=" + o.run
	}
	if o.skip != "" {
		args += " -test.skip=" + o.skip
	}
	if args != "" || o.all {
		return args
	}
	if m.tests != "" {
		args = " -test.run=" + m.tests
	}
	return args + " -test.skip=" + tooSlow
}
