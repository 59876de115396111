package systemd

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"
)

// Whatever an annotation says, it is a value that D-Bus can carry, or an error.
func FuzzParseAnnotation(f *testing.F) {
	for _, s := range []string{
		"true", "uint64 5", "'a'", "[1,2]", "(1,'b')", "@as []", `"x\x01"`, "-1.5e3", "[byte 0x1, 2]", "objectpath '/a'",
		"@s []", "(", "'\\u12", "@", "[", "@a", "@a(st) [('/dev/sda', 5)]", "[[uint64 1], [2]]", "signature 'as'",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ParseAnnotation("TimeoutStopSec", text)
		if err == nil && p.Value.Signature().String() != "t" {
			t.Errorf("%q: %v", text, p)
		}
		p, err = ParseAnnotation("Description", text)
		if err != nil {
			return
		}
		m := &dbus.Message{Type: dbus.TypeSignal, Body: []any{p}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldInterface: dbus.MakeVariant("a.b"),
			dbus.FieldMember: dbus.MakeVariant("C"), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(p)),
		}}
		var wire bytes.Buffer
		if err := m.EncodeTo(&wire, binary.LittleEndian); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if _, err := dbus.DecodeMessage(&wire); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
	})
}
