package main

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// archive writes a cpio archive as the kernel takes it for its first root ("newc", see
// Documentation/driver-api/early-userspace/buffer-format.rst). Everything in it belongs to root.
type archive struct {
	w    *bufio.Writer
	at   int64 // bytes written
	next int   // inode number
	err  error
}

func newArchive(w io.Writer) *archive { return &archive{w: bufio.NewWriterSize(w, 1<<20)} }

func (a *archive) write(p []byte) {
	if a.err == nil {
		_, a.err = a.w.Write(p)
	}
	a.at += int64(len(p))
}

func (a *archive) pad() { a.write(make([]byte, -a.at&3)) }

// add appends one entry; the mode holds the file's type, too.
func (a *archive) add(name string, mode uint32, data []byte) {
	a.next++
	a.write(fmt.Appendf(nil, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		a.next, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0))
	a.write(append([]byte(name), 0))
	a.pad()
	a.write(data)
	a.pad()
}

func (a *archive) dir(name string)               { a.add(name, syscall.S_IFDIR|0o755, nil) }
func (a *archive) link(name, target string)      { a.add(name, syscall.S_IFLNK|0o777, []byte(target)) }
func (a *archive) file(name string, data []byte) { a.add(name, syscall.S_IFREG|0o755, data) }

// tree appends everything below a directory that keep wants; names are relative to it.
func (a *archive) tree(top string, keep func(name string) bool) error {
	return filepath.WalkDir(top, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(top, path)
		switch {
		case err != nil || name == ".":
			return err
		case !keep(name) && e.IsDir():
			return fs.SkipDir
		case !keep(name):
			return nil
		}
		return a.copy(path, name, e)
	})
}

func (a *archive) copy(path, name string, e fs.DirEntry) error {
	info, err := e.Info()
	if err != nil {
		return err
	}
	mode := info.Sys().(*syscall.Stat_t).Mode
	switch {
	case e.IsDir():
		a.add(name, mode, nil)
	case e.Type() == fs.ModeSymlink:
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		a.link(name, target)
	case e.Type().IsRegular():
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		a.add(name, mode, data)
	}
	return a.err
}

// close ends the archive.
func (a *archive) close() error {
	a.add("TRAILER!!!", 0, nil)
	if a.err == nil {
		a.err = a.w.Flush()
	}
	return a.err
}
