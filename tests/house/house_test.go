// Package house keeps the rules of the house that no compiler knows: who may
// import whom, how long a function may be, what must not happen at start-up.
package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const top = "../.."

// source is one Go file of ours.
type source struct {
	name string // from the top: rootfs/mount.go
	pkg  string // rt/rootfs
	test bool
	file *ast.File
	set  *token.FileSet
}

// sources parses every Go file of the module.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	set := token.NewFileSet()
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "bin" || name != top && strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, top+"/")
		all = append(all, source{name: name, pkg: path.Join("rt", path.Dir(name)), test: strings.HasSuffix(name, "_test.go"), file: file, set: set})
		return nil
	})
	if err != nil || len(all) < 50 {
		t.Fatalf("%d Go files, %v", len(all), err)
	}
	return all
}

// product is what gets into the binary.
func product(t *testing.T) []source {
	return slices.DeleteFunc(sources(t), func(s source) bool { return s.test || strings.HasPrefix(s.pkg, "rt/tests") })
}

func (s *source) imports() []string {
	var all []string
	for _, i := range s.file.Imports {
		name, _ := strconv.Unquote(i.Path.Value)
		if name == "rt" || strings.HasPrefix(name, "rt/") {
			all = append(all, name)
		}
	}
	return all
}

func (s *source) lines(n ast.Node) int {
	return s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
}

// arrows says whom a package may import, itself and what is below it included. Nobody imports upward.
func arrows(pkg string) []string {
	switch {
	case pkg == "rt":
		return []string{"rt/internal/cli", "rt/libcontainer"} // the latter to dismiss a stage that was forked early
	case pkg == "rt/internal/cli":
		return []string{"rt/specconv", "rt/libcontainer", "rt/cgroups", "rt/internal/sys"}
	case pkg == "rt/libcontainer":
		return []string{"rt/specconv", "rt/rootfs", "rt/cgroups", "rt/nsenter", "rt/internal/object", "rt/internal/sys"}
	case pkg == "rt/specconv":
		return []string{"rt/rootfs", "rt/internal/sys"} // the table of mount options
	case pkg == "rt/rootfs":
		return []string{"rt/nsenter"} // the type Step
	case strings.HasPrefix(pkg, "rt/libcontainer/"):
		return []string{"rt/nsenter", "rt/internal/sys"} // the signal pipe; never the container's life
	case pkg == "rt/cgroups":
		return []string{"rt/internal/object", "rt/internal/sys"}
	case pkg == "rt/nsenter", strings.HasPrefix(pkg, "rt/cgroups/"):
		return []string{"rt/internal/sys"}
	}
	return nil
}

func TestImportsRunOneWay(t *testing.T) {
	for _, s := range product(t) {
		for _, name := range s.imports() {
			if strings.HasPrefix(name, s.pkg+"/") && s.pkg != "rt" {
				continue // its own rooms
			}
			ok := slices.ContainsFunc(arrows(s.pkg), func(to string) bool {
				return name == to || to == "rt/libcontainer" && strings.HasPrefix(name, to+"/")
			})
			if !ok {
				t.Errorf("%s imports %s", s.name, name)
			}
		}
	}
}

// Nothing of the product is made for its tests.
func TestProductKnowsNoTests(t *testing.T) {
	for _, s := range product(t) {
		for _, i := range s.file.Imports {
			if name, _ := strconv.Unquote(i.Path.Value); name == "testing" || strings.HasPrefix(name, "rt/tests") || strings.Contains(name, "go-cmp") || strings.Contains(name, "jsonschema") {
				t.Errorf("%s imports %s", s.name, name)
			}
		}
	}
}

// The command line is the only room that knows of the library for command lines, and the only one that prints.
func TestOnlyTheCommandLinePrints(t *testing.T) {
	for _, s := range product(t) {
		if s.pkg == "rt" || s.pkg == "rt/internal/cli" {
			continue
		}
		for _, i := range s.file.Imports {
			if name, _ := strconv.Unquote(i.Path.Value); strings.Contains(name, "urfave/cli") || name == "log" || name == "log/slog" || name == "flag" {
				t.Errorf("%s imports %s", s.name, name)
			}
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch name := selector(n); name {
			case "os.Exit", "os.Stdout", "os.Stderr", "fmt.Print", "fmt.Printf", "fmt.Println", "log.Fatal":
				t.Errorf("%s: %s", s.set.Position(n.Pos()), name)
			}
			return true
		})
	}
}

func selector(n ast.Node) string {
	e, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	x, ok := e.X.(*ast.Ident)
	if !ok {
		return ""
	}
	return x.Name + "." + e.Sel.Name
}

func TestPackagesHaveTheirDoc(t *testing.T) {
	doc := map[string]int{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.file.Name.Name, "_test") {
			continue
		}
		doc[s.pkg] += 0
		if text := s.file.Doc.Text(); s.file.Doc != nil && len(text) > 40 {
			doc[s.pkg]++
			if want := "Package " + s.file.Name.Name + " "; s.file.Name.Name != "main" && !strings.HasPrefix(text, want) {
				t.Errorf("%s: its doc does not begin with %q", s.name, want)
			}
		}
	}
	for pkg, n := range doc {
		if n != 1 {
			t.Errorf("%s has %d package docs", pkg, n)
		}
	}
}

