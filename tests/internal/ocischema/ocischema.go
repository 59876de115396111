// Package ocischema is the JSON schemas of the runtime specification, as the
// specification's own Go module brings them, for tests that let them judge.
package ocischema

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"rt/tests/rttest"
)

const module = "github.com/opencontainers/runtime-spec"

var moduleDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	return strings.TrimSpace(string(out)), err
})

// Dir is the specification: its texts, its schemas, its examples. Without Go there is none, and the test is skipped.
func Dir(t testing.TB) string {
	t.Helper()
	rttest.Need(t, rttest.Command("go"))
	dir, err := moduleDir()
	if err != nil || dir == "" {
		t.Fatalf("go list -m %s: %q, %v", module, dir, err)
	}
	return dir
}

// files reads the schemas by their file:// names. One reference in version 1.3.0 lacks a slash, and only a lenient library resolves it.
type files struct{}

func (files) Load(url string) (any, error) {
	text, err := os.ReadFile(strings.TrimPrefix(url, "file://"))
	if err != nil {
		return nil, err
	}
	return Parse(bytes.ReplaceAll(text, []byte(`"#definitions/`), []byte(`"#/definitions/`)))
}

// A Schema tells whether documents are what one schema of the specification says.
type Schema struct{ s *jsonschema.Schema }

// Open reads one of the specification's schemas: "config-schema.json".
func Open(t testing.TB, name string) Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	c.UseLoader(files{})
	c.DefaultDraft(jsonschema.Draft4) // only the top files name theirs
	s, err := c.Compile(filepath.Join(Dir(t), "schema", name))
	if err != nil {
		t.Fatal(err)
	}
	return Schema{s}
}

// Judge returns what is wrong with a document, nil for nothing. Its numbers are to be json.Number, as Parse has them.
func (s Schema) Judge(document any) error { return s.s.Validate(document) }

// JudgeText is Judge for the text of a document.
func (s Schema) JudgeText(text []byte) error {
	document, err := Parse(text)
	if err != nil {
		return err
	}
	return s.Judge(document)
}

// Parse reads a JSON document and keeps its numbers as they are written.
func Parse(text []byte) (any, error) { return jsonschema.UnmarshalJSON(bytes.NewReader(text)) }
