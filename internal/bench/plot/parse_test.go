package main

import (
	"slices"
	"strings"
	"testing"
)

const output = `# machine: AMD EPYC, 2 cores, go1.26
# note: busy
goos: linux
BenchmarkSeal/64B/stdlib-2         	  120208	      3900 ns/op	  16.41 MB/s
BenchmarkSeal/1KiB/stdlib-2        	  335428	      4250 ns/op	 240.94 MB/s
BenchmarkSeal/1KiB/age-2           	     369	    784127 ns/op	   1.31 MB/s
BenchmarkGrowth/file/1000000/ls    	       1	        27.27 peak-MiB	         0.01907 s	        19.07 us/name
PASS
`

func TestSeries(t *testing.T) {
	table, err := parse(strings.NewReader(output))
	if caption := table.caption(", in memory"); err != nil || caption != "AMD EPYC, 2 cores, go1.26, in memory; busy" {
		t.Fatalf("%q, %v", caption, err)
	}
	for _, c := range []struct {
		pattern, unit string
		want          []point
	}{
		{"BenchmarkSeal/*/stdlib", "MB/s", []point{{64, 16.41}, {1024, 240.94}}},
		{"BenchmarkSeal/*/age", "MB/s", []point{{1024, 1.31}}},
		{"BenchmarkGrowth/file/*/ls", "s", []point{{1e6, 0.01907}}},
		{"BenchmarkSeal/*/stdlib", "peak-MiB", nil},
	} {
		if got, err := table.series(c.pattern, c.unit); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %v, %v; want %v", c.pattern, c.unit, got, err, c.want)
		}
	}
	if _, err := table.series("BenchmarkSeal/1KiB/*", "MB/s"); err == nil {
		t.Error("the name of a program was accepted as a size")
	}
}
