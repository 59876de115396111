package libcontainer

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/nsenter"
	"rt/specconv"
)

// schedulingSteps are process.scheduler, process.ioPriority and linux.memoryPolicy.
func (c *compiler) schedulingSteps(proc *specs.Process) error {
	if s := proc.Scheduler; s != nil {
		attr, err := schedAttr(s)
		if err != nil {
			return err
		}
		c.plan.Add(nsenter.Syscall("process.scheduler", "set the scheduler "+string(s.Policy), unix.SYS_SCHED_SETATTR,
			nsenter.Num(0), nsenter.Text(attr), nsenter.Num(0)))
	}
	if p := proc.IOPriority; p != nil {
		class, ok := specconv.IOPriorityClass(p.Class)
		if !ok {
			return fmt.Errorf("process.ioPriority.class: unknown class %q", p.Class)
		}
		c.plan.Add(nsenter.Syscall("process.ioPriority", fmt.Sprintf("set the I/O priority %s %d", p.Class, p.Priority), unix.SYS_IOPRIO_SET,
			nsenter.Num(1), nsenter.Num(0), nsenter.Num(class<<13|p.Priority)))
	}
	if c.spec.Linux != nil && c.spec.Linux.MemoryPolicy != nil {
		return c.memoryPolicyStep(c.spec.Linux.MemoryPolicy)
	}
	return nil
}

// schedAttr is struct sched_attr of sched_setattr(2), in the version that has utilisation clamps: their flags are refused in
// a shorter one. The specification has no values for them, so they stand at their ends and hold nothing back.
func schedAttr(s *specs.Scheduler) (string, error) {
	policy, ok := specconv.SchedulerPolicy(s.Policy)
	if !ok {
		return "", fmt.Errorf("process.scheduler.policy: unknown policy %q", s.Policy)
	}
	flags := 0
	for i, f := range s.Flags {
		bit, ok := specconv.SchedulerFlag(f)
		if !ok {
			return "", fmt.Errorf("process.scheduler.flags[%d]: unknown flag %q", i, f)
		}
		flags |= bit
	}
	le := binary.NativeEndian
	b := le.AppendUint32(nil, 56)
	b = le.AppendUint32(b, uint32(policy))
	b = le.AppendUint64(b, uint64(flags))
	b = le.AppendUint32(b, uint32(s.Nice))
	b = le.AppendUint32(b, uint32(s.Priority))
	for _, n := range []uint64{s.Runtime, s.Deadline, s.Period} {
		b = le.AppendUint64(b, n)
	}
	for _, clamp := range []uint32{0, 1024} {
		b = le.AppendUint32(b, clamp)
	}
	return string(b), nil
}

func (c *compiler) memoryPolicyStep(m *specs.LinuxMemoryPolicy) error {
	mode, ok := specconv.MemoryPolicyMode(m.Mode)
	if !ok {
		return fmt.Errorf("linux.memoryPolicy.mode: unknown mode %q", m.Mode)
	}
	for i, f := range m.Flags {
		bit, ok := specconv.MemoryPolicyFlag(f)
		if !ok {
			return fmt.Errorf("linux.memoryPolicy.flags[%d]: unknown flag %q", i, f)
		}
		mode |= bit
	}
	nodes, err := numberMask("linux.memoryPolicy.nodes", m.Nodes)
	if err != nil {
		return err
	}
	c.plan.Add(nsenter.Syscall("linux.memoryPolicy", fmt.Sprintf("set the memory policy %s %s", m.Mode, m.Nodes), unix.SYS_SET_MEMPOLICY,
		nsenter.Num(mode), nsenter.Text(nodes), nsenter.Num(len(nodes)*8+1))) // the kernel counts from one bit below
	return nil
}

// numberMask turns "0-3,7" into the bit mask that set_mempolicy(2) and sched_setaffinity(2) read.
func numberMask(field, list string) (string, error) {
	var mask []byte
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		first, last, isRange := strings.Cut(part, "-")
		lo, err1 := strconv.ParseUint(first, 10, 16)
		hi, err2 := lo, error(nil)
		if isRange {
			hi, err2 = strconv.ParseUint(last, 10, 16)
		}
		if err1 != nil || err2 != nil || hi < lo {
			return "", fmt.Errorf("%s: %q is not a list of numbers", field, list)
		}
		for n := lo; n <= hi; n++ {
			for uint64(len(mask)) <= n/64*8+7 {
				mask = append(mask, 0)
			}
			mask[n/8] |= 1 << (n % 8)
		}
	}
	return string(mask), nil
}
