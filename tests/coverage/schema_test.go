package coverage

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/rootfs"
	"rt/specconv"
	"rt/tests/internal/ocischema"
)

// rich is a config with every field.
func rich(t *testing.T) []byte { return read(t, "testdata/rich.json") }

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// verdict is what rt says of a config's text, nil for a good one.
func verdict(text []byte) error {
	spec, err := specconv.Decode("config.json", text)
	if err != nil {
		return err
	}
	return specconv.Validate(spec, specconv.Host{CgroupV2: true})
}

func encode(t *testing.T, document any) []byte {
	t.Helper()
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func parse(t *testing.T, text []byte) any {
	t.Helper()
	document, err := ocischema.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// The rich config is good, and has a value in every field that Linux has: else the mutations below would miss it.
func TestRichConfigIsWhole(t *testing.T) {
	text := rich(t)
	if err := ocischema.Open(t, "config-schema.json").JudgeText(text); err != nil {
		t.Errorf("the schema: %v", err)
	}
	if err := verdict(text); err != nil {
		t.Errorf("rt: %v", err)
	}
	have := map[string]bool{}
	for _, p := range places(parse(t, text)) {
		have[p.pattern()] = true
	}
	for _, f := range fields(reflect.TypeFor[specs.Spec]()) {
		if f.path != "process.scheduler.priority" && !have[f.path] { // which the policy with the deadlines refuses
			t.Errorf("no %s in it", f.path)
		}
	}
}

// place is where a value is in a document: object keys and list indexes.
type place []any

// String is the place as rt writes it: mounts[1].options[0], linux.sysctl["net.x"].
func (p place) String() string {
	var b strings.Builder
	for i, step := range p {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			switch {
			case hasFreeKeys(p[:i]):
				b.WriteString("[" + strconv.Quote(step) + "]")
			case i > 0:
				b.WriteString("." + step)
			default:
				b.WriteString(step)
			}
		}
	}
	return b.String()
}

// pattern is the place as fields has it.
func (p place) pattern() string {
	return regexp.MustCompile(`\[[^]]*\]`).ReplaceAllString(p.String(), "[]")
}

var freeKeys = []string{"annotations", "linux.sysctl", "linux.resources.rdma", "linux.resources.unified", "linux.netDevices", "linux.timeOffsets"}

func hasFreeKeys(p place) bool { return slices.Contains(freeKeys, strings.Join(p.keys(), ".")) }

// keys is the place without indexes.
func (p place) keys() []string {
	var all []string
	for _, step := range p {
		if key, ok := step.(string); ok {
			all = append(all, key)
		}
	}
	return all
}

// places is every place of a document but its top, in a stable order.
func places(document any) []place {
	var all []place
	var visit func(at place, v any)
	visit = func(at place, v any) {
		if len(at) > 0 {
			all = append(all, slices.Clone(at))
		}
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				visit(append(at, k), v[k])
			}
		case []any:
			for i := range v {
				visit(append(at, i), v[i])
			}
		}
	}
	visit(nil, document)
	return all
}

// gone stands for a value that is taken out of its object.
type gone struct{}

// with is the document with another value at a place; ok is false where that makes no sense.
func with(document any, at place, value any) (changed any, ok bool) {
	if len(at) == 0 {
		return value, true
	}
	switch d := document.(type) {
	case map[string]any:
		c, key := maps.Clone(d), at[0].(string)
		if _, remove := value.(gone); remove && len(at) == 1 {
			delete(c, key)
			return c, true
		}
		c[key], ok = with(d[key], at[1:], value)
		return c, ok
	case []any:
		c := slices.Clone(d)
		if _, remove := value.(gone); remove && len(at) == 1 {
			return nil, false // a shorter list is another config, not a bad one
		}
		c[at[0].(int)], ok = with(d[at[0].(int)], at[1:], value)
		return c, ok
	}
	return nil, false
}

