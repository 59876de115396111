package specconv

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

var schedulerPolicies = [...]constant[specs.LinuxSchedulerPolicy]{
	{specs.SchedOther, unix.SCHED_NORMAL},
	{specs.SchedFIFO, unix.SCHED_FIFO},
	{specs.SchedRR, unix.SCHED_RR},
	{specs.SchedBatch, unix.SCHED_BATCH},
	{specs.SchedISO, 4}, // a number that Linux reserves and has never used
	{specs.SchedIdle, unix.SCHED_IDLE},
	{specs.SchedDeadline, unix.SCHED_DEADLINE},
}

var schedulerFlags = [...]constant[specs.LinuxSchedulerFlag]{
	{specs.SchedFlagResetOnFork, unix.SCHED_FLAG_RESET_ON_FORK},
	{specs.SchedFlagReclaim, unix.SCHED_FLAG_RECLAIM},
	{specs.SchedFlagDLOverrun, unix.SCHED_FLAG_DL_OVERRUN},
	{specs.SchedFlagKeepPolicy, unix.SCHED_FLAG_KEEP_POLICY},
	{specs.SchedFlagKeepParams, unix.SCHED_FLAG_KEEP_PARAMS},
	{specs.SchedFlagUtilClampMin, unix.SCHED_FLAG_UTIL_CLAMP_MIN},
	{specs.SchedFlagUtilClampMax, unix.SCHED_FLAG_UTIL_CLAMP_MAX},
}

// ioClasses holds the classes of ioprio_set(2), which has no constants in x/sys.
var ioClasses = [...]constant[specs.IOPriorityClass]{
	{specs.IOPRIO_CLASS_RT, 1},
	{specs.IOPRIO_CLASS_BE, 2},
	{specs.IOPRIO_CLASS_IDLE, 3},
}

// SchedulerPolicy is the sched_attr.sched_policy for process.scheduler.policy.
func SchedulerPolicy(p specs.LinuxSchedulerPolicy) (int, bool) {
	return lookup(schedulerPolicies[:], p)
}

// SchedulerFlag is the sched_attr.sched_flags bit for one of process.scheduler.flags.
func SchedulerFlag(f specs.LinuxSchedulerFlag) (int, bool) {
	return lookup(schedulerFlags[:], f)
}

// IOPriorityClass is the class of ioprio_set(2) for process.ioPriority.class.
func IOPriorityClass(class specs.IOPriorityClass) (int, bool) {
	return lookup(ioClasses[:], class)
}

// scheduler follows sched_setattr(2): each policy reads some of the fields and refuses the others.
func (c *checker) scheduler(s *specs.Scheduler) {
	const at = "process.scheduler"
	if s == nil {
		return
	}
	if _, ok := SchedulerPolicy(s.Policy); !ok {
		unknown(&c.faults, at+".policy", s.Policy, names(schedulerPolicies[:]))
	}
	if s.Nice < -20 || s.Nice > 19 {
		c.faults.add(at+".nice", "%d is not between -20 and 19", s.Nice)
	}
	c.realTimePriority(at+".priority", s)
	for i, f := range s.Flags {
		if _, ok := SchedulerFlag(f); !ok {
			unknown(&c.faults, index(at+".flags", i), f, names(schedulerFlags[:]))
		}
	}
	c.deadline(at, s)
}

func (c *checker) realTimePriority(field string, s *specs.Scheduler) {
	realTime := s.Policy == specs.SchedFIFO || s.Policy == specs.SchedRR
	if realTime && (s.Priority < 1 || s.Priority > 99) {
		c.faults.add(field, "%d is not between 1 and 99, as %s needs", s.Priority, s.Policy)
	}
	if !realTime && s.Priority != 0 {
		c.faults.add(field, "%d is only for SCHED_FIFO and SCHED_RR", s.Priority)
	}
}

func (c *checker) deadline(at string, s *specs.Scheduler) {
	if s.Policy != specs.SchedDeadline {
		if s.Runtime != 0 || s.Deadline != 0 || s.Period != 0 {
			c.faults.add(at, "runtime, deadline and period are only for SCHED_DEADLINE")
		}
		return
	}
	if s.Runtime > s.Deadline || s.Period != 0 && s.Deadline > s.Period {
		c.faults.add(at, "runtime %d, deadline %d, period %d: each has to be at most the next", s.Runtime, s.Deadline, s.Period)
	}
}

func (c *checker) ioPriority(p *specs.LinuxIOPriority) {
	if p == nil {
		return
	}
	if _, ok := IOPriorityClass(p.Class); !ok {
		unknown(&c.faults, "process.ioPriority.class", p.Class, names(ioClasses[:]))
	}
	if p.Priority < 0 || p.Priority > 7 {
		c.faults.add("process.ioPriority.priority", "%d is not between 0 and 7", p.Priority)
	}
}
