package coverage

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"rt/specconv"
	"rt/tests/internal/ocischema"
)

// constants is the values that the specification's Go package has for each of its own types: "LinuxNamespaceType" → pid, network…
func constants(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	eachConstant(t, func(kind, _, value string) { all[kind] = append(all[kind], value) })
	return all
}

// constantNames is the Go names of each value.
func constantNames(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	eachConstant(t, func(_, name, value string) { all[value] = append(all[value], name) })
	return all
}

func eachConstant(t *testing.T, do func(kind, name, value string)) {
	t.Helper()
	for _, file := range []string{"config.go", "state.go"} {
		tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(ocischema.Dir(t), "specs-go", file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			kind, _ := v.Type.(*ast.Ident)
			if text, ok := v.Values[0].(*ast.BasicLit); ok && kind != nil && text.Kind == token.STRING {
				value, _ := strconv.Unquote(text.Value)
				do(kind.Name, v.Names[0].Name, value)
			}
			return true
		})
	}
}

// full is the features of an rt with all that can be built into one.
func full() *features.Features {
	return specconv.Features(specconv.FeatureInputs{
		Version: "1", Commit: "c", LibseccompVersion: "2.5", SeccompFlags: []string{"SECCOMP_FILTER_FLAG_LOG"}, Systemd: true,
	})
}

// No field of the features document is left empty: engines take what is missing for unknown.
func TestFeaturesAreWhole(t *testing.T) {
	text := encode(t, full())
	if err := ocischema.Open(t, "features-schema.json").JudgeText(text); err != nil {
		t.Errorf("the schema: %v", err)
	}
	have := map[string]bool{}
	for _, p := range places(parse(t, text)) {
		have[strings.Join(p.keys(), ".")] = true
	}
	for _, f := range fields(reflect.TypeFor[features.Features]()) {
		if !have[f.path] {
			t.Errorf("no %s", f.path)
		}
	}
}

// Without libseccomp nothing is said about filters but that there are none.
func TestFeaturesWithoutSeccomp(t *testing.T) {
	f := specconv.Features(specconv.FeatureInputs{})
	if got := string(encode(t, f.Linux.Seccomp)); got != `{"enabled":false}` {
		t.Errorf("seccomp: %s", got)
	}
	if err := ocischema.Open(t, "features-schema.json").JudgeText(encode(t, f)); err != nil {
		t.Error(err)
	}
}

// Every value that the specification names is among the features, and nothing else: the lists are those by which configs are judged.
func TestFeaturesNameWhatTheSpecificationHas(t *testing.T) {
	known, f := constants(t), full()
	known["flags"] = append(slices.Clone(known["LinuxSeccompFlag"]), "SECCOMP_FILTER_FLAG_TSYNC") // has no constant
	known["hooks"] = nil
	for _, h := range fields(reflect.TypeFor[specs.Hooks]()) {
		if !strings.Contains(h.path, ".") {
			known["hooks"] = append(known["hooks"], strings.TrimSuffix(h.path, "[]"))
		}
	}
	for what, got := range map[string][]string{
		"LinuxNamespaceType": f.Linux.Namespaces, "LinuxSeccompAction": f.Linux.Seccomp.Actions, "LinuxSeccompOperator": f.Linux.Seccomp.Operators,
		"Arch": f.Linux.Seccomp.Archs, "flags": f.Linux.Seccomp.KnownFlags, "MemoryPolicyModeType": f.Linux.MemoryPolicy.Modes,
		"MemoryPolicyFlagType": f.Linux.MemoryPolicy.Flags, "hooks": f.Hooks,
	} {
		want, got := slices.Sorted(slices.Values(known[what])), slices.Sorted(slices.Values(got))
		if len(want) < 3 || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
}

// What is among the features is taken, and what is not is refused, by the field's name.
func TestFeaturesAreWhatConfigsAreJudgedBy(t *testing.T) {
	f, document := full(), parse(t, rich(t))
	for _, c := range []struct {
		at     place
		values []string
	}{
		{place{"linux", "namespaces", 0, "type"}, f.Linux.Namespaces},
		{place{"linux", "seccomp", "defaultAction"}, f.Linux.Seccomp.Actions},
		{place{"linux", "seccomp", "syscalls", 0, "args", 0, "op"}, f.Linux.Seccomp.Operators},
		{place{"linux", "seccomp", "architectures", 0}, f.Linux.Seccomp.Archs},
		{place{"linux", "seccomp", "flags", 0}, f.Linux.Seccomp.KnownFlags},
		{place{"linux", "memoryPolicy", "mode"}, f.Linux.MemoryPolicy.Modes},
		{place{"linux", "memoryPolicy", "flags", 0}, f.Linux.MemoryPolicy.Flags},
	} {
		for _, value := range append(slices.Clone(c.values), "NO_SUCH") {
			changed, _ := with(document, c.at, value)
			err := verdict(encode(t, changed))
			unknown := err != nil && strings.Contains(err.Error(), c.at.String()+": "+strconv.Quote(value)+" is not known")
			if unknown != (value == "NO_SUCH") {
				t.Errorf("%s = %s: %v", c.at, value, err)
			}
		}
	}
}

// The examples of features.md are documents that we can read: the types have not moved on.
func TestFeaturesExamplesAreRead(t *testing.T) {
	schema := ocischema.Open(t, "features-schema.json")
	for _, name := range []string{"minimal", "runc"} {
		text := read(t, filepath.Join(ocischema.Dir(t), "schema/test/features/good", name+".json"))
		if err := schema.JudgeText(text); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(text, new(features.Features)); err != nil {
			t.Error(err)
		}
	}
	if err := schema.JudgeText(read(t, filepath.Join(ocischema.Dir(t), "schema/test/features/bad/missing-ociVersionMax.json"))); err == nil {
		t.Error("the schema refuses nothing")
	}
}
