package vault_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

func TestParseNewName(t *testing.T) {
	for _, name := range []string{
		"openai", "a b", "no\u00a0break", "a\u3000b", "naïve/ключ/鍵", "ไทย", "日本語", "한국어", "עברית", "ᠮᠣᠩᠭᠣᠯ",
		"می\u200cخواهم", "نامه\u200cای", "مُـ\u0650م", // Persian
		"क\u094d\u200dष", "क\u094d\u200cष", // Devanagari, after a virama
		"র\u200d\u09cdয", "শ\u09cd\u200dর", // Bengali, before and after a virama
		"ක\u0dca\u200dෂ", "ශ\u0dca\u200dරී", // Sinhala
		"ക\u0d4d\u200dഷ", "క\u0c4d\u200cష", "ಕ\u0ccd\u200cಷ", "க\u0bcd\u200cஷ", "ગ\u0acd\u200cજ",
		"ខ\u17d2\u200cម", "က\u1039\u200cခ", "ܐ\u200cܒ",
		"ᠠ\u180bᠨ", "ᠠ\u180eᠠ", "ᠨ\u180b\u180eᠠ",
		"\u06dd1", "☺", "🔑",
	} {
		if got, err := vault.ParseNewName(name); err != nil || string(got) != name {
			t.Errorf("%+q: %q, %v", name, got, err)
		}
	}
	refused := []string{
		"", "a//b", "a\u202eb", // rejected by ParseName, too
		" a", "a ", "\u00a0a", "a\u00a0", "\u3000a", "a\u2003", "\u2800a", "a\u2800", " ", "a/ b", "a /b", "a\u200a/b",
		"\u200c", "a\u200cb", "a\u200db", "\u200dक", "क\u200d", "क\u094d\u200d", "क\u200da", "a\u200dक", "क\u200d\u200dक", "क\u200d\u200cक",
		"क\u200dم", "م\u200c م", "م\u200c1", "日\u200d本", "ก\u200cข", "א\u200dב", "👩\u200d🔧", "क\u0301\u200d",
		"a\u180bb", "\u180bᠠ", "ᠠ\u180e", "\u180eᠠ", "a\u180ea",
	}
	for _, r := range []rune{
		0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180E, 0x200B, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0x2065, 0x206A, 0x206F,
		0x3164, 0xFE00, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF0, 0xFFF9, 0xFFFB, 0x1BCA0, 0x1D173, 0xE0001, 0xE0020, 0xE007F, 0xE0100, 0xE01EF,
	} {
		refused = append(refused, "a"+string(r)+"b", string(r)+"ab", "ab"+string(r))
	}
	for _, name := range refused {
		if got, err := vault.ParseNewName(name); !errors.Is(err, vault.ErrInvalidName) || got != "" {
			t.Errorf("%+q: %q, %v, want ErrInvalidName", name, got, err)
		}
	}
}

// TestEveryLetter: every visible letter of every script is a valid name.
func TestEveryLetter(t *testing.T) {
	fillers := "\u115f\u1160\u3164\uffa0"
	letters := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !unicode.IsLetter(r) || !norm.NFC.IsNormalString(string(r)) {
			continue
		}
		letters++
		if _, err := vault.ParseNewName(string(r)); (err != nil) != strings.ContainsRune(fillers, r) {
			t.Errorf("%U: %v", r, err)
		}
	}
	if letters < 100000 {
		t.Errorf("only %d letters were tried", letters)
	}
}

// TestOldNames: no object is written under an invisible name. One that an earlier version wrote
// can be read, listed and removed.
func TestOldNames(t *testing.T) {
	const old, hidden = "openai", "open\u200bai"
	store, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	key := kek.InsecureFixed()
	v, err := vault.New(store, "t", []envelope.KeySource{key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	// An earlier version sealed this.
	sealed := new(strings.Builder)
	w, err := envelope.Seal(t.Context(), sealed, envelope.Ref{Tenant: "t", Collection: "credentials", Name: hidden}, []envelope.KeySource{key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "value")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	const at = "bots/t/credentials/open%E2%80%8Bai.enc"
	for range 2 {
		if err := store.Bucket.WriteAll(t.Context(), at, []byte(sealed.String()), nil); err != nil {
			t.Fatal(err)
		}
	}
	read := func(o *vault.GetOptions) {
		t.Helper()
		r, err := v.Get(t.Context(), hidden, o)
		if err != nil {
			t.Error(err)
			return
		}
		defer r.Close()
		if got, err := io.ReadAll(r); string(got) != "value" || err != nil {
			t.Errorf("get: %q, %v", got, err)
		}
	}
	read(nil)
	if _, err := v.Stat(t.Context(), hidden); err != nil {
		t.Error(err)
	}
	for e, err := range v.List(t.Context(), nil) {
		if err != nil || e.Name != hidden || e.Foreign {
			t.Errorf("listed %+v, %v", e, err)
		}
	}
	for _, err := range v.History(t.Context(), hidden) {
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Put(t.Context(), hidden, strings.NewReader("new"), nil); !errors.Is(err, vault.ErrInvalidName) {
		t.Errorf("put: %v", err)
	}
	if _, err := v.Rollback(t.Context(), hidden, "@2"); !errors.Is(err, vault.ErrInvalidName) {
		t.Errorf("rollback: %v", err)
	}
	if err := v.Delete(t.Context(), hidden, nil); err != nil {
		t.Errorf("delete: %v", err)
	}
	if _, err := v.Undelete(t.Context(), hidden); !errors.Is(err, vault.ErrInvalidName) {
		t.Errorf("undelete: %v", err)
	}
	read(&vault.GetOptions{Version: "@2"})
	if _, err := v.Put(t.Context(), old, strings.NewReader("new"), nil); err != nil {
		t.Error(err)
	}
}
