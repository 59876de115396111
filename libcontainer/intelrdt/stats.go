package intelrdt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Stats is what a group may use and does use, and what there is. What the hardware does not have is absent.
type Stats struct {
	L3CacheInfo       *L3CacheInfo `json:"l3_cache_info,omitempty"`
	L3CacheSchemaRoot string       `json:"l3_cache_schema_root,omitempty"`
	L3CacheSchema     string       `json:"l3_cache_schema,omitempty"`
	MemBwInfo         *MemBwInfo   `json:"mem_bw_info,omitempty"`
	MemBwSchemaRoot   string       `json:"mem_bw_schema_root,omitempty"`
	MemBwSchema       string       `json:"mem_bw_schema,omitempty"`
	Schemata          []string     `json:"schemata,omitempty"` // all lines of the group
	MBMStats          []MBMStats   `json:"mbm_stats,omitempty"`
	CMTStats          []CMTStats   `json:"cmt_stats,omitempty"`
}

// L3CacheInfo is how the last-level cache can be divided.
type L3CacheInfo struct {
	CbmMask    string `json:"cbm_mask,omitempty"`
	MinCbmBits uint64 `json:"min_cbm_bits,omitempty"`
	NumClosids uint64 `json:"num_closids,omitempty"`
}

// MemBwInfo is how memory bandwidth can be divided.
type MemBwInfo struct {
	BandwidthGran uint64 `json:"bandwidth_gran,omitempty"`
	DelayLinear   uint64 `json:"delay_linear,omitempty"`
	MinBandwidth  uint64 `json:"min_bandwidth,omitempty"`
	NumClosids    uint64 `json:"num_closids,omitempty"`
}

// MBMStats is the memory traffic of one cache domain, in bytes.
type MBMStats struct {
	TotalBytes uint64 `json:"mbm_total_bytes"`
	LocalBytes uint64 `json:"mbm_local_bytes"`
}

// CMTStats is what of one cache domain the group fills, in bytes.
type CMTStats struct {
	LLCOccupancy uint64 `json:"llc_occupancy"`
}

// Stats measures the group. A nil group measures nothing.
func (g *Group) Stats() (Stats, error) {
	var s Stats
	if g == nil {
		return s, nil
	}
	r := reader{}
	if cbm := r.text(g.Mount, "info/L3/cbm_mask"); cbm != "" {
		s.L3CacheInfo = &L3CacheInfo{cbm, r.number(g.Mount, "info/L3/min_cbm_bits"), r.number(g.Mount, "info/L3/num_closids")}
	}
	if gran := r.text(g.Mount, "info/MB/bandwidth_gran"); gran != "" {
		s.MemBwInfo = &MemBwInfo{r.number(g.Mount, "info/MB/bandwidth_gran"), r.number(g.Mount, "info/MB/delay_linear"),
			r.number(g.Mount, "info/MB/min_bandwidth"), r.number(g.Mount, "info/MB/num_closids")}
	}
	root, own := r.lines(g.Mount, "schemata"), r.lines(g.Dir, "schemata")
	s.L3CacheSchemaRoot, s.L3CacheSchema = schemaOf("L3", root), schemaOf("L3", own)
	s.MemBwSchemaRoot, s.MemBwSchema = schemaOf("MB", root), schemaOf("MB", own)
	s.Schemata = own
	r.monitor(g, &s)
	if r.err != nil {
		return s, fmt.Errorf("measure resctrl group: %w", r.err)
	}
	return s, nil
}

// monitor reads the counters of each cache domain, of the MON group if there is one.
func (r *reader) monitor(g *Group, s *Stats) {
	dir := g.Dir
	if g.Monitor != "" {
		dir = g.Monitor
	}
	domains, _ := filepath.Glob(filepath.Join(dir, "mon_data", "mon_L3_*")) // an error is about the pattern
	for _, d := range domains {
		if r.text(d, "mbm_total_bytes") != "" {
			s.MBMStats = append(s.MBMStats, MBMStats{r.number(d, "mbm_total_bytes"), r.number(d, "mbm_local_bytes")})
		}
		if r.text(d, "llc_occupancy") != "" {
			s.CMTStats = append(s.CMTStats, CMTStats{r.number(d, "llc_occupancy")})
		}
	}
}

// schemaOf is the line of a resource.
func schemaOf(resource string, schemata []string) string {
	for _, l := range schemata {
		if strings.HasPrefix(l, resource+":") {
			return l
		}
	}
	return ""
}

// reader reads files and keeps the first error; one that is not there is empty.
type reader struct{ err error }

func (r *reader) text(dir, name string) string {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) && r.err == nil {
		r.err = err
	}
	return strings.TrimSpace(string(data))
}

func (r *reader) lines(dir, name string) []string { return trimmedLines(r.text(dir, name)) }

// number is 0 where the kernel prints a word instead: "Unavailable", "Error".
func (r *reader) number(dir, name string) uint64 {
	n, err := strconv.ParseUint(r.text(dir, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
