package main

import (
	"debug/elf"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// peer is one runtime that takes part.
type peer struct {
	name    string
	path    string
	root    string // its own state directory
	version string // the first line of --version, without the name
	bundles bundles
}

// stateDir has the runtimes' state directories on a tmpfs, as a machine's /run is; enclose has mounted it for this program alone.
const stateDir = "/run/rt-bench"

// findPeers checks that every runtime asked for is there and answers.
func findPeers(o options) ([]peer, error) {
	paths := map[string]string{"rt": o.rt, "crun": o.crun, "runc": o.runc}
	var peers []peer
	for name := range strings.SplitSeq(o.peers, ",") {
		path, err := filepath.Abs(paths[name])
		if err != nil {
			return nil, err
		}
		if err := evict(path); err != nil {
			return nil, err
		}
		out, err := exec.Command(path, "--version").Output()
		if err != nil {
			return nil, fmt.Errorf("%s --version: %w", path, err)
		}
		first, _, _ := strings.Cut(string(out), "\n")
		fields := strings.Fields(first)
		peers = append(peers, peer{name: name, path: path, root: filepath.Join(stateDir, name), version: fields[len(fields)-1]})
	}
	return peers, nil
}

// line gives a command line of the runtime for hyperfine.
func (p peer) line(args ...string) string {
	return strings.Join(append([]string{p.path, "--root", p.root}, args...), " ")
}

// command gives the same for the program itself. Its error output goes straight to
// ours: a pipe would stay open in a detached container, and we would wait for it.
func (p peer) command(args ...string) *exec.Cmd {
	cmd := exec.Command(p.path, append([]string{"--root", p.root}, args...)...)
	cmd.Stderr = os.Stderr
	return cmd
}

// must runs a command of the runtime; its error names the command.
func (p peer) must(args ...string) error {
	if err := p.command(args...).Run(); err != nil {
		return fmt.Errorf("%s %s: %w", p.name, strings.Join(args, " "), err)
	}
	return nil
}

// binarySize compares the files; a dynamic binary needs its libraries besides.
func binarySize(peers []peer) ([]row, error) {
	r := row{what: "binary", unit: "MB", got: map[string]value{}, limit: 10}
	for _, p := range peers {
		st, err := os.Stat(p.path)
		if err != nil {
			return nil, err
		}
		v := value{number: float64(st.Size()) / 1e6}
		if v.note, err = linkage(p.path); err != nil {
			return nil, err
		}
		r.got[p.name] = v
	}
	return []row{r}, nil
}

// linkage tells a static binary from a dynamic one, by its program interpreter.
func linkage(path string) (string, error) {
	f, err := elf.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "dynamic", nil
		}
	}
	return "static", nil
}
