package cgroups

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rt/internal/object"
)

// The record names its fields one by one: none may be forgotten.
func TestStateIsKept(t *testing.T) {
	want := State{Mode: V2, Mount: "/m", Paths: map[string]string{unifiedKey: "/m/s/c"}, Unit: "c.scope", UserUnit: true}
	for v, i := reflect.ValueOf(want), 0; i < v.NumField(); i++ {
		if v.Field(i).IsZero() {
			t.Errorf("%s is not tested", v.Type().Field(i).Name)
		}
	}
	data, err := object.Marshal(want.Write)
	if err != nil {
		t.Fatal(err)
	}
	var got State
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
