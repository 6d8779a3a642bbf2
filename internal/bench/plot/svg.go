package main

import (
	"bytes"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	width, height = 21 * vg.Centimeter, 12 * vg.Centimeter
	margin        = vg.Length(10)
	above, below  = vg.Length(50), vg.Length(38) // for the texts
)

// save writes the axes to an SVG file, with the legend at their right, where it hides no line. The labels of
// the axes are drawn here, because package plot reserves too much space for those of a logarithmic axis.
func (p picture) save(axes *plot.Plot, name, caption string) error {
	legend := axes.Legend
	axes.Legend = plot.NewLegend()
	legend.Left, legend.Top = true, true
	svg := vgsvg.New(width, height)
	canvas := draw.New(svg)
	canvas.SetColor(color.White)
	canvas.Fill(canvas.Path())
	space := legend.Rectangle(canvas).Size().X * 1.15 // the font of the reader may be wider
	axes.Draw(draw.Crop(canvas, margin, -space-2*margin, below, -above))
	legend.Draw(draw.Crop(canvas, width-space-margin, 0, 0, -above))
	write := func(size, x, y vg.Length, align text.XAlignment, shade uint8, words string) {
		style := text.Style{Color: color.Gray{shade}, Font: sans(size), XAlign: align, YAlign: text.YTop, Handler: plot.DefaultTextHandler}
		canvas.FillText(style, vg.Point{X: x, Y: y}, words)
	}
	write(14, margin, height-margin, text.XLeft, 0, p.title)
	write(11, margin, height-margin-20, text.XLeft, 60, p.y)
	write(11, (width-space)/2, below-2, text.XCenter, 60, p.x)
	write(9, margin, 16, text.XLeft, 110, caption)
	var out bytes.Buffer
	if _, err := svg.WriteTo(&out); err != nil {
		return err
	}
	fonts := bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"), []byte("font-family:Liberation Sans,Arial,Helvetica,sans-serif;"))
	return os.WriteFile(name, fonts, 0o644)
}

func sans(size vg.Length) font.Font {
	return font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}
}
