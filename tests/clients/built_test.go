package clients

import (
	"os"
	"path/filepath"
	"testing"

	"rt/tests/rttest"
)

// useBuilt puts an engine that engines.sh built before Debian's, for one test.
func useBuilt(t *testing.T, name string) {
	t.Helper()
	dir, err := filepath.Abs("../../bin/engines/" + name)
	must(t, err)
	rttest.Need(t, rttest.Root, func() string {
		if rttest.File(dir)() == "" {
			return ""
		}
		return name + " from the Go module proxy: make engines"
	})
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}
