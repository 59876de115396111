package specconv

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// decoder fills Go values from JSON text. It does what encoding/json does for the types of the runtime
// specification, in a fraction of the time that encoding/json and its successor need for the first value
// of a type, and the first is all that a command reads: they prepare maps of fields and a function for
// every type, while here the next name is nearly always that of the next field, since who writes a config
// does so from the same types.
type decoder struct {
	scanner
}

// decode is as lenient as encoding/json, with which engines write and other runtimes read these files:
// the case of names does not matter, the last of two equal names wins, unknown names are skipped and
// broken UTF-8 is replaced.
func decode(file string, data []byte, into any) error {
	d := &decoder{scanner{src: string(data)}}
	err := d.document(reflect.ValueOf(into).Elem())
	if err == nil {
		return nil
	}
	err.File = file
	return err
}

func (d *decoder) document(v reflect.Value) *SyntaxError {
	if d.peek() == 0 && d.pos == len(d.src) {
		return &SyntaxError{Msg: "the file is empty"}
	}
	if err := d.value(v); err != nil {
		return err
	}
	if d.peek(); d.pos < len(d.src) {
		return d.unexpected("the end of the file")
	}
	return nil
}

func (d *decoder) value(v reflect.Value) *SyntaxError {
	if d.peek() == 'n' {
		return d.null(v)
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return d.value(v.Elem())
	case reflect.Struct:
		return d.object(v)
	case reflect.Map:
		return d.dictionary(v)
	case reflect.Slice:
		return d.array(v)
	case reflect.Interface:
		return d.skip() // windows.credentialSpec, which is nobody's here
	default:
		return d.scalar(v)
	}
}

// null leaves what cannot be nil as it is.
func (d *decoder) null(v reflect.Value) *SyntaxError {
	switch v.Kind() {
	case reflect.Pointer, reflect.Map, reflect.Slice, reflect.Interface:
		v.SetZero()
	}
	return d.word("null")
}

func (d *decoder) object(v reflect.Value) *SyntaxError {
	if d.peek() != '{' {
		return d.mismatch("an object")
	}
	next := 0
	return d.members(func(name string) *SyntaxError {
		field, at := fieldByName(v, name, next)
		if !field.IsValid() {
			return d.skip()
		}
		next = at + 1
		return d.value(field).inside(name)
	})
}

func (d *decoder) dictionary(v reflect.Value) *SyntaxError {
	if d.peek() != '{' {
		return d.mismatch("an object")
	}
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	return d.members(func(name string) *SyntaxError {
		element := reflect.New(v.Type().Elem()).Elem()
		if err := d.value(element); err != nil {
			return err.inside(key("", name))
		}
		v.SetMapIndex(reflect.ValueOf(name), element)
		return nil
	})
}

func (d *decoder) array(v reflect.Value) *SyntaxError {
	if d.peek() != '[' {
		return d.mismatch("an array")
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return d.elements(func(i int) *SyntaxError {
		v.Grow(1)
		v.SetLen(i + 1)
		if err := d.value(v.Index(i)); err != nil {
			return err.inside(index("", i))
		}
		return nil
	})
}

func (d *decoder) scalar(v reflect.Value) *SyntaxError {
	switch v.Kind() {
	case reflect.String:
		if d.peek() != '"' {
			return d.mismatch("a string")
		}
		text, err := d.string()
		v.SetString(text)
		return err
	case reflect.Bool:
		return d.boolean(v)
	default:
		return d.integer(v)
	}
}

func (d *decoder) boolean(v reflect.Value) *SyntaxError {
	switch d.peek() {
	case 't':
		v.SetBool(true)
		return d.word("true")
	case 'f':
		v.SetBool(false)
		return d.word("false")
	}
	return d.mismatch("true or false")
}

func (d *decoder) integer(v reflect.Value) *SyntaxError {
	if b := d.peek(); b != '-' && !isDigit(b) {
		return d.mismatch("a number")
	}
	start, bits := d.pos, v.Type().Bits()
	text, bad := d.number()
	if bad != nil {
		return bad
	}
	if strings.ContainsAny(text, ".eE") {
		return d.fail(start, text+" is not a whole number")
	}
	var err error
	if v.CanInt() {
		var n int64
		n, err = strconv.ParseInt(text, 10, bits)
		v.SetInt(n)
	} else {
		var n uint64
		n, err = strconv.ParseUint(text, 10, bits)
		v.SetUint(n)
	}
	if err != nil {
		return d.fail(start, fmt.Sprintf("%s does not fit into %s", text, v.Kind()))
	}
	return nil
}

// mismatch is the fault of a value of the wrong kind; what is no value at all is a fault of its own.
func (d *decoder) mismatch(wanted string) *SyntaxError {
	start, got := d.pos, ""
	switch b := d.peek(); {
	case b == '{':
		got = "an object"
	case b == '[':
		got = "an array"
	case b == '"':
		got = "a string"
	case b == 't' || b == 'f':
		got = "true or false"
	default:
		got = "a number"
	}
	if err := d.skip(); err != nil {
		return err
	}
	return d.fail(start, got+" is where "+wanted+" has to be")
}

// fieldByName finds the field of a struct that has a JSON name, and its index. It looks from the field
// at next on, and goes by the exact name first. An embedded struct's fields are the outer one's.
func fieldByName(v reflect.Value, name string, next int) (reflect.Value, int) {
	if f, i := findField(v, next, func(n string) bool { return n == name }); f.IsValid() {
		return f, i
	}
	return findField(v, 0, func(n string) bool { return strings.EqualFold(n, name) })
}

func findField(v reflect.Value, next int, match func(string) bool) (reflect.Value, int) {
	t := v.Type()
	for k := range t.NumField() {
		i := (next + k) % t.NumField()
		f := t.Field(i)
		if f.Anonymous {
			if inner, _ := findField(v.Field(i), 0, match); inner.IsValid() {
				return inner, i
			}
			continue
		}
		jsonName, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if match(jsonName) {
			return v.Field(i), i
		}
	}
	return reflect.Value{}, 0
}
