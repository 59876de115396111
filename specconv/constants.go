package specconv

// constant is a name of the specification and the kernel's number for it.
type constant[S ~string] struct {
	name  S
	value int
}

func lookup[S ~string](table []constant[S], name S) (int, bool) {
	for i := range table {
		if table[i].name == name {
			return table[i].value, true
		}
	}
	return 0, false
}

func names[S ~string](table []constant[S]) []S {
	list := make([]S, len(table))
	for i := range table {
		list[i] = table[i].name
	}
	return list
}

func asStrings[S ~string](names []S) []string {
	list := make([]string, len(names))
	for i := range names {
		list[i] = string(names[i])
	}
	return list
}
