package coverage

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"rt/rootfs"
	"rt/specconv"
	"rt/tests/golden"
	"rt/tests/internal/named"
)

// documents is what the specification describes, by the prefix that its fields have in the claims.
var documents = []struct {
	prefix, title string
	of            reflect.Type
}{
	{"", "config.json", reflect.TypeFor[specs.Spec]()},
	{"state:", "The state", reflect.TypeFor[specs.State]()},
	{"agent:", "What a seccomp agent is sent", reflect.TypeFor[specs.ContainerProcessState]()},
	{"features:", "The features", reflect.TypeFor[features.Features]()},
}

// leaves is every field of all documents that holds a value.
func leaves() map[string]field {
	all := map[string]field{}
	for _, d := range documents {
		for _, f := range fields(d.of) {
			if f.leaf {
				all[d.prefix+f.path] = f
			}
		}
	}
	return all
}

// values is every value that a field can have by name: those of the specification's own types, and those that are only in
// its text, which rt has in tables.
func values(t *testing.T) map[string][]string {
	t.Helper()
	all, known := map[string][]string{}, constants(t)
	for path, f := range leaves() {
		// The state that an agent is told is the state; not all of its values can be when a filter is loaded.
		if list := known[f.kind.Name()]; list != nil && strings.Contains(f.kind.PkgPath(), "runtime-spec") && path != "agent:state.status" {
			all[path] = list
		}
	}
	all["linux.seccomp.flags"] = append(all["linux.seccomp.flags"], "SECCOMP_FILTER_FLAG_TSYNC") // has no constant
	all["mounts[].options"] = rootfs.OptionNames()
	all["process.capabilities"] = specconv.CapabilityNames(63)
	all["linux.timeOffsets[]"] = []string{"monotonic", "boottime"}
	for path, at := range map[string]place{
		"process.rlimits[].type": {"process", "rlimits", 0, "type"}, "linux.rootfsPropagation": {"linux", "rootfsPropagation"},
		"linux.devices[].type": {"linux", "devices", 0, "type"}, "linux.resources.devices[].type": {"linux", "resources", "devices", 0, "type"},
	} {
		all[path] = listed(t, at)
	}
	return all
}

// listed is what rt has in its table for a field, as the error for a word that is not in it tells.
func listed(t *testing.T, at place) []string {
	t.Helper()
	changed, _ := with(parse(t, rich(t)), at, "NO_SUCH")
	_, after, _ := strings.Cut(fmt.Sprint(verdict(encode(t, changed))), at.String()+`: "NO_SUCH" is not known, only `)
	list, _, _ := strings.Cut(after, ";")
	if len(strings.Fields(list)) < 3 {
		t.Fatalf("%s: %q", at, list)
	}
	return strings.Fields(list)
}

// expand takes a claim's fields apart: a{b,c}d is abd and acd.
func expand(text string) []string {
	var all []string
	for _, word := range strings.Fields(text) {
		todo := []string{word}
		for len(todo) > 0 {
			m := regexp.MustCompile(`^(.*?)\{([^{}]*)\}(.*)$`).FindStringSubmatch(todo[0])
			if m == nil {
				all = append(all, todo[0])
			} else {
				for _, one := range strings.Split(m[2], ",") {
					todo = append(todo, m[1]+one+m[3])
				}
			}
			todo = todo[1:]
		}
	}
	return all
}

func (c *claim) testNames() []string {
	list := strings.Fields(c.tests)
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], "_", " ")
	}
	return list
}

