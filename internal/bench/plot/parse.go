package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// A table is the output of go test -bench.
type table struct {
	machine string // from the line "# machine: …"
	note    string // from the line "# note: …"
	rows    []row
}

// A row is one benchmark: the parts of its name, and its values by unit.
type row struct {
	name   []string
	values map[string]float64
}

var processors = regexp.MustCompile(`-\d+$`)

// read reads a file that make figures wrote.
func read(dir, name string) (table, error) {
	file, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return table{}, err
	}
	defer file.Close()
	t, err := parse(file)
	if err == nil && len(t.rows) == 0 {
		err = fmt.Errorf("no benchmarks: run make figures")
	}
	if err != nil {
		return table{}, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

func parse(r io.Reader) (t table, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		if machine, ok := strings.CutPrefix(line, "# machine: "); ok {
			t.machine = machine
		} else if note, ok := strings.CutPrefix(line, "# note: "); ok {
			t.note = note
		}
		fields := strings.Fields(line)
		if !strings.HasPrefix(line, "Benchmark") || len(fields) < 4 {
			continue
		}
		one := row{strings.Split(processors.ReplaceAllString(fields[0], ""), "/"), map[string]float64{}}
		for i := 2; i+1 < len(fields); i += 2 {
			if one.values[fields[i+1]], err = strconv.ParseFloat(fields[i], 64); err != nil {
				return table{}, err
			}
		}
		t.rows = append(t.rows, one)
	}
	return t, lines.Err()
}

// caption returns the last line of a picture.
func (t table) caption(setting string) string {
	caption := t.machine + setting
	if t.note != "" {
		caption += "; " + t.note
	}
	return caption
}

// A point is a position in a picture.
type point struct{ x, y float64 }

// series returns a point for each row whose name matches the pattern, with the value of a unit. A part * of
// the pattern is the x value: a number, or a size such as 64KiB.
func (t table) series(pattern, unit string) (points []point, err error) {
	want := strings.Split(pattern, "/")
rows:
	for _, one := range t.rows {
		y, ok := one.values[unit]
		if !ok || len(one.name) != len(want) {
			continue
		}
		x := 0.0
		for i, part := range one.name {
			if want[i] == "*" {
				if x, err = number(part); err != nil {
					return nil, err
				}
			} else if want[i] != part {
				continue rows
			}
		}
		points = append(points, point{x, y})
	}
	return points, nil
}

var units = []struct {
	suffix string
	bytes  float64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// number parses a number or a size.
func number(text string) (float64, error) {
	factor := 1.0
	for _, u := range units {
		if rest, ok := strings.CutSuffix(text, u.suffix); ok {
			text, factor = rest, u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	return n * factor, err
}

// size formats a number of bytes.
func size(n float64) string {
	for _, u := range units {
		if n >= u.bytes {
			return fmt.Sprintf("%g %s", n/u.bytes, u.suffix)
		}
	}
	return "0 B"
}