// Exported things say what they are.
func TestExportedThingsHaveTheirDoc(t *testing.T) {
	for _, s := range product(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if ok && f.Doc == nil && f.Name.IsExported() && receiverIsExported(f) && !wellKnown(f.Name.Name) {
				t.Errorf("%s: %s has no comment", s.set.Position(f.Pos()), f.Name.Name)
			}
		}
	}
}

func receiverIsExported(f *ast.FuncDecl) bool {
	if f.Recv == nil {
		return true
	}
	e := f.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	name, ok := e.(*ast.Ident)
	return ok && name.IsExported()
}

// wellKnown methods are what their interface says.
func wellKnown(name string) bool {
	return slices.Contains([]string{"Error", "Unwrap", "Is", "String", "MarshalJSON", "UnmarshalJSON", "Close", "Write", "Read", "Len", "Less", "Swap"}, name)
}

// Start-up is a hot path of microseconds: nothing runs before main, but for the end of what the constructor of nsenter began.
func TestNothingRunsAtStartUp(t *testing.T) {
	for _, s := range product(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" && !strings.HasSuffix(s.name, "nsenter/start.go") {
				t.Errorf("%s: func init", s.set.Position(f.Pos()))
			}
			if v, ok := d.(*ast.GenDecl); ok && v.Tok == token.VAR {
				checkGlobals(t, s, v)
			}
		}
	}
}

// checkGlobals: the value of a package's variable must be one that the linker can lay out.
func checkGlobals(t *testing.T, s source, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		for _, value := range spec.(*ast.ValueSpec).Values {
			ast.Inspect(value, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncLit:
					return false // runs when it is called
				case *ast.MapType:
					t.Errorf("%s: a map is built before main", s.set.Position(n.Pos()))
				case *ast.CallExpr:
					if name := selector(n.Fun); name != "errors.New" && !isConversion(n) {
						t.Errorf("%s: %s is called before main", s.set.Position(n.Pos()), name)
					}
				}
				return true
			})
		}
	}
}

// isConversion: a conversion of a constant, or sync.OnceValue and its like, which only note a function.
func isConversion(c *ast.CallExpr) bool {
	switch f := c.Fun.(type) {
	case *ast.ArrayType:
		return true
	case *ast.Ident:
		return slices.Contains([]string{"string", "byte", "int", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "uintptr", "len"}, f.Name)
	}
	return strings.HasPrefix(selector(c.Fun), "sync.Once")
}

const longest = 80

func TestFunctionsAreShort(t *testing.T) {
	for _, s := range product(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.lines(f) > longest {
				t.Errorf("%s: %s has %d lines", s.set.Position(f.Pos()), f.Name.Name, s.lines(f))
			}
		}
	}
}

// stage are the C files, without their comments.
func stage(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob(top + "/nsenter/*.[ch]")
	if err != nil || len(names) < 5 {
		t.Fatalf("%q, %v", names, err)
	}
	comment := regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	all := map[string]string{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(name, top+"/")] = comment.ReplaceAllStringFunc(string(text), func(c string) string {
			return strings.Repeat("\n", strings.Count(c, "\n"))
		})
	}
	return all
}

// The stage stays small enough to be read whole: it is what runs with all rights inside. The aim is 1,200 lines of code.
func TestStageIsSmall(t *testing.T) {
	const most = 1600
	lines := 0
	for _, text := range stage(t) {
		for line := range strings.Lines(text) {
			if strings.TrimSpace(line) != "" {
				lines++
			}
		}
	}
	if lines > most {
		t.Errorf("the stage has %d lines of code, more than %d", lines, most)
	}
	t.Logf("%d lines of code", lines)
}

func TestStageFunctionsAreShort(t *testing.T) {
	functions := 0
	for name, text := range stage(t) {
		begin, head := 0, ""
		for i, line := range strings.Split(text, "\n") {
			switch {
			case line == "{":
				begin = i + 1
				functions++
			case line == "}" && begin > 0:
				if n := i + 2 - begin; n > longest {
					t.Errorf("%s:%d: %s has %d lines", name, begin, head, n)
				}
				begin = 0
			case begin == 0 && strings.TrimSpace(line) != "":
				head = line
			}
		}
	}
	if functions < 50 {
		t.Errorf("only %d functions are found", functions)
	}
}

// Calls that have no place in the stage: they follow paths of the image, read what it could have written, or trust a length.
func TestStageMakesNoUnsafeCall(t *testing.T) {
	forbidden := regexp.MustCompile(`\b(system|popen|getpwnam|getpwuid|getgrnam|dlopen|strcat|sprintf|gets|alloca|setenv|getenv|mkdir|mknod|symlink|fopen)\s*\(`)
	for name, text := range stage(t) {
		for i, line := range strings.Split(text, "\n") {
			if call := forbidden.FindString(line); call != "" {
				t.Errorf("%s:%d: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// Errors say what could not be done, not that it could not.
func TestErrorsSayWhat(t *testing.T) {
	idle := regexp.MustCompile(`(?i)^"(.*: )?(failed to|unable to|could not|cannot be able)`)
	for _, s := range product(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok || len(c.Args) == 0 {
				return true
			}
			if name := selector(c.Fun); name == "fmt.Errorf" || name == "errors.New" {
				if text, ok := c.Args[0].(*ast.BasicLit); ok && idle.MatchString(text.Value) {
					t.Errorf("%s: %s", s.set.Position(c.Pos()), text.Value)
				}
			}
			return true
		})
	}
}
