package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// test boots the machine with the tests and passes on what they say. Its error is for what no test said: a machine
// that does not boot, dies, or hangs.
func (o *options) test(base image, files map[string]string, m machine) error {
	dir, err := os.MkdirTemp(o.cache, m.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := packRun(filepath.Join(dir, "run.cpio"), files, m, o.testArgs(m)); err != nil {
		return err
	}
	if err := join(filepath.Join(dir, "initrd"), base.root, filepath.Join(dir, "run.cpio")); err != nil {
		return err
	}
	began := time.Now()
	err = o.boot(base.kernel, dir, m)
	status, _ := os.ReadFile(filepath.Join(dir, "status"))
	code := strings.TrimSpace(string(status))
	fmt.Fprintf(os.Stderr, "vm %s: %.0f s, status %q\n", m.name, time.Since(began).Seconds(), code)
	switch console := tail(filepath.Join(dir, "console")); {
	case err != nil:
		return fmt.Errorf("%w; the end of its console:\n%s", err, console)
	case code == "":
		return fmt.Errorf("it died; the end of its console:\n%s", console)
	case code != "0":
		return fmt.Errorf("tests ended with status %s", code)
	}
	return nil
}

// testArgs is the command line of the tests. It is split at white space, unquoted.
func (o *options) testArgs(m machine) string {
	args := "-test.v=test2json -test.timeout=" + o.limit.String()
	switch {
	case o.run != "":
		args += " -test.run=" + o.run
	case o.skip != "":
		args += " -test.skip=" + o.skip
	case o.all:
	case m.systemd:
		args += " -test.run=TestSystemd|" + m.tests
	default:
		args += " -test.skip=" + tooSlow
		if m.tests != "" {
			args += " -test.run=" + m.tests
		}
	}
	return args + "\n"
}

// boot runs qemu to its end, the tests' output going through test2json to stdout.
func (o *options) boot(kernel, dir string, m machine) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.limit+2*time.Minute)
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", qemuArgs(kernel, dir, m)...)
	qemu.Stderr = os.Stderr
	words := exec.Command("go", "tool", "test2json", "-t", "-p", "rt/tests/vm/"+m.name)
	words.Stdout, words.Stderr = os.Stdout, os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	qemu.ExtraFiles, words.Stdin = []*os.File{w}, r
	if err := words.Start(); err != nil {
		return err
	}
	err = qemu.Run()
	_ = w.Close()
	if err := words.Wait(); err != nil {
		return fmt.Errorf("test2json: %w", err)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("no end after %v", o.limit)
	}
	return err
}

// qemuArgs describes the hardware: two CPUs, a disk that holds nothing, and three ports: console, output, status.
func qemuArgs(kernel, dir string, m machine) []string {
	return append(strings.Fields("-M q35 -accel tcg,thread=multi,tb-size=512 -cpu max,la57=off -smp 2 -m 3072"+
		" -nodefaults -no-user-config -display none -no-reboot -device virtio-serial-pci"+
		" -chardev file,id=out,append=on,path=/dev/fd/3 -device virtserialport,chardev=out,name=out"+
		" -device virtserialport,chardev=status,name=status"+
		" -blockdev driver=null-co,node-name=disk,size=67108864 -device virtio-blk-pci,drive=disk"),
		"-chardev", "file,id=status,path="+filepath.Join(dir, "status"),
		"-serial", "file:"+filepath.Join(dir, "console"),
		"-kernel", kernel, "-initrd", filepath.Join(dir, "initrd"),
		"-append", "console=ttyS0 quiet loglevel=4 panic=-1 mitigations=off nokaslr random.trust_cpu=on tsc=reliable no_timer_check"+
			" systemd.unit=vm.target fstab=no systemd.show_status=no net.ifnames=0 "+m.cmdline)
}

// join writes files behind one another; the kernel takes archives in a row.
func join(to string, from ...string) error {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	for _, name := range from {
		in, err := os.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		_ = in.Close()
		if err != nil {
			return err
		}
	}
	return out.Close()
}

// tail is the end of a file, or why there is none.
func tail(name string) string {
	data, err := os.ReadFile(name)
	if err != nil {
		return err.Error()
	}
	return string(data[max(0, len(data)-4000):])
}
