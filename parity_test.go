package repo_test

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const parityFile = "docs/parity.md"

// parityItems are the behaviours of the classic model that docs/parity.md
// answers for: each prefix with its numbers, the last one included.
var parityItems = []struct {
	prefix   string
	from, to int
}{
	{"A", 1, 28},
	{"B", 1, 22},
	{"B", 30, 37},
	{"C", 1, 11},
	{"D", 1, 20},
	{"E", 1, 7},
	{"F", 1, 10},
	{"G-", 1, 13},
	{"H", 1, 5},
	{"I", 1, 18},
	{"J", 1, 3},
	{"K", 1, 7},
	{"L", 1, 8},
	{"M", 1, 3},
	{"N", 1, 7},
	{"O", 1, 5},
	{"P", 1, 5},
	{"Q", 1, 1},
	{"R", 1, 7},
	{"T", 1, 4},
	{"W", 1, 18},
	{"X", 1, 20},
}

func parityIDs() []string {
	var ids []string
	for _, item := range parityItems {
		for n := item.from; n <= item.to; n++ {
			ids = append(ids, item.prefix+strconv.Itoa(n))
		}
	}
	return ids
}

// parityStates are what a row can say. A claim needs a test.
var parityStates = []struct {
	name  string
	claim bool
}{{"done", true}, {"differently", true}, {"not applicable", false}, {"open", false}}

const (
	parityHeader = "| id | behaviour | state | how | test |"
	// noTest starts the reason why a claim has none.
	noTest = "no test: "
	// noName stands in the test column of a row without a test.
	noName = "–"
)

// checkParity holds docs/parity.md to its word: each item has one row in its
// place, each claim a test that exists or a reason why none makes sense, and
// the counts at the top are those of the rows.
func checkParity(tr *tree) []string {
	text, ok := tr.text(parityFile)
	if !ok {
		return []string{parityFile + ": missing: write it"}
	}
	var faults, found []string
	counts, tests := map[string]int{}, tr.testNames()
	inside := false
	for _, l := range lines(parityFile, text) {
		if l.text == parityHeader {
			inside = true
			continue
		}
		inside = inside && strings.HasPrefix(l.text, "|")
		if !inside || strings.Trim(l.text, "|-") == "" {
			continue
		}
		cells := tableCells(l.text)
		if len(cells) != 5 {
			faults = append(faults, fmt.Sprintf("%s: a row has five cells, this one has %d", l.pos, len(cells)))
			continue
		}
		found = append(found, cells[0])
		counts[cells[2]]++
		for _, problem := range parityRow(cells, tests) {
			faults = append(faults, fmt.Sprintf("%s: %s: %s", l.pos, cells[0], problem))
		}
	}
	faults = append(faults, parityOrder(found)...)
	return append(faults, parityCounts(text, counts)...)
}

