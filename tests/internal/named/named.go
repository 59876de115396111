// Package named knows the tests of the repository by their names, for tables
// that say "this is tested by that": it tells whether the test is there, and
// whether it so much as speaks of what it is said to test.
//
// It reads the sources and runs nothing; whether a test that is there looks
// at the right thing is for the reader of the table to judge.
package named

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// Tests is every test function of a module. A test's name is that of its directory, a dot, that of the function and, if
// a subtest is meant, a slash and its name as the source has it: "integration.TestTmpfs", "intelrdt.TestSharedGroupIsThere/the same".
type Tests struct {
	rooms map[string]*room // by the last part of the directory
}

// room is the declarations of the test files of one directory.
type room struct {
	dir   string
	decls map[string][]*words // functions, methods, variables, constants by name
}

// words is what one declaration says: its identifiers and its literals.
type words struct {
	names, texts map[string]bool
}

// kit is the package whose methods tests use as their own. What every bundle has from the beginning proves nothing.
const kit = "rttest"

var given = map[string]bool{"New": true, "Example": true, "exampleMounts": true}

// Find reads the test files, and the test kit, of the module whose go.mod is in top.
func Find(top string) (*Tests, error) {
	all := &Tests{map[string]*room{}}
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || file != top && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		dir, _ := filepath.Rel(top, filepath.Dir(file))
		if d.IsDir() || !strings.HasSuffix(file, "_test.go") && !(path.Base(dir) == kit && strings.HasSuffix(file, ".go")) {
			return nil
		}
		return all.read(dir, file)
	})
	return all, err
}

func (all *Tests) read(dir, file string) error {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	base := path.Base(dir)
	r := all.rooms[base]
	if r == nil {
		r = &room{dir, map[string][]*words{}}
		all.rooms[base] = r
	}
	if r.dir != dir {
		return fmt.Errorf("%s and %s: test names would be ambiguous", r.dir, dir)
	}
	for _, d := range tree.Decls {
		r.add(d)
	}
	return nil
}

func (r *room) add(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		r.decls[d.Name.Name] = append(r.decls[d.Name.Name], said(d.Body))
	case *ast.GenDecl:
		for _, s := range d.Specs {
			if v, ok := s.(*ast.ValueSpec); ok {
				for _, name := range v.Names {
					r.decls[name.Name] = append(r.decls[name.Name], said(v))
				}
			}
		}
	}
}

func said(n ast.Node) *words {
	w := &words{map[string]bool{}, map[string]bool{}}
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			w.names[n.Name] = true
		case *ast.BasicLit:
			text := n.Value
			if n.Kind == token.STRING {
				text, _ = strconv.Unquote(text)
			}
			w.texts[text] = true
		}
		return true
	})
	return w
}

// Check returns an error unless the test is there and, for a subtest, speaks of its name.
func (all *Tests) Check(name string) error {
	_, sub, isSub := strings.Cut(name, "/")
	said, err := all.words(name)
	if err == nil && isSub && !said.texts[sub] {
		err = fmt.Errorf("%s: the test does not speak of %q", name, sub)
	}
	return err
}

// Dir is the directory of a test's package, from the top of the module.
func (all *Tests) Dir(name string) string {
	base, _, _ := strings.Cut(name, ".")
	if r := all.rooms[base]; r != nil {
		return r.dir
	}
	return ""
}

// SpeaksOf tells whether the test, or what it uses of its own package and of the test kit, has one of the identifiers or
// has one of the words in a text.
func (all *Tests) SpeaksOf(name string, identifiers, inTexts []string) bool {
	said, err := all.words(name)
	if err != nil {
		return false
	}
	for _, i := range identifiers {
		if said.names[i] {
			return true
		}
	}
	for text := range said.texts {
		for _, word := range inTexts {
			if hasWord(text, word) {
				return true
			}
		}
	}
	return false
}

// hasWord: the word stands in the text by itself, not within a longer one.
func hasWord(text, word string) bool {
	inner := func(b byte) bool {
		return b == '_' || b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
	}
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		begin, end := from+i, from+i+len(word)
		if (begin == 0 || !inner(text[begin-1])) && (end == len(text) || !inner(text[end])) {
			return true
		}
		from = begin + 1
	}
}

// words is all that a test says, with everything that it reaches.
func (all *Tests) words(name string) (*words, error) {
	base, rest, _ := strings.Cut(name, ".")
	function, _, _ := strings.Cut(rest, "/")
	r := all.rooms[base]
	if r == nil || !strings.HasPrefix(function, "Test") || len(r.decls[function]) == 0 {
		return nil, fmt.Errorf("%s: there is no such test", name)
	}
	sum := &words{map[string]bool{}, map[string]bool{}}
	seen := map[*words]bool{}
	all.collect(r, function, sum, seen)
	return sum, nil
}

func (all *Tests) collect(r *room, name string, sum *words, seen map[*words]bool) {
	for _, w := range r.decls[name] {
		if seen[w] {
			continue
		}
		seen[w] = true
		for text := range w.texts {
			sum.texts[text] = true
		}
		for n := range w.names {
			sum.names[n] = true
			if r.dir != all.kitDir() || !given[n] {
				all.collect(r, n, sum, seen)
			}
			if k := all.rooms[kit]; k != nil && k != r && ast.IsExported(n) && !given[n] {
				all.collect(k, n, sum, seen)
			}
		}
	}
}

func (all *Tests) kitDir() string {
	if k := all.rooms[kit]; k != nil {
		return k.dir
	}
	return ""
}
