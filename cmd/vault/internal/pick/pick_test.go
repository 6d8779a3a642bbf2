package pick_test

import (
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
