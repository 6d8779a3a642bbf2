package command_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/internal/command"
)

func TestWords(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
		err  string
	}{
		{in: ""},
		{in: " \t\n"},
		{in: "a b\tc\nd", want: []string{"a", "b", "c", "d"}},
		{in: "  a  b  ", want: []string{"a", "b"}},
		{in: `'a b' "c d"`, want: []string{"a b", "c d"}},
		{in: `a'b'"c"\d`, want: []string{"abcd"}},
		{in: `'' ""`, want: []string{"", ""}},
		{in: `a\ b`, want: []string{"a b"}},
		{in: `'\n' "\n" \n`, want: []string{`\n`, `\n`, "n"}},
		{in: `"\"\\\$\` + "`" + `"`, want: []string{"\"\\$`"}},
		{in: `"it's" 'a "b"'`, want: []string{"it's", `a "b"`}},
		{in: `'don'\''t'`, want: []string{"don't"}},
		{in: "$HOME `id` $(id) a|b;c&d >e *.x ~ #f !g {1,2}", want: []string{"$HOME", "`id`", "$(id)", "a|b;c&d", ">e", "*.x", "~", "#f", "!g", "{1,2}"}},
		{in: "é\u00a0x", want: []string{"é\u00a0x"}},
		{in: `a'`, err: "a quote is not closed"},
		{in: `"a`, err: "a quote is not closed"},
		{in: `"a\"`, err: "a quote is not closed"},
		{in: `a \`, err: `the command ends with a \`},
		{in: "a\x00b", err: "the command contains a zero byte"},
		{in: "\\\x00", err: "the command contains a zero byte"},
	} {
		got, err := command.Words(tc.in)
		if err != nil && err.Error() != tc.err || err == nil && tc.err != "" {
			t.Errorf("Words(%q): %v, want %q", tc.in, err, tc.err)
		}
		if diff := cmp.Diff(tc.want, got); err == nil && diff != "" {
			t.Errorf("Words(%q) (-want +got):\n%s", tc.in, diff)
		}
	}
}

// Quoted and joined words are split into the same words.
func FuzzWords(f *testing.F) {
	for _, seed := range []string{"", "a b", `'a "b' "c \" d" e\ f`, "'", `\`, "a\x00", "\\\x00", "$(x) `y` ''", `"\a\\"`, "\xff '\xfe'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list, err := command.Words(s)
		if err != nil {
			if len(err.Error()) > 64 {
				t.Errorf("error %q", err)
			}
			return
		}
		quoted := make([]string, len(list))
		size := 0
		for i, word := range list {
			quoted[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
			size += len(word)
		}
		if size > len(s) {
			t.Errorf("Words(%q) = %q, which has more bytes than the input", s, list)
		}
		again, err := command.Words(strings.Join(quoted, " "))
		if diff := cmp.Diff(list, again); err != nil || diff != "" {
			t.Errorf("Words(%q) again: %v (-want +got):\n%s", quoted, err, diff)
		}
	})
}
