package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The suite, in the version that expected_test.go is about. It has no releases any more.
const (
	module  = "github.com/opencontainers/runtime-tools"
	version = "v0.9.1-0.20251114084447-edf4cb3d2116"
)

// buildSuite gives the directory with the suite's programs and what they look for in their working directory. It is
// made once for a version: from the Go module proxy, and not through our go.mod, which is for what rt is made of.
func buildSuite() (string, error) {
	dir, err := filepath.Abs("../../.cache/conformance/" + version)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return dir, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	half, err := os.MkdirTemp(filepath.Dir(dir), "half-built-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(half)
	if err := fillSuite(half); err != nil {
		return "", err
	}
	if err := os.Rename(half, dir); err != nil && !errors.Is(err, fs.ErrExist) { // somebody else may have been faster
		return "", err
	}
	return dir, nil
}

// fillSuite builds the programs, static since one of them runs in containers, and adds the root file systems.
func fillSuite(dir string) error {
	_, err := goCommand(dir, "install", "-trimpath", "-tags", "netgo,osusergo", "-ldflags", "-s -w",
		module+"/cmd/runtimetest@"+version, module+"/validation/...@"+version)
	if err != nil {
		return err
	}
	out, err := goCommand(dir, "mod", "download", "-json", module+"@"+version)
	if err != nil {
		return err
	}
	var source struct{ Dir string }
	if err := json.Unmarshal(out, &source); err != nil {
		return err
	}
	archives, err := filepath.Glob(source.Dir + "/rootfs-*.tar.gz")
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("no root file systems in %s: %w", source.Dir, err)
	}
	for _, archive := range archives {
		data, err := os.ReadFile(archive)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(archive)), data, 0o644); err != nil {
			return err
		}
	}
	return os.Chmod(dir, 0o755)
}

func goCommand(bin string, args ...string) ([]byte, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = bin // outside of our module
	cmd.Env = append(os.Environ(), "GOBIN="+bin, "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s%s", strings.Join(args, " "), err, said.String(), out)
	}
	return out, nil
}
