package specconv

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The real-time signals as user space knows them: glibc and musl keep 32 and 33 (and musl 34) for
// themselves, and everybody counts from 34.
const (
	sigRTMin = 34
	sigRTMax = 64
)

// ParseSignal reads a signal as people write it: a number from 0 (which only asks whether the process is
// there) to 64, or a name with or without SIG, in any case: TERM, SIGTERM, RTMIN+3, SIGRTMAX-1.
func ParseSignal(s string) (unix.Signal, error) {
	if isDigits(s) {
		n, err := strconv.Atoi(s)
		if err != nil || n > sigRTMax {
			return 0, fmt.Errorf("signal %s: the highest is %d", s, sigRTMax)
		}
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	if sig, ok := realTimeSignal(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("signal %q is not known", s)
}

// realTimeSignal reads RTMIN, RTMIN+n, RTMAX and RTMAX-n.
func realTimeSignal(name string) (unix.Signal, bool) {
	if offset, ok := strings.CutPrefix(name, "RTMIN"); ok {
		n, ok := realTimeOffset(offset, "+")
		return unix.Signal(sigRTMin + n), ok
	}
	if offset, ok := strings.CutPrefix(name, "RTMAX"); ok {
		n, ok := realTimeOffset(offset, "-")
		return unix.Signal(sigRTMax - n), ok
	}
	return 0, false
}

func realTimeOffset(s, sign string) (int, bool) {
	if s == "" {
		return 0, true
	}
	digits, ok := strings.CutPrefix(s, sign)
	if !ok || !isDigits(digits) {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n <= sigRTMax-sigRTMin
}
