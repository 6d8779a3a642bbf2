package envfile

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/cmd/vault/internal/usage"
)

// checkName is less strict than vault.ParseName. With an import of package vault, the fuzz target would
// take long to build.
func checkName(name string) error {
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" {
			return errors.New("empty segment")
		}
	}
	return nil
}

const resembles = "a reference must have the form vault://NAME, with vault in lower case and no other text"

// TestParseFlag checks the forms of --env, including a name alone.
func TestParseFlag(t *testing.T) {
	for in, want := range map[string]string{
		"A=x": "x", "A=vault://x": "x", `A="vault://x"`: "x", "A='vault://x/y'": "x/y",
		"A= vault://x": "", "A=Vault://x": "", `A="vault://x`: "", "A=": "", "A": "",
	} {
		v, err := ParseFlag(in, checkName)
		if v.Name != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, usage.ErrUsage) {
			t.Errorf("%q: %q, %v, want %q", in, v.Name, err, want)
		}
	}
}

func TestParseFile(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Variables
		err  string
	}{
		{"", nil, ""},
		{"# c\n\n  \t\n\t# c\nA=vault://x/y\r\nB=text \n_c9==\nD=", Variables{{Key: "A", Name: "x/y"}, {Key: "B", Text: "text "}, {Key: "_c9", Text: "="}, {Key: "D"}}, ""},
		{"A='vault://x'\nB=\"vault://y/z\"\nC=vault://a b\nD=\"vault://a b\"", Variables{{Key: "A", Name: "x"}, {Key: "B", Name: "y/z"}, {Key: "C", Name: "a b"}, {Key: "D", Name: "a b"}}, ""},
		{"A='text'\nB=\"\"\nC=see vault://x\nD=vault:x\nE=\"\nF=xvault://y", Variables{{Key: "A", Text: "'text'"}, {Key: "B", Text: `""`}, {Key: "C", Text: "see vault://x"}, {Key: "D", Text: "vault:x"}, {Key: "E", Text: `"`}, {Key: "F", Text: "xvault://y"}}, ""},
		{"B=1\nA= vault://x", nil, "line 2: A: " + resembles},
		{"A=vault://x ", nil, "line 1: A: " + resembles},
		{"A=vault:// x", nil, "line 1: A: " + resembles},
		{"A=vault://x\u00a0", nil, "line 1: A: " + resembles},
		{"A=\ufeffvault://x", nil, "line 1: A: " + resembles},
		{"A=\u200bvault://x", nil, "line 1: A: " + resembles},
		{"A=\"vault://x", nil, "line 1: A: " + resembles},
		{"A=\"vault://x'", nil, "line 1: A: " + resembles},
		{"A=\" vault://x\"", nil, "line 1: A: " + resembles},
		{"A=\"vault://x\" # why", nil, "line 1: A: " + resembles},
		{"A=“vault://x”", nil, "line 1: A: " + resembles},
		{"A=`vault://x`", nil, "line 1: A: " + resembles},
		{"A=Vault://x", nil, "line 1: A: " + resembles},
		{"A=VAULT://x", nil, "line 1: A: " + resembles},
		{"A=\"Vault://x\"", nil, "line 1: A: " + resembles},
		{"A=''vault://x''", nil, "line 1: A: " + resembles},
		{"A=1\nA=2", nil, "line 2: A is set twice"},
		{" A=1", nil, "line 1: the name of a variable must contain only letters, digits and _, and must not start with a digit"},
		{"\nexport A=1\nexport\t  B=vault://x\nexport=2\nexports=3", Variables{{Key: "A", Text: "1"}, {Key: "B", Name: "x"}, {Key: "export", Text: "2"}, {Key: "exports", Text: "3"}}, ""},
		{"export A", nil, "line 1: the line must be VAR=vault://NAME or VAR=text"},
		{"export A B=1", nil, "line 1: the name of a variable must contain only letters, digits and _, and must not start with a digit"},
		{"export A=1\nA=2", nil, "line 2: A is set twice"},
		{"\ufeffA=1\n\ufeffB=2\n\ufeff# c\n\ufeff\nC=\ufeff", Variables{{Key: "A", Text: "1"}, {Key: "B", Text: "2"}, {Key: "C", Text: "\ufeff"}}, ""},
		{"\xff\xfeA\x00=\x001\x00", nil, "line 1: it is UTF-16 text: save it as UTF-8"},
		{"A\x00=\x001\x00", nil, "line 1: it is UTF-16 text: save it as UTF-8"},
		{"=1", nil, "line 1: the name of the variable is empty"},
		{"A", nil, "line 1: the line must be VAR=vault://NAME or VAR=text"},
		{"A=\x00", nil, "line 1: A contains a zero byte"},
		{"A=vault://", nil, "line 1: A: the text after vault:// is not a name"},
		{"A=vault://x/", nil, "line 1: A: the text after vault:// is not a name"},
		{"OBJECTVAULT_STORE=x", nil, "line 1: OBJECTVAULT_STORE cannot be set, because variables of vault itself are not passed to the program"},
	} {
		got, err := ParseFile(tc.in, checkName)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || text != tc.err || err != nil && !errors.Is(err, usage.ErrUsage) {
			t.Errorf("%q: %v, want %q, (-want +got):\n%s", tc.in, err, tc.err, diff)
		}
	}
}

// FuzzParseFile writes the variables of an accepted file to a new file, and expects the same variables
// from the new file.
func FuzzParseFile(f *testing.F) {
	for _, seed := range []string{"A=vault://x\nB=text", "# c\n\nA=", "A=1\r\n", "A", "A=vault://a//b", "export A=1", "A=\x00", "é=1", "A=1\nA=2", "\ufeffA=1\n\ufeffB=2", "\xff\xfeA\x00", "A=\"vault://x\"", "A= Vault://x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		vs, err := ParseFile(in, checkName)
		if err != nil {
			return
		}
		var b strings.Builder
		for _, v := range vs {
			if v.Name != "" {
				b.WriteString(v.Key + "=vault://" + v.Name + "\n")
			} else {
				b.WriteString(v.Key + "=" + v.Text + "\n")
			}
			if v.Key == "" || strings.ContainsAny(v.Key, "=\x00 \n") || strings.ContainsAny(v.Text, "\x00\n") {
				t.Fatalf("%q was parsed as %+v", in, v)
			}
		}
		again, err := ParseFile(b.String(), checkName)
		if diff := cmp.Diff(vs, again); err != nil && !strings.Contains(in, "\r") || diff != "" && !strings.Contains(in, "\r") {
			t.Fatalf("%q: %v (-first +second):\n%s", in, err, diff)
		}
	})
}
