// Package hooks runs the hooks of a bundle that belong to the runtime's
// namespaces: prestart, createRuntime, poststart and poststop.
//
// The other two kinds run inside the container, where no Go program ever runs:
// the stage has an operation for them.
package hooks

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// Poststop is the kind of which a failure does not stop the hooks behind it.
const Poststop = "poststop"

// ErrTimeout is why a hook that ran longer than its timeout failed.
var ErrTimeout = errors.New("timed out")

// Error is the failure of one hook. Nothing in its chain has an ExitCode
// method: the status of a hook is not the status of the runtime, but the
// command line library would take it for that.
type Error struct {
	Field  string // such as hooks.prestart[0]
	Path   string // of the hook
	Err    error  // *os.PathError, StatusError, or ErrTimeout
	Output string // the end of what the hook wrote to stdout and stderr
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.Field, e.Path, e.Err)
	if e.Output != "" {
		// Quoted: an error is one line, and it may end up on a terminal.
		text += fmt.Sprintf(", output %q", e.Output)
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Run runs the hooks of one kind in their order. Each finds the state as JSON
// on its stdin and has the bundle as its working directory.
//
// The first hook that fails ends the run with an *Error, which names it as
// hooks.<kind>[<index>]. Poststop hooks are different: all of them run, and the
// errors are joined. What hooks print appears in errors only.
func Run(kind string, list []specs.Hook, state specs.State) error {
	if len(list) == 0 {
		return nil
	}
	input, err := json.Marshal(state, json.OmitZeroStructFields(true))
	if err != nil {
		return fmt.Errorf("hooks.%s: write the state: %w", kind, err)
	}
	dir := workDir(state.Bundle)
	var failed failures
	for i := range list {
		if err := runOne(fmt.Sprintf("hooks.%s[%d]", kind, i), &list[i], dir, input); err != nil {
			failed = append(failed, err)
			if kind != Poststop {
				break
			}
		}
	}
	if failed == nil {
		return nil
	}
	return failed
}

// failures is several errors on one line.
type failures []error

func (f failures) Error() string {
	var texts []string
	for _, err := range f {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

// workDir is the bundle, as long as there is one: engines may remove it before
// they delete the container, whose poststop hooks still have to clean up.
func workDir(bundle string) string {
	if info, err := os.Stat(bundle); err != nil || !info.IsDir() {
		return "/"
	}
	return bundle
}

func runOne(field string, hook *specs.Hook, dir string, input []byte) error {
	limit, err := timeout(hook)
	if err != nil {
		return fmt.Errorf("%s.timeout: %w", field, err)
	}
	output, err := execute(hook, dir, input, limit)
	if err != nil {
		return &Error{Field: field, Path: hook.Path, Err: err, Output: output}
	}
	return nil
}

// timeout is 0 for a hook that may take as long as it likes.
func timeout(hook *specs.Hook) (time.Duration, error) {
	if hook.Timeout == nil {
		return 0, nil
	}
	if *hook.Timeout <= 0 {
		return 0, fmt.Errorf("%d is not greater than zero", *hook.Timeout)
	}
	return time.Duration(*hook.Timeout) * time.Second, nil
}
