package specconv_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/specconv"
)

func TestDecodeFaults(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", "config.json: the file is empty"},
		{" \n\t", "config.json: the file is empty"},
		{"{", `config.json:1:2: the text ends where a name in quotes has to be`},
		{"nope", `config.json:1:1: 'n' is where a value has to be`},
		{"\ufeff{}", `config.json:1:1: '\ufeff' is where a value has to be`},
		{"{}\n{}", `config.json:2:1: '{' is where the end of the file has to be`},
		{"[]", `config.json:1:1: an array is where an object has to be`},
		{"{\n  \"ociVersion\": 1\n}", `config.json:2:17: ociVersion: a number is where a string has to be`},
		{`{"process":{"args":"sh"}}`, `config.json:1:20: process.args: a string is where an array has to be`},
		{`{"process":{"args":["a",{}]}}`, `config.json:1:25: process.args[1]: an object is where a string has to be`},
		{`{"process":{"terminal":"yes"}}`, `config.json:1:24: process.terminal: a string is where true or false has to be`},
		{`{"process":{"user":{"uid":-1}}}`, `config.json:1:27: process.user.uid: -1 does not fit into uint32`},
		{`{"process":{"user":{"uid":4294967296}}}`, `config.json:1:27: process.user.uid: 4294967296 does not fit into uint32`},
		{`{"process":{"user":{"uid":"0"}}}`, `config.json:1:27: process.user.uid: a string is where a number has to be`},
		{`{"process":{"oomScoreAdj":1.5}}`, `config.json:1:27: process.oomScoreAdj: 1.5 is not a whole number`},
		{`{"mounts":[{},{"options":[true]}]}`, `config.json:1:27: mounts[1].options[0]: true or false is where a string has to be`},
		{`{"linux":{"sysctl":{"net.x":1}}}`, `config.json:1:29: linux.sysctl["net.x"]: a number is where a string has to be`},
		{`{"linux":{"resources":{"blockIO":{"weightDevice":[{"major":"8"}]}}}}`, `config.json:1:60: linux.resources.blockIO.weightDevice[0].major: a string is where a number has to be`},
		{"{\"a\":\n  tru}", `config.json:2:3: 't' is where a value has to be`},
		{`{"hostname":"a` + "\n" + `"}`, `config.json:1:15: hostname: a control character inside a string has to be written as an escape`},
		{`{"hostname":"a\x"}`, `config.json:1:15: hostname: a backslash inside a string has to be followed by one of "\/bfnrt or by u and four hexadecimal digits`},
		{`{"hostname":"a`, `config.json:1:15: hostname: the text ends where a closing quote has to be`},
		{`{"hostname":"a",}`, `config.json:1:17: '}' is where a name in quotes has to be`},
		{`{"hostname" "a"}`, `config.json:1:13: '"' is where ":" has to be`},
		{`{"mounts":[{}}`, `config.json:1:14: mounts: '}' is where "," or "]" has to be`},
		{`{"unknown":[01]}`, `config.json:1:14: '1' is where "," or "]" has to be`},
		{`{"unknown":-}`, `config.json:1:13: '}' is where a digit has to be`},
		{`{"unknown":1.}`, `config.json:1:14: '}' is where a digit has to be`},
		{`{"unknown":1e+}`, `config.json:1:15: '}' is where a digit has to be`},
		{strings.Repeat(`{"a":`, 10001), `config.json:1:50002: arrays and objects are nested too deep`},
	} {
		_, err := specconv.Decode("config.json", []byte(test.text))
		if _, ok := errors.AsType[*specconv.SyntaxError](err); !ok || err.Error() != test.want {
			t.Errorf("Decode(%.60q)\n got %v\nwant %s", test.text, err, test.want)
		}
	}
}

