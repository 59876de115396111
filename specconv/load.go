package specconv

import (
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/internal/sys"
)

// Load reads a config.json. It is an *os.PathError when path cannot be read, and a *SyntaxError when
// its content cannot be understood as a spec; what the spec asks for is Validate's business.
func Load(path string) (*specs.Spec, error) {
	data, err := sys.ReadFile(path)
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

// LoadProcess reads only the process of a config.json, nil if it has none; the rest is checked as JSON but not looked into.
func LoadProcess(path string) (*specs.Process, error) {
	data, err := sys.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var config struct {
		Process *specs.Process `json:"process"`
	}
	if err := decode(path, data, &config); err != nil {
		return nil, err
	}
	return config.Process, nil
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

// DecodeInto reads any document whose type is of structs, maps with text keys, slices, text, numbers and booleans.
// What encoding/json learns of a type before its first value takes longer than a whole config here.
func DecodeInto(file string, data []byte, into any) error {
	return decode(file, data, into)
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

// inside adds what the fault is in, from the inner name to the outer one. It does nothing to no fault.
func (e *SyntaxError) inside(name string) *SyntaxError {
	switch {
	case e == nil:
	case e.Field == "" || e.Field[0] == '[':
		e.Field = name + e.Field
	default:
		e.Field = name + "." + e.Field
	}
	return e
}
