package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"rt/tests/internal/ocischema"
	"rt/tests/rttest"
)

// What is written for others to read is what the specification's JSON schemas say it is.
func TestDocumentsFollowTheSchemas(t *testing.T) {
	t.Parallel()
	b := rttest.New(t).Args("sleep", "1000")
	b.Spec.Annotations = map[string]string{"a.key": "a value", "empty": ""}
	follows := func(schema, what string, text []byte) {
		t.Helper()
		if err := ocischema.Open(t, schema).JudgeText(text); err != nil {
			t.Errorf("%s: %v\n%s", what, err, text)
		}
	}
	follows("features-schema.json", "features", []byte(b.RT("features").OK().Stdout))
	for _, flag := range []string{"", "--rootless"} {
		dir := b.Mkdir("spec" + flag)
		args := []string{"spec", "--bundle", dir, flag}
		b.RT(without(args, "")...).OK()
		text, err := os.ReadFile(filepath.Join(dir, "config.json"))
		if err != nil {
			t.Fatal(err)
		}
		follows("config-schema.json", "spec "+flag, text)
	}
	state := func(status string) {
		t.Helper()
		text := []byte(b.RT("state", b.ID).OK().Stdout)
		if s := b.State(); s.Status != status {
			t.Errorf("status %s, want %s", s.Status, status)
		}
		follows("state-schema.json", "state of a container that is "+status, text)
		var list []json.RawMessage
		if err := json.Unmarshal([]byte(b.RT("list", "--format", "json").OK().Stdout), &list); err != nil || len(list) != 1 {
			t.Fatalf("list: %v, %s", err, list)
		}
		follows("state-schema.json", "list of one that is "+status, list[0])
	}
	b.Create().OK()
	state("created")
	b.Start().OK()
	state("running")
	pid := b.Pid()
	b.Kill("KILL").OK()
	b.Wait(pid)
	state("stopped")
}
