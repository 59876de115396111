// Package integration drives the runtime named by $RT (default: this repository's rt) as a user or an engine would, one
// file a verb or feature. It needs root and skips, by name, without it.
package integration

import (
	"testing"

	"rt/tests/rttest"
)

func TestMain(m *testing.M) { rttest.Main(m) }
