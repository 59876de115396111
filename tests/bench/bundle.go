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

// bundles are the directories that one runtime is started in.
type bundles struct {
	spec        string // as `spec` writes it, running true
	sleep       string // the same, running sleep
	docker      string // as Docker wrote it, running true
	dockerSleep string // the same, running sleep
}

// makeBundles writes each runtime's bundles below dir. They differ only in the name
// of their cgroup and share one root file system. The first runtime's `spec` command
// gives the plain config.
func makeBundles(dir, dockerConfig string, peers []peer) error {
	if err := makeRootfs(filepath.Join(dir, "rootfs")); err != nil {
		return err
	}
	if err := peers[0].must("spec", "-b", dir); err != nil {
		return err
	}
	plain, err := readConfig(filepath.Join(dir, "config.json"))
	if err != nil {
		return err
	}
	plain.Process.Terminal = false
	docker, err := readConfig(dockerConfig)
	if err != nil {
		return err
	}
	if err := adaptDocker(dir, docker); err != nil {
		return err
	}
	for i := range peers {
		b := &peers[i].bundles
		for _, w := range []struct {
			path *string
			spec *specs.Spec
			args []string
		}{
			{&b.spec, plain, []string{"true"}}, {&b.sleep, plain, []string{"sleep", "1000"}},
			{&b.docker, docker, []string{"true"}}, {&b.dockerSleep, docker, []string{"sleep", "1000"}},
		} {
			w.spec.Version = commonVersion
			w.spec.Root.Path = filepath.Join(dir, "rootfs")
			w.spec.Linux.CgroupsPath = cgroupParent + "/" + peers[i].name
			w.spec.Process.Args = w.args
			if *w.path, err = os.MkdirTemp(dir, "bundle-"+peers[i].name+"-"); err != nil {
				return err
			}
			if err := writeConfig(*w.path, w.spec); err != nil {
				return err
			}
		}
	}
	return nil
}

// adaptDocker takes out of Docker's config what only Docker could have made, and
// what Debian's crun cannot do.
func adaptDocker(dir string, s *specs.Spec) error {
	s.Linux.Namespaces = slices.DeleteFunc(s.Linux.Namespaces, func(n specs.LinuxNamespace) bool {
		return n.Type == specs.TimeNamespace
	})
	for i, m := range s.Mounts {
		if m.Type != "bind" {
			continue
		}
		s.Mounts[i].Source = filepath.Join(dir, filepath.Base(m.Source))
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

func writeConfig(bundle string, s *specs.Spec) error {
	data, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(bundle, "config.json"), data, 0o644)
}
