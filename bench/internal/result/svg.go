package result

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// The measures of the plot, in pixels.
const (
	plotWidth  = 960
	labelWidth = 300
	barsWidth  = 560
	rowHeight  = 18
	headHeight = 34
)

// SVG is a plot of the run: bars for the medians, lines for the ranges, each case
// on a scale of its own.
func (r Run) SVG() string {
	var b strings.Builder
	y := 10
	for _, c := range r.Cases {
		y += c.draw(&b, y)
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">
<rect width="100%%" height="100%%" fill="#ffffff"/>
%s</svg>
`, plotWidth, y, plotWidth, y, b.String())
}

// draw draws the case from y downwards and returns its height.
func (c Case) draw(b *strings.Builder, y int) int {
	longest := 0.0
	for _, s := range c.Series {
		if len(s.Values) > 0 {
			longest = max(longest, slices.Max(s.Values))
		}
	}
	if longest <= 0 {
		return 0
	}
	better := "more is better"
	if c.Less {
		better = "less is better"
	}
	fmt.Fprintf(b, "<text x=\"10\" y=\"%d\" font-weight=\"bold\">%s</text>\n", y+14,
		html.EscapeString(fmt.Sprintf("%s (%s, %s)", c.Title, c.Unit, better)))
	row := y + 22
	x := func(v float64) float64 { return labelWidth + v/longest*barsWidth }
	for _, s := range c.ordered() {
		if len(s.Values) == 0 {
			continue
		}
		colour := "#9aa5b1"
		if s.Ours {
			colour = "#2f6fde"
		}
		middle, median := row+rowHeight/2, s.Median()
		fmt.Fprintf(b, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>\n", labelWidth-8, middle+4, html.EscapeString(s.Name))
		fmt.Fprintf(b, "<rect x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" fill=\"%s\"/>\n",
			labelWidth, row+2, x(median)-labelWidth, rowHeight-4, colour)
		fmt.Fprintf(b, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#222222\"/>\n",
			x(slices.Min(s.Values)), x(slices.Max(s.Values)), middle, middle)
		fmt.Fprintf(b, "<text x=\"%.1f\" y=\"%d\">%s</text>\n", x(slices.Max(s.Values))+6, middle+4, number(median))
		row += rowHeight
	}
	return row - y + headHeight - 22
}
