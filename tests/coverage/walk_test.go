package coverage

import (
	"reflect"
	"slices"
	"strings"
)

// field is one field of a Go type that stands for JSON.
type field struct {
	path  string // linux.resources.hugepageLimits[].limit; [] is an element of a list or of an object with free keys
	ident string // HugepageLimits, Limit: how Go code speaks of it
	in    string // the ident of the field that it is in, empty at the top
	leaf  bool   // holds no further fields
	kind  reflect.Type
}

// fields is every field of a type, in its order, for Linux: those that are marked for other platforms only are left out.
func fields(t reflect.Type) []field {
	var all []field
	walk(t, "", "", &all)
	return all
}

func walk(t reflect.Type, at, in string, all *[]field) {
	for i := range t.NumField() {
		f := t.Field(i)
		if p, marked := f.Tag.Lookup("platform"); marked && !slices.Contains(strings.Split(p, ","), "linux") {
			continue
		}
		if f.Anonymous {
			walk(f.Type, at, in, all)
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner, path := f.Type, join(at, name)
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			if inner.Kind() != reflect.Pointer {
				path += "[]"
			}
			inner = inner.Elem()
		}
		leaf := inner.Kind() != reflect.Struct
		if leaf {
			path = strings.TrimSuffix(path, "[]")
		}
		*all = append(*all, field{strings.TrimSuffix(path, "[]"), f.Name, in, leaf, inner})
		if !leaf {
			walk(inner, path, f.Name, all)
		}
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
