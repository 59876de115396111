package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// userland is what the machines have, with all that these depend on.
var userland = []string{"systemd", "dbus", "dbus-user-session", "libpam-systemd", "uidmap", "apparmor", "iproute2", "procps", "strace", "busybox-static", "util-linux", "coreutils", "dash"}

// image is what all machines share.
type image struct {
	kernel string // uncompressed: by far the fastest to boot
	root   string // a cpio archive
}

// prepare downloads, unpacks and packs what is not in the cache yet.
func prepare(cache string) (image, error) {
	kernel, err := kernelPackage()
	if err != nil { // a machine on which nobody has asked for any package yet
		if err := command(exec.Command("apt-get", "update", "-qq")); err != nil {
			return image{}, err
		}
		if kernel, err = kernelPackage(); err != nil {
			return image{}, err
		}
	}
	im := image{kernel: filepath.Join(cache, kernel+".vmlinux"), root: filepath.Join(cache, kernel+"-"+recipe()+".cpio")}
	if _, err := os.Stat(im.root); err == nil { // the last to be made
		return im, os.MkdirAll(filepath.Join(cache, "bin"), 0o755)
	}
	fmt.Fprintln(os.Stderr, "vm: fetching", kernel, "and a userland into", cache)
	tree, err := unpack(cache, kernel)
	if err != nil {
		return image{}, err
	}
	defer os.RemoveAll(tree)
	if err := extractKernel(filepath.Join(tree, "boot", strings.Replace(kernel, "linux-image", "vmlinuz", 1)), im.kernel); err != nil {
		return image{}, err
	}
	return im, packRoot(tree, strings.TrimPrefix(kernel, "linux-image-"), im.root)
}

// recipe names what an image is made of, so that another recipe makes another image.
func recipe() string {
	sum := sha256.Sum256(fmt.Append(nil, userland, modules, leftOut, etc))
	return hex.EncodeToString(sum[:6])
}

// kernelPackage is the package that linux-image-amd64 stands for today.
func kernelPackage() (string, error) {
	out, err := exec.Command("apt-cache", "depends", "--important", "linux-image-amd64").Output()
	_, name, ok := strings.Cut(string(out), "Depends: ")
	if err != nil || !ok {
		return "", fmt.Errorf("apt-cache knows no linux-image-amd64: %v", err)
	}
	return strings.TrimSpace(name), nil
}

// unpack makes a directory with the files of the userland and the kernel.
func unpack(cache, kernel string) (string, error) {
	debs, tree := filepath.Join(cache, "deb"), filepath.Join(cache, "tree")
	status := filepath.Join(cache, "status")
	if err := os.RemoveAll(tree); err != nil {
		return "", err
	}
	for _, dir := range []string{filepath.Join(debs, "partial"), filepath.Join(cache, "bin"), filepath.Join(tree, "usr")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(status, nil, 0o644); err != nil { // to apt, a machine with nothing installed
		return "", err
	}
	if err := download(debs, kernel); err != nil {
		if os.Geteuid() == 0 && command(exec.Command("apt-get", "update", "-qq")) == nil { // the lists may be out of date
			err = download(debs, kernel)
		}
		if err != nil {
			return "", err
		}
	}
	return tree, unpackAll(debs, tree)
}

// download gets the packages that a machine with nothing installed needs, and the kernel; old versions go.
func download(debs, kernel string) error {
	debs, err := filepath.Abs(debs)
	if err != nil {
		return err
	}
	options := []string{"-o", "Dir::State::status=" + filepath.Dir(debs) + "/status", "-o", "Dir::Cache::archives=" + debs,
		"-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User=", "-y", "-qq"}
	install := append(slices.Clone(options), "--download-only", "--no-install-recommends", "install")
	fetch := exec.Command("apt-get", "download", "-o", "APT::Sandbox::User=", kernel)
	fetch.Dir = debs
	for _, cmd := range []*exec.Cmd{
		exec.Command("apt-get", append(options, "autoclean")...), exec.Command("apt-get", append(install, userland...)...), fetch,
	} {
		if err := command(cmd); err != nil {
			return err
		}
	}
	return nil
}

// unpackAll unpacks every package of a directory. Debian's merged /usr is made first: packages still ship /lib and /bin.
func unpackAll(debs, tree string) error {
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := os.MkdirAll(filepath.Join(tree, "usr", dir), 0o755); err != nil {
			return err
		}
		if err := os.Symlink("usr/"+dir, filepath.Join(tree, dir)); err != nil {
			return err
		}
	}
	files, err := filepath.Glob(filepath.Join(debs, "*.deb"))
	if err != nil {
		return err
	}
	for _, f := range files { // not dpkg -x, which would put directories in the symlinks' place
		tar, err := exec.Command("dpkg-deb", "--fsys-tarfile", f).Output()
		if err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
		x := exec.Command("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "--same-permissions", "-C", tree) // set-user-id bits, too
		x.Stdin = bytes.NewReader(tar)
		if err := command(x); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// extractKernel takes the kernel proper out of its self-extracting file.
func extractKernel(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	start := bytes.Index(data, []byte("\xfd7zXZ\x00"))
	if start < 0 {
		return fmt.Errorf("%s: no xz stream in it", from)
	}
	xz := exec.Command("xz", "-dc", "--single-stream")
	xz.Stdin = bytes.NewReader(data[start:])
	out, err := xz.Output()
	if err != nil || !bytes.HasPrefix(out, []byte("\x7fELF")) {
		return fmt.Errorf("%s: xz: %v", from, err)
	}
	return os.WriteFile(to, out, 0o644)
}
