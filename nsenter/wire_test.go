package nsenter

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// decoder is the C decoder as a process: plans in, what it understood out.
type decoder struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err lockedBuffer
}

var theDecoder decoder

func (d *decoder) start(t testing.TB) {
	if d.cmd != nil {
		return
	}
	d.cmd = exec.Command(sanitizedStage(t), "decode")
	d.cmd.Env, d.cmd.Stderr = sanitizerEnv, &d.err
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	d.out = bufio.NewReaderSize(out, 1<<16)
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

func (d *decoder) stop() {
	if d.cmd != nil {
		d.in.Close()
		d.cmd.Wait()
	}
}

// decode gives each plan to the C decoder; the answers are as printPlan has them.
func decode(t testing.TB, plans ...[]byte) []string {
	t.Helper()
	d := &theDecoder
	d.mu.Lock()
	defer d.mu.Unlock()
	d.start(t)
	written := make(chan error, 1)
	go func() {
		w := bufio.NewWriterSize(d.in, 1<<16)
		for _, p := range plans {
			w.Write(native.AppendUint32(nil, uint32(len(p))))
			w.Write(p)
		}
		written <- w.Flush()
	}()
	answers := make([]string, len(plans))
	for i := range plans {
		answers[i] = d.answer(t, plans[i])
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
	return answers
}

func (d *decoder) answer(t testing.TB, plan []byte) string {
	var b strings.Builder
	for {
		line, err := d.out.ReadString('\n')
		if err != nil {
			d.cmd.Wait()
			d.cmd = nil
			t.Fatalf("the decoder ended at plan %x: %v\n%s", plan, err, d.err.String())
		}
		b.WriteString(line)
		if line == "bad\n" || line == "end\n" {
			return b.String()
		}
	}
}

// printPlan is a plan as the C side of the test prints what it decoded.
func printPlan(steps []Step) string {
	var b strings.Builder
	for i, s := range steps {
		printStep(&b, uint32(i), s)
	}
	return b.String() + "end\n"
}

func printStep(b *strings.Builder, i uint32, s Step) {
	fmt.Fprintf(b, "%d %d", i, s.Op)
	for j := range 8 {
		n := uint64(0)
		if j < len(s.Num) {
			n = s.Num[j]
		}
		fmt.Fprintf(b, " %x", n)
	}
	for j := range 6 {
		text := ""
		if j < len(s.Text) {
			text = s.Text[j]
		}
		fmt.Fprintf(b, ` "%x"`, text)
	}
	b.WriteByte('\n')
}

// understand decodes a plan as the format is meant, without care for speed: the C decoder must agree on any bytes.
func understand(b []byte) string {
	var out strings.Builder
	if len(b) < 16 || native.Uint32(b) != planMagic || int(native.Uint32(b[4:])) != len(b) {
		return "bad\n"
	}
	steps, first, rest := native.Uint32(b[8:]), native.Uint32(b[12:]), b[16:]
	for i := range steps {
		if len(rest) < 8 || int(native.Uint32(rest)) > len(rest) {
			return out.String() + "bad\n"
		}
		s, err := understandStep(rest[:native.Uint32(rest)])
		if err != nil {
			return out.String() + "bad\n"
		}
		printStep(&out, first+i, s)
		rest = rest[native.Uint32(rest):]
	}
	if len(rest) > 0 {
		return out.String() + "bad\n"
	}
	return out.String() + "end\n"
}

func understandStep(b []byte) (s Step, err error) {
	bad := errors.New("bad")
	if len(b) < 8 || len(b)%8 != 0 || b[4] >= uint8(opCount) || b[5] > 8 || b[6] > 6 || len(b) < 8+8*int(b[5]) {
		return s, bad
	}
	s.Op = Op(b[4])
	rest := b[8:]
	for range b[5] {
		s.Num = append(s.Num, native.Uint64(rest))
		rest = rest[8:]
	}
	for range b[6] {
		if len(rest) < 4 || uint64(native.Uint32(rest))+1 > uint64(len(rest)-4) {
			return s, bad
		}
		n := native.Uint32(rest)
		if rest[4+n] != 0 {
			return s, bad
		}
		s.Text = append(s.Text, string(rest[4:4+n]))
		rest = rest[4+n+1:]
	}
	return s, nil
}

// somePlans are plans of every shape: each is one row of the round trip and a seed of the fuzzer.
func somePlans() map[string][]Step {
	all := make([]Step, opCount)
	for i := range all {
		all[i] = Simple(Op(i), "", "", []uint64{uint64(i)}, fmt.Sprint(i))
	}
	many := make([]Step, 500)
	for i := range many {
		many[i] = Simple(OpMkdir, "", "", nil, strings.Repeat("d", i))
	}
	return map[string][]Step{
		"no step":            {},
		"one bare step":      {{Op: OpWait}},
		"numbers":            {{Op: OpMknod, Num: []uint64{0, 1, 1 << 63, ^uint64(0)}}},
		"most numbers":       {{Op: OpSyscall, Num: []uint64{1, 2, 3, 4, 5, 6, 7, 8}}},
		"empty texts":        {{Op: OpMount, Text: []string{"", "", "", "", "", ""}}},
		"texts":              {{Op: OpMount, Text: []string{"tmpfs", "", "/dev", "é", "\x01\xff", "x"}}},
		"a list":             {{Op: OpExec, Text: []string{List([]string{"sh", "-c", "", "echo"}), List(nil)}}},
		"numbers and texts":  {{Op: OpMount, Num: []uint64{1, 2, 3}, Text: []string{"a", "bb", "ccc"}}},
		"each padding":       {Simple(OpMkdir, "", "", nil, ""), Simple(OpMkdir, "", "", nil, "1"), Simple(OpMkdir, "", "", nil, "12"), Simple(OpMkdir, "", "", nil, "1234567"), Simple(OpMkdir, "", "", nil, "12345678")},
		"each operation":     all,
		"many steps":         many,
		"beyond 16 bits":     {Simple(OpMkdir, "", "", nil, strings.Repeat("x", 1<<16+5)), Simple(OpWait, "", "", nil)},
		"steps of this file": {Mknod("", "", "/dev/null", 0o20666, 0x103, 0, 0), MountDetached("", "", Filesystem{Type: "proc", Options: []string{"a", "b=c"}}, SlotProc), Syscall("", "", 1, Num(3), Text("x"), Num(-1)), AttachTree("", "", "/x", OnProc, Source{}), Reconfigure("", "", "/y", []string{"ro"}, 1, 2), Ask("", "", AskHooks)},
	}
}

func encode(t testing.TB, steps []Step) []byte {
	t.Helper()
	data, err := (&Plan{Steps: steps}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestPlanRoundTrip(t *testing.T) {
	for name, steps := range somePlans() {
		t.Run(name, func(t *testing.T) {
			data := encode(t, steps)
			if got, want := decode(t, data)[0], printPlan(steps); got != want {
				t.Error(cmp.Diff(want, got))
			}
			if got, want := understand(data), printPlan(steps); got != want {
				t.Errorf("the test's own decoder: %s", cmp.Diff(want, got))
			}
		})
	}
}

// same asks the C decoder and the test's own about each plan; they must agree.
func same(t *testing.T, plans [][]byte) (accepted int) {
	t.Helper()
	for i, got := range decode(t, plans...) {
		if want := understand(plans[i]); got != want {
			t.Fatalf("plan %x:\n%s", plans[i], cmp.Diff(want, got))
		}
		if strings.HasSuffix(got, "end\n") {
			accepted++
		}
	}
	return accepted
}

func TestPlanTruncated(t *testing.T) {
	for name, steps := range somePlans() {
		data := encode(t, steps)
		if len(data) > 4096 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var cut, patched [][]byte
			for n := range data {
				cut = append(cut, data[:n])
				if n >= 8 { // its own length says what is there, so that the steps are looked at
					p := bytes.Clone(data[:n])
					native.PutUint32(p[4:], uint32(n))
					patched = append(patched, p)
				}
			}
			if n := same(t, cut) + same(t, patched); n > 0 {
				t.Errorf("%d truncated plans were accepted", n)
			}
		})
	}
}

func TestPlanCorrupted(t *testing.T) {
	steps := []Step{{Op: OpMount, Num: []uint64{1, 2}, Text: []string{"ab", ""}}, {Op: OpWait}}
	data := encode(t, steps)
	var plans [][]byte
	for i := range data {
		for change := 1; change < 256; change++ {
			p := bytes.Clone(data)
			p[i] ^= byte(change)
			plans = append(plans, p)
		}
	}
	same(t, plans)
}

// Numbers that a decoder could trust too far: sizes and counts at the edges of what 8, 16 and 32 bits hold.
func TestPlanWrappingLengths(t *testing.T) {
	steps := []Step{{Op: OpMount, Num: []uint64{7}, Text: []string{"abc", "defgh"}}, {Op: OpWait}}
	data := encode(t, steps)
	edges := []uint32{0, 1, 7, 8, 9, 16, 24, 255, 256, 1<<16 - 1, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 9, 1<<32 - 8, 1<<32 - 5, 1<<32 - 4, 1<<32 - 1}
	for _, field := range []struct {
		name string
		at   int
	}{{"plan size", 4}, {"step count", 8}, {"step size", 16}, {"first text", 32}, {"second text", 40}} {
		var small, large [][]byte
		for _, n := range edges {
			p := bytes.Clone(data)
			native.PutUint32(p[field.at:], n)
			if int(n) <= len(data) {
				small = append(small, p)
			} else {
				large = append(large, p)
			}
		}
		same(t, small) // a text may end early, in the padding: that is another plan, and no harm
		if n := same(t, large); n > 0 {
			t.Errorf("%s: %d values beyond the plan's end were accepted", field.name, n)
		}
	}
}

func TestPlanRefusedByStage(t *testing.T) {
	bare := encode(t, []Step{{Op: OpWait}})
	with := func(at int, b byte) []byte {
		p := bytes.Clone(bare)
		p[at] = b
		return p
	}
	for name, plan := range map[string][]byte{
		"empty":             {},
		"another magic":     with(0, 'X'),
		"no such operation": with(16+4, uint8(opCount)),
		"nine numbers":      with(16+5, 9),
		"seven texts":       with(16+6, 7),
		"a step too many":   with(8, 2),
		"a step too few":    with(8, 0),
		"an odd step size":  with(16, 9),
	} {
		if got := decode(t, plan)[0]; !strings.HasSuffix(got, "bad\n") {
			t.Errorf("%s: accepted as %q", name, got)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	for name, s := range map[string]Step{
		"nine numbers": {From: "here", Num: make([]uint64, 9)},
		"seven texts":  {From: "here", Text: make([]string, 7)},
		"a huge text":  {From: "here", Text: []string{strings.Repeat("x", MaxPlan+1)}},
	} {
		_, err := (&Plan{Steps: []Step{{Op: OpWait}, s}}).Encode()
		if err == nil || !strings.HasPrefix(err.Error(), "here: encode step 1: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	half := strings.Repeat("x", MaxPlan/2)
	if _, err := (&Plan{Steps: []Step{{Text: []string{half}}, {Text: []string{half}}}}).Encode(); err == nil {
		t.Error("a plan of more than MaxPlan is encoded")
	}
}

// FuzzPlan: the C decoder and the test's agree on any bytes, and on any plan that Go encodes.
func FuzzPlan(f *testing.F) {
	for _, steps := range somePlans() {
		if data := encode(f, steps); len(data) < 4096 {
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		steps := planFrom(data)
		answers := decode(t, data, encode(t, steps))
		if want := understand(data); answers[0] != want {
			t.Errorf("these bytes: %s", cmp.Diff(want, answers[0]))
		}
		if want := printPlan(steps); answers[1] != want {
			t.Errorf("a plan of them: %s", cmp.Diff(want, answers[1]))
		}
	})
}

// planFrom makes some valid plan of any bytes.
func planFrom(data []byte) []Step {
	take := func(n int) []byte {
		n = min(n, len(data))
		b := data[:n]
		data = data[n:]
		return b
	}
	var steps []Step
	for len(data) > 2 && len(steps) < 64 {
		h := take(3)
		s := Step{Op: Op(h[0] % uint8(opCount))}
		for range h[1] % 9 {
			s.Num = append(s.Num, native.Uint64(append(bytes.Clone(take(8)), make([]byte, 8)...)))
		}
		for range h[2] % 7 {
			if n := take(1); len(n) == 1 {
				s.Text = append(s.Text, string(take(int(n[0]))))
			}
		}
		steps = append(steps, s)
	}
	return steps
}

func TestMemfdIsSealed(t *testing.T) {
	f, err := Memfd("rt:test", []byte("plan"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("x"), 0); !errors.Is(err, os.ErrPermission) {
		t.Errorf("write: %v", err)
	}
	if err := f.Truncate(0); !errors.Is(err, os.ErrPermission) {
		t.Errorf("truncate: %v", err)
	}
	b := make([]byte, 8)
	if n, _ := f.ReadAt(b, 0); string(b[:n]) != "plan" {
		t.Errorf("it holds %q", b[:n])
	}
}
