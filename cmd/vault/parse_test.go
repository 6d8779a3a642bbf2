package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/vault"
)

func TestParseRange(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want vault.Range
		ok   bool
	}{
		{"0-0", vault.Range{Offset: 0, Length: 1}, true},
		{"0-9", vault.Range{Offset: 0, Length: 10}, true},
		{"5-", vault.Range{Offset: 5, Length: -1}, true},
		{"-5", vault.Range{Offset: -5, Length: -1}, true},
		{"0-9223372036854775807", vault.Range{Offset: 0, Length: -1}, true},
		{"1-9223372036854775807", vault.Range{Offset: 1, Length: math.MaxInt64}, true},
		{"-9223372036854775807", vault.Range{Offset: -math.MaxInt64, Length: -1}, true},
		{in: "-0"}, {in: "-"}, {in: ""}, {in: "5"}, {in: "5-3"}, {in: "a-b"}, {in: "1-2-3"}, {in: "--5"}, {in: "+1-2"}, {in: " 1-2"}, {in: "0x1-2"},
		{in: "0-9223372036854775808"}, {in: "9223372036854775808-"},
	} {
		got, err := parseRange(tc.in)
		if (err == nil) != tc.ok || got != tc.want || err != nil && !errors.Is(err, errUsage) {
			t.Errorf("parseRange(%q) = %+v, %v", tc.in, got, err)
		}
	}
}

// FuzzParseRange: what is accepted says what it was read from.
func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"0-1", "5-", "-5", "0-9223372036854775807", "-", "", "1-0", "00-01"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		r, err := parseRange(in)
		if err != nil {
			return
		}
		if r.Length == 0 || r.Length < -1 || r.Offset < 0 && r.Length != -1 || r.Length > 0 && r.Offset+(r.Length-1) < r.Offset {
			t.Fatalf("parseRange(%q) = %+v", in, r)
		}
		var back string
		switch {
		case r.Offset < 0:
			back = fmt.Sprint(r.Offset)
		case r.Length < 0:
			back = fmt.Sprintf("%d-", r.Offset)
		default:
			back = fmt.Sprintf("%d-%d", r.Offset, r.Offset+r.Length-1)
		}
		if again, err := parseRange(back); err != nil || again != r {
			t.Fatalf("parseRange(%q) = %+v, but %q = %+v, %v", in, r, back, again, err)
		}
	})
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 600, time.UTC)
	for _, tc := range []struct {
		in   string
		want time.Time
	}{
		{"2027-01-31T12:00:00Z", time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)},
		{"2027-01-31T12:00:00.9+02:00", time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)},
		{"30d", time.Date(2026, 2, 1, 3, 4, 5, 0, time.UTC)},
		{"2w", time.Date(2026, 1, 16, 3, 4, 5, 0, time.UTC)},
		{"12h", time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)},
		{"1h30m", time.Date(2026, 1, 2, 4, 34, 5, 0, time.UTC)},
		{in: "0d"}, {in: "-1d"}, {in: "-1h"}, {in: "0s"}, {in: "d"}, {in: "1.5d"}, {in: "99999d"}, {in: "soon"}, {in: ""}, {in: "2027-01-31"}, {in: "30"},
	} {
		got, err := parseExpiry(tc.in, now)
		if !got.Equal(tc.want) || (err == nil) == tc.want.IsZero() || err != nil && !errors.Is(err, errUsage) {
			t.Errorf("parseExpiry(%q) = %v, %v, want %v", tc.in, got, err, tc.want)
		}
	}
}

func TestParseEnvFile(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want variables
		err  string
	}{
		{"", nil, ""},
		{"# c\n\n  \t\n\t# c\nA=vault://x/y\r\nB=text \n_c9==\nD=", variables{{key: "A", name: "x/y"}, {key: "B", text: "text "}, {key: "_c9", text: "="}, {key: "D"}}, ""},
		{"A='vault://x'", variables{{key: "A", text: "'vault://x'"}}, ""},
		{"A= vault://x", variables{{key: "A", text: " vault://x"}}, ""},
		{"A=1\nA=2", nil, "line 2: A is there twice"},
		{" A=1", nil, "line 1: a variable has only letters, digits and _, and starts with no digit"},
		{"\nexport A=1", nil, "line 2: a variable has only letters, digits and _, and starts with no digit"},
		{"=1", nil, "line 1: the variable has no name"},
		{"A", nil, "line 1: write VAR=vault://NAME or VAR=text"},
		{"A=\x00", nil, "line 1: A holds a zero byte"},
		{"A=vault://", nil, "line 1: A: what follows vault:// is not a name"},
		{"A=vault://x/", nil, "line 1: A: what follows vault:// is not a name"},
		{"OBJECTVAULT_STORE=x", nil, "line 1: OBJECTVAULT_STORE is not handed on to the program"},
	} {
		got, err := parseEnvFile(tc.in)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(tc.want, got, cmp.AllowUnexported(variable{})); diff != "" || text != tc.err || err != nil && !errors.Is(err, errUsage) {
			t.Errorf("%q: %v, want %q, (-want +got):\n%s", tc.in, err, tc.err, diff)
		}
	}
}

// FuzzParseEnvFile: what is accepted, written down again, is the same; errors do not
// quote the line.
func FuzzParseEnvFile(f *testing.F) {
	for _, seed := range []string{"A=vault://x\nB=text", "# c\n\nA=", "A=1\r\n", "A", "A=vault://a//b", "export A=1", "A=\x00", "é=1", "A=1\nA=2"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		vs, err := parseEnvFile(in)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, v := range vs {
			if v.name != "" {
				b.WriteString(v.key + "=vault://" + string(v.name) + "\n")
			} else {
				b.WriteString(v.key + "=" + v.text + "\n")
			}
			if v.key == "" || strings.ContainsAny(v.key, "=\x00 \n") || strings.ContainsAny(v.text, "\x00\n") {
				t.Fatalf("%q gave %+v", in, v)
			}
		}
		again, err := parseEnvFile(b.String())
		if diff := cmp.Diff(vs, again, cmp.AllowUnexported(variable{})); err != nil && !strings.Contains(in, "\r") || diff != "" && !strings.Contains(in, "\r") {
			t.Fatalf("%q: %v (-first +second):\n%s", in, err, diff)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"openai", "openai-2", "anthropic", "github", "ab", "key"}
	for word, want := range map[string]string{
		"opneai": "openai", "openai2": "openai openai-2", "OPENAI": "openai openai-2", "anthropc": "anthropic", "hub": "", "kye": "key", "keys": "key",
		"completely-else": "", "a": "ab", "": "",
	} {
		if got := strings.Join(nearest(word, known, 3), " "); got != want {
			t.Errorf("nearest(%q) = %q, want %q", word, got, want)
		}
	}
	for _, tc := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"ключ", "клюц", 1}} {
		if got := distance(tc.a, tc.b); got != tc.want {
			t.Errorf("distance(%q, %q) = %d, want %d", tc.a, tc.b, got, tc.want)
		}
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