// No field is forgotten, and nothing is claimed that is not there.
func TestEveryFieldIsClaimed(t *testing.T) {
	want, have := leaves(), map[string]int{}
	for _, c := range claims {
		for _, path := range expand(c.fields) {
			if c.values == "" {
				have[path]++
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(want)) {
		if have[path] != 1 {
			t.Errorf("%s is claimed %d times", path, have[path])
		}
	}
	for path := range have {
		if _, ok := want[path]; !ok {
			t.Errorf("there is no field %s", path)
		}
	}
	if len(want) < 190 {
		t.Errorf("only %d fields", len(want))
	}
}

// No value is forgotten either.
func TestEveryValueIsClaimed(t *testing.T) {
	want, have := values(t), map[string][]string{}
	for _, c := range claims {
		if c.values != "" {
			have[c.fields] = append(have[c.fields], strings.Fields(c.values)...)
		}
	}
	total := 0
	for path, list := range want {
		total += len(list)
		w, h := slices.Sorted(slices.Values(list)), slices.Sorted(slices.Values(have[path]))
		if !slices.Equal(w, h) {
			t.Errorf("%s: there are\n %q, claimed\n %q", path, w, h)
		}
		delete(have, path)
	}
	for path := range have {
		t.Errorf("%s has no values by name", path)
	}
	if total < 220 {
		t.Errorf("only %d values", total)
	}
}

// The tests that are named are there, one of them runs a container, and together they speak of every field and value of
// their row: by the name that Go gives it, together with that of what it is in, or by its own.
func TestClaimsNameTheirTests(t *testing.T) {
	all, err := named.Find("../..")
	if err != nil {
		t.Fatal(err)
	}
	known := leaves()
	for i := range claims {
		c := &claims[i]
		tests := c.testNames()
		for _, name := range tests {
			if err := all.Check(name); err != nil {
				t.Errorf("%s: %v", c.fields, err)
			}
		}
		inContainers := slices.ContainsFunc(tests, func(name string) bool { return strings.HasPrefix(name, "integration.") })
		if !inContainers && c.needs == "" || c.does == "" || len(tests) == 0 {
			t.Errorf("%s %s: the row is not whole", c.fields, c.values)
		}
		speaks := func(identifiers, words []string) bool {
			return slices.ContainsFunc(tests, func(name string) bool { return all.SpeaksOf(name, identifiers, words) })
		}
		for _, path := range expand(c.fields) {
			f, last := known[path], path[strings.LastIndexAny(path, ".:")+1:]
			if c.values == "" && !strings.HasPrefix(path, "features:") && !(speaks([]string{f.ident}, []string{last}) && (f.in == "" || speaks([]string{f.in}, []string{lower(f.in)}))) {
				t.Errorf("%s: none of its tests speaks of %s in %s", path, f.ident, f.in)
			}
		}
		for _, value := range strings.Fields(c.values) {
			_, short, _ := strings.Cut(value, "_")
			if !speaks(identifiers(t, value), append([]string{value}, strings.Fields(short)...)) {
				t.Errorf("%s: none of its tests speaks of %s", c.fields, value)
			}
		}
	}
}

// lower is the JSON name that goes with a Go name, nearly always.
func lower(ident string) string { return strings.ToLower(ident[:1]) + ident[1:] }

// identifiers is the constants of the specification's package that have a value.
func identifiers(t *testing.T, value string) []string {
	t.Helper()
	return constantNames(t)[value]
}

// The table that people read.
func TestTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("# The runtime specification, field by field\n\nGenerated by `go test ./tests/coverage -update` from the claims in tests/coverage/claims_test.go; " +
		"a test fails for a field or a value of runtime-spec " + specs.Version + " that no row has, and for a row whose tests are not there or do not speak of it. " +
		"Tests are named by their directory. An empty last column: Linux 5.14 and cgroup v1 or v2 are enough.\n")
	for _, d := range documents {
		fmt.Fprintf(&b, "\n## %s\n\n| field | what rt does | tests | needs |\n|---|---|---|---|\n", d.title)
		for i := range claims {
			if c := &claims[i]; documentOf(c.fields) == d.prefix {
				fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", c.title(), c.does, strings.Join(c.testNames(), ", "), c.needs)
			}
		}
	}
	golden.File(t, "../../docs/spec-coverage.md", b.String())
}

func documentOf(fields string) string {
	prefix, _, found := strings.Cut(fields, ":")
	if !found {
		return ""
	}
	return prefix + ":"
}

func (c *claim) title() string {
	title := "`" + strings.Join(strings.Fields(strings.ReplaceAll(c.fields, documentOf(c.fields), "")), "`, `") + "`"
	if c.values != "" {
		title += " = " + strings.Join(strings.Fields(c.values), ", ")
	}
	return title
}