func TestDecodeIsLenient(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       specs.Spec
	}{
		{"null", `null`, specs.Spec{}},
		{"nulls", `{"hostname":null,"process":null,"mounts":null,"annotations":null}`, specs.Spec{}},
		{"unknown names", `{"new":{"a":[1,-2.5e+3,"\"\\",true,false,null,{}]},"hostname":"h"}`, specs.Spec{Hostname: "h"}},
		{"case", `{"OCIVERSION":"1.0.0","HostName":"h"}`, specs.Spec{Version: "1.0.0", Hostname: "h"}},
		{"the last of two", `{"hostname":"a","hostname":"b"}`, specs.Spec{Hostname: "b"}},
		{"two objects", `{"root":{"path":"a"},"root":{"readonly":true}}`, specs.Spec{Root: &specs.Root{Path: "a", Readonly: true}}},
		{"the last of two arrays", `{"mounts":[{"source":"a"},{}],"mounts":[{"type":"b"}]}`, specs.Spec{Mounts: []specs.Mount{{Type: "b"}}}},
		{"escapes", `{"hostname":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00"}`, specs.Spec{Hostname: "\"\\/\b\f\n\r\té😀"}},
		{"half a pair", `{"hostname":"\ud83dx\ud83d\u0041\ude00"}`, specs.Spec{Hostname: "\ufffdx\ufffdA\ufffd"}},
		{"broken UTF-8", "{\"hostname\":\"a\xff\xc3b\",\"domainname\":\"\\n\xe2\x82\"}", specs.Spec{Hostname: "a\ufffd\ufffdb", Domainname: "\n\ufffd\ufffd"}},
		{"UTF-8", `{"hostname":"höst"}`, specs.Spec{Hostname: "höst"}},
		{"white space", " {\r\n\t\"hostname\" : \"h\" } \n", specs.Spec{Hostname: "h"}},
		{"empty", `{"mounts":[],"annotations":{}}`, specs.Spec{Mounts: []specs.Mount{}, Annotations: map[string]string{}}},
		{"other platforms", `{"windows":{"layerFolders":[],"credentialSpec":{"a":1}}}`, specs.Spec{Windows: &specs.Windows{LayerFolders: []string{}}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := specconv.Decode("config.json", []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecodeEngineConfigsLikeEncodingJSON(t *testing.T) {
	files, err := filepath.Glob(configs + "/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s (%v)", configs, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		got, want := new(specs.Spec), new(specs.Spec)
		if got, err = specconv.Decode(file, data); err != nil {
			t.Error(err)
		}
		if err := json.Unmarshal(data, want); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -encoding/json +Decode:\n%s", file, diff)
		}
	}
}

// The decoder knows the kinds of types that the specification uses. This finds the first new one.
func TestDecodeKnowsEveryType(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(path string, typ reflect.Type)
	walk = func(path string, typ reflect.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		for _, i := range []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()} {
			if reflect.PointerTo(typ).Implements(i) {
				t.Errorf("%s: %v has a method that reads JSON its own way", path, typ)
			}
		}
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(path, typ.Elem())
		case reflect.Map:
			if typ.Key() != reflect.TypeFor[string]() {
				t.Errorf("%s: %v is not keyed by plain strings", path, typ)
			}
			walk(path, typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				f := typ.Field(i)
				_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
				if !f.Anonymous && f.Tag.Get("json") == "" || options != "" && options != "omitempty" {
					t.Errorf("%s.%s: tag %q", path, f.Name, f.Tag.Get("json"))
				}
				walk(path+"."+f.Name, f.Type)
			}
		case reflect.String, reflect.Bool, reflect.Interface,
			reflect.Int, reflect.Int32, reflect.Int64,
			reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		default:
			t.Errorf("%s: %v", path, typ)
		}
	}
	walk("Spec", reflect.TypeFor[specs.Spec]())
	walk("State", reflect.TypeFor[specs.State]())
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "good.json"), filepath.Join(dir, "bad.json")
	for file, text := range map[string]string{good: `{"ociVersion":"1.0.0"}`, bad: "{\n!"} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if spec, err := specconv.Load(good); err != nil || spec.Version != "1.0.0" {
		t.Errorf("Load(good) = %+v, %v", spec, err)
	}
	if _, err := specconv.Load(bad); err == nil || err.Error() != bad+":2:1: '!' is where a name in quotes has to be" {
		t.Errorf("Load(bad): %v", err)
	}
	if _, err := specconv.Load(filepath.Join(dir, "none.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Load(none): %v, want a *PathError that is ErrNotExist", err)
	}
	if _, err := specconv.Load(dir); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("Load(directory): %v", err)
	}
}

func TestDecodeParts(t *testing.T) {
	p, err := specconv.DecodeProcess("p.json", []byte(`{"args":["sh"],"user":{"uid":1}}`))
	if err != nil || p.User.UID != 1 || !reflect.DeepEqual(p.Args, []string{"sh"}) {
		t.Errorf("DecodeProcess = %+v, %v", p, err)
	}
	if _, err := specconv.DecodeProcess("p.json", []byte(`{"args":1}`)); err == nil || !strings.HasPrefix(err.Error(), "p.json:1:9: args: ") {
		t.Errorf("DecodeProcess: %v", err)
	}
	r, err := specconv.DecodeResources("-", []byte(`{"pids":{"limit":5}}`))
	if err != nil || *r.Pids.Limit != 5 {
		t.Errorf("DecodeResources = %+v, %v", r, err)
	}
	if _, err := specconv.DecodeResources("-", nil); err == nil || err.Error() != "-: the file is empty" {
		t.Errorf("DecodeResources: %v", err)
	}
}
