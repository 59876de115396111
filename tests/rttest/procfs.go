package rttest

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// chown gives the rootfs to the id, but for the hard-linked programs, which all bundles share.
func (b *Bundle) chown(id int) {
	b.t.Helper()
	err := filepath.WalkDir(b.InRootfs(), func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.IsDir() {
			return err
		}
		return os.Lchown(path, id, id)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// Status parses the text of a /proc/PID/status into its fields.
func Status(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			fields[key] = strings.Join(strings.Fields(value), " ")
		}
	}
	return fields
}

// ProcFile reads /proc/PID/NAME.
func ProcFile(t testing.TB, pid int, name string) string {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// NsInode is the identity of a process's namespace ("pid:[4026531836]"). pid is a number or "self".
func NsInode(t testing.TB, pid any, kind string) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%v/ns/%s", pid, kind))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

// A MountPoint is one line of a mountinfo file.
type MountPoint struct {
	Root, Path            string
	Options, Optional, SB []string // per-mount options, propagation fields, superblock options
	Type, Source          string
}

// Has says whether the mount has the per-mount option.
func (m MountPoint) Has(option string) bool { return contains(m.Options, option) }

// Mounts parses a mountinfo file.
func Mounts(text string) []MountPoint {
	var list []MountPoint
	for line := range strings.Lines(text) {
		before, after, ok := strings.Cut(strings.TrimSpace(line), " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(g) < 3 {
			continue
		}
		list = append(list, MountPoint{
			Root: f[3], Path: f[4], Options: strings.Split(f[5], ","), Optional: f[6:],
			Type: g[0], Source: g[1], SB: strings.Split(g[2], ","),
		})
	}
	return list
}

// MountAt is the topmost mount at the path; ok is false without one.
func MountAt(list []MountPoint, path string) (m MountPoint, ok bool) {
	for _, c := range list {
		if c.Path == path {
			m, ok = c, true
		}
	}
	return m, ok
}

// Sections splits output that a script printed as "== NAME" lines with text between them.
func Sections(output string) map[string]string {
	parts := map[string]string{}
	var name string
	var text bytes.Buffer
	for line := range strings.Lines(output) {
		if next, ok := strings.CutPrefix(line, "== "); ok {
			parts[name] = text.String()
			name = strings.TrimSpace(next)
			text.Reset()
			continue
		}
		text.WriteString(line)
	}
	parts[name] = text.String()
	return parts
}
