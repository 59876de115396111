// Package object writes JSON objects one member at a time.
//
// It is for the few that are in the way of every container: what a JSON library
// learns about a type at its first use takes as long as a dozen mounts. For
// anything else, use the library.
package object

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Writer writes one object. A member whose value is zero or empty is left out:
// who decodes the object finds the same.
type Writer struct {
	b   []byte
	err error
}

// Marshal returns the object that fill makes. The error is the first text that is not UTF-8, or of Other.
func Marshal(fill func(*Writer)) ([]byte, error) {
	w := Writer{b: make([]byte, 0, 2048)}
	w.object(fill)
	return w.b, w.err
}

// Text writes a string.
func (w *Writer) Text(name, value string) {
	if value != "" {
		w.name(name)
		w.quote(value)
	}
}

// Number writes an integer.
func (w *Writer) Number(name string, value uint64) {
	if value != 0 {
		w.name(name)
		w.b = strconv.AppendUint(w.b, value, 10)
	}
}

// Bool writes a boolean.
func (w *Writer) Bool(name string, value bool) {
	if value {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

// Texts writes an object of strings.
func (w *Writer) Texts(name string, values map[string]string) {
	if len(values) > 0 {
		w.Object(name, func(w *Writer) {
			for k, v := range values {
				w.name(k)
				w.quote(v)
			}
		})
	}
}

// Object writes the object that fill makes, even if it is empty.
func (w *Writer) Object(name string, fill func(*Writer)) {
	w.name(name)
	w.object(fill)
}

// Objects writes an array of n objects; fill makes the one with the index i.
func (w *Writer) Objects(name string, n int, fill func(w *Writer, i int)) {
	if n == 0 {
		return
	}
	w.name(name)
	w.b = append(w.b, '[')
	for i := range n {
		w.comma('[')
		w.object(func(w *Writer) { fill(w, i) })
	}
	w.b = append(w.b, ']')
}

// Other writes what the JSON library makes of what is there but rarely.
func Other[T any](w *Writer, name string, value *T) {
	if value == nil {
		return
	}
	data, err := json.Marshal(value)
	w.keep(err)
	w.name(name)
	w.b = append(w.b, data...)
}

func (w *Writer) object(fill func(*Writer)) {
	w.b = append(w.b, '{')
	fill(w)
	w.b = append(w.b, '}')
}

func (w *Writer) name(name string) {
	w.comma('{')
	w.quote(name)
	w.b = append(w.b, ':')
}

// comma separates what follows from what is there, unless that is only the opening bracket.
func (w *Writer) comma(opening byte) {
	if w.b[len(w.b)-1] != opening {
		w.b = append(w.b, ',')
	}
}

func (w *Writer) quote(text string) {
	b, err := jsontext.AppendQuote(w.b, text)
	w.keep(err)
	w.b = b
}

func (w *Writer) keep(err error) {
	if w.err == nil {
		w.err = err
	}
}
