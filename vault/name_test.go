package vault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/vault"
)

func TestParseName(t *testing.T) {
	long := strings.Repeat("a", 251) // with .enc the longest segment
	for _, tc := range []struct {
		in string
		ok bool
	}{
		{"openrouter", true},
		{"acme/openai", true},
		{"UPPER_and-lower.~@=", true},
		{"a b", true},
		{"naïve/ключ/鍵", true},
		{"...", true},
		{".hidden", true},
		{"__0x2f__", true},
		{long, true},
		{long + "/" + long[:251], true},
		{strings.Repeat("a/", 255) + "aa", true}, // 512 bytes
		{"", false},
		{"/a", false},
		{"a/", false},
		{"a//b", false},
		{".", false},
		{"..", false},
		{"a/../b", false},
		{"a/./b", false},
		{"a\x00b", false},
		{"a\nb", false},
		{"a\x7fb", false},
		{"a\u0085b", false},
		{"a\u2028b", false},
		{"a\u2029b", false},
		{"a\u200eb", false},
		{"a\u200fb", false},
		{"a\u202ab", false},
		{"a\u202eb", false},
		{"a\u2066b", false},
		{"a\u2069b", false},
		{"a\ufdd0b", false},
		{"a\ufffeb", false},
		{"a\U0001fffeb", false},
		{"a\U0010ffffb", false},
		{"\xff", false},
		{"e\u0301", false},                       // NFD of é
		{"\u212b", false},                        // Å, the unit: NFC is U+00C5
		{long + "a", false},                      // segment of 256 bytes
		{long + "aa", false},                     // segment of 257 bytes
		{strings.Repeat("é", 43), false},         // 86 bytes, 258 encoded
		{strings.Repeat("a/", 256) + "a", false}, // 513 bytes
	} {
		n, err := vault.ParseName(tc.in)
		if tc.ok && (err != nil || string(n) != tc.in) {
			t.Errorf("ParseName(%.20q) = %.20q, %v; want it unchanged", tc.in, n, err)
		}
		if !tc.ok && !errors.Is(err, vault.ErrInvalidName) {
			t.Errorf("ParseName(%.20q) error = %v, want ErrInvalidName", tc.in, err)
		}
	}
}

func TestParseTenant(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", "default"},
		{"0xABCDEF", "0xabcdef"},
		{"a.b_c-d", "a.b_c-d"},
		{strings.Repeat("a", 128), strings.Repeat("a", 128)},
		{strings.Repeat("a", 129), ""},
		{"*", ""}, {"a*", ""}, {"a?", ""}, {"a/b", ""}, {".a", ""}, {"-a", ""}, {"_a", ""},
		{"\u212a", ""}, // the Kelvin sign, which Unicode folds to k
		{"a b", ""}, {"ä", ""}, {"..", ""},
		{"a__b", "a__b"}, {"a__0x2f__b", ""}, {"a__0X2f__b", ""},
	} {
		got, err := vault.ParseTenant(tc.in)
		if string(got) != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("ParseTenant(%q) = %q, %v; want %q", tc.in, got, err, tc.want)
		}
		if err != nil && !errors.Is(err, vault.ErrInvalidName) {
			t.Errorf("ParseTenant(%q) error = %v, want ErrInvalidName", tc.in, err)
		}
	}
}

func TestParseLabels(t *testing.T) {
	for _, tc := range []struct {
		in                  string
		collection, vaultID bool
	}{
		{"", true, true},
		{"credentials", true, true},
		{"a-b", true, true},
		{"a.b", false, true},
		{"a_b", false, true},
		{"A", false, false},
		{"-a", false, false},
		{"a/b", false, false},
		{strings.Repeat("a", 63), true, true},
		{strings.Repeat("a", 64), false, true},
		{strings.Repeat("a", 65), false, false},
	} {
		if _, err := vault.ParseCollection(tc.in); (err == nil) != tc.collection {
			t.Errorf("ParseCollection(%q) error = %v", tc.in, err)
		}
		if _, err := vault.ParseVaultID(tc.in); (err == nil) != tc.vaultID {
			t.Errorf("ParseVaultID(%q) error = %v", tc.in, err)
		}
	}
}
