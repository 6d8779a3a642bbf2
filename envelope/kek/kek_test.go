package kek_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/tink-crypto/tink-go/v2/aead/subtle"
)

var ctx = context.Background()

func newLocal(t testing.TB, b []byte) *kek.Local {
	t.Helper()
	root, err := kek.NewRoot(b)
	if err != nil {
		t.Fatal(err)
	}
	return kek.NewLocal(root)
}

func counting(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

// The table of FORMAT.md, computed by a bare AEAD that opens the result of Wrap.
func TestDerivations(t *testing.T) {
	page, err := os.ReadFile("../../FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	a := envelope.Ref{Vault: "v1", Tenant: "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a", Collection: "credentials", Name: "openrouter"}
	b := envelope.Ref{Tenant: "default", Collection: "credentials", Name: "openrouter"}
	c := envelope.Ref{Vault: "home", Tenant: "acme.example", Collection: "tokens", Name: "café/日本"}
	for _, tc := range []struct {
		root                []byte
		fingerprint         string
		letter              string
		ref                 envelope.Ref
		context, kek, kekID string
	}{
		{counting(32), "5702411fe3f18693", "A", a, "078795bf0824163e196fc61840b0625b01025121b12a4469a21e3c33add17c8a", "cb1c70c60189bacf1df890506949bee60cb6c1ac4ae6cab68751ce4459442375", "099e8f1efff89cae51afc83a115d3fd4"},
		{counting(32), "5702411fe3f18693", "B", b, "ddfa750f6b92b0439fd512de60332b28b5c41df88b4e57e803c6019119bc15d2", "837e0d7d253f6629bd50845a6f1f035b37b95554a12b08c8cffff4ecf9777ff1", "cf2244f5821ee676f1b8495edb51d996"},
		{counting(32), "5702411fe3f18693", "C", c, "87278fbf5f9dd082ebba785c1a1e371dde87714d3d810322c0ab26707736cb4a", "f347a8fc46327e191c079a4a7dd006b44b0245871faab38bf0f237cb4d882f25", "9932356f09e1695c86150d56835a2a53"},
		{bytes.Repeat([]byte{0xff}, 32), "03d0b520a1c2cb02", "A", a, "078795bf0824163e196fc61840b0625b01025121b12a4469a21e3c33add17c8a", "2c5a7f6a1aaf4533a924ff444734365e59a32632ae9a2fb5930d20aba3542912", "b7c3434a5ddf84a8449af44d3c8289bb"},
		{bytes.Repeat([]byte{0xff}, 32), "03d0b520a1c2cb02", "B", b, "ddfa750f6b92b0439fd512de60332b28b5c41df88b4e57e803c6019119bc15d2", "522f87a6f3951ddd72935325b2927a3e8a54fcff725e0415dae2711fbb7cfb7b", "6b0dee1b5a770ce0e81ac46f14d3b3c7"},
		{bytes.Repeat([]byte{0xff}, 32), "03d0b520a1c2cb02", "C", c, "87278fbf5f9dd082ebba785c1a1e371dde87714d3d810322c0ab26707736cb4a", "67b22b3c6e6853f3feeffe072c9b2703f250c4747370397d7debad38545a781b", "aedb308fa9a867337056e6ec8e41b2b1"},
		{counting(64), "b538537b8efd8e0d", "A", a, "078795bf0824163e196fc61840b0625b01025121b12a4469a21e3c33add17c8a", "8bd6d85b304bc6eaab3dccc15f39e0c7ac9732040c070b2ee006f1071c8d4eeb", "96cdc2cf1f06e7f002266c1862b01596"},
		{counting(64), "b538537b8efd8e0d", "B", b, "ddfa750f6b92b0439fd512de60332b28b5c41df88b4e57e803c6019119bc15d2", "670057fae0c8e4b851f125b0b9ef2e066789dab55a69159cc0c1d393653959ab", "09798acdd65310ee12c8fe31fb3a025b"},
		{counting(64), "b538537b8efd8e0d", "C", c, "87278fbf5f9dd082ebba785c1a1e371dde87714d3d810322c0ab26707736cb4a", "c75eae82140dcd5f0427b7d335535ebc84e948f3560c32070e4394f903996db6", "4a33b70850fefeba02c373a4a809040d"},
	} {
		t.Run(fmt.Sprintf("%d bytes, %s", len(tc.root), tc.letter), func(t *testing.T) {
			l := newLocal(t, tc.root)
			if got := l.Fingerprint(); got != tc.fingerprint || !strings.Contains(string(page), tc.fingerprint) {
				t.Errorf("fingerprint %s, want %s, also in FORMAT.md", got, tc.fingerprint)
			}
			aad := envelope.AAD{Stable: [15]byte{1, 2, 3}, Ctx: tc.ref.Context()}
			if got := hex.EncodeToString(aad.Ctx[:]); got != tc.context || !strings.Contains(string(page), "`"+tc.context+"` |") {
				t.Errorf("ctx %s, want %s, also in FORMAT.md", got, tc.context)
			}
			if row := "| " + tc.letter + " | `" + tc.kek + "` | `" + tc.kekID + "` |"; !strings.Contains(string(page), row) {
				t.Errorf("FORMAT.md has no row %s", row)
			}
			dek := counting(32)
			s, err := l.Wrap(ctx, tc.ref, dek, aad)
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(s.ID[:]); s.Type != 1 || got != tc.kekID || len(s.Body) != 60 {
				t.Errorf("stanza of type %d, key %s, %d bytes; want 1, %s, 60", s.Type, got, len(s.Body), tc.kekID)
			}
			key, _ := hex.DecodeString(tc.kek)
			bare, err := subtle.NewAESGCM(key)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := bare.Decrypt(s.Body, aad.Bytes(1, s.ID)); err != nil || !bytes.Equal(got, dek) {
				t.Errorf("the KEK opens %x, %v", got, err)
			}
			if got, err := l.Unwrap(ctx, tc.ref, s, aad); err != nil || !bytes.Equal(got, dek) {
				t.Errorf("Unwrap gives %x, %v", got, err)
			}
		})
	}
}

func TestUnwrapRefuses(t *testing.T) {
	l := kek.InsecureFixed()
	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "a"}
	aad := envelope.AAD{Ctx: ref.Context()}
	whole, err := l.Wrap(ctx, ref, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	other := ref
	other.Name = "b"
	for _, tc := range []struct {
		name   string
		change func(s *envelope.Stanza, aad *envelope.AAD)
		want   error
	}{
		{"another type", func(s *envelope.Stanza, _ *envelope.AAD) { s.Type = 128 }, envelope.ErrUnknownKey},
		{"another key", func(s *envelope.Stanza, _ *envelope.AAD) { s.ID[15]++ }, envelope.ErrUnknownKey},
		{"another name", func(_ *envelope.Stanza, a *envelope.AAD) { a.Ctx = other.Context() }, envelope.ErrUnknownKey},
		{"short", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = s.Body[:59] }, envelope.ErrUnknownKey},
		{"empty", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = nil }, envelope.ErrUnknownKey},
		{"damaged", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = append([]byte{^s.Body[0]}, s.Body[1:]...) }, envelope.ErrDecrypt},
		{"another header", func(_ *envelope.Stanza, a *envelope.AAD) { a.Stable[0]++ }, envelope.ErrDecrypt},
	} {
		s, a := whole, aad
		tc.change(&s, &a)
		if dek, err := l.Unwrap(ctx, ref, s, a); dek != nil || !errors.Is(err, tc.want) {
			t.Errorf("%s: %x, %v; want %v", tc.name, dek, err, tc.want)
		}
	}
	for _, n := range []int{0, 31, 33, 64} {
		if _, err := l.Wrap(ctx, ref, make([]byte, n), aad); err == nil || err.Error() != "kek: a data key has 32 bytes" {
			t.Errorf("wrapping %d bytes: %v", n, err)
		}
	}
}

