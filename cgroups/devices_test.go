package cgroups

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// boiled returns a config's rules as the v1 writes they become, without the default list.
func boiled(t *testing.T, config string) (string, error) {
	t.Helper()
	var rules []specs.LinuxDeviceCgroup
	if err := json.Unmarshal([]byte(config), &rules); err != nil {
		t.Fatal(err)
	}
	var set deviceSet
	for i, r := range rules {
		if err := set.apply(r); err != nil {
			return "", fmt.Errorf("rule %d: %w", i, err)
		}
	}
	return v1Text(set), nil
}

func v1Text(set deviceSet) string {
	var out []string
	for _, l := range devicesV1(set) {
		out = append(out, strings.TrimPrefix(l.file, "devices.")+" "+l.value)
	}
	return strings.Join(out, "; ")
}

func TestDeviceRules(t *testing.T) {
	const denyAll = `{"allow":false,"access":"rwm"},`
	const allowAll = `{"allow":true,"type":"a","access":"rwm"},`
	tests := []struct{ name, config, want string }{
		{"none", `[]`, "deny a"},
		{"deny all", `[{"allow":false,"access":"rwm"}]`, "deny a"},
		{"no access named", `[{"allow":true,"type":"a"}]`, "allow a"},
		{"privileged", `[` + denyAll + `{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":true,"access":"rwm"}]`, "allow a"},
		{"one device", `[` + denyAll + `{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}]`, "deny a; allow c 1:3 rw"},
		{"block, wildcards", `[` + denyAll + `{"allow":true,"type":"b","major":8,"access":"r"},{"allow":true,"type":"b","minor":1,"access":"w"}]`,
			"deny a; allow b 8:* r; allow b *:1 w"},
		{"-1 is a wildcard", `[` + denyAll + `{"allow":true,"type":"c","major":136,"minor":-1,"access":"rwm"}]`, "deny a; allow c 136:* rwm"},
		{"unbuffered char", `[` + denyAll + `{"allow":true,"type":"u","major":4,"minor":1,"access":"m"}]`, "deny a; allow c 4:1 m"},
		{"accesses add up", `[` + denyAll + `{"allow":true,"type":"c","major":1,"minor":3,"access":"r"},{"allow":true,"type":"c","major":1,"minor":3,"access":"w"}]`,
			"deny a; allow c 1:3 rw"},
		{"covered by a wildcard", `[` + denyAll + `{"allow":true,"type":"c","access":"m"},{"allow":true,"type":"c","major":1,"minor":3,"access":"m"}]`,
			"deny a; allow c *:* m"},
		{"taken back", `[` + denyAll + `{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]`,
			"deny a; allow c 1:3 rm"},
		{"taken back by a wildcard", `[` + denyAll + `{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":false,"type":"c","major":1,"access":"rwm"}]`,
			"deny a"},
		{"denied what was never allowed", `[` + denyAll + `{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"}]`, "deny a"},
		{"exceptions from allow", `[` + allowAll + `{"allow":false,"type":"b","major":8,"access":"w"}]`, "allow a; deny b 8:* w"},
		{"an exception dropped", `[` + allowAll + `{"allow":false,"type":"b","major":8,"access":"w"},{"allow":true,"type":"b","major":8,"access":"rwm"}]`, "allow a"},
		{"a general rule opens nothing", `[` + allowAll + `{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"},{"allow":true,"type":"c","access":"m"}]`,
			"allow a; deny c 10:229 rwm"},
		{"both kinds, one device", `[` + allowAll + `{"allow":false,"major":10,"minor":229,"access":"rwm"}]`,
			"allow a; deny c 10:229 rwm; deny b 10:229 rwm"},
		{"both kinds, one access", `[` + denyAll + `{"allow":true,"type":"a","access":"m"}]`, "deny a; allow c *:* m; allow b *:* m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := boiled(t, tt.config)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestDeviceRulesRefused(t *testing.T) {
	const denyAll = `{"allow":false,"access":"rwm"},`
	for _, config := range []string{
		`[{"allow":true,"type":"p","access":"rwm"}]`,
		`[{"allow":true,"type":"c","major":1,"minor":3,"access":"rx"}]`,
		`[{"allow":true,"type":"c","major":1,"minor":3}]`,
		`[{"allow":true,"type":"c","major":-2,"access":"r"}]`,
		`[{"allow":true,"type":"c","major":4294967296,"access":"r"}]`,
		// Holes in wildcards: the v1 controller would ignore the denial silently.
		`[` + denyAll + `{"allow":true,"type":"c","access":"rwm"},{"allow":false,"type":"c","major":1,"minor":3,"access":"w"}]`,
		`[` + denyAll + `{"allow":true,"type":"c","major":1,"access":"rwm"},{"allow":false,"type":"c","minor":3,"access":"w"}]`,
	} {
		if got, err := boiled(t, config); err == nil {
			t.Errorf("%s became %q", config, got)
		}
	}
	_, err := deviceRules([]specs.LinuxDeviceCgroup{{Allow: true}, {Allow: true, Type: "x", Access: "r"}})
	wantField(t, err, "devices[1]", nil)
}

// The default list is in force whatever the config denies.
func TestDeviceDefaults(t *testing.T) {
	set, err := deviceRules([]specs.LinuxDeviceCgroup{
		{Access: "rwm"},
		{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(5)), Access: "rwm"},
		{Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(3)), Access: "rwm"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "deny a; allow c 1:5 rwm; allow c *:* m; allow b *:* m; allow c 1:3 rwm; allow c 1:7 rwm; allow c 1:8 rwm; " +
		"allow c 1:9 rwm; allow c 5:0 rwm; allow c 5:2 rwm; allow c 136:* rwm; allow c 10:200 rwm"
	if d := cmp.Diff(want, v1Text(set)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestWriteDevicesV1(t *testing.T) {
	path := fakeDir(t, map[string]string{"devices.deny": "", "devices.allow": ""})
	set := deviceSet{exceptions: []deviceException{{deviceNode{'c', 1, 3}, accAll}, {deviceNode{'b', 8, wildcard}, accRead}}}
	if err := writeDevicesV1(path, devicesV1(set)); err != nil {
		t.Fatal(err)
	}
	wantFiles(t, path, map[string]string{"devices.deny": "a", "devices.allow": "c 1:3 rwmb 8:* r"})

	err := writeDevicesV1(t.TempDir(), devicesV1(set))
	wantField(t, err, "devices", unix.ENOENT)
}

// run interprets a device program, as far as the compiler uses the instruction set.
func run(t *testing.T, prog []insn, kind byte, acc access, major, minor int64) bool {
	t.Helper()
	k := uint32(unix.BPF_DEVCG_DEV_CHAR)
	if kind == 'b' {
		k = unix.BPF_DEVCG_DEV_BLOCK
	}
	context := map[int16]uint32{0: uint32(acc)<<16 | k, 4: uint32(major), 8: uint32(minor)}
	var r [11]uint32
	for pc := 0; ; pc++ {
		i := prog[pc]
		dst, src := i.regs&15, i.regs>>4
		switch i.op {
		case opLoadWord:
			r[dst] = context[i.off]
		case opMove:
			r[dst] = uint32(i.imm)
		case opMoveReg:
			r[dst] = r[src]
		case opAnd:
			r[dst] &= uint32(i.imm)
		case opShift:
			r[dst] >>= uint32(i.imm)
		case opJumpEq:
			if r[dst] == uint32(i.imm) {
				pc += int(i.off)
			}
		case opJumpNe:
			if r[dst] != uint32(i.imm) {
				pc += int(i.off)
			}
		case opExit:
			return r[0] == 1
		default:
			t.Fatalf("opcode %#x", i.op)
		}
	}
}

// The program decides as the set says, for every combination of a grid of devices and accesses.
func TestDeviceProgram(t *testing.T) {
	sets := []deviceSet{
		{}, {allow: true},
		{exceptions: []deviceException{{deviceNode{'c', 1, 3}, accAll}, {deviceNode{'c', wildcard, wildcard}, accMknod},
			{deviceNode{'b', 8, wildcard}, accRead}, {deviceNode{'b', wildcard, 1}, accRead | accWrite}}},
		{allow: true, exceptions: []deviceException{{deviceNode{'c', 1, 3}, accWrite}, {deviceNode{'b', 8, wildcard}, accAll}}},
	}
	for i, set := range sets {
		prog := deviceProgram(set)
		for _, kind := range []byte{'b', 'c'} {
			for acc := access(1); acc <= accAll; acc++ {
				for _, n := range [][2]int64{{1, 3}, {1, 5}, {8, 0}, {8, 1}, {9, 1}} {
					want := decide(set, kind, acc, n[0], n[1])
					if got := run(t, prog, kind, acc, n[0], n[1]); got != want {
						t.Errorf("set %d: %c %d:%d access %b: %v, want %v", i, kind, n[0], n[1], acc, got, want)
					}
				}
			}
		}
	}
}

// decide is the rule of the v1 controller (security/device_cgroup.c), written down the plain way.
func decide(set deviceSet, kind byte, acc access, major, minor int64) bool {
	for _, e := range set.exceptions {
		if !e.node.covers(deviceNode{kind, major, minor}) {
			continue
		}
		if set.allow && e.acc&acc != 0 {
			return false
		}
		if !set.allow && acc&^e.acc == 0 {
			return true
		}
	}
	return set.allow
}

// TestDeviceProgramInForce attaches programs to a real cgroup and opens devices inside.
func TestDeviceProgramInForce(t *testing.T) {
	path := realV2(t)
	null := deviceException{deviceNode{'c', 1, 3}, accAll}
	zero := deviceException{deviceNode{'c', 1, 5}, accRead}
	if err := devicesV2(path, deviceSet{exceptions: []deviceException{null, zero}}, false); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, path, "null-rw zero-r")
	// Again on a cgroup that has a program: replaced, not added, so nothing is denied twice.
	if err := devicesV2(path, deviceSet{allow: true, exceptions: []deviceException{null}}, true); err != nil {
		t.Fatal(err)
	}
	wantOpens(t, path, "zero-r zero-w full-r full-w")
}

// wantOpens runs a shell inside the cgroup that tries to open devices.
func wantOpens(t *testing.T, path, want string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command("/bin/sh", "-c", `
		( : <>/dev/null ) 2>&3 && echo null-rw
		( : </dev/zero ) 2>&3 && echo zero-r
		( : >/dev/zero ) 2>&3 && echo zero-w
		( : </dev/full ) 2>&3 && echo full-r
		( : >>/dev/full ) 2>&3 && echo full-w
		exit 0`)
	r, w, err := os.Pipe() // exec would open /dev/null for an absent stderr, outside: no matter
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	cmd.ExtraFiles = []*os.File{w}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(f.Fd())}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("shell in the cgroup: %v", err)
	}
	if got := strings.Join(strings.Fields(string(out)), " "); got != want {
		t.Errorf("could open %q, want %q", got, want)
	}
}

func TestInUserNamespace(t *testing.T) {
	proc := fakeDir(t, map[string]string{"self/uid_map": "         0          0 4294967295\n"})
	if inUserNamespace(proc) {
		t.Error("the first user namespace was taken for another one")
	}
	proc = fakeDir(t, map[string]string{"self/uid_map": "         0       1000          1\n"})
	if !inUserNamespace(proc) {
		t.Error("a user namespace was not noticed")
	}
	c := Load(State{Mode: V2})
	c.proc = proc
	if !c.mayIgnore(fault("devices", "%w", unix.EPERM)) || c.mayIgnore(errors.New("x")) {
		t.Error("exactly a lack of permission may be ignored in a user namespace")
	}
}
