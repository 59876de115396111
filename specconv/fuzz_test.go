package specconv_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/specconv"
)

// seed adds every real config, a little of everything, and a few broken texts.
func seed(f *testing.F) {
	files, err := filepath.Glob(configs + "/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no files in %s (%v)", configs, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		``, `{`, `null`, `[]`, `{"process":{"user":{"uid":-0}}}`, `{"ROOT":{"Path":"\ud800\u0000"}}`,
		`{"linux":{"resources":{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":1e1}]}}}}`,
		`{"mounts":[{"destination":"/","options":["idmap","ridmap","\u0000"]}],"linux":{"sysctl":{"":"","..":""}}}`,
		`{"linux":{"uidMappings":[{"size":4294967295},{"containerID":4294967295,"size":1}],"namespaces":[{},{"type":"user"}]}}`,
		"{\"hostname\":\"\xff\xed\xa0\x80\\u12\"}",
	} {
		f.Add([]byte(text))
	}
}

// FuzzLoad holds the decoder against encoding/json: both take the same texts, and understand the same.
func FuzzLoad(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := specconv.Decode("config.json", data)
		want := new(specs.Spec)
		wantErr := json.Unmarshal(data, want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("Decode: %v\nencoding/json: %v", err, wantErr)
		}
		if err != nil {
			place(t, err, data)
			return
		}
		if want.Windows != nil {
			want.Windows.CredentialSpec = nil
		}
		// Of two arrays of one name encoding/json mixes the elements; here the last one is what counts.
		if !reflect.DeepEqual(want, got) && !hasTwins(data) {
			t.Fatalf("-encoding/json +Decode:\n%s", cmp.Diff(want, got))
		}
	})
}

func place(t *testing.T, err error, data []byte) {
	e, ok := err.(*specconv.SyntaxError)
	if !ok || e.Msg == "" {
		t.Fatalf("%#v is no SyntaxError with a message", err)
	}
	if lines := 1 + bytes.Count(data, []byte("\n")); e.Line > lines || e.Line > 0 && e.Column < 1 {
		t.Fatalf("%v, but there are %d lines", err, lines)
	}
}

// hasTwins reports whether an object anywhere in the text has two names that are one to encoding/json.
func hasTwins(data []byte) bool {
	var walk func(d *json.Decoder) bool
	walk = func(d *json.Decoder) bool {
		token, _ := d.Token()
		delim, _ := token.(json.Delim)
		var seen []string
		twins := false
		for delim != 0 && d.More() {
			if delim == '{' {
				token, _ := d.Token()
				name := token.(string)
				twins = twins || slices.ContainsFunc(seen, func(s string) bool { return strings.EqualFold(s, name) })
				seen = append(seen, name)
			}
			twins = walk(d) || twins
		}
		if delim != 0 {
			_, _ = d.Token() // the closing one
		}
		return twins
	}
	return walk(json.NewDecoder(bytes.NewReader(data)))
}

// FuzzValidate: whatever can be read can be checked, for any host, with the same answer twice and every
// fault with a field and on one line.
func FuzzValidate(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		spec, err := specconv.Decode("config.json", data)
		if err != nil {
			return
		}
		for _, host := range []specconv.Host{{}, {CgroupV2: true, Rootless: true, LastCap: 30}} {
			err := specconv.Validate(spec, host)
			if again := specconv.Validate(spec, host); !reflect.DeepEqual(err, again) {
				t.Fatalf("first %v\nthen %v", err, again)
			}
			faults, _ := err.(specconv.Faults)
			if err != nil && len(faults) == 0 {
				t.Fatalf("%#v is no list of faults", err)
			}
			for _, fault := range append(faults, specconv.Warnings(spec, host)...) {
				if fault.Field == "" || fault.Msg == "" || strings.ContainsAny(fault.String(), "\n\x00") {
					t.Errorf("fault %q", fault)
				}
			}
		}
	})
}
