package nsenter

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cEnum reads an enum of a C file, the part in braces after head, as names and values.
func cEnum(t *testing.T, file, head string) (names []string, values map[string]uint64) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, body, ok := strings.Cut(string(text), head)
	body, _, closed := strings.Cut(body, "}")
	if !ok || !closed {
		t.Fatalf("%s has no %q", file, head)
	}
	body = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(body, "")
	values = map[string]uint64{}
	next := uint64(0)
	for item := range strings.SplitSeq(body, ",") {
		name, value, given := strings.Cut(strings.TrimSpace(item), "=")
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if given {
			if next, err = strconv.ParseUint(strings.TrimSpace(value), 0, 64); err != nil {
				t.Fatal(err)
			}
		}
		names, values[name] = append(names, name), next
		next++
	}
	return names, values
}

func TestOperationsAreThoseOfTheStage(t *testing.T) {
	text, err := os.ReadFile("stage.h")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "#define OPERATIONS(X)")
	list, _, _ = strings.Cut(list, "\n\n")
	var names []string
	for _, m := range regexp.MustCompile(`X\((\w+)\)`).FindAllStringSubmatch(list, -1) {
		names = append(names, m[1])
	}
	if diff := cmp.Diff(opNames[:], names); diff != "" {
		t.Errorf("Go (-) and C (+) differ:\n%s", diff)
	}
	if got := Op(200).String(); got != "op 200" {
		t.Errorf("an unknown operation prints as %q", got)
	}
}

// numbersAgree compares an enum with the Go constants of the same meaning.
func numbersAgree(t *testing.T, file, head string, want map[string]uint64) {
	t.Helper()
	_, values := cEnum(t, file, head)
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("%s: Go (-) and C (+) differ:\n%s", head, diff)
	}
}

func TestNumbersAreThoseOfTheStage(t *testing.T) {
	numbersAgree(t, "stage.h", "enum message_type {", map[string]uint64{
		"MSG_PLAN": uint64(MsgPlan), "MSG_FDS": uint64(MsgFDs), "MSG_CONTINUE": uint64(MsgContinue), "MSG_GO": uint64(MsgGo), "MSG_PARK": uint64(MsgPark),
		"MSG_BORN": uint64(MsgBorn), "MSG_ASK": uint64(MsgAsk), "MSG_READY": uint64(MsgReady), "MSG_TRACE": uint64(MsgTrace), "MSG_ERROR": uint64(MsgError),
	})
	numbersAgree(t, "stage.h", "enum slot {", map[string]uint64{
		"SLOT_ROOT": uint64(SlotRoot), "SLOT_PROC": uint64(SlotProc), "SLOT_EMPTY": uint64(SlotEmpty), "SLOT_NULL": uint64(SlotNull),
		"SLOT_LISTEN": uint64(SlotListen), "SLOT_HOOK_STATE": uint64(SlotHookState), "SLOT_HOOK_OUTPUT": uint64(SlotHookOutput),
		"SLOT_PASSWD": uint64(SlotPasswd), "SLOT_LAST": uint64(SlotLast), "SLOT_COUNT": uint64(SlotLast) + 1,
	})
	numbersAgree(t, "stage.h", "enum {", map[string]uint64{"MAX_NUM": 8, "MAX_TEXT": 6, "MAX_FDS": MaxFDs, "MESSAGE_TEXT": messageText})
	numbersAgree(t, "mount.c", "/* n[1] of OP_MOUNT and OP_TREE */\nenum {", map[string]uint64{
		"COPY_UP": CopyUp, "INHERIT_MODE": InheritMode, "REAL_DIRECTORY": RealDirectory, "ON_PROC": OnProc, "LEGACY": Legacy,
	})
}

func TestQuestionsHaveWords(t *testing.T) {
	seen := map[string]bool{}
	for q := AskNothing; q <= AskIntelRdt; q++ {
		if w := q.String(); w == "" || seen[w] {
			t.Errorf("question %d is %q", q, w)
		} else {
			seen[w] = true
		}
	}
}
