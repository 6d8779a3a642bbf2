package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// A stressed is a package and its results so far.
type stressed struct {
	Package  string
	Tests    string // hash of the test binary and its arguments
	Rounds   int
	Failures []failure

	dir string // directory of the source
}

// A failure is a round in which tests failed.
type failure struct {
	Round  int
	Tests  []string // empty if the binary ended before the end of a test
	Output string   // file with the output
}

type stressOptions struct {
	rounds         int
	packagesAtOnce int
	budget         time.Duration
	run            string
	short          bool
	state          string
	packages       []string
}

// stress runs rounds of the tests of each package on a busy machine.
func stress(ctx context.Context, args []string, w *world) error {
	var o stressOptions
	f := flag.NewFlagSet("stress", flag.ContinueOnError)
	f.SetOutput(w.err)
	f.IntVar(&o.rounds, "n", 30, "the `rounds` of each package, with those that were done before")
	f.IntVar(&o.packagesAtOnce, "p", 4, "the number of `packages` that run at once")
	f.DurationVar(&o.budget, "budget", time.Hour, "begin no round, and end those that run, after so `long`")
	f.StringVar(&o.run, "run", "", "only the tests that match this `regexp`, as in go test")
	f.BoolVar(&o.short, "short", false, "leave out what -short leaves out")
	f.StringVar(&o.state, "state", "bin/stress", "the `directory` for what was done, the tests and their output")
	if err := f.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if o.packages = f.Args(); len(o.packages) == 0 {
		return flag.ErrHelp
	}
	budget, cancel := context.WithTimeout(ctx, o.budget)
	defer cancel()
	all, err := o.prepare(budget, w.err)
	if err == nil {
		err = withServers(budget, w, func(env []string) error {
			stop, err := keepBusy()
			if err != nil {
				return err
			}
			defer stop()
			return o.play(budget, env, all, w.err)
		})
	}
	if budget.Err() != nil && ctx.Err() == nil {
		err = nil // the end of the budget is not an error
	}
	if failed := table(all, w.out); failed && err == nil {
		err = errFailed
	}
	return err
}

// prepare compiles the tests of each package, and reads their earlier results.
func (o stressOptions) prepare(ctx context.Context, errs io.Writer) ([]*stressed, error) {
	if err := os.MkdirAll(o.state, 0o777); err != nil {
		return nil, err
	}
	const tested = `{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}}{{"\t"}}{{.Dir}}{{end}}`
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-f", tested}, o.packages...)...)
	list.Stderr = errs
	text, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []*stressed
	for line := range strings.Lines(string(text)) {
		name, dir, _ := strings.Cut(strings.TrimSpace(line), "\t")
		p := &stressed{Package: name, dir: dir}
		build := exec.Command("go", "test", "-c", "-o", o.file(p, ".test"), name)
		build.Stderr = errs
		if err := testcloud.RunGroup(ctx, build); err != nil {
			return all, fmt.Errorf("go test -c %s: %w", name, err)
		}
		binary, err := os.ReadFile(o.file(p, ".test"))
		if err != nil {
			return all, err
		}
		sum := sha256.Sum256(fmt.Appendf(binary, "%q %v", o.run, o.short))
		p.Tests = hex.EncodeToString(sum[:8])
		if err := o.resume(p); err != nil {
			return all, err
		}
		all = append(all, p)
	}
	return all, nil
}

// file returns the path of a file of a package.
func (o stressOptions) file(p *stressed, ending string) string {
	path, err := filepath.Abs(filepath.Join(o.state, strings.ReplaceAll(p.Package, "/", "_")+ending))
	if err != nil {
		panic("suite: " + err.Error()) // there is no working directory
	}
	return path
}

