package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// test runs go test commands, and writes the duration of each package in each command. A test that
// passed in one command with all its subtests does not run again in later commands with the same
// packages. Because go test -skip matches only names, and different packages have tests with the
// same name, the packages must be the same.
func test(ctx context.Context, args []string, w *world) error {
	commands, ok := split(args)
	if !ok {
		return flag.ErrHelp
	}
	var times times
	tests := make(map[string]outcomes) // by the packages of the command
	err := withServers(ctx, w, func(env []string) error {
		for i, argv := range commands {
			of := strings.Join(packages(argv), " ")
			if tests[of] == nil {
				tests[of] = make(outcomes)
			}
			events := &events{out: w.out, tests: tests[of], took: func(pkg string, d time.Duration) { times.add(i, pkg, d) }}
			lines := &lineReader{line: events.line}
			argv = goTest(argv, tests[of].passed())
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Env, cmd.Stdout, cmd.Stderr = env, lines, w.err
			begin := time.Now()
			err := testcloud.RunGroup(ctx, cmd)
			times.walls = append(times.walls, time.Since(begin))
			times.failed = append(times.failed, events.failed...)
			var exit *exec.ExitError
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case errors.As(err, &exit):
				return errFailed
			case err != nil:
				return err
			}
		}
		return nil
	})
	times.write(w.out)
	return err
}

// packages returns the arguments that are packages: directories and import paths.
func packages(argv []string) (list []string) {
	for _, arg := range argv {
		if !strings.HasPrefix(arg, "-") && (arg == "." || strings.Contains(arg, "/")) {
			list = append(list, arg)
		}
	}
	return list
}

// goTest returns the command with which go test writes events and skips the tests in done.
func goTest(argv, done []string) []string {
	if len(argv) < 2 || argv[0] != "go" || argv[1] != "test" {
		return argv
	}
	flags := []string{"go", "test", "-json"}
	if len(done) > 0 {
		flags = append(flags, "-skip=^("+strings.Join(done, "|")+")$")
	}
	return append(flags, argv[2:]...)
}

// split returns the commands. Each follows a "--".
func split(args []string) (commands [][]string, ok bool) {
	if len(args) == 0 || args[0] != "--" {
		return nil, false
	}
	for _, arg := range args {
		if arg == "--" {
			commands = append(commands, nil)
		} else {
			last := &commands[len(commands)-1]
			*last = append(*last, arg)
		}
	}
	return commands, !slices.ContainsFunc(commands, func(c []string) bool { return len(c) == 0 })
}

// A times contains the durations of packages.
type times struct {
	walls    []time.Duration // duration of each command
	packages map[string]map[int]time.Duration
	failed   []string // the lines that report failures
}

// add records the duration of a package in the command with index run.
func (t *times) add(run int, pkg string, d time.Duration) {
	if t.packages == nil {
		t.packages = make(map[string]map[int]time.Duration)
	}
	if t.packages[pkg] == nil {
		t.packages[pkg] = make(map[int]time.Duration)
	}
	t.packages[pkg][run] = d
}

// write writes the packages, slowest first, and then the failures again.
func (t *times) write(out io.Writer) {
	var names []string
	total := make(map[string]time.Duration)
	sums := make([]time.Duration, len(t.walls))
	for name, runs := range t.packages {
		names = append(names, name)
		for run, d := range runs {
			total[name] += d
			sums[run] += d
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := total[b] - total[a]; c != 0 {
			return int(c)
		}
		return strings.Compare(a, b)
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	row := func(name string, cell func(run int) string) {
		for run := range t.walls {
			fmt.Fprint(w, cell(run), "\t")
		}
		fmt.Fprint(w, "  ", name, "\n")
	}
	if len(names) == 0 {
		return
	}
	fmt.Fprintln(out, "\nSeconds of each package, in each run:")
	for _, name := range names {
		row(name, func(run int) string {
			if d, ok := t.packages[name][run]; ok {
				return fmt.Sprintf("%.1f", d.Seconds())
			}
			return "-"
		})
	}
	row("all packages", func(run int) string { return fmt.Sprintf("%.0f", sums[run].Seconds()) })
	row("wall time, with the compiler", func(run int) string { return fmt.Sprintf("%.0f", t.walls[run].Seconds()) })
	w.Flush()
	for _, line := range t.failed {
		io.WriteString(out, line)
	}
}

// A lineReader is a writer that calls line for each complete line.
type lineReader struct {
	line func(string)
	rest []byte
}

func (r *lineReader) Write(p []byte) (int, error) {
	r.rest = append(r.rest, p...)
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		r.line(string(line))
		r.rest = rest
	}
}
