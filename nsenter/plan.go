package nsenter

import (
	"encoding/binary"
	"fmt"
	"unsafe"
)

// Op is an operation of the stage; the C side has the same numbers.
type Op uint8

// The operations, in the order of enum op in stage.h.
const (
	OpSyscall Op = iota
	OpSetns
	OpAsk
	OpClone
	OpAttach
	OpRoot
	OpMount
	OpTree
	OpSetattr
	OpMkdir
	OpMknod
	OpSymlink
	OpMask
	OpReadonly
	OpConsole
	OpPivot
	OpProcWrite
	OpLoopback
	OpSlot
	OpStdio
	OpPasswd
	OpBounding
	OpAmbient
	OpSeccomp
	OpChdir
	OpHook
	OpLookup
	OpWait
	OpExec
	OpReconfigure
	OpUnshare
	opCount
)

var opNames = [opCount]string{
	"syscall", "setns", "ask", "clone", "attach", "root", "mount", "tree", "setattr", "mkdir", "mknod",
	"symlink", "mask", "readonly", "console", "pivot", "procwrite", "loopback", "slot", "stdio", "passwd",
	"bounding", "ambient", "seccomp", "chdir", "hook", "lookup", "wait", "exec", "reconfigure", "unshare",
}

func (o Op) String() string {
	if o < opCount {
		return opNames[o]
	}
	return fmt.Sprintf("op %d", uint8(o))
}

// Slot names an fd that steps share.
type Slot uint64

// The slots, in the order of enum slot in stage.h.
const (
	SlotRoot Slot = iota
	SlotProc
	SlotEmpty
	SlotNull
	SlotListen
	SlotHookState
	SlotHookOutput
	SlotPasswd
	SlotLast
)

// Question is what a step asks the parent to do before it goes on.
type Question int32

// The questions.
const (
	AskNothing    Question = iota
	AskUserMap             // write uid_map, gid_map and setgroups of the asking process
	AskHooks               // run the hooks of the runtime's namespaces
	AskHookFile            // hand over the state that the container's own hooks read
	AskConsole             // take the terminal's master
	AskTime                // write timens_offsets of the asking process
	AskSeccomp             // take the filter's listener to its agent
	AskNetDevices          // move network devices into the network namespace
	AskIntelRdt            // put init into its resctrl group
)

func (q Question) String() string {
	return [...]string{"nothing", "user map", "hooks", "hook state", "console", "time offsets", "seccomp listener", "network devices", "resctrl group"}[q]
}

// Step is one operation of a plan and where it came from.
type Step struct {
	Op   Op
	From string // the config field: `mounts[3] "/dev/mqueue"`
	What string // the step in words: "mount tmpfs on /dev (nosuid,mode=755)"
	Num  []uint64
	Text []string
	Feed Source // what the parent opens for it, if anything
}

// Title is what the step does and for whom, as errors say it.
func (s *Step) Title() string {
	if s.From == "" {
		return s.What
	}
	return s.From + ": " + s.What
}

// Plan is the steps of one container, in order.
type Plan struct {
	Steps []Step
	First int // the number of the first of them, in a plan that continues another
}

// Add appends steps.
func (p *Plan) Add(steps ...Step) { p.Steps = append(p.Steps, steps...) }

const (
	planMagic  = 0x31505452
	headerSize = 16
	// MaxPlan bounds a plan's size in bytes; far beyond any real one.
	MaxPlan = 64 << 20
)

var native = binary.NativeEndian

// Encode returns the plan in the form that the stage reads.
func (p *Plan) Encode() ([]byte, error) {
	b := make([]byte, headerSize, headerSize+128*len(p.Steps))
	for i := range p.Steps {
		var err error
		if b, err = appendStep(b, &p.Steps[i]); err != nil {
			return nil, fmt.Errorf("%s: encode step %d: %w", p.Steps[i].From, i, err)
		}
	}
	if len(b) > MaxPlan {
		return nil, fmt.Errorf("encode plan: %d bytes are more than %d", len(b), MaxPlan)
	}
	native.PutUint32(b[0:], planMagic)
	native.PutUint32(b[4:], uint32(len(b)))
	native.PutUint32(b[8:], uint32(len(p.Steps)))
	native.PutUint32(b[12:], uint32(p.First))
	return b, nil
}

func appendStep(b []byte, s *Step) ([]byte, error) {
	if len(s.Num) > 8 || len(s.Text) > 6 {
		return nil, fmt.Errorf("%d numbers and %d texts are too many", len(s.Num), len(s.Text))
	}
	start := len(b)
	b = append(b, 0, 0, 0, 0, byte(s.Op), byte(len(s.Num)), byte(len(s.Text)), 0)
	for _, n := range s.Num {
		b = native.AppendUint64(b, n)
	}
	for _, t := range s.Text {
		if len(t) > MaxPlan {
			return nil, fmt.Errorf("a text of %d bytes is too long", len(t))
		}
		b = native.AppendUint32(b, uint32(len(t)))
		b = append(b, t...)
		b = append(b, 0)
	}
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	native.PutUint32(b[start:], uint32(len(b)-start))
	return b, nil
}

// List packs strings into one text of a step; none may hold a NUL.
func List(items []string) string {
	n := 0
	for _, s := range items {
		n += len(s) + 1
	}
	b := make([]byte, 0, n)
	for _, s := range items {
		b = append(append(b, s...), 0)
	}
	return unsafe.String(unsafe.SliceData(b), len(b))
}