func TestNewRoot(t *testing.T) {
	for n, ok := range map[int]bool{0: false, 31: false, 32: true, 48: true, 64: true, 65: false} {
		_, err := kek.NewRoot(make([]byte, n))
		if (err == nil) != ok {
			t.Errorf("%d bytes: %v", n, err)
		}
		if want := fmt.Sprintf("the root key has %d bytes, but must have 32 to 64", n); err != nil && err.Error() != want {
			t.Errorf("%d bytes: %v, want %s", n, err, want)
		}
	}
	b := counting(32)
	root, _ := kek.NewRoot(b)
	clear(b)
	root.Reveal()[0] = 9
	if !bytes.Equal(root.Reveal(), counting(32)) {
		t.Error("a root shares memory with the slice that it was created from")
	}
	if bytes.Equal(kek.RandomRoot().Reveal(), kek.RandomRoot().Reveal()) {
		t.Error("two random roots are equal")
	}
}

// Without a root, every call that needs one returns an error, and does not panic.
func TestNoRoot(t *testing.T) {
	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "a"}
	aad := envelope.AAD{Ctx: ref.Context()}
	object := func() []byte {
		var b bytes.Buffer
		w, err := envelope.Seal(ctx, &b, ref, []envelope.KeySource{kek.InsecureFixed()}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}()
	for name, l := range map[string]*kek.Local{"zero": {}, "NewLocal of a zero Root": kek.NewLocal(kek.Root{}), "nil": nil} {
		check := func(call string, err error) {
			t.Helper()
			if !errors.Is(err, envelope.ErrInvalid) || err.Error() != "kek: the key source has no root" {
				t.Errorf("%s: %s = %v, want ErrInvalid", name, call, err)
			}
		}
		_, err := l.Wrap(ctx, ref, make([]byte, 32), aad)
		check("Wrap", err)
		_, err = l.Unwrap(ctx, ref, envelope.Stanza{Type: 1, Body: make([]byte, 60)}, aad)
		check("Unwrap", err)
		_, err = l.Recognizes(ctx, ref, envelope.Stanza{Type: 1, Body: make([]byte, 60)}, aad)
		check("Recognizes", err)
		var b bytes.Buffer
		_, err = envelope.Seal(ctx, &b, ref, []envelope.KeySource{l}, nil)
		check("Seal", err)
		if b.Len() != 0 {
			t.Errorf("%s: Seal wrote %d bytes", name, b.Len())
		}
		_, err = envelope.Open(ctx, bytes.NewReader(object), ref, []envelope.KeySource{l})
		check("Open", err)
		if got := l.Fingerprint(); got != "" || l.Name() != "local" || l.Remote() {
			t.Errorf("%s: fingerprint %q, name %q, remote %v", name, got, l.Name(), l.Remote())
		}
	}
	if got := (kek.Root{}).Reveal(); got != nil {
		t.Errorf("the zero Root reveals %x", got)
	}
	dir := t.TempDir()
	if _, _, err := kek.ImportFile(dir+"/root.key", nil); !errors.Is(err, envelope.ErrInvalid) {
		t.Errorf("ImportFile from a nil reader: %v, want ErrInvalid", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("ImportFile from a nil reader left %v, %v", files, err)
	}
}

// Recognizes returns the same result as Unwrap, but does not decrypt the stanza.
func TestRecognizes(t *testing.T) {
	l := kek.InsecureFixed()
	ref := envelope.Ref{Tenant: "acme", Collection: "credentials", Name: "a"}
	aad := envelope.AAD{Ctx: ref.Context()}
	whole, err := l.Wrap(ctx, ref, make([]byte, 32), aad)
	if err != nil {
		t.Fatal(err)
	}
	other := ref
	other.Name = "b"
	for _, tc := range []struct {
		name   string
		change func(s *envelope.Stanza, aad *envelope.AAD)
		want   bool
	}{
		{"own stanza", func(*envelope.Stanza, *envelope.AAD) {}, true},
		{"own stanza, damaged", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = make([]byte, 60) }, true},
		{"another type", func(s *envelope.Stanza, _ *envelope.AAD) { s.Type = 128 }, false},
		{"another key", func(s *envelope.Stanza, _ *envelope.AAD) { s.ID[15]++ }, false},
		{"another name", func(_ *envelope.Stanza, a *envelope.AAD) { a.Ctx = other.Context() }, false},
		{"short", func(s *envelope.Stanza, _ *envelope.AAD) { s.Body = s.Body[:59] }, false},
	} {
		s, a := whole, aad
		tc.change(&s, &a)
		if got, err := l.Recognizes(ctx, ref, s, a); got != tc.want || err != nil {
			t.Errorf("%s: %v, %v; want %v", tc.name, got, err, tc.want)
		}
	}
	if l.Name() != "local" || l.Remote() {
		t.Errorf("name %q, remote %v; want local, false", l.Name(), l.Remote())
	}
}

