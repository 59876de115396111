package cli

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// parseSize reads a number of bytes: 1048576, 512k, 1.5g, 2 GiB; units are powers of 1024, in either case, with or
// without b or ib after them. -1 stands for no limit.
func parseSize(text string) (int64, error) {
	if text == "-1" {
		return -1, nil
	}
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	shift, ok := unitShift(strings.ToLower(text[len(digits):]))
	digits = strings.TrimSuffix(digits, " ")
	if !ok || digits == "" || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is no size like 1048576, 512k, 100m or 2g, nor -1 for none", text)
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n <= math.MaxInt64>>shift {
		return n << shift, nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: %w", text, err)
	}
	if f *= float64(int64(1) << shift); f >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is too big", text)
	}
	return int64(f), nil
}

func unitShift(unit string) (shift int, ok bool) {
	switch strings.TrimSuffix(strings.TrimSuffix(unit, "b"), "i") {
	case "":
		return 0, unit != "i" && unit != "ib"
	case "k":
		return 10, unit != "ki"
	case "m":
		return 20, unit != "mi"
	case "g":
		return 30, unit != "gi"
	case "t":
		return 40, unit != "ti"
	case "p":
		return 50, unit != "pi"
	}
	return 0, false
}
