package specconv_test

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"rt/specconv"
)

func TestValidID(t *testing.T) {
	for _, id := range []string{"a", "0", "_", "-", "+", "a.b", "...", ".a", "A_+-.9", strings.Repeat("x", 255)} {
		if err := specconv.ValidID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	for _, id := range []string{"", ".", "..", "a/b", "/", "a b", "a\n", "a\x00", "é", "a:b", "a@b", "\xff", strings.Repeat("x", 256)} {
		if err := specconv.ValidID(id); err == nil || !strings.HasPrefix(err.Error(), "invalid container ID format: ") {
			t.Errorf("%q: %v", id, err)
		}
	}
}

func TestParseUser(t *testing.T) {
	for _, test := range []struct {
		s        string
		uid, gid uint32
	}{
		{"0", 0, 0}, {"1", 1, 0}, {"1:2", 1, 2}, {"4294967294:4294967294", 4294967294, 4294967294},
	} {
		uid, gid, err := specconv.ParseUser(test.s)
		if uid != test.uid || gid != test.gid || err != nil {
			t.Errorf("%q: %d:%d, %v", test.s, uid, gid, err)
		}
	}
	for s, want := range map[string]string{
		"":                       `user "": uid "" is not a number`,
		":":                      `user ":": uid "" is not a number`,
		":1":                     `user ":1": uid "" is not a number`,
		"1:":                     `user "1:": gid "" is not a number`,
		"1:2:3":                  `user "1:2:3": gid "2:3" is not a number`,
		"1x":                     `user "1x": uid "1x" is not a number`,
		"-1":                     `user "-1": uid "-1" is not a number`,
		"+1":                     `user "+1": uid "+1" is not a number`,
		" 1":                     `user " 1": uid " 1" is not a number`,
		"0x1":                    `user "0x1": uid "0x1" is not a number`,
		"1_0":                    `user "1_0": uid "1_0" is not a number`,
		"root":                   `user "root": uid "root" is not a number`,
		"4294967295":             `user "4294967295": uid 4294967295 is above 4294967294`,
		"4294967296":             `user "4294967296": uid 4294967296 is above 4294967294`,
		"1:4294967295":           `user "1:4294967295": gid 4294967295 is above 4294967294`,
		"0:99999999999999999999": `user "0:99999999999999999999": gid 99999999999999999999 is above 4294967294`,
	} {
		if uid, gid, err := specconv.ParseUser(s); err == nil || err.Error() != want {
			t.Errorf("%q: %d:%d, %v, want %s", s, uid, gid, err, want)
		}
	}
}

func TestParseSignal(t *testing.T) {
	for s, want := range map[string]unix.Signal{
		"0": 0, "9": 9, "64": 64, "TERM": unix.SIGTERM, "SIGTERM": unix.SIGTERM, "sigterm": unix.SIGTERM, "kill": unix.SIGKILL, "SIGUSR1": unix.SIGUSR1,
		"RTMIN": 34, "SIGRTMIN": 34, "rtmin+3": 37, "RTMIN+30": 64, "RTMAX": 64, "SIGRTMAX-1": 63, "RTMAX-30": 34,
	} {
		if got, err := specconv.ParseSignal(s); got != want || err != nil {
			t.Errorf("%q: %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{
		"", "SIG", "-1", "+9", "65", "99999999999999999999", "FOO", "SIGSIGTERM", "TERM ", "9x",
		"RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN+", "RTMIN3", "RTMIN+x",
	} {
		if got, err := specconv.ParseSignal(s); err == nil {
			t.Errorf("%q: %d", s, got)
		}
	}
}

func TestCapabilityBit(t *testing.T) {
	for name, want := range map[string]int{"CAP_CHOWN": 0, "CAP_SYS_ADMIN": unix.CAP_SYS_ADMIN, "CAP_CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE} {
		if got, ok := specconv.CapabilityBit(name); got != want || !ok {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "KILL", "cap_kill", "CAP_"} {
		if got, ok := specconv.CapabilityBit(name); ok {
			t.Errorf("%q: %d", name, got)
		}
	}
	for number, name := range specconv.CapabilityNames(1000) {
		if got, ok := specconv.CapabilityBit(name); got != number || !ok {
			t.Errorf("%s: %d, %v, want %d", name, got, ok, number)
		}
	}
	if got := specconv.CapabilityNames(5); len(got) != 6 || got[5] != "CAP_KILL" {
		t.Errorf("up to 5: %q", got)
	}
}

func TestRlimitNumbers(t *testing.T) {
	for name, want := range map[string]int{"RLIMIT_CPU": 0, "RLIMIT_NOFILE": unix.RLIMIT_NOFILE, "RLIMIT_RTTIME": unix.RLIMIT_RTTIME} {
		if got, ok := specconv.RlimitNumber(name); got != want || !ok {
			t.Errorf("%s: %d, %v", name, got, ok)
		}
		var l unix.Rlimit
		if err := unix.Getrlimit(want, &l); err != nil {
			t.Errorf("getrlimit(%s): %v", name, err)
		}
	}
	if n, ok := specconv.RlimitNumber("RLIMIT_X"); ok {
		t.Errorf("RLIMIT_X: %d", n)
	}
}

func TestKernelNumbers(t *testing.T) {
	is := func(want int) func(int, bool) {
		return func(got int, ok bool) {
			t.Helper()
			if got != want || !ok {
				t.Errorf("%d, %v, want %d", got, ok, want)
			}
		}
	}
	is(0)(specconv.SchedulerPolicy(specs.SchedOther))
	is(unix.SCHED_DEADLINE)(specconv.SchedulerPolicy(specs.SchedDeadline))
	is(unix.SCHED_FLAG_UTIL_CLAMP_MAX)(specconv.SchedulerFlag(specs.SchedFlagUtilClampMax))
	is(3)(specconv.IOPriorityClass(specs.IOPRIO_CLASS_IDLE))
	is(unix.MPOL_WEIGHTED_INTERLEAVE)(specconv.MemoryPolicyMode(specs.MpolWeightedInterleave))
	is(unix.MPOL_F_STATIC_NODES)(specconv.MemoryPolicyFlag(specs.MpolFStaticNodes))
	is(8)(specconv.Personality(specs.PerLinux32))
}

// A kernel that is newer than the table shows here first.
func TestCapabilitiesOfThisKernel(t *testing.T) {
	text, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	last, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(specconv.CapabilityNames(last)); got != last+1 {
		t.Errorf("this kernel has %d capabilities, %d are known", last+1, got)
	}
}
