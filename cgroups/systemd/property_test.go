package systemd

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestParseAnnotation(t *testing.T) {
	t.Parallel()
	type weight struct {
		Path string
		N    uint64
	}
	for _, test := range []struct {
		name, text, wantName string
		want                 any
	}{
		{"CollectMode", "'inactive-or-failed'", "CollectMode", "inactive-or-failed"},
		{"Description", `"it's \"1\"\té\u00e9"`, "Description", "it's \"1\"\téé"},
		{"SendSIGHUP", "true", "SendSIGHUP", true},
		{"KillSignal", " 15 ", "KillSignal", int32(15)},
		{"TasksMax", "uint64 20", "TasksMax", uint64(20)},
		{"TasksMax", "uint64 0x14", "TasksMax", uint64(20)},
		{"TasksMax", "@t 20", "TasksMax", uint64(20)},
		{"CPUWeight", "uint64 18446744073709551615", "CPUWeight", Infinity},
		{"Nice", "int16 -5", "Nice", int16(-5)},
		{"AllowedCPUs", "[byte 0x3, 1]", "AllowedCPUs", []byte{3, 1}},
		{"Before", "['a.service', 'b.service',]", "Before", []string{"a.service", "b.service"}},
		{"Before", "@as []", "Before", []string{}},
		{"Ratio", "[1, 2.5]", "Ratio", []float64{1, 2.5}},
		{"IODeviceWeight", "@a(st) [('/dev/sda', 100)]", "IODeviceWeight", []weight{{"/dev/sda", 100}}},
		{"IODeviceWeight", "[('/dev/sda', uint64 100)]", "IODeviceWeight", []weight{{"/dev/sda", 100}}},
		{"Nested", "[[uint64 1], [2]]", "Nested", [][]uint64{{1}, {2}}},
		{"TimeoutStopSec", "17", "TimeoutStopUSec", uint64(17_000_000)},
		{"TimeoutStopSec", "uint64 17", "TimeoutStopUSec", uint64(17_000_000)},
		{"TimeoutStopSec", "1.5", "TimeoutStopUSec", uint64(1_500_000)},
		{"RuntimeMaxSec", "uint64 18446744073709551615", "RuntimeMaxUSec", Infinity},
		{"TimeoutStopUSec", "uint64 17", "TimeoutStopUSec", uint64(17)},
	} {
		p, err := ParseAnnotation(test.name, test.text)
		if err != nil || p.Name != test.wantName || p.Value.Signature() != dbus.SignatureOf(test.want) ||
			fmt.Sprint(p.Value.Value()) != fmt.Sprint(test.want) {
			t.Errorf("%s=%s: %+v, %v, want %s %v", test.name, test.text, p, err, test.wantName, test.want)
		}
	}
}

func TestParseAnnotationRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, word string }{
		{"Xy", "1", "not the name"},
		{"Memory-Max", "1", "not the name"},
		{"MemoryMax", "", "missing"},
		{"MemoryMax", "12 13", "after the value"},
		{"MemoryMax", "hello", "not understood"},
		{"MemoryMax", "uint64 -1", "does not fit type t"},
		{"MemoryMax", "uint64 'a'", "does not fit type t"},
		{"MemoryMax", "byte 256", "does not fit type y"},
		{"MemoryMax", "2147483648", "does not fit type i"},
		{"MemoryMax", "1x", "does not fit"},
		{"MemoryMax", "'a", "not closed"},
		{"MemoryMax", `'\u12'`, "digits"},
		{"MemoryMax", "[1, 'a']", "does not fit"},
		{"MemoryMax", "[uint64 1, uint32 2]", "type u where t belongs"},
		{"MemoryMax", "@u uint64 1", "two types"},
		{"MemoryMax", "@as [1]", "does not fit type s"},
		{"MemoryMax", "@s []", "does not fit type s"},
		{"MemoryMax", "@ss 'a'", "more than one type"},
		{"MemoryMax", "[]", "without a type"},
		{"MemoryMax", "[1", "comma"},
		{"MemoryMax", "()", "empty tuple"},
		{"MemoryMax", "{'a': 1}", "not understood"},
		{"MemoryMax", "<1>", "not understood"},
		{"MemoryMax", "objectpath 'a'", "no object path"},
		{"MemoryMax", "'\xff'", "UTF-8"},
		{"MemoryMax", strings.Repeat("[", 100), "too deeply"},
		{"TimeoutStopSec", "'1'", "not a number of seconds"},
		{"TimeoutStopSec", "-1", "negative"},
	} {
		if p, err := ParseAnnotation(test.name, test.text); err == nil || !strings.Contains(err.Error(), test.word) {
			t.Errorf("%s=%s: %v, %v, want %q", test.name, test.text, p, err, test.word)
		}
	}
}

func TestParseAnnotations(t *testing.T) {
	t.Parallel()
	list, err := ParseAnnotations(map[string]string{
		"org.systemd.property.TasksMax": "uint64 7", "other": "uint64 8", "org.systemd.property.Description": "'x'",
	})
	if err != nil || len(list) != 2 || list[0].Name != "Description" || list[1].Value != dbus.MakeVariant(uint64(7)) {
		t.Errorf("%v, %v", list, err)
	}
	_, err = ParseAnnotations(map[string]string{"org.systemd.property.TasksMax": "seven"})
	var a *AnnotationError
	if !errors.As(err, &a) || a.Key != "org.systemd.property.TasksMax" || !strings.Contains(err.Error(), a.Key) {
		t.Errorf("%v does not name the annotation", err)
	}
}
