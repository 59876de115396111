package differential

import (
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// bind adds a bind mount and has the probe look at it.
func (c *trial) bind(source, destination string, options ...string) {
	c.Mount(specs.Mount{Destination: destination, Type: "bind", Source: source, Options: options})
	c.look(destination)
}

func binds(c *trial) {
	dir, file := c.Mkdir("src/dir"), c.WriteFile("src/file", "content\n")
	c.WriteFile("src/dir/entry", "content\n")
	c.WriteFile("rootfs/etc/there", "hidden\n")
	c.bind(dir, "/b/rw", "bind")
	c.bind(dir, "/b/ro", "bind", "ro")
	c.bind(file, "/b/file", "rbind", "ro")
	c.bind(file, "/etc/there", "bind", "rprivate")
	c.bind("src/file", "/b/relative", "bind") // from the bundle
	c.bind(c.tree("src/tree"), "/b/tree", "rbind", "ro")
	c.bind(c.InRootfs("home"), "/b/home", "rbind", "nosuid", "nodev")
	c.look("/b", "/b/tree/nested")
}

// bindFlags: what a mount asks for, what its source has, and which of them wins.
func bindFlags(c *trial) {
	dir := c.Mkdir("src/dir")
	strict := c.Mkdir("src/strict")
	c.mount("tmpfs", strict, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, "mode=711")
	frozen := c.Mkdir("src/frozen")
	c.mount("tmpfs", frozen, unix.MS_RDONLY|unix.MS_NODIRATIME, "")
	c.bind(dir, "/f/all", "bind", "nosuid", "nodev", "noexec", "noatime", "nodiratime", "nosymfollow", "ro")
	c.bind(dir, "/f/last", "bind", "ro", "rw", "noexec", "exec")
	c.bind(strict, "/f/kept", "bind")
	c.bind(strict, "/f/more", "rbind", "ro")
	c.bind(strict, "/f/strictatime", "bind", "strictatime")
	c.bind(strict, "/f/relatime", "bind", "relatime", "nosuid", "nodev", "noexec")
	c.bind(frozen, "/f/frozen", "bind")
	c.bind(frozen, "/f/frozen-ro", "rbind", "ro", "rslave")
}

// recursive: attributes of a whole tree, and the lesser ones of its top.
func recursive(c *trial) {
	tree := c.tree("src/tree")
	c.bind(tree, "/r/rro", "rbind", "rro")
	c.bind(tree, "/r/ro", "rbind", "ro", "nosuid")
	c.bind(tree, "/r/rnoexec", "rbind", "rnoexec", "rnosuid")
	c.bind(tree, "/r/rrw", "rbind", "rro", "rrw")
	c.bind(tree, "/r/noatime", "rbind", "rnoatime")
	c.bind(tree, "/r/alone", "bind", "rro")
	c.look("/r/rro/nested", "/r/ro/nested", "/r/alone/nested")
}

func tmpfses(c *trial) {
	if err := os.Mkdir(c.InRootfs("odd"), 0o711); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(c.InRootfs("odd"), 0o3711); err != nil {
		c.t.Fatal(err)
	}
	c.WriteFile("rootfs/copied/file", "content\n")
	c.WriteFile("rootfs/copied/dir/file", "content\n")
	tmpfs := func(destination string, options ...string) {
		c.Mount(specs.Mount{Destination: destination, Type: "tmpfs", Source: "tmpfs", Options: options})
		c.look(destination)
	}
	tmpfs("/t/plain")
	tmpfs("/t/options", "size=64k", "mode=1770", "uid=1", "gid=2", "nr_inodes=100", "noexec", "nosuid", "nodev")
	tmpfs("/odd")
	tmpfs("/tmp", "nosuid")
	tmpfs("/t/ro", "ro")
	tmpfs("/copied", "tmpcopyup", "size=1m")
	tmpfs("/t/copied", "tmpcopyup", "mode=700")
	tmpfs("/t/atime", "strictatime", "nodiratime", "lazytime")
	c.look("/copied/file", "/copied/dir", "/copied/dir/file", "/t")
}

func propagations(c *trial) {
	tree := c.tree("src/tree")
	for _, p := range []string{"private", "slave", "shared", "unbindable", "rprivate", "rslave", "rshared", "runbindable"} {
		c.bind(tree, "/p/"+p, "rbind", p)
	}
	c.bind(tree, "/p/none", "rbind")
	c.bind(tree, "/p/ro", "rbind", "ro", "rslave")
	c.Mount(specs.Mount{Destination: "/p/tmpfs", Type: "tmpfs", Source: "tmpfs", Options: []string{"shared"}})
}

// places: destinations that are not plain, and file systems where nobody expects them.
func places(c *trial) {
	dir, file := c.Mkdir("src/dir"), c.WriteFile("src/file", "content\n")
	for link, target := range map[string]string{"link": "/home", "up": "../../../../var", "filelink": "etc/linked"} {
		if err := os.Symlink(target, c.InRootfs(link)); err != nil {
			c.t.Fatal(err)
		}
	}
	c.WriteFile("rootfs/etc/linked", "hidden\n")
	c.bind(dir, "/link/below", "bind")
	c.bind(dir, "/up", "bind")
	c.bind(file, "/filelink", "bind")
	c.bind(dir, "/m/../n/./o/", "bind")
	c.bind(dir, "/twice", "bind", "ro")
	c.bind(dir, "/twice", "bind")
	c.bind(file, "/twice/file", "bind", "ro")
	c.Mount(specs.Mount{Destination: "/other/pts", Type: "devpts", Source: "devpts", Options: []string{"newinstance", "ptmxmode=0600"}})
	c.Mount(specs.Mount{Destination: "/other/run", Type: "tmpfs", Source: "none", Options: []string{"noatime"}})
	c.look("/home/below", "/var", "/etc/linked", "/n/o", "/n", "/other/pts", "/twice/file")
}

// tree is a shared mount with a mount in it, both with flags of their own.
func (c *trial) tree(name string) string {
	top := c.Mkdir(name)
	c.mount("tmpfs", top, unix.MS_NODEV, "mode=755")
	if err := unix.Mount("", top, "", unix.MS_SHARED, ""); err != nil {
		c.t.Fatal(&os.PathError{Op: "make shared", Path: top, Err: err})
	}
	nested := c.Mkdir(name + "/nested")
	c.mount("tmpfs", nested, unix.MS_NOSUID, "mode=755")
	c.WriteFile(name+"/nested/file", "content\n")
	return top
}

// mount mounts a file system for as long as the test lasts.
func (c *trial) mount(fstype, target string, flags uintptr, data string) {
	if err := unix.Mount(fstype, target, fstype, flags, data); err != nil {
		c.t.Fatal(&os.PathError{Op: "mount " + fstype, Path: target, Err: err})
	}
	c.t.Cleanup(func() {
		if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
			c.t.Errorf("unmount %s: %v", target, err)
		}
	})
}
