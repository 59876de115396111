package specconv

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Load reads a config.json. It is an *os.PathError when path cannot be read, and a *SyntaxError when
// its content cannot be understood as a spec; what the spec asks for is Validate's business.
func Load(path string) (*specs.Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Decode(path, data)
}

// Decode is Load for a config.json that was read already. file is its name in errors.
func Decode(file string, data []byte) (*specs.Spec, error) {
	spec := new(specs.Spec)
	if err := decode(file, data, spec); err != nil {
		return nil, err
	}
	return spec, nil
}

// DecodeProcess reads a process object: a file for exec's --process.
func DecodeProcess(file string, data []byte) (*specs.Process, error) {
	process := new(specs.Process)
	if err := decode(file, data, process); err != nil {
		return nil, err
	}
	return process, nil
}

// DecodeResources reads a linux.resources object: a file or stdin for update's --resources.
func DecodeResources(file string, data []byte) (*specs.LinuxResources, error) {
	resources := new(specs.LinuxResources)
	if err := decode(file, data, resources); err != nil {
		return nil, err
	}
	return resources, nil
}

// SyntaxError says where a file is not the JSON it should be.
type SyntaxError struct {
	File   string
	Line   int    // from 1; 0 if the fault has no place in the file
	Column int    // from 1, in bytes
	Field  string // where in the document: mounts[3].options; empty at its top
	Msg    string
}

func (e *SyntaxError) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", e.Line, e.Column)
	}
	if e.Field != "" {
		b.WriteString(": " + e.Field)
	}
	return b.String() + ": " + e.Msg
}

// decode is as lenient as encoding/json, with which engines write and other runtimes read these files:
// the case of names does not matter, the last of two equal names wins, unknown names are skipped and
// broken UTF-8 is replaced.
func decode(file string, data []byte, into any) error {
	err := json.Unmarshal(data, into,
		json.MatchCaseInsensitiveNames(true),
		jsontext.AllowDuplicateNames(true),
		jsontext.AllowInvalidUTF8(true))
	if err == nil {
		return nil
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return &SyntaxError{File: file, Msg: "the file is empty"}
	}
	return syntaxError(file, data, err)
}

func syntaxError(file string, data []byte, err error) *SyntaxError {
	e := &SyntaxError{File: file, Msg: err.Error()}
	if bad, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		e.Msg = bad.Err.Error()
		e.place(data, bad.ByteOffset, bad.JSONPointer)
	}
	if bad, ok := errors.AsType[*json.SemanticError](err); ok {
		e.Msg = wrongType(bad)
		e.place(data, bad.ByteOffset, bad.JSONPointer)
	}
	return e
}

func (e *SyntaxError) place(data []byte, offset int64, at jsontext.Pointer) {
	before := data[:min(offset, int64(len(data)))]
	e.Line = 1 + bytes.Count(before, []byte{'\n'})
	e.Column = len(before) - bytes.LastIndexByte(before, '\n')
	e.Field = fieldName(at)
}

func wrongType(bad *json.SemanticError) string {
	return bad.Error()
}

func fieldName(at jsontext.Pointer) string {
	var b strings.Builder
	for token := range at.Tokens() {
		if _, err := strconv.Atoi(token); err == nil {
			b.WriteString("[" + token + "]")
			continue
		}
		if b.Len() > 0 {
			b.WriteByte('.')
		}
		b.WriteString(token)
	}
	return b.String()
}
