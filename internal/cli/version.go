package cli

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"

	"rt/libcontainer/seccomp"
)

// Set by the Makefile: -ldflags "-X rt/internal/cli.version=… -X rt/internal/cli.commit=…".
var (
	version = "0-dev"
	commit  = ""
)

// printVersion prints the lines that engines look for: Docker wants a line
// that starts with "commit:".
func printVersion(w io.Writer) {
	fmt.Fprintf(w, "rt version %s\ncommit: %s\nspec: %s\ngo: %s\nlibseccomp: %s\n",
		version, commitID(), specs.Version, runtime.Version(), seccomp.LibVersion())
}

// commitID falls back to what the Go tool stamped into the binary.
func commitID() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return "unknown"
}
