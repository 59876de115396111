// Package golden compares what a test got with a file in its testdata, and
// writes plans down so that such a file can be read and reviewed.
//
//	go test ./rootfs -update
//
// writes the files anew. They are for plans, and for tables in docs: a value
// that a person can state in a line belongs into the test.
package golden

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"rt/nsenter"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// Check compares got with testdata/name.golden.
func Check(t *testing.T, name, got string) {
	t.Helper()
	File(t, filepath.Join("testdata", name+".golden"), got)
}

// File compares got with a file that is generated, such as a table in docs.
func File(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (-update writes it)", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-) and what the test got (+) differ; if that is meant, run it with -update:\n%s", file, diff)
	}
}

// Steps writes steps down with every argument: numbers after n, texts after s, what the parent opens after <.
func Steps(steps []nsenter.Step) string {
	var b strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&b, "%-11s %s\n", s.Op, s.What)
		if s.From != "" {
			fmt.Fprintf(&b, "            # %s\n", s.From)
		}
		if line := numbers(s); line != "" {
			fmt.Fprintf(&b, "            n%s\n", line)
		}
		if len(s.Text) > 0 {
			fmt.Fprintf(&b, "            s%s\n", texts(s.Text))
		}
		if s.Feed.Kind != nsenter.NoSource {
			fmt.Fprintf(&b, "            < %s\n", source(s.Feed))
		}
	}
	return b.String()
}

func numbers(s nsenter.Step) string {
	line, nums := "", s.Num
	if s.Op == nsenter.OpSyscall && len(nums) > 1 {
		line, nums = " "+SyscallName(nums[0])+" texts="+strconv.FormatUint(nums[1], 2), nums[2:]
	}
	for _, n := range nums {
		if n > 9 {
			line += fmt.Sprintf(" %#x", n)
		} else {
			line += fmt.Sprintf(" %d", n)
		}
	}
	return line
}

const longText = 400

func texts(all []string) string {
	line := ""
	for _, t := range all {
		if len(t) > longText {
			line += fmt.Sprintf(" %q…(%d bytes)", t[:16], len(t))
		} else {
			line += fmt.Sprintf(" %q", t)
		}
	}
	return line
}

// source prints the fields that are set, whatever fields there are.
func source(s nsenter.Source) string {
	kinds := [...]string{"nothing", "namespace", "tree", "directory", "cgroup tasks", "cgroup directory", "/dev/null", "start socket", "init's pidfd"}
	b := kinds[s.Kind]
	if s.Path != "" {
		b += " " + s.Path
	}
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		field, name := v.Field(i), strings.ToLower(v.Type().Field(i).Name)
		switch value := field.Interface().(type) {
		case bool:
			if value {
				b += " " + name
			}
		case uint64:
			if value != 0 {
				b += fmt.Sprintf(" %s=%#x", name, value)
			}
		case []nsenter.Propagation:
			for _, p := range value {
				b += " " + propagation(p)
			}
		case *nsenter.IDMap:
			if value != nil {
				b += fmt.Sprintf(" idmap=%+v", *value)
			}
		}
	}
	return b
}

func propagation(p nsenter.Propagation) string {
	word := map[uint64]string{unix.MS_SHARED: "shared", unix.MS_SLAVE: "slave", unix.MS_PRIVATE: "private", unix.MS_UNBINDABLE: "unbindable"}[p.Type]
	if p.Recursive {
		return "r" + word
	}
	return word
}

// SyscallName is the name of those system calls that plans make directly: their numbers differ between machines.
func SyscallName(nr uint64) string {
	name, ok := map[uint64]string{
		unix.SYS_MOUNT_SETATTR: "mount_setattr", unix.SYS_UMOUNT2: "umount2", unix.SYS_UNSHARE: "unshare", unix.SYS_SETSID: "setsid",
		unix.SYS_KEYCTL: "keyctl", unix.SYS_SCHED_SETAFFINITY: "sched_setaffinity", unix.SYS_SCHED_SETATTR: "sched_setattr",
		unix.SYS_PERSONALITY: "personality", unix.SYS_UMASK: "umask", unix.SYS_PRCTL: "prctl", unix.SYS_SETGROUPS: "setgroups",
		unix.SYS_SETRESGID: "setresgid", unix.SYS_SETRESUID: "setresuid", unix.SYS_CAPSET: "capset", unix.SYS_PRLIMIT64: "prlimit64",
		unix.SYS_IOPRIO_SET: "ioprio_set", unix.SYS_SET_MEMPOLICY: "set_mempolicy", unix.SYS_SETHOSTNAME: "sethostname",
		unix.SYS_SETDOMAINNAME: "setdomainname",
	}[nr]
	if !ok {
		return "system call " + strconv.FormatUint(nr, 10)
	}
	return name
}