// wrong is values that may be wrong anywhere: of each type, beyond each bound, of no list of words.
var wrong = map[string]any{
	"a string": "NO:such", "an empty string": "", "a number": json.Number("1"), "a negative number": json.Number("-1"),
	"a fraction": json.Number("1.5"), "2^16": json.Number("65536"), "2^31": json.Number("2147483648"), "-2^31-1": json.Number("-2147483649"),
	"2^32": json.Number("4294967296"), "2^63": json.Number("9223372036854775808"), "2^64": json.Number("18446744073709551616"), "0": json.Number("0"),
	"true": true, "an object": map[string]any{"no": "such"}, "an empty object": map[string]any{}, "a list": []any{[]any{}}, "an empty list": []any{},
	"nothing": gone{}, "null": nil,
}

// looser is where rt takes what the schema refuses, with the reason. Both are patterns; each row is needed.
var looser = []struct{ places, mutations, why string }{
	{`(\.|])(containerID|hostID|major|minor|limit|priority|index|value|height|width|soft|hard)`, "nothing",
		"a number that is left out is 0, a truth false, as in the Go types with which engines read and write these files; texts and lists that are REQUIRED are missed"},
	{`linux.resources.devices\[0].allow`, "nothing", "a truth that is left out is false: the rule denies"},
	{`process.consoleSize|linux.resources.blockIO.throttle.*\[0]`, "an (empty )?object", "the same: its numbers are left out"},
	{`linux.resources.pids`, "an (empty )?object", "the text of 1.3.0 says that limit is OPTIONAL, the schema still REQUIRED"},
	{`linux.devices\[0].fileMode`, "2\\^.*", "engines put the file type of stat(2) into the mode, and devices may be sticky; what is no permission bit is not used"},
	{`.*`, "null", "null stands for what is left out, as in encoding/json; where that is missed, so is null"},
	{`linux.(intelRdt.memBwSchema|rootfsPropagation)`, "an empty string", "an empty text is one that is left out"},
}

// changed is the rich config with one small change.
type changed struct {
	at       place
	mutation string
	config   any
}

var judged struct {
	sync.Once
	good, bad []changed
}

// judge makes every small change to the rich config that could be wrong, and lets the schema decide which are.
func judge(t *testing.T) (good, bad []changed) {
	t.Helper()
	judged.Do(func() {
		schema, document := ocischema.Open(t, "config-schema.json"), parse(t, rich(t))
		for _, at := range places(document) {
			for _, name := range slices.Sorted(maps.Keys(wrong)) {
				config, ok := with(document, at, wrong[name])
				switch {
				case !ok:
				case schema.Judge(config) == nil:
					judged.good = append(judged.good, changed{at, name, config})
				default:
					judged.bad = append(judged.bad, changed{at, name, config})
				}
			}
		}
	})
	if len(judged.bad) < 4500 || len(judged.good) < 600 {
		t.Errorf("the schema refused %d configs and took %d: is it the right one?", len(judged.bad), len(judged.good))
	}
	return judged.good, judged.bad
}

// What the schema refuses rt refuses too, and names the field.
func TestWhatTheSchemaRefuses(t *testing.T) {
	used := map[string]bool{}
	_, all := judge(t)
	for _, bad := range all {
		err := verdict(encode(t, bad.config))
		if err != nil && strings.Contains(err.Error(), bad.at.String()) {
			continue
		}
		if why := difference(bad.at.String(), bad.mutation); why != "" {
			used[why] = true
		} else {
			t.Errorf("%s as %s: rt says %v", bad.at, bad.mutation, err)
		}
	}
	for _, d := range looser {
		if !used[d.why] {
			t.Errorf("no difference any more: %s", d.why)
		}
	}
}

// stricter is why rt refuses what the schema takes, by what the error says: the texts and the kernel have rules for which a
// schema has no words.
var stricter = []struct{ says, why string }{
	{"is missing|names no program", "REQUIRED by the text, or by what it goes with, though not by the schema"},
	{"is not a version number", "the text wants SemVer 2.0.0"},
	{"is not an absolute path", "the text wants it absolute"},
	{"needs a .* namespace|is the whole machine's", "it would be the host's"},
	{"is not mapped in|does not map 0|size: is 0", "ids that the user namespace does not have"},
	{"is not between|is above|is below limit|has more than|is neither|is a second|has to be at most|is not one of the|does not fit", "beyond what the kernel takes"},
	{"is not a list like|is no name of|is not a file name|has no =|is not known, only", "not the form that the kernel or the text has"},
	{"has neither bind nor rbind|is no option of a bind|has to be of the type proc|has neither hca", "means nothing"},
	{"is not in permitted", "capset(2) refuses it"},
	{"is given without listenerPath", "the text: MUST NOT"},
	{"timeOffsets\\[\"no\"]: a string is where", "the schema looks only into the two clocks"},
}

