package sys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReadFile(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 1023, 1024, 1025, 100_000} {
		name := filepath.Join(t.TempDir(), "f")
		want := bytes.Repeat([]byte("x"), size)
		if err := os.WriteFile(name, want, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", size, len(got), err)
		}
	}
	// A file that says 0 and holds more than a page.
	if got, err := ReadFile("/proc/self/smaps"); err != nil || len(got) < 5000 {
		t.Errorf("smaps: %d bytes, %v", len(got), err)
	}
}

func TestReadFileFaults(t *testing.T) {
	if _, err := ReadFile("/nonexistent/f"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	var path *os.PathError
	if _, err := ReadFile(t.TempDir()); !errors.As(err, &path) || path.Op != "read" || !errors.Is(err, unix.EISDIR) {
		t.Error(err)
	}
}
