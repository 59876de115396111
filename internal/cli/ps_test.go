package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPrintProcesses(t *testing.T) {
	const ef = `UID        PID  PPID  C STIME TTY          TIME CMD
root         1     0  0 07:45 ?        00:00:03 /sbin/init
root     11905     1  0 09:03 ?        00:00:00 sleep 1000
daemon   11906 11905  0 09:03 ?        00:00:00 sh -c echo 11907
avery-l+ 119051    1  0 09:03 ?        00:00:00 sleep 11905
`
	for name, c := range map[string]struct {
		table string
		pids  []int
		want  string
	}{
		"some": {ef, []int{11905, 11906, 11907}, `UID        PID  PPID  C STIME TTY          TIME CMD
root     11905     1  0 09:03 ?        00:00:00 sleep 1000
daemon   11906 11905  0 09:03 ?        00:00:00 sh -c echo 11907
`},
		"none":            {ef, nil, "UID        PID  PPID  C STIME TTY          TIME CMD\n"},
		"another column":  {"  PPID PID\n     1   7\n     7   8\n", []int{7}, "  PPID PID\n     1   7\n"},
		"short lines":     {"A PID\n\nx\nx 7\n", []int{7}, "A PID\nx 7\n"},
		"no last newline": {"PID\n7", []int{7}, "PID\n7"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := printProcesses(&b, c.table, c.pids); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestPrintProcessesWithoutPids(t *testing.T) {
	var b strings.Builder
	err := printProcesses(&b, "COMMAND\nsleep\n", []int{1})
	if err == nil || !strings.Contains(err.Error(), `no column PID, but "COMMAND"`) || b.Len() > 0 {
		t.Errorf("%v, %q", err, b.String())
	}
}

func TestPrintPids(t *testing.T) {
	for want, pids := range map[string][]int{"[]\n": nil, "[7,8]\n": {7, 8}} {
		var b strings.Builder
		if err := printPids(&b, pids); err != nil || b.String() != want {
			t.Errorf("%v: %q, %v", pids, b.String(), err)
		}
	}
}
