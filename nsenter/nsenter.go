// Package nsenter is the plan and the stage that executes it.
//
// A plan is an ordered list of small kernel operations, made by others. This
// package owns its wire format, the C stage that carries it out inside the new
// namespaces, and the Go side that starts the stage and talks to it; both ends
// of every format live here so that they cannot drift apart.
//
// It is not for decisions: it knows no config.json, opens no path on its own
// and never weakens a step. Linking it in makes the binary answer to
// `rt init FD` before the Go runtime starts.
package nsenter

// #cgo CFLAGS: -std=gnu11 -O2 -D_GNU_SOURCE -Wall -Wextra -Wshadow -Wformat=2 -Werror
// #include "stage.h"
import "C"