// No verb, no enclosing struct and no encoder shows a root.
func TestRootIsNotPrinted(t *testing.T) {
	root, _ := kek.NewRoot([]byte("0123456789abcdef0123456789ABCDEF"))
	type holder struct {
		Root  kek.Root
		Local *kek.Local
		inner kek.Root
	}
	h := holder{root, kek.NewLocal(root), root}
	var out []string
	for _, v := range []any{root, &root, h, &h, *h.Local, h.Local, []kek.Root{root}, map[string]any{"a": h}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
			out = append(out, fmt.Sprintf(verb, v))
		}
		if b, err := json.Marshal(v); err == nil {
			out = append(out, string(b))
		}
	}
	for _, v := range []any{root, kek.NewLocal(root), *kek.NewLocal(root)} {
		for _, verb := range []string{"%v", "%#v", "%s", "%d"} {
			if got := fmt.Sprintf(verb, v); got != "[redacted]" {
				t.Errorf("%s of %T prints %s", verb, v, got)
			}
		}
	}
	if b, err := json.Marshal(root); err != nil || string(b) != `"[redacted]"` {
		t.Errorf("a root marshals to %s, %v", b, err)
	}
	for _, s := range out {
		for _, leak := range []string{"0123456789", "30313233343536", "48 49 50 51", "0x30, 0x31", "MDEyMzQ1"} {
			if strings.Contains(strings.ToLower(s), strings.ToLower(leak)) {
				t.Errorf("the root is printed: %s", s)
			}
		}
	}
}
