package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

//go:embed chart.svg.tmpl
var chartText string

var chartTemplate = template.Must(template.New("chart").Parse(chartText))

// chart is the picture in the template's words; all numbers but the shown ones are pixels.
type chart struct {
	Width, Height int
	Bars          []bar
	Base          float64 // where the bars stand
	Lines         []tick  // across the bars: ratios
	Rows          []row
	Ticks         []tick // below the rows: milliseconds
	Machine, Run  string
}

// bar is a ratio to a yardstick.
type bar struct {
	X, Y, Height   float64
	Value          string // the ratio
	Label, Rate    string
	Wanted         string  // "≥ 0.7"; empty: nothing
	LimitY, TextY  float64 // of the limit's mark and of the value
	Missed, Second bool    // Second: its yardstick is another
}

// row is one pair of quantiles on a scale of powers of ten, or a heading above such.
type row struct {
	Heading, Label string
	Y, P50, P99    float64
	Text50, Text99 string
}

type tick struct {
	At   float64
	Text string
}

// Where the panels are.
const (
	barsLeft, barPitch, barsTop, barsBase = 48.0, 58.0, 96.0, 372.0
	rowsLeft, rowsRight, rowsTop, rowStep = 580.0, 850.0, 88.0, 20.0
)

// picture is an SVG of what has been measured, a step at least; what has not is left out.
func (r *results) picture() ([]byte, error) {
	c := chart{Width: 900, Height: 470, Base: barsBase, Machine: r.Machine.String()}
	r.bars(&c)
	r.rows(&c)
	latest := slices.MaxFunc(r.Steps, func(a, b stepResult) int { return a.Date.Compare(b.Date) })
	c.Run = "make bench, " + latest.Date.Format("2 January 2006")
	var svg bytes.Buffer
	if err := chartTemplate.Execute(&svg, c); err != nil {
		return nil, fmt.Errorf("draw the picture: %w", err)
	}
	return svg.Bytes(), nil
}

// bars shows webhooks a second as ratios to what the database does alone.
func (r *results) bars(c *chart) {
	type source struct{ step, what, label string }
	var sources []source
	for _, at := range inboundAt {
		sources = append(sources, source{"inbound", connections(at.connections), strconv.Itoa(at.connections)})
	}
	sources = append(sources, source{"embedded", connections(embeddedAt), strconv.Itoa(embeddedAt)})
	highest := 1.5
	for _, s := range sources {
		if f, ok := r.value(s.step, s.what+": ratio"); ok {
			highest = max(highest, f.Value, f.limit())
		}
	}
	y := func(ratio float64) float64 { return barsBase - ratio/(highest*1.08)*(barsBase-barsTop) }
	for ratio := 0.0; ratio <= highest; ratio += 0.5 {
		c.Lines = append(c.Lines, tick{y(ratio), strconv.FormatFloat(ratio, 'f', 1, 64)})
	}
	for i, s := range sources {
		ratio, ok := r.value(s.step, s.what+": ratio")
		if !ok {
			continue
		}
		rate, _ := r.value(s.step, s.what+": webhooks")
		b := bar{
			X: barsLeft + barPitch*float64(i), Y: y(ratio.Value), Height: barsBase - y(ratio.Value), Value: strconv.FormatFloat(ratio.Value, 'f', 2, 64),
			Label: s.label, Rate: thousands(rate.Value) + "/s", Wanted: ratio.Wanted, LimitY: y(ratio.limit()), Missed: !ratio.Met, Second: s.step == "embedded",
		}
		if b.Second {
			b.X += 14
		}
		b.TextY = b.Y - 6
		if b.Wanted != "" && b.LimitY > b.TextY-14 && b.LimitY < b.TextY+4 { // not across the mark
			b.TextY = b.LimitY - 6
		}
		c.Bars = append(c.Bars, b)
	}
}

// rows shows the quantiles of how long things take.
func (r *results) rows(c *chart) {
	type source struct{ label, step, name string }
	groups := []struct {
		heading string
		of      []source
	}{{heading: "Webhook answered"}, {heading: "Reply at the messenger"}, {heading: "Message on the agent's page"}}
	for _, at := range inboundAt {
		label := connections(at.connections)
		groups[0].of = append(groups[0].of, source{label, "inbound", label + ": answer"})
	}
	for _, at := range busyAt {
		label := fmt.Sprint(at.chats, " busy chats")
		groups[1].of = append(groups[1].of, source{label, "latency", label + ": reply to messenger"})
		groups[2].of = append(groups[2].of, source{label, "latency", label + ": message to the agent's event stream"})
	}
	// The axis goes on as far as the slowest.
	const from = 0.1
	decades := 4.0
	for _, g := range groups {
		for _, s := range g.of {
			if slowest, ok := r.value(s.step, s.name+", p99"); ok {
				decades = max(decades, math.Ceil(math.Log10(slowest.Value/from)))
			}
		}
	}
	x := func(ms float64) float64 {
		return rowsLeft + (rowsRight-rowsLeft)*max(0, min(1, math.Log10(ms/from)/decades))
	}
	y := rowsTop
	for _, g := range groups {
		var measured []row
		for _, s := range g.of {
			p50, ok50 := r.value(s.step, s.name+", p50")
			p99, ok99 := r.value(s.step, s.name+", p99")
			if ok50 && ok99 {
				measured = append(measured, row{
					Label: s.label, Y: y + rowStep*float64(len(measured)+1), P50: x(p50.Value), P99: x(p99.Value), Text50: brief(p50.Value), Text99: brief(p99.Value),
				})
			}
		}
		if len(measured) > 0 {
			c.Rows = append(append(c.Rows, row{Heading: g.heading, Y: y}), measured...)
			y = measured[len(measured)-1].Y + rowStep*1.3
		}
	}
	for exponent := range int(decades) + 1 {
		ms := from * math.Pow10(exponent)
		text := strconv.FormatFloat(ms, 'g', 4, 64) + " ms"
		if ms >= 1000 {
			text = strconv.FormatFloat(ms/1000, 'g', 4, 64) + " s"
		}
		c.Ticks = append(c.Ticks, tick{x(ms), text})
	}
}

// brief is a number in two or three digits.
func brief(x float64) string {
	if x >= 10 {
		return strconv.FormatFloat(x, 'f', 0, 64)
	}
	return strconv.FormatFloat(x, 'f', 1, 64)
}

// thousands is a whole number with commas.
func thousands(x float64) string {
	s := strconv.FormatFloat(x, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// limit is the number in what is wanted; 0: there is none.
func (f figure) limit() float64 {
	x, _ := strconv.ParseFloat(strings.TrimLeft(f.Wanted, "≥< "), 64)
	return x
}
