package nsenter

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tree makes what the lines say below a new directory: "dir a/b", "file a/f", "fifo p", "link a/l → target".
func tree(t *testing.T, lines ...string) string {
	t.Helper()
	root := t.TempDir()
	for _, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		name, target, _ := strings.Cut(rest, " → ")
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch kind {
		case "dir":
			err = os.MkdirAll(path, 0o755)
		case "file":
			err = os.WriteFile(path, nil, 0o644)
		case "fifo":
			err = unix.Mkfifo(path, 0o600)
		case "link":
			err = os.Symlink(target, path)
		default:
			t.Fatalf("what is %q?", line)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// list is the opposite of tree: everything below root, sorted.
func list(t *testing.T, root string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name, _ := filepath.Rel(root, path)
		switch d.Type() {
		case os.ModeDir:
			all = append(all, "dir "+name)
		case 0:
			all = append(all, "file "+name)
		case os.ModeNamedPipe:
			all = append(all, "fifo "+name)
		case os.ModeSymlink:
			target, _ := os.Readlink(path)
			all = append(all, "link "+name+" → "+target)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// inRoot runs steps with root as the container's, to the end of the plan.
func inRoot(t *testing.T, root string, steps ...Step) failure {
	t.Helper()
	r := startStage(t)
	r.send(append(append([]Step{Take(OpRoot, "", "", Source{}, 0)}, steps...), theEnd)...)
	r.feed(open(t, root, unix.O_PATH))
	return r.refused()
}

// theEnd is a step that always fails, with the failure done: all steps before it have succeeded.
var theEnd = Simple(OpExec, "", "", nil, List([]string{"nothing was looked up"}), "")

func done(lastStep int) failure { return failure{lastStep + 1, unix.ENOENT, "execve", ""} }

func mkdir(path string) Step { return Simple(OpMkdir, "", "", nil, path) }
func symlink(to, path string) Step {
	return Simple(OpSymlink, "", "", []uint64{0}, to, path)
}
func fifo(path string) Step {
	return Mknod("", "", path, unix.S_IFIFO|0o600, 0, uint32(os.Geteuid()), uint32(os.Getegid()))
}

// bindFile has a file made as the target of a bind mount; the mount itself is
// refused, because what is bound is no tree of our own.
func bindFile(t *testing.T, root, path string) failure {
	t.Helper()
	source := open(t, filepath.Join(tree(t, "file f"), "f"), unix.O_PATH)
	r := startStage(t)
	r.send(Take(OpRoot, "", "", Source{}, 0), AttachTree("", "", path, 0, Source{}))
	r.feed(open(t, root, unix.O_PATH), source)
	f := r.refused()
	if f.call == "move_mount" && (f.errno == unix.EINVAL || f.errno == unix.EPERM) {
		f = done(1)
	}
	return f
}

// Whatever the image's links say, what is made is made inside the root.
func TestPathsStayInTheRoot(t *testing.T) {
	outside := tree(t, "file canary")
	up := strings.Repeat("../", 20)
	for name, test := range map[string]struct {
		tree []string
		path string // of the directory, the fifo or the file to make
		want []string
		err  unix.Errno // 0: it is made
	}{
		"plain":                      {nil, "/a/b", []string{"dir a", "new a/b"}, 0},
		"no leading slash":           {nil, "a", []string{"new a"}, 0},
		"many slashes":               {nil, "//a///b", []string{"dir a", "new a/b"}, 0},
		"dots":                       {[]string{"dir a"}, "/./a/./b", []string{"dir a", "new a/b"}, 0},
		"up and out":                 {nil, "/" + up + "x", []string{"new x"}, 0},
		"up after what is there":     {[]string{"dir a"}, "/a/" + up + "x", []string{"dir a", "new x"}, 0},
		"an absolute link out":       {[]string{"link l → " + outside}, "/l/x", append(parents(outside), "link l → "+outside, "new "+outside[1:]+"/x"), 0},
		"a relative link out":        {[]string{"link l → " + up + outside[1:]}, "/l/x", append(parents(outside), "link l → "+up+outside[1:], "new "+outside[1:]+"/x"), 0},
		"a link to /etc":             {[]string{"dir etc", "link l → /etc"}, "/l/rt-test", []string{"dir etc", "link l → /etc", "new etc/rt-test"}, 0},
		"a dangling link":            {[]string{"link l → /a/b"}, "/l/x", []string{"dir a", "dir a/b", "link l → /a/b", "new a/b/x"}, 0},
		"a dangling relative link":   {[]string{"dir d", "link d/l → ../a/b"}, "/d/l/x", []string{"dir a", "dir a/b", "dir d", "link d/l → ../a/b", "new a/b/x"}, 0},
		"a chain of dangling links":  {[]string{"link l → m", "link m → /n", "link n → o"}, "/l/x", []string{"dir o", "link l → m", "link m → /n", "link n → o", "new o/x"}, 0},
		"a link in a link's target":  {[]string{"dir d", "link l → /k/sub", "link k → d"}, "/l/x", []string{"dir d", "dir d/sub", "link k → d", "link l → /k/sub", "new d/sub/x"}, 0},
		"a loop":                     {[]string{"link l → m", "link m → l"}, "/l/x", []string{"link l → m", "link m → l"}, unix.ELOOP},
		"a link to itself":           {[]string{"link l → l/x"}, "/l/x", []string{"link l → l/x"}, unix.ELOOP},
		"through a file":             {[]string{"file f"}, "/f/x", []string{"file f"}, unix.ENOTDIR},
		"through a link to a file":   {[]string{"file f", "link l → f"}, "/l/x", []string{"file f", "link l → f"}, unix.ENOTDIR},
		"a component too long":       {nil, "/" + strings.Repeat("n", 256) + "/x", nil, unix.ENAMETOOLONG},
		"a path too long":            {nil, strings.Repeat("/abc", 1024) + "/x", nil, unix.ENAMETOOLONG},
		"a dangling link, too long":  {[]string{"link l → /" + strings.Repeat("p/", 2000)}, "/l/" + strings.Repeat("q/", 100) + "x", []string{"link l → /" + strings.Repeat("p/", 2000)}, unix.ENAMETOOLONG},
		"a dangling link with a dot": {[]string{"link l → ./a/../b"}, "/l/x", []string{"dir a", "dir b", "link l → ./a/../b", "new b/x"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, make := range map[string]func(root string) failure{
				"dir":  func(root string) failure { return inRoot(t, root, mkdir(test.path)) },
				"fifo": func(root string) failure { return inRoot(t, root, fifo(test.path)) },
				"link → new": func(root string) failure {
					return inRoot(t, root, symlink("new", test.path))
				},
				"file": func(root string) failure { return bindFile(t, root, test.path) },
			} {
				root := tree(t, test.tree...)
				got := make(root)
				if (got == done(1)) != (test.err == 0) || test.err != 0 && got.errno != test.err {
					t.Errorf("%s: %+v, want %v", kind, got, test.err)
				}
				before, after, _ := strings.Cut(kind, " → ")
				var want []string
				for _, line := range test.want {
					if name, ok := strings.CutPrefix(line, "new "); ok {
						line = before + " " + name
						if after != "" {
							line += " → " + after
						}
					}
					want = append(want, line)
				}
				slices.Sort(want)
				if have := list(t, root); !slices.Equal(sorted(have), want) {
					t.Errorf("%s: there is %q, want %q", kind, have, want)
				}
			}
			if have := list(t, outside); !slices.Equal(have, []string{"file canary"}) {
				t.Errorf("outside there is %q", have)
			}
		})
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}

// parents are the directories that lead to an absolute path, and it.
func parents(path string) []string {
	var all []string
	for p := path[1:]; p != "."; p = filepath.Dir(p) {
		all = append(all, "dir "+p)
	}
	return all
}

// The last component of a mount target may be a link too: bound files land where it says, inside.
func TestTargetIsALink(t *testing.T) {
	outside := tree(t, "file canary")
	for target, want := range map[string][]string{
		outside + "/new": append(parents(outside), "file "+outside[1:]+"/new", "link l → "+outside+"/new"),
		"../../new":      {"file new", "link l → ../../new"},
		"d/new":          {"dir d", "file d/new", "link l → d/new"},
	} {
		root := tree(t, "link l → "+target)
		if got := bindFile(t, root, "/l"); got != done(1) {
			t.Errorf("%s: %+v", target, got)
		}
		if have := list(t, root); !slices.Equal(sorted(have), sorted(want)) {
			t.Errorf("%s: %q, want %q", target, have, want)
		}
	}
	if have := list(t, outside); !slices.Equal(have, []string{"file canary"}) {
		t.Errorf("outside there is %q", have)
	}
}

// Nodes and links are made under their own name: a link there is neither followed nor overwritten.
func TestNamesAreNotFollowed(t *testing.T) {
	outside := tree(t, "file canary")
	link := "link l → " + outside + "/canary"
	for name, test := range map[string]struct {
		step Step
		want failure
		tree []string
	}{
		"fifo over a link":     {fifo("/l"), failure{1, unix.EEXIST, "mknod", "/l"}, []string{link}},
		"link over a link":     {symlink("x", "/l"), done(1), []string{link}},
		"link instead of link": {Simple(OpSymlink, "", "", []uint64{1}, "x", "/l"), done(1), []string{"link l → x"}},
		"dir over a link":      {mkdir("/l"), done(1), nil},
	} {
		root := tree(t, link)
		if got := inRoot(t, root, test.step); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
		if have := list(t, root); test.tree != nil && !slices.Equal(have, test.tree) {
			t.Errorf("%s: %q", name, have)
		}
	}
	var st unix.Stat_t
	if err := unix.Stat(outside+"/canary", &st); err != nil || st.Mode != unix.S_IFREG|0o644 {
		t.Errorf("the file outside: mode %o, %v", st.Mode, err)
	}
}

func TestNodesThatAreThere(t *testing.T) {
	for name, test := range map[string]struct {
		there string
		step  Step
		want  failure
	}{
		"the same fifo":          {"fifo x", fifo("/x"), done(1)},
		"a file":                 {"file x", fifo("/x"), failure{1, unix.EEXIST, "mknod", "/x"}},
		"a directory":            {"dir x", fifo("/x"), failure{1, unix.EEXIST, "mknod", "/x"}},
		"a directory for a link": {"dir x", Simple(OpSymlink, "", "", []uint64{1}, "y", "/x"), failure{1, unix.EISDIR, "unlink", "/x"}},
		"a directory again":      {"dir x", mkdir("/x"), done(1)},
		"no name":                {"dir x", fifo("/x/"), failure{1, unix.EINVAL, "open", "/x/"}},
		"dot":                    {"dir x", fifo("/x/."), failure{1, unix.EINVAL, "open", "/x/."}},
		"dot dot":                {"dir x", symlink("y", "/x/.."), failure{1, unix.EINVAL, "open", "/x/.."}},
		"empty":                  {"dir x", symlink("y", ""), failure{1, unix.EINVAL, "open", ""}},
	} {
		if got := inRoot(t, tree(t, test.there), test.step); got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}

// Magic links of a procfs lead anywhere, also out of the root: none is followed.
func TestMagicLinksAreRefused(t *testing.T) {
	dir := t.TempDir()
	for _, link := range []string{"/proc/self/root", "/proc/thread-self/root", "/proc/self/cwd", "/proc/self/fd/3", "/proc/self/exe"} {
		path := link + dir + "/made"
		for kind, got := range map[string]failure{
			"mkdir":    inRoot(t, "/", mkdir(path)),
			"fifo":     inRoot(t, "/", fifo(path)),
			"symlink":  inRoot(t, "/", symlink("x", path)),
			"mask":     inRoot(t, "/", Simple(OpMask, "", "", nil, link)),
			"readonly": inRoot(t, "/", Simple(OpReadonly, "", "", nil, link)),
		} {
			if got.errno != unix.ELOOP || got.step != 1 {
				t.Errorf("%s %s: %+v", kind, link, got)
			}
		}
	}
	if have := list(t, dir); len(have) > 0 {
		t.Errorf("%q was made through a magic link", have)
	}
}

// A path that is not there needs no mask, nor does one behind something that is no directory.
func TestMaskOfWhatIsMissing(t *testing.T) {
	root := tree(t, "file f")
	for _, path := range []string{"/none", "/none/below", "/f/below"} {
		got := inRoot(t, root, Simple(OpMask, "", "", nil, path), Simple(OpReadonly, "", "", nil, path))
		if got != done(2) {
			t.Errorf("%s: %+v", path, got)
		}
	}
	loop := tree(t, "link l → l")
	if got, want := inRoot(t, loop, Simple(OpMask, "", "", nil, "/l")), (failure{1, unix.ELOOP, "openat2", "/l"}); got != want {
		t.Errorf("a loop: %+v, want %+v", got, want)
	}
}

// The image's passwd is opened, whatever it is, without waiting and without leaving the root.
func TestPasswd(t *testing.T) {
	secret := filepath.Join(tree(t, "file secret"), "secret")
	for name, test := range map[string]struct {
		tree []string
		kind uint32 // S_IF… of what is handed over, 0 for nothing
	}{
		"a file":          {[]string{"file etc/passwd"}, unix.S_IFREG},
		"none":            {nil, 0},
		"a link inside":   {[]string{"file p", "link etc/passwd → ../p"}, unix.S_IFREG},
		"a link out":      {[]string{"link etc/passwd → " + secret}, 0},
		"a fifo":          {[]string{"fifo etc/passwd"}, unix.S_IFIFO},
		"a directory":     {[]string{"dir etc/passwd"}, unix.S_IFDIR},
		"etc is the link": {[]string{"link etc → " + filepath.Dir(secret)}, 0},
	} {
		r := startStage(t)
		r.send(append([]Step{Take(OpRoot, "", "", Source{}, 0), Simple(OpPasswd, "", "", nil)}, program(t)...)...)
		r.feed(open(t, tree(t, test.tree...), unix.O_PATH))
		m := r.hear(MsgReady)
		var st unix.Stat_t
		if m.FD >= 0 {
			if err := unix.Fstat(m.FD, &st); err != nil {
				t.Fatal(err)
			}
			unix.Close(m.FD)
		}
		if st.Mode&unix.S_IFMT != test.kind {
			t.Errorf("%s: handed over is %o", name, st.Mode)
		}
		r.say(MsgGo, 0, "")
		want(t, r.printed(), "fd", "0", "1", "2")
	}
}

// whileSwapping runs do again and again while swap does, until its rounds have got 100 steps done.
func whileSwapping(t *testing.T, swap func(), do func(round int) (steps int)) {
	sanitizedStage(t)
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				swap()
				time.Sleep(20 * time.Microsecond)
			}
		}
	})
	steps, round := 0, 0
	for ; steps < 100 && round < 100; round++ {
		steps += do(round)
	}
	close(stop)
	swapping.Wait()
	if steps < 100 {
		t.Errorf("only %d steps in %d rounds: nothing was tested", steps, round)
	}
}

// The attack of CVE-2021-30465: a directory of the path is swapped for a link that leads out, while the path is made.
func TestSwappedDirectories(t *testing.T) {
	outside := tree(t, "file canary")
	root := tree(t, "dir d", "link evil → "+outside, "dir d/sub", "link evil2 → ../../../../../../../.."+outside)
	swap := func() {
		for _, evil := range []string{"evil", "evil2"} {
			unix.Renameat2(unix.AT_FDCWD, root+"/d", unix.AT_FDCWD, root+"/"+evil, unix.RENAME_EXCHANGE)
		}
	}
	whileSwapping(t, swap, func(round int) int {
		var all []Step
		for i := range 50 {
			name := fmt.Sprintf("/d/r%d-%d", round, i)
			all = append(all, mkdir(name+"/deep"), fifo(name+".fifo"), symlink("x", name+".link"))
		}
		return inRoot(t, root, all...).step - 1 // a clean failure ends the round and is as good
	})
	if have := list(t, outside); !slices.Equal(have, []string{"file canary"}) {
		t.Errorf("outside there is %q", have)
	}
}

// ".." out of a directory that is moved away meanwhile must not lead to where it has gone.
func TestMovedDirectory(t *testing.T) {
	base := tree(t, "dir root/a/b/c", "dir outside/o")
	swap := func() {
		unix.Rename(base+"/root/a/b", base+"/outside/o/b")
		unix.Rename(base+"/outside/o/b", base+"/root/a/b")
	}
	whileSwapping(t, swap, func(round int) int {
		var steps []Step
		for i := range 50 {
			steps = append(steps, mkdir(fmt.Sprintf("/a/b/c/../../../m%d-%d", round, i)))
		}
		return inRoot(t, base+"/root", steps...).step - 1
	})
	for _, line := range append(list(t, base), list(t, base+"/outside")...) {
		if strings.Contains(line, "/m") && !strings.HasPrefix(line, "dir root/m") && !strings.HasPrefix(line, "dir root/a/m") && !strings.HasPrefix(line, "dir root/a/b") {
			t.Errorf("made outside: %s", line)
		}
	}
}

func copyUp(t *testing.T, from, to string) ([]byte, error) {
	t.Helper()
	cmd := &exec.Cmd{Path: sanitizedStage(t), Args: []string{"stage", "copyup", from, to}, Env: sanitizerEnv}
	return cmd.CombinedOutput()
}

// tmpcopyup takes the image's files as they are: links stay links, a fifo is not read.
func TestCopyUp(t *testing.T) {
	secret := filepath.Join(tree(t, "file secret"), "secret")
	lines := []string{"dir a", "dir a/b", "fifo p", "file a/b/f", "link a/l → " + secret, "link dangling → nowhere"}
	from := tree(t, lines...)
	big := strings.Repeat("0123456789abcdef", 1<<16)
	if err := os.WriteFile(from+"/big", []byte(big), 0o640); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"a": 0o555, "a/b": 0o2750 | os.ModeSetgid, "big": 0o600 | os.ModeSetuid} {
		if err := os.Chmod(filepath.Join(from, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	to := t.TempDir()
	if out, err := copyUp(t, from, to); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if got, want := sorted(list(t, to)), sorted(append(slices.Clone(lines), "file big")); !slices.Equal(got, want) {
		t.Errorf("copied %q, want %q", got, want)
	}
	for _, name := range []string{"a", "a/b", "big", "p", "a/b/f"} {
		was, err1 := os.Lstat(filepath.Join(from, name))
		is, err2 := os.Lstat(filepath.Join(to, name))
		if err1 != nil || err2 != nil || was.Mode() != is.Mode() {
			t.Errorf("%s: %v is %v now (%v, %v)", name, was.Mode(), is.Mode(), err1, err2)
		}
	}
	if copied, _ := os.ReadFile(to + "/big"); string(copied) != big {
		t.Errorf("%d bytes of %d are copied", len(copied), len(big))
	}
	os.Chmod(from+"/a", 0o755)
	os.Chmod(to+"/a", 0o755)
}
