package result

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apphost/apphost/bench/internal/probe"
)

// Markdown shows the run: its targets, and then each case.
func (r Run) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "`%s`, %s, commit %s: %s, %d cores, Linux %s, %s; %d rounds of %s s; load averages at the start %s.\n",
		r.Command, r.Time.UTC().Format("2006-01-02 15:04 UTC"), r.Commit, r.Machine, r.Cores, r.Kernel, r.Go,
		r.Rounds, number(r.Seconds), r.Load)
	if len(r.Skipped) > 0 {
		b.WriteString("\nLeft out:\n\n")
		for _, s := range r.Skipped {
			fmt.Fprintf(&b, "- %s: %s\n", s.Who, s.Why)
		}
	}
	b.WriteString("\n")
	b.WriteString(r.TargetTable())
	for _, c := range r.Cases {
		b.WriteString("\n")
		b.WriteString(c.Markdown())
	}
	return b.String()
}

// TargetTable has a row for each target of the run.
func (r Run) TargetTable() string {
	var b strings.Builder
	b.WriteString("| case | target | measured | | without all else |\n|---|---|---|---|---|\n")
	for _, c := range r.Cases {
		for _, t := range c.Targets {
			verdict := string(t.Verdict)
			if t.Verdict == Missed {
				verdict = "**missed**"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", c.Name, t.Text(c), t.GotText(c), verdict, t.LimitText())
		}
	}
	return b.String()
}

// Markdown is the case as a heading and a table, the best first.
func (c Case) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "### %s\n\n%s.\n\n", c.Name, c.Title)
	loaded := slices.ContainsFunc(c.Series, func(s Series) bool { return len(s.CPUMicros) > 0 })
	reference, relative := c.reference()
	head, rule := "| | "+c.Unit+" |", "|---|---|"
	column := func(name string) {
		head += " " + name + " |"
		rule += "---|"
	}
	if relative {
		column("× " + reference.Name)
	}
	if loaded {
		column("CPU µs each")
		column("p99 ms")
		column("PSS MiB")
		column("failed")
	}
	b.WriteString(head + "\n" + rule + "\n")
	for _, s := range c.ordered() {
		name := s.Name
		if s.Ours {
			name = "**" + name + "**"
		}
		fmt.Fprintf(&b, "| %s | %s |", name, spread(s.Values))
		if relative {
			fmt.Fprintf(&b, " %.2f |", Ratio(s, reference))
		}
		if loaded {
			fmt.Fprintf(&b, " %.1f | %.1f | %.0f | %d |", probe.Median(slices.Clone(s.CPUMicros)),
				probe.Median(slices.Clone(s.P99Micros))/1000, s.PSSMiB, s.Failed)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// reference is the first series of ours, if there is somebody to compare.
func (c Case) reference() (Series, bool) {
	i := slices.IndexFunc(c.Series, func(s Series) bool { return s.Ours && len(s.Values) > 0 })
	if i < 0 || len(c.Series) < 2 {
		return Series{}, false
	}
	return c.Series[i], true
}

func (c Case) ordered() []Series {
	series := slices.Clone(c.Series)
	slices.SortStableFunc(series, func(a, b Series) int {
		switch x, y := a.Median(), b.Median(); {
		case x == y:
			return 0
		case (x < y) == c.Less:
			return -1
		}
		return 1
	})
	return series
}

func spread(values []float64) string {
	if len(values) == 0 {
		return "-"
	}
	sorted := slices.Sorted(slices.Values(values))
	if len(sorted) == 1 {
		return number(sorted[0])
	}
	return fmt.Sprintf("%s (%s to %s)", number(probe.Median(sorted)), number(sorted[0]), number(sorted[len(sorted)-1]))
}

// The marks between which a page has a run.
const (
	beginMark = "<!-- begin: written by `just bench -publish` -->"
	endMark   = "<!-- end -->"
)

// NothingYet is between them before the first run.
const NothingYet = "\nNo run is published yet: `just bench -publish` writes one here.\n\n"

// Between is the part of a page that is written by a run.
func Between(page string) (string, error) {
	_, rest, begun := strings.Cut(page, beginMark+"\n")
	inside, _, ended := strings.Cut(rest, endMark)
	if !begun || !ended {
		return "", fmt.Errorf("the page lacks the lines %q and %q", beginMark, endMark)
	}
	return inside, nil
}

// Publish returns the page with the run in its place.
func Publish(page string, r Run) (string, error) {
	inside, err := Between(page)
	if err != nil {
		return "", err
	}
	return strings.Replace(page, beginMark+"\n"+inside, beginMark+"\n"+r.Block(), 1), nil
}

// Block is the run as the page has it, with the plot beside it.
func (r Run) Block() string {
	return "\n![Medians and ranges of each case](performance.svg)\n\n" + r.Markdown() + "\n"
}
