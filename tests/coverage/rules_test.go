package coverage

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rt/specconv"
	"rt/tests/internal/named"
	"rt/tests/internal/ocischema"
)

// texts are the parts of the specification that are for every platform or for Linux.
var texts = []string{"bundle", "config", "config-linux", "runtime", "runtime-linux", "features", "features-linux"}

var (
	ruleWord    = regexp.MustCompile(`\b(MUST|SHALL|REQUIRED)\b`)
	mountOption = regexp.MustCompile("^`(\\w+) *` +\\| MUST ") // a row of config.md's table
	ruleRow     = regexp.MustCompile(`^\| ([0-9a-f ]+) \| “(.+?)” \| (.+) \| (.+) \|$`)
)

// rulesOf is every line with a rule in a text of the specification, by its short hash; examples are no rules.
func rulesOf(t *testing.T, text string) map[string]string {
	t.Helper()
	rules, example := map[string]string{}, false
	for line := range strings.Lines(string(read(t, filepath.Join(ocischema.Dir(t), text+".md")))) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "```") {
			example = !example
		}
		if !example && ruleWord.MatchString(line) {
			rules[fmt.Sprintf("%x", sha256.Sum256([]byte(line)))[:6]] = line
		}
	}
	return rules
}

// Every rule of the specification has a row in docs/spec-rules.md, with a test or the reason why there is none.
func TestEveryRuleIsAccountedFor(t *testing.T) {
	tests, err := named.Find("../..")
	if err != nil {
		t.Fatal(err)
	}
	claims := claimedRules(t, tests)
	options := specconv.Features(specconv.FeatureInputs{}).MountOptions
	seen := 0
	for _, text := range texts {
		rules := rulesOf(t, text)
		for hash, line := range rules {
			seen++
			words, claimed := claims[text][hash]
			if m := mountOption.FindStringSubmatch(line); m != nil {
				if !slices.Contains(options, m[1]) {
					t.Errorf("%s.md: %s is no option of rt's", text, m[1])
				}
			} else if !claimed {
				t.Errorf("%s.md: nobody accounts for %s: %s", text, hash, line)
			} else if words != "" && !strings.Contains(line, words) {
				t.Errorf("%s.md: %s is not about “%s”: %s", text, hash, words, line)
			}
		}
		for hash := range claims[text] {
			if rules[hash] == "" {
				t.Errorf("docs/spec-rules.md: %s.md has no rule %s", text, hash)
			}
		}
	}
	if seen < 250 {
		t.Errorf("only %d rules were found", seen)
	}
}

// claimedRules reads docs/spec-rules.md: by text and hash the words that the row quotes, which are its first rule's.
func claimedRules(t *testing.T, tests *named.Tests) map[string]map[string]string {
	t.Helper()
	claims, text := map[string]map[string]string{}, ""
	for line := range strings.Lines(string(read(t, "../../docs/spec-rules.md"))) {
		line = strings.TrimSpace(line)
		if heading, ok := strings.CutPrefix(line, "## "); ok {
			text = strings.TrimSuffix(heading, ".md")
			claims[text] = map[string]string{}
		}
		if text == "" || !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| rules |") || strings.HasPrefix(line, "|---") {
			continue
		}
		m := ruleRow.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("docs/spec-rules.md: not a row: %s", line)
		}
		for i, hash := range strings.Fields(m[1]) {
			if _, twice := claims[text][hash]; twice {
				t.Errorf("docs/spec-rules.md: %s is there twice", hash)
			}
			claims[text][hash] = ""
			if i == 0 {
				claims[text][hash] = m[2]
			}
		}
		checkProof(t, tests, m[1], m[4])
	}
	return claims
}

// checkProof: a row names tests that are there, or says why there is none.
func checkProof(t *testing.T, tests *named.Tests, row, proof string) {
	t.Helper()
	if strings.HasPrefix(proof, "none: ") {
		return
	}
	for i, name := range strings.Split(strings.Trim(proof, "`"), "` `") {
		if err := tests.Check(name); err != nil {
			t.Errorf("docs/spec-rules.md: %s: test %d: %v", row, i+1, err)
		}
	}
}
