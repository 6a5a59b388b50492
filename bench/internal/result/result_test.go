package result_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apphost/apphost/bench/internal/result"
)

func sample() result.Run {
	r := result.Run{
		Time: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC), Command: "just bench", Commit: "abc",
		Machine: "a machine", Cores: 2, Kernel: "6.18", Go: "go1.26", Load: "0.1 0.1 0.1", Rounds: 3, Seconds: 2,
		Skipped: []result.Skip{{Who: "nginx", Why: "not installed"}},
		Cases: []result.Case{{
			Name: "hello", Title: "Hello & <goodbye>", Unit: "requests/s",
			Series: []result.Series{
				{Name: "us", Ours: true, Values: []float64{100, 50, 200}, CPUMicros: []float64{3, 1, 2}, P99Micros: []float64{1000, 2000, 3000}, PSSMiB: 7},
				{Name: "them", Values: []float64{50, 50, 50}, CPUMicros: []float64{4, 4, 4}, P99Micros: []float64{1000, 1000, 1000}, Failed: 2},
			},
			Targets: []result.Target{
				{Of: "us", Against: "them", Bound: 2},
				{Of: "us", Against: "them", Bound: 2.1, Limit: "them"},
				{Of: "us", Against: "nobody", Bound: 1},
				{Of: "us", Bound: 101},
			},
		}, {
			Name: "size", Title: "Size", Unit: "MiB", Less: true,
			Series:  []result.Series{{Name: "us", Ours: true, Values: []float64{3}}},
			Targets: []result.Target{{Of: "us", Bound: 3}, {Of: "us", Bound: 2.9}},
		}},
	}
	for i := range r.Cases {
		r.Cases[i].Judge()
	}
	return r
}

func TestTargetsAreJudgedByTheMedianOfRounds(t *testing.T) {
	r := sample()
	want := []struct {
		got     float64
		verdict result.Verdict
	}{{2, result.Met}, {2, result.Missed}, {0, result.NotMeasured}, {100, result.Missed}, {3, result.Met}, {3, result.Missed}}
	targets := slices.Concat(r.Cases[0].Targets, r.Cases[1].Targets)
	for i, target := range targets {
		if target.Got != want[i].got || target.Verdict != want[i].verdict {
			t.Errorf("target %d: got %v, %s; want %v, %s", i, target.Got, target.Verdict, want[i].got, want[i].verdict)
		}
	}
}

// A round in which the machine was slow for both changes no ratio.
func TestRatiosAreThoseOfRounds(t *testing.T) {
	a := result.Series{Values: []float64{200, 20, 200}}
	b := result.Series{Values: []float64{100, 10, 100}}
	if got := result.Ratio(a, b); got != 2 {
		t.Errorf("ratio %v, want 2", got)
	}
	if got := result.Ratio(a, result.Series{Values: []float64{0}}); got != 0 {
		t.Errorf("ratio to nothing %v, want 0", got)
	}
}

func TestMarkdown(t *testing.T) {
	golden := filepath.Join("testdata", "run.md")
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := sample().Markdown(); got != string(want) {
		t.Errorf("%s differs; the run gives\n%s", golden, got)
	}
}

func TestThePlotIsWellFormed(t *testing.T) {
	svg := sample().SVG()
	bars := 0
	for d := xml.NewDecoder(strings.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "line" {
			bars++
		}
	}
	if bars != 3 {
		t.Errorf("%d series are drawn, want 3", bars)
	}
	if !strings.Contains(svg, `<rect x="300" y="34" width="280.0"`) {
		t.Errorf("the median 100 of at most 200 is not half as long as the bars may be:\n%s", svg)
	}
}

func TestHistoryGivesBackWhatWasAdded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "history.jsonl")
	for range 2 {
		if err := result.Append(file, sample()); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := result.History(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	if want := []result.Run{sample(), sample()}; !reflect.DeepEqual(runs, want) {
		t.Errorf("read %+v, want %+v", runs, want)
	}
	if _, err := result.History(strings.NewReader("{}\nnot JSON\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("error %v, want one that names line 2", err)
	}
}

func TestAPageIsWrittenBetweenItsMarks(t *testing.T) {
	const before, after = "# Page\n\n<!-- begin: written by `just bench -publish` -->\n", "<!-- end -->\n\nMore.\n"
	page := before + "old\n" + after
	for range 2 { // again over what it wrote
		var err error
		if page, err = result.Publish(page, sample()); err != nil {
			t.Fatal(err)
		}
		if want := before + sample().Block() + after; page != want {
			t.Fatalf("page\n%s\nwant\n%s", page, want)
		}
	}
	if _, err := result.Publish("# Page\n", sample()); err == nil {
		t.Error("published to a page without marks")
	}
}

// TestThePageShowsTheLastPublishedRun holds docs/performance.md to the history, so
// that nobody mends a number by hand.
func TestThePageShowsTheLastPublishedRun(t *testing.T) {
	top := filepath.Join("..", "..", "..")
	page, err := os.ReadFile(filepath.Join(top, "docs", "performance.md"))
	if err != nil {
		t.Fatal(err)
	}
	history, err := os.ReadFile(filepath.Join(top, "bench", "history.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	runs, err := result.History(bytes.NewReader(history))
	if err != nil {
		t.Fatal(err)
	}
	want := result.NothingYet
	plot := ""
	for _, r := range runs {
		if r.Published {
			want, plot = r.Block(), r.SVG()
		}
	}
	got, err := result.Between(string(page))
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("docs/performance.md does not show the last published run of bench/history.jsonl: run just bench -publish. It has\n%s\nwant\n%s", got, want)
	}
	if drawn, err := os.ReadFile(filepath.Join(top, "docs", "performance.svg")); plot != "" && (err != nil || string(drawn) != plot) {
		t.Errorf("docs/performance.svg is not that of the last published run (%v)", err)
	}
}
