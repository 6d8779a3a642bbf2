package pick_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/cmd/vault/internal/pick"
	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

func parse(form, text string) (pick.Pattern, error) {
	switch form {
	case "regex":
		return pick.ParseRegex(text)
	case "json":
		return pick.ParsePath(text)
	case "line":
		return pick.ParseLine(text)
	}
	return pick.Whole(), nil
}

// TestFind: each form of a pattern finds the secrets, without duplicates.
func TestFind(t *testing.T) {
	for _, tc := range []struct {
		form, text, output string
		want               []string
	}{
		{"", "", "sk-1\n", []string{"sk-1"}},
		{"", "", "two\r\nlines\r\n", []string{"two\r\nlines"}},
		{"", "", "\n", nil},
		{"regex", `sk-\w+`, "key: sk-1, sk-2 and sk-1", []string{"sk-1", "sk-2"}},
		{"regex", `^key: (\S+)$`, "a\nkey: sk-1\nb", []string{"sk-1"}},
		{"regex", `sk-\w+`, "nothing", nil},
		{"line", "2", "a\nsk-1\r\nb\n", []string{"sk-1"}},
		{"line", "-1", "a\nsk-1\n", []string{"sk-1"}},
		{"line", "3", "a\nb\n", nil},
		{"json", "key", `{"key":"sk-1"}`, []string{"sk-1"}},
		{"json", ".data.keys[1].value", `{"data":{"keys":[{"value":"a"},{"value":"sk-\u0031"}]}}`, []string{"sk-1"}},
		{"json", "keys[].value", `{"keys":[{"value":"a"},{"value":"b"}]}`, []string{"a", "b"}},
		{"json", "[0]", `["sk-1"]`, []string{"sk-1"}},
		{"json", "n", `{"n":12345678901234567890}`, []string{"12345678901234567890"}},
		{"json", "key", "{\"key\":\"a\"}\n{\"key\":\"b\"}\ndone\n", []string{"a", "b"}},
		{"json", "key", `{"key":{"not":"a string"}}`, nil},
		{"json", "key", `{"other":"x"}`, nil},
		{"json", "key", `plain text`, nil},
	} {
		p, err := parse(tc.form, tc.text)
		if err != nil {
			t.Fatalf("%s %q: %v", tc.form, tc.text, err)
		}
		matches, err := p.Find([]byte(tc.output))
		var got []string
		for _, m := range matches {
			got = append(got, string(m))
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || (tc.want == nil) != errors.Is(err, pick.ErrNone) {
			t.Errorf("%s %q in %q: %v (-want +got):\n%s", tc.form, tc.text, tc.output, err, diff)
		}
	}
}

// TestParse: an invalid pattern is a usage error.
func TestParse(t *testing.T) {
	for _, tc := range [][2]string{
		{"regex", "("}, {"regex", "(a)(b)"}, {"line", "0"}, {"line", "x"}, {"json", ""}, {"json", "a..b"}, {"json", "a[x]"}, {"json", "a[0"}, {"json", "a[-1]"},
	} {
		if _, err := parse(tc[0], tc[1]); !errors.Is(err, usage.ErrUsage) {
			t.Errorf("%s %q: %v", tc[0], tc[1], err)
		}
	}
}

// TestMask: the secret is replaced, even if JSON has escaped it in any of its ways.
func TestMask(t *testing.T) {
	for _, tc := range [][3]string{
		{"key sk-1 and sk-1", "sk-1", "key [k] and [k]"},
		{`{"key":"a\"b<c"}`, `a"b<c`, `{"key":"[k]"}`},
		{`{"key":"a\"b\u003cc"}`, `a"b<c`, `{"key":"[k]"}`},
		{`{"key":"AA\/BB\/CC="} AA/BB\/CC=`, "AA/BB/CC=", `{"key":"[k]"} [k]`}, // PHP
		{`{"key":"\u0041A\u002fBB","url":"x?key=A\u0041/B\u0042&n=1"}`, "AA/BB", `{"key":"[k]","url":"x?key=[k]&n=1"}`},
		{`{"key":"\u003C\u003c\b\f\n\r\t\\"}`, "<<\b\f\n\r\t\\", `{"key":"[k]"}`},
		{`["\ud83d\uDE00-\u00e9", "😀-é"]`, "😀-é", `["[k]", "[k]"]`},
		{"[\"a\\ud83d\\u0041\", \"a\\ude00A\", \"a\xffA\"]", "a\ufffdA", `["[k]", "[k]", "[k]"]`}, // as package json decodes them
		{`key a\nb, not a\\nb`, `a\nb`, `key [k], not [k]`},
		{`{"key":"\\"}`, `\`, `{"key":"[k]"}`},
		{`{"key":"sk-\u003`, "sk-0", `{"key":"sk-\u003`},
		{`sk-\`, "sk-1", `sk-\`},
	} {
		if got := string(pick.Mask([]byte(tc[0]), pick.Match(tc[1]), "k")); got != tc[2] {
			t.Errorf("%q: %q, want %q", tc[0], got, tc[2])
		}
	}
}

// FuzzMask: nothing is left of a secret that JSON output contains, in whichever way it is escaped.
func FuzzMask(f *testing.F) {
	for _, inside := range []string{`AAAA\/BBBB`, `\u0041\u00e9\ud83d\ude00`, `a\"b\\c`, `\ud800x`, "\xff-key", `\\u0041`, `12`} {
		f.Add(inside)
	}
	f.Fuzz(func(t *testing.T, inside string) {
		output := []byte(`{"key":"` + inside + `"}`)
		path, err := pick.ParsePath("key")
		if err != nil {
			t.Fatal(err)
		}
		secrets, err := path.Find(output)
		if err != nil || len(secrets) != 1 || bytes.ContainsAny(secrets[0], "{key}:[]") || bytes.Contains([]byte(`{"key":"`), secrets[0]) {
			return
		}
		var masked struct{ Key string }
		if err := json.Unmarshal(pick.Mask(output, secrets[0], "k"), &masked); err == nil && masked.Key != "[k]" {
			t.Errorf("%q has %q after it was masked, want [k]", output, masked.Key)
		}
	})
}