// tableCells splits a row of a Markdown table.
func tableCells(row string) []string {
	cells := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

var parityTests = regexp.MustCompile("^`\\w+`(, `\\w+`)*$")

// parityRow returns what is wrong with a row by itself.
func parityRow(cells []string, tests map[string]bool) []string {
	behaviour, state, how, shown := cells[1], cells[2], cells[3], cells[4]
	var problems []string
	if behaviour == "" || how == "" {
		problems = append(problems, "say what the behaviour is and how it is here")
	}
	claim, known := false, false
	for _, s := range parityStates {
		if s.name == state {
			claim, known = s.claim, true
		}
	}
	if !known {
		problems = append(problems, fmt.Sprintf("there is no state %q", state))
	}
	if shown == noName {
		_, reason, _ := strings.Cut(how, noTest)
		if claim && reason == "" {
			problems = append(problems, fmt.Sprintf("%q without a test: name one, or write %q and why none makes sense", state, noTest))
		}
		return problems
	}
	if !parityTests.MatchString(shown) {
		return append(problems, fmt.Sprintf("the last cell is a list of tests in code spans, or %s", noName))
	}
	for _, m := range codeSpan.FindAllStringSubmatch(shown, -1) {
		if !testToken.MatchString(m[1]) || !tests[m[1]] {
			problems = append(problems, "there is no test "+m[1]+": name the one that shows this")
		}
	}
	return problems
}

// parityOrder wants every item once, in order.
func parityOrder(found []string) []string {
	var faults []string
	ids := parityIDs()
	for i, id := range found {
		switch {
		case !slices.Contains(ids, id):
			faults = append(faults, fmt.Sprintf("%s: there is no item %s", parityFile, id))
		case slices.Contains(found[:i], id):
			faults = append(faults, fmt.Sprintf("%s: item %s has two rows: keep one", parityFile, id))
		case i > 0 && slices.Index(ids, id) < slices.Index(ids, found[i-1]):
			faults = append(faults, fmt.Sprintf("%s: item %s is after %s: put it in its place", parityFile, id, found[i-1]))
		}
	}
	for _, id := range ids {
		if !slices.Contains(found, id) {
			faults = append(faults, fmt.Sprintf("%s: item %s has no row: add it", parityFile, id))
		}
	}
	return faults
}

// parityCounts wants the table at the top to have the right number of rows
// for each state.
func parityCounts(text string, counts map[string]int) []string {
	var faults []string
	for _, s := range parityStates {
		if want := fmt.Sprintf("\n| `%s` | %d |", s.name, counts[s.name]); !strings.Contains(text, want) {
			faults = append(faults, fmt.Sprintf("%s: %d rows are %q: write that at the top", parityFile, counts[s.name], s.name))
		}
	}
	return faults
}

// TestParityRuleBites breaks a good list in each way once.
func TestParityRuleBites(t *testing.T) {
	var good strings.Builder
	fmt.Fprintf(&good, "| state | rows |\n|---|---|\n| `done` | %d |\n| `differently` | 1 |\n| `not applicable` | 0 |\n| `open` | 0 |\n\n%s\n|---|---|---|---|---|\n", len(parityIDs())-1, parityHeader)
	for _, id := range parityIDs() {
		if id == "A2" {
			good.WriteString("| A2 | b | differently | no test: it cannot be | – |\n")
			continue
		}
		fmt.Fprintf(&good, "| %s | b | done | h | `TestThere`, `FuzzThere` |\n", id)
	}
	const a1, a2 = "| A1 | b | done | h | `TestThere`, `FuzzThere` |\n", "| A2 | b | differently | no test: it cannot be | – |\n"
	for _, tt := range []struct{ name, old, changed, want string }{
		{"good", "", "", ""},
		{"missing item", "| Q1 | b | done | h | `TestThere`, `FuzzThere` |\n", "", "item Q1 has no row"},
		{"item twice", a1, a1 + a1, "item A1 has two rows"},
		{"unknown item", "| A1 |", "| A0 |", "there is no item A0"},
		{"item out of order", a1 + a2, a2 + a1, "item A1 is after A2"},
		{"unknown state", "| A2 | b | differently |", "| A2 | b | nearly |", `there is no state "nearly"`},
		{"no test", a1, "| A1 | b | done | h | – |\n", `A1: "done" without a test`},
		{"no reason", "no test: it cannot be", "no test: ", `A2: "differently" without a test`},
		{"test that is gone", "A1 | b | done | h | `TestThere`", "A1 | b | done | h | `TestGone`", "there is no test TestGone"},
		{"no test's name", "A1 | b | done | h | `TestThere`, `FuzzThere`", "A1 | b | done | h | see there", "list of tests"},
		{"empty cell", "A1 | b | done | h |", "A1 | b | done | |", "say what"},
		{"cell too many", "A1 | b |", "A1 | b | c |", "five cells, this one has 6"},
		{"wrong count", "| `open` | 0 |", "| `open` | 1 |", `0 rows are "open"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(good.String(), tt.old, tt.changed, 1)
			faults := checkParity(sample(t, map[string]string{
				parityFile: text, "p/p_test.go": "package p\nfunc TestThere() {}\nfunc FuzzThere() {}",
			}, nil))
			if tt.want == "" && len(faults) > 0 {
				t.Fatalf("unexpected faults: %q", faults)
			}
			if !slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, tt.want) }) && tt.want != "" {
				t.Errorf("no fault with %q, got %q", tt.want, faults)
			}
		})
	}
}
