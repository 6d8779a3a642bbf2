package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/testcloud"
)

// TestMain makes this binary the command, or one of its busy loops.
func TestMain(m *testing.M) {
	if spins() {
		spin()
	}
	if os.Getenv("SUITE_MAIN") != "" {
		main()
	}
	os.Exit(testcloud.Main(m))
}

// alone returns a world without servers.
func alone(out, errs io.Writer) *world {
	return &world{out, errs, func(context.Context, io.Writer) (*testcloud.Shared, error) { return nil, nil }}
}

// TestTest: failures are printed, tests that passed do not run twice, and the durations are at the
// end.
func TestTest(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DIR", dir)
	// This go command prints the file in its last argument. The next file contains its exit code.
	script := "#!/bin/sh\necho \"$@\" >>$DIR/argv\nfor last; do :; done\ncat $DIR/$last\nexit $(cat $DIR/$last.code)\n"
	files := map[string]string{
		"other.code": "0", "first.code": "0", "second.code": "1",
		// Tests with the same names in another package do not affect those of m/a.
		"other": `{"Action":"pass","Package":"m/o","Test":"TestSlow","Elapsed":0}
{"Action":"pass","Package":"m/o","Test":"TestWhole","Elapsed":0}
{"Action":"pass","Package":"m/o","Elapsed":0.5}
`,
		"first": `{"Action":"start","Package":"m/a"}
{"Action":"run","Package":"m/a","Test":"TestWhole"}
{"Action":"output","Package":"m/a","Test":"TestWhole","Output":"=== RUN   TestWhole\n"}
{"Action":"pass","Package":"m/a","Test":"TestWhole/sub","Elapsed":1}
{"Action":"pass","Package":"m/a","Test":"TestWhole","Elapsed":1}
{"Action":"skip","Package":"m/a","Test":"TestPart/slow","Elapsed":0}
{"Action":"pass","Package":"m/a","Test":"TestPart","Elapsed":0}
{"Action":"skip","Package":"m/a","Test":"TestSlow","Elapsed":0}
{"Action":"pass","Package":"m/a","Test":"ExampleNew","Elapsed":0}
{"Action":"pass","Package":"m/a","Test":"TestTwins","Elapsed":0}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t1.500s\n"}
{"Action":"pass","Package":"m/a","Elapsed":1.5}
{"Action":"output","Package":"m/none","Output":"?   \tm/none\t[no test files]\n"}
{"Action":"skip","Package":"m/none","Elapsed":0}
{"Action":"skip","Package":"m/b","Test":"TestTwins","Elapsed":0}
{"Action":"output","Package":"m/b","Output":"ok  \tm/b\t(cached)\n"}
{"Action":"pass","Package":"m/b","Elapsed":0}
`,
		"second": `not an event
{"Action":"output","Package":"m/a","Test":"TestPart/slow","Output":"    why it failed\n"}
{"Action":"fail","Package":"m/a","Test":"TestPart/slow","Elapsed":1}
{"Action":"fail","Package":"m/a","Test":"TestPart","Elapsed":1}
{"Action":"output","Package":"m/a","Test":"TestSlow","Output":"panic: cut off\n"}
{"Action":"output","Package":"m/a","Output":"FAIL\tm/a\t20.250s\n"}
{"Action":"fail","Package":"m/a","Elapsed":20.25}
{"ImportPath":"m/c","Action":"build-output","Output":"c.go:1: undefined: x\n"}
{"ImportPath":"m/c","Action":"build-fail"}
{"Action":"output","Package":"m/c","Output":"FAIL\tm/c [build failed]\n"}
{"Action":"fail","Package":"m/c","Elapsed":0,"FailedBuild":"m/c"}
`,
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{
		"test", "--", "go", "test", "./o", "other", "--", "go", "test", "-race", "./a", "./b", "first",
		"--", "go", "test", "./a", "./b", "second", "--", "sh", "-c", "echo never",
	}, alone(&out, &errs))
	if code != 1 || errs.Len() > 0 {
		t.Errorf("exit %d, stderr %q", code, errs.String())
	}
	const want = `ok  	m/a	1.500s
?   	m/none	[no test files]
ok  	m/b	(cached)
not an event
    why it failed
FAIL	m/a	20.250s
panic: cut off
c.go:1: undefined: x
FAIL	m/c [build failed]

Seconds of each package, in each run:
    -  1.5  20.2  m/a
  0.5    -     -  m/o
    -  0.0     -  m/b
    -    -   0.0  m/c
    0    2    20  all packages
    0    0     0  wall time, with the compiler
FAIL	m/a	20.250s
FAIL	m/c [build failed]
`
	got := regexp.MustCompile(`(?m)^( +\d+){3}(  wall time)`).ReplaceAllString(out.String(), "    0    0     0$2") // of any speed
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	argv, err := os.ReadFile(filepath.Join(dir, "argv"))
	if diff := cmp.Diff("test -json ./o other\ntest -json -race ./a ./b first\ntest -json -skip=^(ExampleNew|TestWhole)$ ./a ./b second\n", string(argv)); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{}, {"down"}, {"test"}, {"test", "go"}, {"test", "--"}, {"test", "--", "a", "--"}, {"stress"}, {"stress", "-no-such", "."}} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), args, alone(&out, &errs)); code != 2 || out.Len() > 0 || !strings.Contains(errs.String(), "usage: suite test") {
			t.Errorf("%q: exit %d, %q, %q", args, code, out.String(), errs.String())
		}
	}
}

