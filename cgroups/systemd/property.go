package systemd

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// Infinity is how systemd writes "no limit" where a number is wanted.
const Infinity uint64 = math.MaxUint64

// Property is one setting of a unit, as D-Bus wants it: a structure of name and variant.
type Property struct {
	Name  string
	Value dbus.Variant
}

// NewProperty makes a property of any value that D-Bus can carry.
func NewProperty(name string, value any) Property {
	return Property{Name: name, Value: dbus.MakeVariant(value)}
}

// AnnotationPrefix begins the annotations that set a property of the container's unit.
const AnnotationPrefix = "org.systemd.property."

// AnnotationError names the annotation that is wrong.
type AnnotationError struct {
	Key string // org.systemd.property.X
	Err error
}

// Error implements error.
func (e *AnnotationError) Error() string { return fmt.Sprintf("annotations[%q]: %v", e.Key, e.Err) }

// Unwrap gives the cause.
func (e *AnnotationError) Unwrap() error { return e.Err }

// ParseAnnotations gives the properties among the annotations of a config, sorted by name.
func ParseAnnotations(annotations map[string]string) ([]Property, error) {
	var list []Property
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		name, ok := strings.CutPrefix(key, AnnotationPrefix)
		if !ok {
			continue
		}
		p, err := ParseAnnotation(name, annotations[key])
		if err != nil {
			return nil, &AnnotationError{Key: key, Err: err}
		}
		list = append(list, p)
	}
	return list, nil
}

// ParseAnnotation understands one property: value is GVariant text. A name in …Sec, as unit files have them, becomes
// the …USec that the manager knows, and its seconds microseconds.
func ParseAnnotation(name, value string) (Property, error) {
	if len(name) < 3 || strings.ContainsFunc(name, func(r rune) bool { return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') }) {
		return Property{}, errors.New("not the name of a property: letters only, three at least")
	}
	v, err := parseVariant(value)
	if err != nil {
		return Property{}, fmt.Errorf("%q is no value in GVariant text: %w", value, err)
	}
	if base, ok := strings.CutSuffix(name, "Sec"); ok && !strings.HasSuffix(base, "U") {
		usec, err := microseconds(v)
		if err != nil {
			return Property{}, fmt.Errorf("%q: %w", value, err)
		}
		return NewProperty(base+"USec", usec), nil
	}
	return Property{Name: name, Value: v}, nil
}

func microseconds(v dbus.Variant) (uint64, error) {
	const million = 1_000_000
	var seconds float64
	switch n := v.Value().(type) {
	case float64:
		seconds = n
	case byte:
		return uint64(n) * million, nil
	case uint16:
		return uint64(n) * million, nil
	case uint32:
		return uint64(n) * million, nil
	case uint64:
		if n > Infinity/million {
			return Infinity, nil
		}
		return n * million, nil
	case int16:
		seconds = float64(n)
	case int32:
		seconds = float64(n)
	case int64:
		seconds = float64(n)
	default:
		return 0, errors.New("not a number of seconds")
	}
	switch {
	case seconds < 0 || math.IsNaN(seconds):
		return 0, errors.New("negative seconds")
	case seconds*million >= math.MaxUint64:
		return Infinity, nil
	}
	return uint64(math.Round(seconds * million)), nil
}
