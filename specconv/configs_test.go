package specconv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rt/specconv"
)

const configs = "../tests/testdata/configs"

// The files are as Docker, containerd, Podman, Buildah and BuildKit wrote them: a fault found in one of
// them is a fault of the rule.
func TestEngineConfigsAreValid(t *testing.T) {
	files, err := filepath.Glob(configs + "/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d files in %s (%v)", len(files), configs, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case strings.Contains(file, "-exec-process"):
				p, err := specconv.DecodeProcess(file, data)
				if err != nil {
					t.Fatal(err)
				}
				if len(p.Args) == 0 || p.Cwd == "" {
					t.Errorf("args %q, cwd %q", p.Args, p.Cwd)
				}
			case strings.Contains(file, "-update-resources"):
				r, err := specconv.DecodeResources(file, data)
				if err != nil {
					t.Fatal(err)
				}
				if r.Memory == nil && r.CPU == nil && r.Pids == nil {
					t.Error("no limit was read")
				}
			default:
				spec, err := specconv.Load(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := specconv.Validate(spec, specconv.Host{}); err != nil {
					t.Error(err)
				}
				if w := specconv.Warnings(spec, specconv.Host{}); len(w) > 0 {
					t.Error(w)
				}
			}
		})
	}
}
