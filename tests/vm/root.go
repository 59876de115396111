package main

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// modules are loaded at boot, in this order; what they depend on comes before them.
var modules = []string{
	"virtio_pci", "virtio_console", "virtio_blk", "overlay", "fuse", "autofs4", "dummy", "veth", "bridge", "loop", "tun", "bfq", "nfnetlink", "xfrm_user", "crc32_generic", "rdma_rxe",
}

// left out of the packages' files: nothing there runs in the machine.
var leftOut = []string{
	"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl", "usr/share/perl5", "usr/share/info", "usr/share/bash-completion",
	"usr/share/zsh", "usr/lib/x86_64-linux-gnu/perl", "usr/lib/x86_64-linux-gnu/perl-base", "usr/lib/x86_64-linux-gnu/gconv", "usr/bin/perl",
	"usr/bin/perl5.36.0", "usr/share/i18n", "usr/lib/systemd/catalog", "usr/lib/udev", "usr/lib/x86_64-linux-gnu/libperl.so.5.36.0",
	"usr/lib/modules", "boot",
}

// etc is the machines' configuration.
var etc = map[string]string{
	"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nmessagebus:x:100:100::/nonexistent:/bin/false\n" +
		"user:x:1000:1000::/home/user:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n",
	"etc/subuid":             "1000:100000:65536\n",
	"etc/subgid":             "1000:100000:65536\n",
	"etc/pam.d/other":        "auth required pam_deny.so\naccount required pam_deny.so\npassword required pam_deny.so\nsession required pam_deny.so\n",
	"etc/pam.d/systemd-user": "account required pam_permit.so\nsession required pam_permit.so\nsession optional pam_systemd.so\n", // the package's includes files that nobody has made
	"etc/group":              "root:x:0:\ntty:x:5:\nmessagebus:x:100:\nuser:x:1000:\nnogroup:x:65534:\n",
	"etc/machine-id":         "0123456789abcdef0123456789abcdef\n",
	"etc/fstab":              "",
	"etc/debian_version":     "12\n",
	"etc/hosts":              "127.0.0.1 localhost\n",
	"etc/os-release":         "ID=rttest\nNAME=rttest\nPRETTY_NAME=rttest\n",
}

// packRoot makes the archive of a root file system: the packages' files and the modules of the kernel.
func packRoot(tree, release, to string) error {
	f, err := os.Create(to + ".new")
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	if err := a.tree(tree, func(name string) bool { return !slices.Contains(leftOut, name) }); err != nil {
		return err
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp", "mnt", "root", "rt", "rt/tests", "rt/tests/integration", "rt/tests/testdata",
		"rt/tests/testdata/configs", "usr/local", "usr/local/bin", "home", "home/user"} {
		a.dir(dir)
	}
	for name, text := range etc {
		a.add(name, 0o100644, []byte(text))
	}
	if err := addApplets(a, tree); err != nil {
		return err
	}
	if err := addModules(a, tree, release); err != nil {
		return err
	}
	if err := a.close(); err != nil {
		return err
	}
	return os.Rename(to+".new", to)
}

// addApplets links the commands that no package brought to busybox.
func addApplets(a *archive, tree string) error {
	list, err := exec.Command(filepath.Join(tree, "bin/busybox"), "--list").Output()
	for name := range strings.FieldsSeq(string(list)) {
		_, in := os.Lstat(filepath.Join(tree, "bin", name))
		_, sbin := os.Lstat(filepath.Join(tree, "sbin", name))
		if in != nil && sbin != nil {
			a.link("bin/"+name, "busybox")
		}
	}
	return err
}

// addModules adds the modules that are loaded, and the list of them in their order.
func addModules(a *archive, tree, release string) error {
	dir := filepath.Join(tree, "lib/modules", release)
	if err := command(exec.Command(filepath.Join(tree, "bin/busybox"), "depmod", "-b", tree, release)); err != nil {
		return err
	}
	deps, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return err
	}
	var list []string
	for _, name := range modules {
		files, err := moduleFiles(string(deps), name)
		if err != nil {
			return err
		}
		for _, f := range files {
			if !slices.Contains(list, f) {
				list = append(list, f)
			}
		}
	}
	a.dir("modules")
	names := ""
	for _, f := range list {
		data, err := os.ReadFile(filepath.Join(dir, f))
		if err != nil {
			return err
		}
		a.file("modules/"+filepath.Base(f), data)
		names += filepath.Base(f) + "\n"
	}
	a.file("modules/list", []byte(names))
	return nil
}

// moduleFiles lists a module's file, after those of what it depends on, from a modules.dep.
func moduleFiles(deps, name string) ([]string, error) {
	for line := range strings.Lines(deps) {
		file, needs, _ := strings.Cut(strings.TrimSpace(line), ":")
		if filepath.Base(file) != name+".ko" && filepath.Base(file) != strings.ReplaceAll(name, "_", "-")+".ko" {
			continue
		}
		list := strings.Fields(needs) // all of them, the last one first
		slices.Reverse(list)
		return append(list, file), nil
	}
	return nil, fmt.Errorf("no module %s", name)
}

//go:embed init.sh
var initScript []byte

//go:embed run.sh
var runScript []byte

// units are systemd's own in the machine, beside its stock ones.
var units = map[string]string{
	"vm.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket rttest.service\nAfter=dbus.socket\n",
	"rttest.service": "[Unit]\nDefaultDependencies=no\nAfter=dbus.socket\n[Service]\nType=oneshot\nExecStart=/rt/run\nDelegate=yes\n" +
		"TasksMax=infinity\nLimitNOFILE=20000\nTimeoutStartSec=infinity\nStandardOutput=null\nStandardError=null\n",
}

// packRun makes the archive of what belongs to one run: the programs, the machine's init and what it is to run.
func packRun(to string, files map[string]string, m machine, runs []run) error {
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	a := newArchive(f)
	for name, from := range files {
		data, err := os.ReadFile(from)
		if err != nil {
			return err
		}
		a.file(name, data)
	}
	a.file("init", initScript)
	a.file("rt/run", runScript)
	a.file("rt/machine", []byte(m.init))
	var lines []byte
	for _, r := range runs {
		lines = fmt.Appendf(lines, "%s %s\n", r.mode, r.args)
	}
	a.file("rt/runs", lines)
	a.dir("etc/systemd")
	a.dir("etc/systemd/system")
	for name, text := range units {
		a.add("etc/systemd/system/"+name, 0o100644, []byte(text))
	}
	return a.close()
}
