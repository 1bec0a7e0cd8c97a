package bench

import (
	"encoding/xml"
	"fmt"
	"strings"
)

// panel is one diagram: a measure of all contenders that have it.
type panel struct{ table, column, title string }

func panels() []panel {
	return []panel{
		{"accepted", perSecond, "Accepted submissions a second, 64 connections"},
		{"carried", perSecond, "Submitted and carried out a second"},
		{"latency", p50, "Submit to final outcome, p50, ms (less is better)"},
		{"latency", p99, "Submit to final outcome, p99, ms (less is better)"},
		{"bulk", items(largeJob), "A million items: items a second"},
		{"costs", "all, µs", "A submission carried out: µs of a core (less is better)"},
		{"polling", perSecond, "Looked at a second, 64 connections"},
		{"scale", perSecond, "Submitted and carried out a second, by workers"},
	}
}

const (
	columnWidth = 480
	labelWidth  = 210
	barWidth    = 190 // the longest, with its spread
	barHeight   = 16
	barGap      = 8
	panelHead   = 36
	margin      = 20
	ours        = "#1f6feb"
	theirs      = "#afb8c1"
	ink         = "#1f2328"
	faint       = "#59636e"
)

// plot draws the panels in two columns: a bar for the median, a whisker for the spread. A row of panels is as
// high as its higher one.
func (r *results) plot() string {
	var shown []panel
	for _, p := range panels() {
		if len(r.bars(p)) > 0 {
			shown = append(shown, p)
		}
	}
	var body strings.Builder
	y := margin
	for i := 0; i < len(shown); i += 2 {
		row := shown[i:min(i+2, len(shown))]
		height := 0
		for column, p := range row {
			bars := r.bars(p)
			drawPanel(&body, margin+column*(columnWidth+margin), y, p.title, bars)
			height = max(height, panelHead+len(bars)*(barHeight+barGap))
		}
		y += height + margin
	}
	width := 2*columnWidth + 3*margin
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" font-family="Helvetica, Arial, sans-serif" font-size="12">
<title>Rescind beside its contenders</title>
<rect width="%[1]d" height="%[2]d" fill="#ffffff"/>
%[3]s</svg>
`, width, y, body.String())
}

// bar is one contender's.
type bar struct {
	label string
	spread
}

func (r *results) bars(p panel) (all []bar) {
	for _, t := range r.tables {
		for _, row := range t.rows {
			if values := r.values(p.table, row, p.column); t.name == p.table && len(values) > 0 {
				all = append(all, bar{row, spreadOf(values)})
			}
		}
	}
	return all
}

func drawPanel(out *strings.Builder, x, y int, title string, bars []bar) {
	fmt.Fprintf(out, `<text x="%d" y="%d" font-size="14" font-weight="bold" fill="%s">%s</text>`+"\n", x, y+14, ink, escaped(title))
	var most float64
	for _, b := range bars {
		most = max(most, b.most)
	}
	left := x + labelWidth
	at := func(value float64) float64 { return float64(left) + barWidth*value/most }
	y += panelHead - barGap
	for _, b := range bars {
		colour := theirs
		if strings.HasPrefix(b.label, rescind) {
			colour = ours
		}
		middle := float64(y) + barHeight/2.0
		fmt.Fprintf(out, `<text x="%d" y="%.1f" text-anchor="end" fill="%s">%s</text>`+"\n", left-8, middle+4, ink, escaped(b.label))
		fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="%d" rx="2" fill="%s"/>`+"\n", left, y, at(b.median)-float64(left), barHeight, colour)
		if b.most > b.least {
			fmt.Fprintf(out, `<path d="M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8" stroke="%s" fill="none"/>`+"\n",
				at(b.least), middle, at(b.most), at(b.least), middle-4, at(b.most), middle-4, ink)
		}
		fmt.Fprintf(out, `<text x="%.1f" y="%.1f" fill="%s">%s</text>`+"\n", at(b.most)+8, middle+4, faint, number(b.median))
		y += barHeight + barGap
	}
}

func escaped(text string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(text)) // a Builder takes everything
	return out.String()
}
