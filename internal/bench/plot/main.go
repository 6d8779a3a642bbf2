// Plot draws the pictures of docs/performance.md from the numbers that make figures wrote:
//
//	plot DIR
//
// DIR contains the output of go test -bench, and receives the SVG files. Plot is a module of its own, so
// that objectvault does not depend on a plotting library. Run it with make plots.
package main

import (
	"fmt"
	"os"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: plot DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// run draws all pictures.
func run(dir string) error {
	for _, draw := range []func(dir string) error{drawSealing, drawProcesses, drawMemory, drawGrowth} {
		if err := draw(dir); err != nil {
			return err
		}
	}
	return nil
}

// A source is a line that is read from a table.
type source struct {
	label, pattern, unit string
	style                int
}

func (t table) lines(sources ...source) (lines []line, err error) {
	for _, s := range sources {
		points, err := t.series(s.pattern, s.unit)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line{s.label, s.style, points})
	}
	return lines, nil
}

func drawSealing(dir string) error {
	t, err := read(dir, "seal.txt")
	if err != nil {
		return err
	}
	for _, op := range []struct{ benchmark, file, title string }{
		{"BenchmarkSeal", "seal.svg", "Sealing in memory"}, {"BenchmarkOpen", "open.svg", "Opening in memory"},
	} {
		lines, err := t.lines(
			source{"objectvault, all cores", op.benchmark + "/*/objectvault", "ns/op", ours},
			source{"AES-GCM of Go, one core", op.benchmark + "/*/stdlib", "ns/op", base},
			source{"Tink streaming", op.benchmark + "/*/tink", "ns/op", tink},
			source{"age library", op.benchmark + "/*/age", "ns/op", age},
		)
		if err != nil {
			return err
		}
		for _, l := range lines {
			for i, p := range l.points {
				l.points[i].y = p.x / p.y * 1e3 // the MB/s in the file are rounded
			}
		}
		if err := (picture{op.file, op.title, "size of the value", "MB/s (more is faster)", true, lines, nil}).draw(dir, t.caption("")); err != nil {
			return err
		}
	}
	return nil
}

func drawProcesses(dir string) error {
	t, err := read(dir, "peers.txt")
	if err != nil {
		return err
	}
	for _, op := range []struct{ name, title string }{{"put", "Putting a file into S3"}, {"get", "Getting a file from S3"}} {
		at := "BenchmarkPeers/*/" + op.name
		lines, err := t.lines(
			source{"vault", at, "vault-wall-ratio", ours},
			source{"vault, crc32", at, "crc32-wall-ratio", second},
			source{"age | SDK", at, "age-wall-ratio", age},
			source{"aws (plaintext)", at, "aws-wall-ratio", aws},
			source{"rclone crypt", at, "rclone-wall-ratio", rclone},
			source{"restic", at, "restic-wall-ratio", restic},
		)
		if err != nil {
			return err
		}
		sdk := line{"SDK (plaintext)", base, nil}
		for _, p := range lines[0].points {
			sdk.points = append(sdk.points, point{p.x, 1})
		}
		lines = append(lines, sdk)
		if err := (picture{op.name + ".svg", op.title + ", one process for each operation", "size of the file", "time, as a multiple of the SDK's", true, lines, nil}).draw(dir, t.caption(", versitygw on the same machine")); err != nil {
			return err
		}
	}
	return nil
}

func drawMemory(dir string) error {
	t, err := read(dir, "memory.txt")
	if err != nil {
		return err
	}
	peers, err := read(dir, "peers.txt")
	if err != nil {
		return err
	}
	lines, err := t.lines(
		source{"vault put, file://", "BenchmarkMemory/put/*", "peak-MiB", ours},
		source{"vault get, file://", "BenchmarkMemory/get/*", "peak-MiB", second},
	)
	if err != nil {
		return err
	}
	others, err := peers.lines(
		source{"vault put, s3://", "BenchmarkPeers/*/put", "vault-MiB", tink},
		source{"SDK put, S3", "BenchmarkPeers/*/put", "raw-MiB", base},
		source{"age | SDK put, S3", "BenchmarkPeers/*/put", "age-MiB", age},
		source{"rclone crypt put, S3", "BenchmarkPeers/*/put", "rclone-MiB", rclone},
	)
	if err != nil {
		return err
	}
	return picture{"memory.svg", "Peak memory of a process", "size of the value", "MiB", true, append(lines, others...), nil}.draw(dir, t.caption(""))
}

func drawGrowth(dir string) error {
	t, err := read(dir, "growth.txt")
	if err != nil {
		return err
	}
	lines, err := t.lines(
		source{"list, file://", "BenchmarkGrowth/file/*/list", "s", ours},
		source{"vault ls, file://", "BenchmarkGrowth/file/*/ls", "s", second},
		source{"list, mem://", "BenchmarkGrowth/mem/*/list", "s", base},
		source{"teardown, file://", "BenchmarkGrowth/file/*/teardown", "s", age},
		source{"teardown, mem://", "BenchmarkGrowth/mem/*/teardown", "s", rclone},
	)
	if err != nil {
		return err
	}
	var guides []line
	if first := lines[0].points; len(first) > 1 {
		start, end := first[0], first[len(first)-1]
		guides = []line{{"linear", base, []point{start, {end.x, start.y * end.x / start.x}}}}
	}
	return picture{"list.svg", "Listing and removing all names of a tenant", "number of names", "seconds", false, lines, guides}.draw(dir, t.caption(", file system in memory"))
}
