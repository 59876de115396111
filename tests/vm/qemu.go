package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
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
	runs := o.runs(m)
	if err := packRun(filepath.Join(dir, "run.cpio"), files, m, runs); err != nil {
		return err
	}
	if err := join(filepath.Join(dir, "initrd"), base.root, filepath.Join(dir, "run.cpio")); err != nil {
		return err
	}
	began := time.Now()
	err = o.boot(base.kernel, dir, m, runs)
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

// boot runs qemu to its end, the output of each run going through test2json to stdout.
func (o *options) boot(kernel, dir string, m machine, runs []run) error {
	ctx, cancel := context.WithTimeout(context.Background(), o.limit+2*time.Minute)
	defer cancel()
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", qemuArgs(kernel, dir, m, len(runs))...)
	qemu.Stderr = os.Stderr
	runtime.LockOSThread() // Pdeathsig is about the thread that started it
	defer runtime.UnlockOSThread()
	qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var readers []*exec.Cmd
	for _, r := range runs {
		words, w, err := reader("rt/tests/vm/" + m.name + r.name)
		if err != nil {
			return err
		}
		qemu.ExtraFiles, readers = append(qemu.ExtraFiles, w), append(readers, words)
	}
	err := qemu.Run()
	for i, words := range readers {
		_ = qemu.ExtraFiles[i].Close()
		if err := words.Wait(); err != nil {
			return fmt.Errorf("test2json: %w", err)
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("no end after %v", o.limit)
	}
	return err
}

// reader starts a test2json that reads from the pipe it returns.
func reader(pkg string) (*exec.Cmd, *os.File, error) {
	words := exec.Command("go", "tool", "test2json", "-t", "-p", pkg)
	words.Stdout, words.Stderr = os.Stdout, os.Stderr
	r, w, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	defer r.Close()
	words.Stdin = r
	return words, w, words.Start()
}

// qemuArgs describes the hardware: two CPUs, a disk that holds nothing, and ports: console, output of each run, status.
func qemuArgs(kernel, dir string, m machine, runs int) []string {
	args := strings.Fields("-M q35 -accel tcg,thread=multi,tb-size=512 -cpu max,la57=off -smp 2 -m 3072" +
		" -nodefaults -no-user-config -display none -no-reboot -device virtio-serial-pci" +
		" -device virtserialport,chardev=status,name=status" +
		" -blockdev driver=null-co,node-name=disk,size=67108864 -device virtio-blk-pci,drive=disk")
	for i := range runs {
		args = append(args, "-chardev", fmt.Sprintf("file,id=out%d,append=on,path=/dev/fd/%d", i, 3+i),
			"-device", fmt.Sprintf("virtserialport,chardev=out%d,name=out%d", i, i))
	}
	return append(args, "-chardev", "file,id=status,path="+filepath.Join(dir, "status"),
		"-serial", "file:"+filepath.Join(dir, "console"),
		"-kernel", kernel, "-initrd", filepath.Join(dir, "initrd"),
		// A kernel that locks up says where, and ends.
		"-append", "console=ttyS0 quiet loglevel=5 panic=-1 watchdog_thresh=30 softlockup_panic=1 softlockup_all_cpu_backtrace=1 mitigations=off nokaslr random.trust_cpu=on tsc=reliable no_timer_check"+
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
	return string(data[max(0, len(data)-16000):])
}