// When the command is stopped, or its parent has ended, its servers and the command that it runs
// end, too. TestKilledParent in package testcloud tests that servers also end when the command is
// killed.
func TestEnds(t *testing.T) {
	testcloud.RequireRGW(t) // installs both servers
	testcloud.RequireVersity(t)
	const script = `cat "$OBJECTVAULT_TEST_SERVERS"; echo; sleep 600 & echo $!; wait`
	for name, end := range map[string]func(suite, parent *os.Process) error{
		"terminated":    func(suite, _ *os.Process) error { return suite.Signal(syscall.SIGTERM) },
		"parent killed": func(_, parent *os.Process) error { return parent.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			// The parent is a shell that prints the process id of its child, and waits.
			cmd := exec.Command("sh", "-c", `"$0" test -- sh -c "$1" & echo $!; wait`, os.Args[0], script)
			cmd.Env = append(os.Environ(), "SUITE_MAIN=1", "TMPDIR="+tmp)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			lines := bufio.NewReader(out)
			var suite, sleeper int
			var servers struct{ PIDs []int }
			if _, err := fmt.Fscanln(lines, &suite); err != nil {
				t.Fatal(err)
			}
			line, err := lines.ReadBytes('\n')
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(line, &servers); err != nil || len(servers.PIDs) != 4 {
				t.Fatalf("%s: %v", line, err)
			}
			if _, err := fmt.Fscanln(lines, &sleeper); err != nil {
				t.Fatal(err)
			}
			process, err := os.FindProcess(suite)
			if err != nil {
				t.Fatal(err)
			}
			if err := end(process, cmd.Process); err != nil {
				t.Fatal(err)
			}
			for _, pid := range append(servers.PIDs, suite, sleeper) {
				if !ends(pid) {
					t.Errorf("process %d has not ended", pid)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(tmp, "*")); len(left) > 0 {
				t.Errorf("the files %q remain", left)
			}
		})
	}
}

// ends waits at most two minutes for the end of a process.
func ends(pid int) bool {
	tick, late := time.NewTicker(5*time.Millisecond), time.After(2*time.Minute)
	defer tick.Stop()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, after, _ := strings.Cut(string(stat), ") ")
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) || err == nil && strings.HasPrefix(after, "Z") {
			return true
		}
		select {
		case <-tick.C:
		case <-late:
			return false
		}
	}
}

