package main

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// evict takes a program out of the page cache: its next run brings it back as after a reboot. How large the pieces are in
// which it lies there is up to who brought it, a linker, a copy or the kernel itself, and that is up to a tenth of a run:
// what is around each page fault is mapped and unmapped piece by piece.
func evict(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil { // what is not on the disk stays
		return err
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return &os.PathError{Op: "fadvise", Path: path, Err: err}
	}
	return nil
}

// settle waits until the processors idle. The kernel tears namespaces and cgroups down after their last process is gone;
// whoever is measured next would pay for it. It says so if they never do.
func settle() {
	idle := eventually(10*time.Second, func() bool {
		busy, all := processorTime()
		time.Sleep(100 * time.Millisecond)
		busyNow, allNow := processorTime()
		return busyNow-busy < 0.05*(allNow-all)
	})
	if !idle {
		fmt.Fprintln(os.Stderr, "bench: the machine does not come to rest; what follows is measured beside something else")
	}
}

// processorTime is what all processors have spent since boot, in ticks: with work, and in all.
func processorTime() (busy, all float64) {
	var user, nice, system, idle, iowait, irq, softirq float64
	if _, err := fmt.Sscanf(firstOf("/proc/stat", "cpu"), "%f %f %f %f %f %f %f", &user, &nice, &system, &idle, &iowait, &irq, &softirq); err != nil {
		return 0, 0
	}
	busy = user + nice + system + irq + softirq
	return busy, busy + idle + iowait
}
