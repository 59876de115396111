package libcontainer

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
)

func TestNumberMask(t *testing.T) {
	bits := func(numbers ...int) string {
		var mask []byte
		for _, n := range numbers {
			for len(mask) <= n/64*8+7 {
				mask = append(mask, 0)
			}
			mask[n/8] |= 1 << (n % 8)
		}
		return string(mask)
	}
	for list, want := range map[string]string{
		"":          "",
		"0":         "\x01\x00\x00\x00\x00\x00\x00\x00",
		"0-3,7":     "\x8f\x00\x00\x00\x00\x00\x00\x00",
		"63":        bits(63),
		"64":        bits(64),
		"5-5":       bits(5),
		" 1 , 3-4 ": bits(1, 3, 4),
		"1,,2,":     bits(1, 2),
		"62-65":     bits(62, 63, 64, 65),
		"127,0":     bits(0, 127),
	} {
		got, err := numberMask("f", list)
		if err != nil || got != want {
			t.Errorf("%q: %x, %v, want %x", list, got, err, want)
		}
	}
	for _, list := range []string{"x", "1-", "-1", "3-1", "1-2-3", "0x1", "65536", "1;2", "+1", "1.5", "99999999999999999999"} {
		if got, err := numberMask("linux.memoryPolicy.nodes", list); err == nil || !strings.HasPrefix(err.Error(), "linux.memoryPolicy.nodes: ") {
			t.Errorf("%q: %x, %v", list, got, err)
		}
	}
}

func TestSchedAttr(t *testing.T) {
	got, err := schedAttr(&specs.Scheduler{Policy: specs.SchedDeadline, Nice: -5, Priority: 7, Runtime: 1, Deadline: 1 << 40, Period: 3,
		Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork, specs.SchedFlagDLOverrun}})
	if err != nil {
		t.Fatal(err)
	}
	want := struct { // struct sched_attr, as sched_setattr(2) has it
		Size, Policy              uint32
		Flags                     uint64
		Nice                      int32
		Priority                  uint32
		Runtime, Deadline, Period uint64
		UtilMin, UtilMax          uint32
	}{56, 6, 0x1 | 0x4, -5, 7, 1, 1 << 40, 3, 0, 1024}
	b, err := binary.Append(nil, binary.NativeEndian, want)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(b), got); diff != "" {
		t.Errorf("%x, want %x", got, b)
	}
}
