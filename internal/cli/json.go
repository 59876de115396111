package cli

import (
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	jsonv1 "github.com/go-json-experiment/json/v1"
)

// printJSON writes v indented by indent ("" is one line), then end. The field
// tags of the spec's types are meant for the first encoding/json, in which
// omitempty drops false and 0. A path may hold bytes that are not UTF-8, which
// must not make a container's state unreadable.
func printJSON(w io.Writer, v any, indent, end string) error {
	opts := []json.Options{
		json.Deterministic(true),
		jsonv1.OmitEmptyWithLegacySemantics(true),
		jsontext.AllowInvalidUTF8(true),
	}
	if indent != "" {
		opts = append(opts, jsontext.WithIndent(indent))
	}
	b, err := json.Marshal(v, opts...)
	if err != nil {
		return err
	}
	_, err = w.Write(append(b, end...))
	return err
}
