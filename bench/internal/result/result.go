// Package result is what a run of the benchmarks has found: numbers, what they
// are held against, and how they are shown. It measures nothing.
package result

import (
	"fmt"
	"slices"
	"time"

	"github.com/apphost/apphost/bench/internal/probe"
)

// Run is one run of the benchmarks on one machine.
type Run struct {
	Time      time.Time `json:"time"`
	Command   string    `json:"command"`
	Commit    string    `json:"commit"`
	Machine   string    `json:"machine"`
	Cores     int       `json:"cores"`
	Kernel    string    `json:"kernel"`
	Go        string    `json:"go"`
	Load      string    `json:"load"` // the load averages at the start
	Rounds    int       `json:"rounds"`
	Seconds   float64   `json:"seconds"` // of each round
	Published bool      `json:"published,omitempty"`
	Skipped   []Skip    `json:"skipped,omitempty"`
	Cases     []Case    `json:"cases"`
}

// Skip is somebody who did not take part.
type Skip struct {
	Who string `json:"who"`
	Why string `json:"why"`
}

// Case is one comparison.
type Case struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Unit    string   `json:"unit"`
	Less    bool     `json:"less,omitempty"` // less is better
	Series  []Series `json:"series"`
	Targets []Target `json:"targets,omitempty"`
}

// Series is one of those compared in a case, with a value for each round.
type Series struct {
	Name      string    `json:"name"`
	Ours      bool      `json:"ours,omitempty"`
	Values    []float64 `json:"values"`
	CPUMicros []float64 `json:"cpu_us,omitempty"` // of all its processes for one request
	P99Micros []float64 `json:"p99_us,omitempty"`
	PSSMiB    float64   `json:"pss_mib,omitempty"` // of all its processes
	Failed    int       `json:"failed,omitempty"`
}

// Target is what Of should reach: in proportion to Against, round by round, or
// by itself if that is "". It is the least, or, where less is better, the most.
type Target struct {
	Of      string  `json:"of"`
	Against string  `json:"against,omitempty"`
	Bound   float64 `json:"bound"`
	Got     float64 `json:"got"`
	Verdict Verdict `json:"verdict"`
	// Limit is one that serves as Of does, without guests, limits or looking after
	// anything, and LimitGot what that one got of the target: not much more is to be had
	// in that way. "" is none.
	Limit    string  `json:"limit,omitempty"`
	LimitGot float64 `json:"limit_got,omitempty"`
}

// Verdict is what became of a target.
type Verdict string

// The verdicts.
const (
	Met         Verdict = "met"
	Missed      Verdict = "missed"
	NotMeasured Verdict = "not measured"
)

// Median is the middle one of the rounds.
func (s Series) Median() float64 { return probe.Median(slices.Clone(s.Values)) }

// Find is the series of a name.
func (c Case) Find(name string) (Series, bool) {
	i := slices.IndexFunc(c.Series, func(s Series) bool { return s.Name == name })
	if i < 0 || len(c.Series[i].Values) == 0 {
		return Series{}, false
	}
	return c.Series[i], true
}

// Ratio is the median of a ÷ b over the rounds, so that what slows down both of a
// round leaves it as it is. It is 0 if there is no round with both.
func Ratio(a, b Series) float64 {
	var ratios []float64
	for round := range min(len(a.Values), len(b.Values)) {
		if b.Values[round] > 0 {
			ratios = append(ratios, a.Values[round]/b.Values[round])
		}
	}
	return probe.Median(ratios)
}

// Judge fills in what each target got.
func (c *Case) Judge() {
	for i := range c.Targets {
		t := &c.Targets[i]
		t.Got, t.LimitGot, t.Verdict = 0, 0, NotMeasured
		of, ok := c.Find(t.Of)
		if !ok {
			continue
		}
		t.Got = of.Median()
		if t.Against != "" {
			against, ok := c.Find(t.Against)
			if !ok {
				t.Got = 0
				continue
			}
			t.Got = Ratio(of, against)
			if limit, ok := c.Find(t.Limit); ok {
				t.LimitGot = Ratio(limit, against)
			}
		}
		t.Verdict = Missed
		if t.Got > 0 && (c.Less && t.Got <= t.Bound || !c.Less && t.Got >= t.Bound) {
			t.Verdict = Met
		}
	}
}

// Text says what the target is.
func (t Target) Text(c Case) string {
	sign := "≥"
	if c.Less {
		sign = "≤"
	}
	if t.Against == "" {
		return fmt.Sprintf("%s %s %s %s", t.Of, sign, number(t.Bound), c.Unit)
	}
	return fmt.Sprintf("%s %s %s × %s", t.Of, sign, number(t.Bound), t.Against)
}

// GotText says what it got.
func (t Target) GotText(c Case) string {
	switch {
	case t.Verdict == NotMeasured:
		return "-"
	case t.Against == "":
		return number(t.Got) + " " + c.Unit
	}
	return fmt.Sprintf("%.3f ×", t.Got) // a bound may be 1.01
}

// LimitText says what the limit got.
func (t Target) LimitText() string {
	if t.LimitGot == 0 {
		return ""
	}
	return fmt.Sprintf("%s: %.2f ×", t.Limit, t.LimitGot)
}

// number shows three digits and no more precision than that.
func number(v float64) string {
	switch {
	case v >= 10000:
		return fmt.Sprintf("%.1fk", v/1000)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}
