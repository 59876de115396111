package cgroups

import (
	"strconv"
	"strings"
)

// PSI is how much work waited for a resource (Documentation/accounting/psi.rst).
type PSI struct {
	Some Pressure `json:"some"` // at least one task waited
	Full Pressure `json:"full"` // all did
}

// Pressure is the share of time, in percent over 10, 60 and 300 seconds, and the whole, in microseconds.
type Pressure struct {
	Avg10  float64 `json:"avg10"`
	Avg60  float64 `json:"avg60"`
	Avg300 float64 `json:"avg300"`
	Total  uint64  `json:"total"`
}

func pressures(r *reader, s *Stats) {
	s.CPU.PSI, s.Memory.PSI, s.Blkio.PSI = r.pressure("cpu.pressure"), r.pressure("memory.pressure"), r.pressure("io.pressure")
}

// pressure is nil where the kernel does not measure it.
func (r *reader) pressure(file string) *PSI {
	text := r.text(file)
	if text == "" {
		return nil
	}
	var p PSI
	for line := range strings.Lines(text) {
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch kind {
		case "some":
			p.Some = r.pressureLine(file, rest)
		case "full":
			p.Full = r.pressureLine(file, rest)
		}
	}
	return &p
}

// pressureLine understands "avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func (r *reader) pressureLine(file, text string) Pressure {
	var p Pressure
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "avg10":
			p.Avg10 = r.percent(file, value)
		case "avg60":
			p.Avg60 = r.percent(file, value)
		case "avg300":
			p.Avg300 = r.percent(file, value)
		case "total":
			p.Total = r.parse(file, value)
		}
	}
	return p
}

func (r *reader) percent(file, text string) float64 {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		r.fail(file, err)
	}
	return f
}
