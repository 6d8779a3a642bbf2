package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestProgress: a progress bar appears after one second, and only on a terminal.
func TestProgress(t *testing.T) {
	for _, tc := range []struct {
		what                      string
		tty, quiet, json, verbose bool
		step                      time.Duration
		total                     int64
		want                      bool
	}{
		{what: "a slow transfer", tty: true, step: 300 * time.Millisecond, total: 10, want: true},
		{what: "a transfer of unknown length", tty: true, step: 300 * time.Millisecond, total: -1, want: true},
		{what: "a fast transfer", tty: true, step: 50 * time.Millisecond, total: 10},
		{what: "not a terminal", step: time.Second, total: 10},
		{what: "--quiet", tty: true, quiet: true, step: time.Second, total: 10},
		{what: "--json", tty: true, json: true, step: time.Second, total: 10},
		{what: "--verbose", tty: true, verbose: true, step: time.Second, total: 10},
	} {
		var screen bytes.Buffer
		now := time.Unix(0, 0)
		w := &world{err: &screen, errTTY: tc.tty, now: func() time.Time { return now }}
		p := (&ui{world: w, quiet: tc.quiet, json: tc.json, verbose: tc.verbose}).progress("put a", tc.total)
		r := p.reader(strings.NewReader("0123456789"))
		for b := make([]byte, 1); ; now = now.Add(tc.step) {
			before := screen.Len()
			if n, err := r.Read(b); err == io.EOF {
				break
			} else if n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if now.Before(time.Unix(1, 0)) && screen.Len() > before {
				t.Errorf("%s: a bar appeared within the first second", tc.what)
			}
		}
		p.done()
		if got := strings.Contains(screen.String(), "put a"); got != tc.want {
			t.Errorf("%s: bar %v, want %v: %q", tc.what, got, tc.want, &screen)
		}
	}
	stacks := make([]byte, 1<<20)
	if stacks = stacks[:runtime.Stack(stacks, true)]; bytes.Contains(stacks, []byte("schollz/progressbar")) {
		t.Errorf("the bar is still drawn after it is done:\n%s", stacks)
	}
}

// TestOutput: an error of a write is remembered, and a write that blocks ends with its context.
func TestOutput(t *testing.T) {
	full := errors.New("full")
	o := &output{ctx: t.Context(), w: failing{full}}
	o.Write([]byte("x"))
	if _, err := o.Write([]byte("y")); !errors.Is(err, full) || !errors.Is(err, errOutput) || o.err != err {
		t.Errorf("second write: %v, remembered %v", err, o.err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe() // nothing reads from it
	defer r.Close()
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := (&output{ctx: ctx, w: w}).Write([]byte("x")); !errors.Is(err, context.Canceled) {
		t.Errorf("a blocked write: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestQuietPipe: if the reader of the output has exited, the command fails without a message.
func TestQuietPipe(t *testing.T) {
	gone := errors.New("gone")
	var errs bytes.Buffer
	w := &world{
		in: strings.NewReader(""), out: failing{gone}, err: &errs, goos: "linux",
		getenv: func(string) string { return "" }, quietly: func(err error) bool { return errors.Is(err, gone) },
	}
	if code := run(t.Context(), []string{"vault", "version"}, w); code != exitFailure || errs.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
	w.quietly = func(error) bool { return false }
	if code := run(t.Context(), []string{"vault", "version"}, w); code != exitFailure || errs.String() != "vault: version: writing the output: gone\n" {
		t.Errorf("exit code %d, stderr %q", code, &errs)
	}
}

// TestTwice: a run changes no state that affects the next run in the same process.
func TestTwice(t *testing.T) {
	env := map[string]string{"OBJECTVAULT_TENANT": "surprise"}
	help := func() string {
		var out bytes.Buffer
		w := &world{in: strings.NewReader(""), out: &out, err: io.Discard, goos: "linux", getenv: func(k string) string { return env[k] }}
		for _, args := range [][]string{{"vault", "get", "--tenant", "t", "--json", "--nope"}, {"vault", "help", "get"}} {
			run(t.Context(), args, w)
		}
		return out.String()
	}
	first, second := help(), help()
	if first != second || strings.Contains(first, "surprise") || !strings.Contains(first, "vault get NAME") {
		t.Errorf("the help of two runs differs, or shows the environment:\n%s\n%s", first, second)
	}
}

// TestJSONOnATerminal: every control character is escaped, and decoding returns the original text.
func TestJSONOnATerminal(t *testing.T) {
	var b bytes.Buffer
	in := "a\u009b31m\u007f\u0085\x1bé<>"
	if err := writeJSON(&b, in); err != nil {
		t.Fatal(err)
	}
	if want := `"a\u009b31m\u007f\u0085\u001bé<>"` + "\n"; b.String() != want {
		t.Errorf("wrote %q, want %q", &b, want)
	}
	var out string
	if err := json.Unmarshal(b.Bytes(), &out); err != nil || out != in {
		t.Errorf("decoding returned %q, %v", out, err)
	}
}

func TestForPeople(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 5 << 30: "5.0 GiB", math.MaxInt64: "8.0 EiB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	now := time.Unix(1_800_000_000, 0)
	for d, want := range map[time.Duration]string{-time.Hour: "now", 0: "now", 59 * time.Second: "59s", 61 * time.Second: "1m", 90 * time.Minute: "1h", 49 * time.Hour: "2d", 400 * 24 * time.Hour: "400d"} {
		if got := age(now, now.Add(-d)); got != want {
			t.Errorf("age of %v = %q, want %q", d, got, want)
		}
	}
	for in, want := range map[string]string{
		"plain é 漢字": "plain é 漢字", "a\x1b[31m": `a\x1b[31m`, "a\nb\tc": `a\x0ab\x09c`, "\u202eevil": `\u202eevil`, "\xff": `\xff`, "\u0085": `\u0085`, "�": `\ufffd`,
	} {
		if got := visible(in); got != want {
			t.Errorf("visible(%q) = %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]string{"acme/open-ai": "acme/open-ai", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$(x)": "'$(x)'", "é": "'é'"} {
		if got := shellWord(in); got != want {
			t.Errorf("shellWord(%q) = %s, want %s", in, got, want)
		}
	}
	for in, want := range map[string]bool{"text\n\ttext": true, "漢字": true, "": true, "\x1b[31m": false, "\xff": false, "a\rb": false, "a\u202eb": false} {
		if isText([]byte(in)) != want {
			t.Errorf("isText(%q) = %v", in, !want)
		}
	}
}
