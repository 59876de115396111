package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// commonVersion is the newest ociVersion that every runtime here accepts: Debian's
// crun refuses 1.1 and later.
const commonVersion = "1.0.2"

// bundles are the directories that the runtimes are started in.
type bundles struct {
	spec   string // as `spec` writes it, running true
	sleep  string // the same, running sleep
	docker string // as Docker wrote it, running true
}

// makeBundles writes all bundles below dir; author is the runtime whose `spec`
// command gives the plain one.
func makeBundles(dir, dockerConfig string, author peer) (bundles, error) {
	b := bundles{filepath.Join(dir, "spec"), filepath.Join(dir, "sleep"), filepath.Join(dir, "docker")}
	for _, bundle := range []string{b.spec, b.sleep, b.docker} {
		if err := makeRootfs(filepath.Join(bundle, "rootfs")); err != nil {
			return b, err
		}
	}
	if err := author.must("spec", "-b", b.spec); err != nil {
		return b, err
	}
	plain, err := readConfig(filepath.Join(b.spec, "config.json"))
	if err != nil {
		return b, err
	}
	plain.Version = commonVersion
	plain.Process.Terminal = false
	if err := writeConfig(b.spec, plain, "true"); err != nil {
		return b, err
	}
	if err := writeConfig(b.sleep, plain, "sleep", "1000"); err != nil {
		return b, err
	}
	docker, err := readConfig(dockerConfig)
	if err != nil {
		return b, err
	}
	if err := adaptDocker(b.docker, docker); err != nil {
		return b, err
	}
	return b, writeConfig(b.docker, docker, "true")
}

// adaptDocker takes out of Docker's config what only Docker could have made, and
// what Debian's crun cannot do.
func adaptDocker(bundle string, s *specs.Spec) error {
	s.Version = commonVersion
	s.Root.Path = "rootfs"
	s.Linux.CgroupsPath = "/rt-bench"
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.TimeNamespace
	})
	for i, m := range s.Mounts {
		if m.Type != "bind" {
			continue
		}
		s.Mounts[i].Source = filepath.Join(bundle, filepath.Base(m.Source))
		if err := os.WriteFile(s.Mounts[i].Source, nil, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// makeRootfs makes the smallest root: a static busybox and the mount points.
func makeRootfs(root string) error {
	for _, d := range []string{"bin", "dev", "etc", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return err
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755); err != nil {
		return err
	}
	for _, applet := range []string{"true", "sleep"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			return err
		}
	}
	return nil
}

func readConfig(path string) (*specs.Spec, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := new(specs.Spec)
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// writeConfig writes the bundle's config.json with args as the command.
func writeConfig(bundle string, s *specs.Spec, args ...string) error {
	s.Process.Args = args
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o644)
}
