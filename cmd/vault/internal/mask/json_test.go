package mask_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/mask"
	"github.com/objectvault/objectvault/cmd/vault/internal/pick"
)

// TestBytes: the secret is replaced, even if JSON has escaped it in any of its ways.
func TestBytes(t *testing.T) {
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
		if got := string(mask.Bytes([]byte(tc[0]), []mask.Secret{{"k", []byte(tc[1])}})); got != tc[2] {
			t.Errorf("%q: %q, want %q", tc[0], got, tc[2])
		}
	}
}

// FuzzBytes: nothing is left of a secret that JSON output contains, in whichever way it is escaped.
func FuzzBytes(f *testing.F) {
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
		if err := json.Unmarshal(mask.Bytes(output, []mask.Secret{{"k", secrets[0]}}), &masked); err == nil && masked.Key != "[k]" {
			t.Errorf("%q has %q after it was masked, want [k]", output, masked.Key)
		}
	})
}