// resume reads the earlier results of the same tests.
func (o stressOptions) resume(p *stressed) error {
	text, err := os.ReadFile(o.file(p, ".json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var before stressed
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w", o.file(p, ".json"), err)
	}
	if before.Tests == p.Tests {
		p.Rounds, p.Failures = before.Rounds, before.Failures
	}
	return nil
}

// play runs rounds of different packages at once. A package waits for its turn behind those that wait
// longer, so the others go on during a long round of one. Those with the fewest rounds in earlier runs come
// first.
func (o stressOptions) play(ctx context.Context, env []string, all []*stressed, errs io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	waiting := slices.SortedStableFunc(slices.Values(all), func(a, b *stressed) int { return a.Rounds - b.Rounds })
	waiting = slices.DeleteFunc(waiting, func(p *stressed) bool { return p.Rounds >= o.rounds })
	type ended struct {
		p      *stressed
		result string
		err    error
	}
	rounds := make(chan ended)
	var failed error
	for running := 0; running > 0 || len(waiting) > 0; {
		if running < max(1, o.packagesAtOnce) && len(waiting) > 0 {
			p := waiting[0]
			waiting = waiting[1:]
			running++
			go func() {
				result, err := o.round(ctx, env, p)
				rounds <- ended{p, result, err}
			}()
			continue
		}
		r := <-rounds
		running--
		if r.err == nil {
			fmt.Fprintln(errs, r.result)
		} else if failed == nil {
			failed, waiting = r.err, nil
			cancel()
		}
		if failed == nil && r.p.Rounds < o.rounds {
			waiting = append(waiting, r.p)
		}
	}
	return failed
}

// round runs the tests of a package once, keeps their output if they fail, and returns a line with the
// result.
func (o stressOptions) round(ctx context.Context, env []string, p *stressed) (result string, err error) {
	// Four tests at once, as in make test.
	args := []string{"-test.paniconexit0", "-test.timeout=30m", "-test.parallel=4", "-test.run=" + o.run}
	if o.short {
		args = append(args, "-test.short")
	}
	var output bytes.Buffer
	cmd := exec.Command(o.file(p, ".test"), args...)
	cmd.Dir, cmd.Env = p.dir, append(slices.Clone(env), "OBJECTVAULT_CAPABILITIES=", "PWD="+p.dir)
	cmd.Stdout, cmd.Stderr = &output, &output
	begin := time.Now()
	err = testcloud.RunGroup(ctx, cmd)
	if ctx.Err() != nil {
		return "", context.Cause(ctx) // the round was interrupted
	}
	p.Rounds++
	if err != nil {
		f := failure{Round: p.Rounds, Tests: failedTests(output.String()), Output: o.file(p, fmt.Sprintf(".%s.%d.txt", p.Tests, p.Rounds))}
		fmt.Fprintf(&output, "\n%v\n", err)
		if err := os.WriteFile(f.Output, output.Bytes(), 0o666); err != nil {
			return "", err
		}
		p.Failures = append(p.Failures, f)
	}
	verdict := map[bool]string{true: "ok", false: "FAIL"}[err == nil]
	text, err := json.MarshalIndent(p, "", "\t")
	if err == nil {
		err = os.WriteFile(o.file(p, ".json"), text, 0o666)
	}
	return fmt.Sprintf("%-4s  round %d  %6.1fs  %s", verdict, p.Rounds, time.Since(begin).Seconds(), p.Package), err
}

var failLine = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// failedTests returns the tests that failed, without the parents of failed subtests.
func failedTests(output string) (names []string) {
	for _, m := range failLine.FindAllStringSubmatch(output, -1) {
		names = append(names, m[1])
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return slices.ContainsFunc(names, func(other string) bool { return strings.HasPrefix(other, name+"/") })
	})
}

// table writes the results of all rounds, and reports whether a round failed.
func table(all []*stressed, out io.Writer) (failed bool) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "package\trounds\tfailures\twhat failed")
	for _, p := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t\n", p.Package, p.Rounds, len(p.Failures))
		for _, f := range p.Failures {
			failed = true
			what := strings.Join(f.Tests, " ")
			if what == "" {
				what = "no test: it ended in another way"
			}
			fmt.Fprintf(w, "\t\t\tround %d: %s: %s\n", f.Round, what, f.Output)
		}
	}
	w.Flush()
	return failed
}

// busyLoop is the argument that makes this program run a busy loop.
const busyLoop = "-busy-loop"

func spins() bool { return len(os.Args) == 2 && os.Args[1] == busyLoop }

// spin is the busy loop.
func spin() {
	for x := uint64(1); ; x *= 3 {
	}
}

// keepBusy starts a busy loop for each processor, and returns a function that ends them.
func keepBusy() (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	n := runtime.NumCPU()
	for range n {
		cmd := exec.Command(self, busyLoop)
		cmd.Env = []string{"GOMAXPROCS=1"}
		go func() { ended <- testcloud.RunGroup(ctx, cmd) }()
	}
	return func() {
		cancel()
		for range n {
			<-ended
		}
	}, nil
}
