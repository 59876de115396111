package named

import "testing"

func TestFind(t *testing.T) {
	all, err := Find("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, there := range map[string]bool{
		"named.TestFind": true, "integration.TestTmpfs": true, "integration.TestNoSuchThing": false, "nowhere.TestTmpfs": false,
		"named.Find": false, "house.TestFunctionsAreShort": true, "integration.TestRunStdio/stdin": true, "integration.TestRunStdio/stdon": false,
	} {
		if err := all.Check(name); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
	if dir := all.Dir("named.TestFind"); dir != "tests/internal/named" {
		t.Errorf("it is in %q", dir)
	}
}

func TestSpeaksOf(t *testing.T) {
	all, err := Find("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		test, identifier, word string
		want                   bool
	}{
		{"integration.TestIDMaps", "UIDMappings", "", true},
		{"integration.TestAllNamespacesNew", "UIDMappings", "", true}, // through the test kit's MapIDs
		{"integration.TestTmpfs", "", "tmpcopyup", true},
		{"integration.TestTmpfs", "", "tmpcopy", false},
		{"integration.TestTmpfs", "Hostname", "", false}, // every bundle has one
		{"integration.TestPersonality", "PerLinux32", "", true},
	} {
		var words []string
		if c.word != "" {
			words = []string{c.word}
		}
		if got := all.SpeaksOf(c.test, []string{c.identifier}, words); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
