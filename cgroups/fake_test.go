package cgroups

import (
	"os"
	"path/filepath"
	"testing"
)

// fakeDir makes a directory with files in it: a cgroup filesystem, as far as reading and writing goes.
func fakeDir(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	addFiles(t, root, files)
	return root
}

// addFiles makes files, and the directories they are in, below root.
func addFiles(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// wantFiles compares the content of files below root.
func wantFiles(t *testing.T, root string, want map[string]string) {
	t.Helper()
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if string(got) != content {
			t.Errorf("%s: %q, want %q", name, got, content)
		}
	}
}

// wantGone checks that nothing has these names below root.
func wantGone(t *testing.T, root string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(root, name)); err == nil {
			t.Errorf("%s is still there", name)
		}
	}
}
