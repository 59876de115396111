package specconv

import (
	"fmt"
	"strconv"
	"strings"
)

// Fault is one thing that is wrong with a config.
type Fault struct {
	Field string // where: mounts[3].options[1]
	Msg   string // what
}

func (f Fault) String() string { return f.Field + ": " + f.Msg }

// Faults is everything that is wrong with a config, in the order of the fields in the specification.
type Faults []Fault

// Error is one line, since engines show users the last line of a log.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i := range f {
		lines[i] = f[i].String()
	}
	return strings.Join(lines, "; ")
}

// add records a fault. Field names are put together by the caller and only then, so that a config
// without faults costs no formatting.
func (f *Faults) add(field, format string, args ...any) {
	*f = append(*f, Fault{field, fmt.Sprintf(format, args...)})
}

// unknown is the fault of a name that is not in a list of names.
func unknown[S ~string](f *Faults, field string, name S, names []S) {
	if name == "" {
		f.add(field, "is missing")
		return
	}
	words := make([]string, len(names))
	for i := range names {
		words[i] = string(names[i])
	}
	f.add(field, "%q is not known, only %s", string(name), strings.Join(words, " "))
}

func index(list string, i int) string { return list + "[" + strconv.Itoa(i) + "]" }

func key(object, name string) string { return object + "[" + strconv.Quote(name) + "]" }