// Rounds are counted across runs, failures are listed, and their output is kept.
func TestStress(t *testing.T) {
	dir := t.TempDir()
	count := filepath.Join(dir, "count")
	t.Setenv("FLAKY", count)
	state := filepath.Join(dir, "state")
	stress := func(more ...string) (code int, table string) {
		var out, errs bytes.Buffer
		code = run(t.Context(), slices.Concat([]string{"stress", "-state", state}, more, []string{"./testdata/flaky"}), alone(&out, &errs))
		t.Log(errs.String())
		return code, out.String()
	}
	times := func() int {
		b, _ := os.ReadFile(count)
		return len(b)
	}
	const name = "github.com/objectvault/objectvault/internal/testcloud/cmd/suite/testdata/flaky"
	if code, table := stress("-n", "1"); code != 0 || times() != 1 || !strings.Contains(table, name+"  1       0") {
		t.Errorf("exit %d, %d times, table\n%s", code, times(), table)
	}
	code, table := stress("-n", "4")
	if code != 1 || times() != 4 || !strings.Contains(table, name+"  4       2") {
		t.Errorf("exit %d, %d times, table\n%s", code, times(), table)
	}
	_, after, _ := strings.Cut(table, "round 4: TestSecondTime/of_two: ")
	text, err := os.ReadFile(strings.TrimSpace(after))
	if err != nil || !strings.Contains(string(text), "this is time 4") {
		t.Errorf("%q, %v, table\n%s", text, err, table)
	}
	if code, _ := stress("-n", "4"); code != 1 || times() != 4 {
		t.Errorf("finished rounds ran again: exit %d, %d times", code, times())
	}
	if code, table := stress("-n", "1", "-short"); code != 0 || times() != 5 || !strings.Contains(table, name+"  1       0") {
		t.Errorf("a run with other flags shares the count: exit %d, %d times, table\n%s", code, times(), table)
	}
	if code, table := stress("-n", "100", "-budget", "1ns"); code != 0 || times() != 5 {
		t.Errorf("with a budget of 1ns: exit %d, %d times, table\n%s", code, times(), table)
	}
}

// With -p 2, two packages run at once: the test of each waits for that of the other.
func TestStressAtOnce(t *testing.T) {
	t.Setenv("MEET", t.TempDir())
	var out, errs bytes.Buffer
	code := run(t.Context(), []string{"stress", "-state", t.TempDir(), "-n", "2", "-p", "2", "-budget", "5m", "./testdata/meet/a", "./testdata/meet/b"}, alone(&out, &errs))
	if code != 0 || strings.Count(out.String(), "  2       0") != 2 {
		t.Errorf("exit %d, table\n%s\n%s", code, out.String(), errs.String())
	}
}

// A package with fewer rounds in earlier runs comes first.
func TestStressGoesOn(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("FLAKY", filepath.Join(dir, "count"))
	t.Setenv("MEET", dir)
	if err := os.WriteFile(filepath.Join(dir, "b"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stress := func(args ...string) string {
		var out, errs bytes.Buffer
		run(t.Context(), append([]string{"stress", "-state", filepath.Join(dir, "state"), "-budget", "5m"}, args...), alone(&out, &errs))
		return errs.String()
	}
	stress("-n", "1", "./testdata/flaky")
	text := stress("-n", "2", "-p", "1", "./testdata/flaky", "./testdata/meet/a")
	if _, text, _ = strings.Cut(text, " round "); !strings.HasSuffix(strings.SplitN(text, "\n", 2)[0], "/meet/a") {
		t.Errorf("another package comes first:\n%s", text)
	}
}

// The loops run until they are stopped.
func TestBusy(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	loops := func() (pids []string) {
		all, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range all {
			if text, err := os.ReadFile(path); err == nil && string(text) == self+"\x00"+busyLoop+"\x00" {
				pids = append(pids, path)
			}
		}
		return pids
	}
	stop, err := keepBusy()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(loops()) == 0 && ctx.Err() == nil {
		runtime.Gosched()
	}
	if len(loops()) == 0 {
		t.Error("no loop is running")
	}
	stop()
	if left := loops(); len(left) > 0 {
		t.Errorf("%q remain", left)
	}
}