// Where rt is stricter than the schema there is a reason.
func TestWhatOnlyRTRefuses(t *testing.T) {
	used := map[string]bool{}
	good, _ := judge(t)
	for _, g := range good {
		err := verdict(encode(t, g.config))
		if err == nil {
			continue
		}
		first, _, _ := strings.Cut(err.Error(), "; ")
		known := false
		for _, row := range stricter {
			if regexp.MustCompile(row.says).MatchString(first) {
				known, used[row.why] = true, true
			}
		}
		if !known {
			t.Errorf("%s as %s: %s", g.at, g.mutation, first)
		}
	}
	for _, row := range stricter {
		if !used[row.why] {
			t.Errorf("no difference any more: %s", row.why)
		}
	}
}

// The same for what comes in parts: the process of exec's --process, the limits of update's --resources.
func TestPartsThatTheSchemaRefuses(t *testing.T) {
	refused := map[string]int{}
	_, all := judge(t)
	for _, bad := range all {
		for _, part := range []struct {
			at      place
			verdict func(text []byte) error
		}{{place{"process"}, processVerdict}, {place{"linux", "resources"}, resourcesVerdict}} {
			if len(bad.at) <= len(part.at) || !slices.Equal(bad.at[:len(part.at)], part.at) || difference(bad.at.String(), bad.mutation) != "" {
				continue
			}
			refused[part.at.String()]++
			err, field := part.verdict(encode(t, inside(bad.config, part.at))), strings.TrimPrefix(bad.at.String(), part.at.String()+".")
			if err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("%s as %s: rt says %v", bad.at, bad.mutation, err)
			}
		}
	}
	if refused["process"] < 700 || refused["linux.resources"] < 900 {
		t.Errorf("the schema refused only %v", refused)
	}
}

// inside is what a document has at a place.
func inside(document any, at place) any {
	for _, step := range at {
		document = document.(map[string]any)[step.(string)]
	}
	return document
}

func processVerdict(text []byte) error {
	process, err := specconv.DecodeProcess("process.json", text)
	if err != nil {
		return err
	}
	return specconv.ValidateProcess(process, specconv.Host{CgroupV2: true})
}

func resourcesVerdict(text []byte) error {
	resources, err := specconv.DecodeResources("resources.json", text)
	if err != nil {
		return err
	}
	return specconv.ValidateResources(resources, specconv.Host{CgroupV2: true})
}

// The text has a table of mount options. rt knows all of them, those that it need not too.
func TestMountOptionsOfTheText(t *testing.T) {
	rows := regexp.MustCompile("(?m)^ `([a-z]+) *` +\\| (MUST|SHOULD|MAY) ").FindAllStringSubmatch(string(read(t, filepath.Join(ocischema.Dir(t), "config.md"))), -1)
	if len(rows) < 60 {
		t.Fatalf("only %d options are found", len(rows))
	}
	known := rootfs.OptionNames()
	for _, row := range rows {
		if !slices.Contains(known, row[1]) {
			t.Errorf("%s %s be known", row[1], row[2])
		}
	}
}

func difference(at, mutation string) string {
	for _, d := range looser {
		if regexp.MustCompile("(?:"+d.places+")$").MatchString(at) && regexp.MustCompile("^(?:"+d.mutations+")$").MatchString(mutation) {
			return d.why
		}
	}
	return ""
}

// What the schema says of a config in its own examples: a good one is taken, but for those here.
var refusedExamples = map[string]string{
	"good/freebsd-example.json": "for FreeBSD, without the namespaces that a host name and mounts need on Linux",
	"good/zos-example.json":     "for z/OS, the same",
	"good/linux-netdevice.json": "names a device to be moved, and no network namespace to move it to",
}

var takenExamples = map[string]string{
	"bad/freebsd-vnet-disable.json": "what is wrong is FreeBSD's, which no runtime for Linux looks at",
}

