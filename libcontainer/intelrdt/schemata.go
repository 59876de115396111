package intelrdt

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// compare refuses a group that is configured otherwise than the lines say. The
// kernel prints values in its own way ("    L3:0=00f;1=0ff"), so resources,
// domains and numbers are compared, not text.
func compare(file string, list []line) error {
	var have map[string]map[string]string
	for _, l := range list {
		if !l.mustMatch {
			continue
		}
		if have == nil {
			data, err := os.ReadFile(file)
			if err != nil {
				return fmt.Errorf("%s: %w", l.field, err)
			}
			have = parseSchemata(string(data))
		}
		resource, domains := parseSchema(l.text)
		for domain, value := range domains {
			if got, ok := have[resource][domain]; !ok || !sameValue(resource, got, value) {
				return fmt.Errorf("%s: %q differs from the group that is there already: %s has %s", l.field, l.text, file, shown(resource, domain, got))
			}
		}
	}
	return nil
}

func shown(resource, domain, value string) string {
	if value == "" {
		return "no " + resource + " for domain " + domain
	}
	return resource + ":" + domain + "=" + value
}

func parseSchemata(text string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for l := range strings.Lines(text) {
		resource, domains := parseSchema(l)
		all[resource] = domains
	}
	return all
}

// parseSchema takes "L3:0=f;1=f" apart.
func parseSchema(text string) (resource string, domains map[string]string) {
	resource, rest, _ := strings.Cut(text, ":")
	domains = map[string]string{}
	for part := range strings.SplitSeq(rest, ";") {
		if domain, value, ok := strings.Cut(part, "="); ok {
			domains[strings.TrimSpace(domain)] = strings.TrimSpace(value)
		}
	}
	return strings.TrimSpace(resource), domains
}

// sameValue compares cache masks as hexadecimal and bandwidths as decimal numbers.
func sameValue(resource, a, b string) bool {
	base := 16
	if strings.HasSuffix(resource, "MB") || strings.HasSuffix(resource, "MBA") {
		base = 10
	}
	x, errX := strconv.ParseUint(a, base, 64)
	y, errY := strconv.ParseUint(b, base, 64)
	if errX != nil || errY != nil {
		return a == b
	}
	return x == y
}
