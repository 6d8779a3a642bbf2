package mask_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/mask"
)

var secrets = []mask.Secret{
	{"key", []byte("sk-0123456789")}, {"longer", []byte("sk-0123456789-more")}, {"short", []byte("1234567")},
	{"pem", []byte("-----BEGIN\nabc\n-----END")}, {"again", []byte("aaaaaaab")},
	{"odd", []byte(`a/b"c\<d> e+f`)}, {"bytes", []byte("\xff/01234567")},
	{"aws", []byte("ab/cd+ef=")}, {"umlaut", []byte("pässword")}, {"marks", []byte("abc!def(gh)+")}, {"percent", []byte("100%25 sure")}, {"smile", []byte("😀😀😀")},
	{"crlf", []byte("line\r\nline")}, {"tail", []byte(`abcdefgh\`)},
}

// TestMask: each secret is replaced if the output is split into two writes at any position, and if it
// is written byte by byte.
func TestMask(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{"no secret", "no secret"},
		{"sk-0123456789", "[key]"},
		{"a sk-0123456789 b sk-0123456789\n", "a [key] b [key]\n"},
		{"sk-0123456789-more", "[longer]"},
		{"sk-0123456789-mor", "[key]-mor"},
		{"sk-01234567", "sk-01234567"},
		{"sk-sk-0123456789", "sk-[key]"},
		{"1234567", "1234567"},
		{"aaaaaaaaaaaab", "aaaaa[again]"},
		{"x-----BEGIN\nabc\n-----ENDx", "x[pem]x"},
		{"x-----BEGIN\r\nabc\r\n-----ENDx", "x[pem]x"},
		{`{"key":"-----BEGIN\nabc\n-----END"}`, `{"key":"[pem]"}`},
		{`{"key":"a/b\"c\\<d> e+f"}`, `{"key":"[odd]"}`},
		{`{"key":"a/b\"c\\\u003cd\u003e e+f"}`, `{"key":"[odd]"}`},
		{`{"key":"a\/b\"c\\<d> e+f"}`, `{"key":"[odd]"}`},
		{"https://h/?key=a%2Fb%22c%5C%3Cd%3E+e%2Bf&x", "https://h/?key=[odd]&x"},
		{"https://h/a%2Fb%22c%5C%3Cd%3E%20e+f/x", "https://h/[odd]/x"},
		{"%FF%2F01234567 \xff/01234567", "[bytes] [bytes]"},
		{"ab/cd%2Bef%3D ab%2fcd%2bef= ab/cd+ef%3d", "[aws] [aws] [aws]"},
		{`"p\u00e4ssword" "p\u00E4ssword" "pässword" p%C3%A4ssword`, `"[umlaut]" "[umlaut]" "[umlaut]" [umlaut]`},
		{"abc!def(gh)%2B abc%21def%28gh%29%2b", "[marks] [marks]"},
		{`"a\/b\"c\\\u003Cd\u003E e+f"`, `"[odd]"`},
		{"100%25 sure 100%2525%20sure 100%2525+sure 100%ZZ", "[percent] [percent] [percent] 100%ZZ"},
		{`\ud83d\ude00\uD83D\uDE00😀 \ud83d\ude00\ud83d`, `[smile] \ud83d\ude00\ud83d`},
		{"line\r\nline line\r\r\nline line%0D%0Aline", "[crlf] [crlf] [crlf]"},
		{`\u0073k-0123456789 sk\u002d0123456789`, "[key] [key]"},
		{`"abcdefgh\\" abcdefgh\ abcdefgh\`, `"[tail]" [tail] [tail]`},
		{"sk-%", "sk-%"},
		{`sk-\u00`, `sk-\u00`},
	} {
		for split := range len(tc.in) + 1 {
			check(t, tc.in, tc.want, tc.in[:split], tc.in[split:])
		}
		check(t, tc.in, tc.want, strings.Split(tc.in, "")...)
	}
}

func check(t *testing.T, in, want string, writes ...string) {
	t.Helper()
	var out bytes.Buffer
	m := mask.NewWriter(&out, secrets)
	for _, w := range writes {
		if n, err := m.Write([]byte(w)); n != len(w) || err != nil {
			t.Fatalf("write %q: %d, %v", w, n, err)
		}
	}
	if err := m.Close(); err != nil || out.String() != want {
		t.Errorf("%q as %q: %q, %v, want %q", in, writes, &out, err, want)
	}
}

// TestPrompt: text that cannot be the start of a secret is written immediately.
func TestPrompt(t *testing.T) {
	var out bytes.Buffer
	m := mask.NewWriter(&out, secrets)
	m.Write([]byte("password: "))
	if out.String() != "password: " {
		t.Errorf("%q", &out)
	}
}

// FuzzMask: however the output is split, no secret is written, and the rest is unchanged.
func FuzzMask(f *testing.F) {
	f.Add([]byte("a sk-0123456789 b"), 5)
	f.Add([]byte("aaaaaaaaaaaab"), 9)
	f.Fuzz(func(t *testing.T, in []byte, split int) {
		write := func(parts ...[]byte) string {
			var out bytes.Buffer
			m := mask.NewWriter(&out, secrets)
			for _, p := range parts {
				m.Write(p)
			}
			m.Close()
			return out.String()
		}
		split = min(max(0, split), len(in))
		whole, parts := write(in), write(in[:split], in[split:])
		if whole != parts {
			t.Errorf("%q split at %d: %q, want %q", in, split, parts, whole)
		}
		if strings.Contains(whole, "sk-0123456789") || strings.Contains(whole, "aaaaaaab") {
			t.Errorf("%q: %q", in, whole)
		}
	})
}
