package main

import (
	"fmt"
	"image/color"
	"math"
	"path/filepath"
	"slices"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A picture has two logarithmic axes.
type picture struct {
	file, title, x, y string
	sizes             bool // x is a number of bytes
	lines             []line
	guides            []line // thin gray lines without points
}

// A line is a series with the name that the legend shows. Its style is the same in all pictures.
type line struct {
	label  string
	style  int
	points []point
}

// The colours are those of Okabe and Ito, which colour-blind people can tell apart.
var styles = []struct {
	color  color.Color
	shape  draw.GlyphDrawer
	dashes []vg.Length
	width  vg.Length
}{
	ours:   {color.RGBA{0, 114, 178, 255}, draw.CircleGlyph{}, nil, 2.5},
	second: {color.RGBA{86, 180, 233, 255}, draw.CircleGlyph{}, []vg.Length{6, 3}, 2.5},
	base:   {color.RGBA{60, 60, 60, 255}, draw.SquareGlyph{}, nil, 1.5},
	age:    {color.RGBA{213, 94, 0, 255}, draw.PyramidGlyph{}, nil, 1.5},
	tink:   {color.RGBA{0, 158, 115, 255}, draw.BoxGlyph{}, nil, 1.5},
	aws:    {color.RGBA{230, 159, 0, 255}, draw.PlusGlyph{}, nil, 1.5},
	rclone: {color.RGBA{204, 121, 167, 255}, draw.CrossGlyph{}, nil, 1.5},
	restic: {color.RGBA{0, 158, 115, 255}, draw.RingGlyph{}, nil, 1.5},
}

const (
	ours = iota
	second
	base
	age
	tink
	aws
	rclone
	restic
)

// draw draws the picture, with the caption as its last line.
func (p picture) draw(dir, caption string) error {
	drawing := plot.New()
	for _, style := range []*text.Style{&drawing.X.Tick.Label, &drawing.Y.Tick.Label, &drawing.Legend.TextStyle} {
		style.Font = sans(11)
	}
	drawing.X.Scale, drawing.Y.Scale = plot.LogScale{}, plot.LogScale{}
	drawing.Add(grid())
	for _, l := range p.guides {
		guide, err := plotter.NewLine(l.xys())
		if err != nil {
			return err
		}
		guide.Color, guide.Dashes = color.Gray{150}, []vg.Length{2, 2}
		drawing.Add(guide)
		drawing.Legend.Add(l.label, guide)
	}
	var all []point
	for _, l := range p.lines {
		if len(l.points) == 0 {
			continue // this program was not installed
		}
		all = append(all, l.points...)
		drawn, points, err := plotter.NewLinePoints(l.xys())
		if err != nil {
			return err
		}
		style := styles[l.style]
		drawn.Color, drawn.Width, drawn.Dashes = style.color, style.width, style.dashes
		points.Color, points.Shape, points.Radius = style.color, style.shape, 3.5
		drawing.Add(drawn, points)
		drawing.Legend.Add(l.label, drawn, points)
	}
	if len(all) == 0 {
		return fmt.Errorf("%s: there are no numbers", p.file)
	}
	lowest, highest := math.Inf(1), 0.0
	for _, point := range all {
		lowest, highest = min(lowest, point.y), max(highest, point.y)
	}
	drawing.Y.Min, drawing.Y.Max = lowest/1.3, highest*1.3
	drawing.Y.Tick.Marker = decimals{}
	drawing.X.Tick.Marker = xTicks(all, p.sizes)
	drawing.Legend.ThumbnailWidth = 28
	drawing.Legend.Padding = 3
	return p.save(drawing, filepath.Join(dir, p.file), caption)
}

func (l line) xys() (points plotter.XYs) {
	for _, p := range l.points {
		points = append(points, plotter.XY{X: p.x, Y: p.y})
	}
	return points
}

func grid() *plotter.Grid {
	g := plotter.NewGrid()
	g.Horizontal.Color, g.Vertical.Color = color.Gray{225}, color.Gray{225}
	return g
}

// xTicks marks each x value that was measured, and labels the last one and those that are not too close to
// the next label.
func xTicks(all []point, sizes bool) (ticks plot.ConstantTicks) {
	var values []float64
	for _, p := range all {
		values = append(values, p.x)
	}
	slices.Sort(values)
	values = slices.Compact(values)
	closest := math.Pow(values[len(values)-1]/values[0], 1.0/8)
	labelled := math.Inf(1)
	for _, x := range slices.Backward(values) {
		tick := plot.Tick{Value: x}
		if x <= labelled/closest {
			labelled, tick.Label = x, thousands(x)
			if sizes {
				tick.Label = size(x)
			}
		}
		ticks = append(ticks, tick)
	}
	return ticks
}

// thousands formats a number with commas.
func thousands(x float64) string {
	digits := strconv.FormatFloat(x, 'f', -1, 64)
	for i := len(digits) - 3; i > 0 && x >= 1000; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// decimals marks 1, 2 and 5 of each decade; of more than three decades, only 1.
type decimals struct{}

func (decimals) Ticks(low, high float64) (ticks []plot.Tick) {
	for n := math.Floor(math.Log10(low)); n <= math.Log10(high); n++ {
		for _, factor := range []float64{1, 2, 5} {
			value := factor * math.Pow(10, n)
			if value < low || value > high || factor > 1 && high/low > 1000 {
				continue
			}
			ticks = append(ticks, plot.Tick{Value: value, Label: thousands(math.Round(value*1e6) / 1e6)})
		}
	}
	return ticks
}
