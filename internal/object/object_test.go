package object

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMarshal(t *testing.T) {
	data, err := Marshal(func(w *Writer) {
		w.Text("text", "a \"quoted\" \u2028 line\n")
		w.Text("empty", "")
		w.Number("number", 18446744073709551615)
		w.Number("zero", 0)
		w.Bool("true", true)
		w.Bool("false", false)
		w.Texts("texts", map[string]string{"a/b": "c", "": ""})
		w.Texts("none", nil)
		w.Object("object", func(w *Writer) { w.Object("in it", func(*Writer) {}) })
		w.Objects("objects", 2, func(w *Writer, i int) { w.Number("i", uint64(i)) })
		w.Objects("no objects", 0, nil)
		Other(w, "other", &[]int{1, 2})
		Other[int](w, "no other", nil)
		w.Text("last", "é")
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"text":"a \"quoted\" \u2028 line\n","number":18446744073709551615,"true":true,"texts":{"a/b":"c","":""},
		"object":{"in it":{}},"objects":[{},{"i":1}],"other":[1,2],"last":"é"}`
	if diff := cmp.Diff(decode(t, want), decode(t, string(data))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func decode(t *testing.T, data string) (v map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(data), &v); err != nil {
		t.Fatalf("%s: %v", data, err)
	}
	return v
}

func TestMarshalError(t *testing.T) {
	for name, fill := range map[string]func(*Writer){
		"text":  func(w *Writer) { w.Text("a", "\xff") },
		"name":  func(w *Writer) { w.Texts("a", map[string]string{"\xff": ""}) },
		"other": func(w *Writer) { Other(w, "a", new(func())) },
	} {
		if _, err := Marshal(func(w *Writer) { fill(w); w.Text("b", "after it") }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