func TestSchemaExamples(t *testing.T) {
	for _, kind := range []string{"good", "bad"} {
		files, err := filepath.Glob(filepath.Join(ocischema.Dir(t), "schema/test/config", kind, "*.json"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s examples: %v", kind, err)
		}
		for _, file := range files {
			name := kind + "/" + filepath.Base(file)
			// Some are of a time before 1.0.0; everything else in them still holds.
			err := verdict([]byte(strings.Replace(string(read(t, file)), `"0.5.0-dev"`, `"1.0.0"`, 1)))
			if why := refusedExamples[name] + takenExamples[name]; (err == nil) == (kind == "good") == (why != "") {
				t.Errorf("%s (%q): %v", name, why, err)
			}
		}
	}
}

func TestBadExamplesNameTheField(t *testing.T) {
	for file, field := range map[string]string{
		"linux-hugepage": "linux.resources.hugepageLimits[0].pageSize", "linux-rdma": `linux.resources.rdma["mlx5_1"].hcaHandles`,
		"linux-netdevice": `linux.netDevices["eth0"].name`, "invalid-json": "config.json:1:2",
	} {
		text := read(t, filepath.Join(ocischema.Dir(t), "schema/test/config/bad", file+".json"))
		if err := verdict(text); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v, want it to name %s", file, err, field)
		}
	}
}

// notForUs is the examples in the text that rt refuses, by what they hold, with a word of the error.
var notForUs = map[string]string{
	`"ociVersion": "0.1.0"`:       "ociVersion",     // before 1.0.0
	`C:\\folder-inside-container`: "mounts[0].type", // Windows
	`"cwd": "c:`:                  "process.cwd",    // Windows
	`{
    "linux": {
        "namespaces": [`: "hostname: needs a uts namespace", // the form of a config, without what goes with it
	`"fds": [`: "no config", // what a seccomp agent is sent
}

// The texts show each part of a config in an example. In a config that has what the part needs, rt takes it.
func TestExamplesOfTheText(t *testing.T) {
	known, found := map[string]bool{}, 0
	for _, f := range fields(reflect.TypeFor[specs.Spec]()) {
		known[f.path] = true
	}
	for _, file := range []string{"config.md", "config-linux.md"} {
		text := read(t, filepath.Join(ocischema.Dir(t), file))
		for _, m := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			found++
			example, word := m[1], ""
			for mark, w := range notForUs {
				if strings.Contains(example, mark) {
					word = w
				}
			}
			if word == "no config" {
				continue
			}
			if err := verdict(encode(t, around(t, example, known))); (err != nil) != (word != "") || err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("%s: %v (want %q)\n%s", file, err, word, example)
			}
		}
	}
	if found < 38 {
		t.Errorf("only %d examples", found)
	}
}

// around is a config with the example in its place.
func around(t *testing.T, example string, known map[string]bool) any {
	t.Helper()
	if example[0] != '{' {
		example = "{" + example + "}"
	}
	example = regexp.MustCompile(`,(\s*[\]}])`).ReplaceAllString(example, "$1") // slips of the text: a comma too many,
	example = regexp.MustCompile(`"(\n\s*")`).ReplaceAllString(example, `",$1`) // and one too few
	part := parse(t, []byte(example)).(map[string]any)
	base := specconv.Example(false)
	base.Linux.Namespaces = append(base.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	m := []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
	base.Linux.UIDMappings, base.Linux.GIDMappings = m, m
	config := parse(t, encode(t, base)).(map[string]any)
	schema := ocischema.Open(t, "config-schema.json")
	for _, parent := range []string{"", "linux", "linux.resources"} {
		c := parse(t, encode(t, config)).(map[string]any)
		into, fits := c, true
		for _, step := range strings.FieldsFunc(parent, func(r rune) bool { return r == '.' }) {
			into = into[step].(map[string]any)
		}
		for k, v := range part {
			fits = fits && known[join(parent, k)]
			if inner, ok := v.(map[string]any); ok && k == "linux" {
				maps.Copy(into["linux"].(map[string]any), inner)
			} else {
				into[k] = v
			}
		}
		if fits && schema.Judge(c) == nil {
			return c
		}
	}
	t.Errorf("there is no place for %s", example)
	return config
}
