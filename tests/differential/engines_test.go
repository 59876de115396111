package differential

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/tests/rttest"
)

// What engines wrote themselves.
func TestEngines(t *testing.T) {
	b := bench{runtimes: runtimes(t), table: &explained}
	rttest.PeersCgroups(t)
	rttest.MakeCgroupParents(t)
	files, err := filepath.Glob("../testdata/configs/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no configs: %v", err)
	}
	t.Run("config", func(t *testing.T) {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			if regexp.MustCompile(`exec-process|update-resources`).MatchString(name) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b.compare(t, func(c *trial) {
					c.adopt(file)
					c.exec = execProcess
					c.finish()
				})
			})
		}
	})
	b.sum(t, -1) // the table is for TestPairs too, which needs all of it
}

// adopt takes an engine's config and makes what the engine would have made beside it.
func (c *trial) adopt(file string) {
	data, err := os.ReadFile(file)
	spec := &specs.Spec{}
	if err == nil {
		err = json.Unmarshal(data, spec)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	ours := c.Spec
	c.Spec = spec
	spec.Version, spec.Root.Path, spec.Hooks = ours.Version, ours.Root.Path, nil
	if spec.Linux.CgroupsPath != "" {
		spec.Linux.CgroupsPath = ours.Linux.CgroupsPath
	}
	for i := range spec.Mounts {
		m := &spec.Mounts[i]
		switch {
		case m.Type == "bind" && m.Destination == "/dev/shm":
			m.Source = c.Mkdir("src/shm")
		case m.Type == "bind":
			m.Source = c.WriteFile("src"+m.Destination, "content\n")
		}
	}
	for _, ns := range spec.Linux.Namespaces {
		if ns.Path != "" {
			c.join(ns.Type)
		}
	}
	if m := spec.Linux.UIDMappings; len(m) > 0 {
		c.maps(m[0].HostID, m[0].Size)
	}
	if set := spec.Process.Capabilities; set != nil {
		for _, list := range []*[]string{&set.Bounding, &set.Effective, &set.Permitted, &set.Inheritable, &set.Ambient} {
			*list = withoutMissing(*list)
		}
	}
	for key := range spec.Linux.Sysctl {
		c.look("=/proc/sys/" + strings.ReplaceAll(key, ".", "/"))
	}
}
