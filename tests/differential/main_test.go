// Package differential runs the same configurations under rt, runc and crun and compares what a probe inside and the
// test outside see of the containers. Every difference from runc is a fault or stands, with its reason, in the table
// of what is explained. It does not judge what a configuration ought to do: tests/integration does.
package differential

import (
	"testing"

	"rt/tests/rttest"
)

func TestMain(m *testing.M) { rttest.Main(m) }
