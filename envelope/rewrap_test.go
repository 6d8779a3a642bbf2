package envelope_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/objectvault/objectvault/envelope"
)

// header parses the header of an object and returns the payload, too.
func header(t testing.TB, object []byte) (*envelope.Header, []byte) {
	t.Helper()
	h, err := envelope.ReadHeader(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	return h, object[h.Len():]
}

func TestRewrap(t *testing.T) {
	a, b, c := localSource(t, 1), localSource(t, 2), localSource(t, 3)
	meta := envelope.Metadata{ContentType: "text/plain"}
	object := seal(t, []envelope.KeySource{a, b}, pattern(9000), &envelope.SealOptions{SegmentLog2: 12, Metadata: meta})
	h, payload := header(t, object)
	head, err := envelope.Rewrap(ctx, h, testRef, []envelope.KeySource{b}, []envelope.KeySource{c, envelope.Keep(h.Stanzas[0])})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(h.Bytes(), object[:h.Len()]) {
		t.Error("the old header was changed")
	}
	again := slices.Concat(head, payload)
	n, _ := header(t, again)
	if n.Revision != h.Revision || n.Rewrap != 1 || !bytes.Equal(n.Sealed, h.Sealed) || n.Commitment == h.Commitment {
		t.Errorf("the new header is %+v", n)
	}
	if len(n.Stanzas) != 2 || !bytes.Equal(n.Stanzas[1].Body, h.Stanzas[0].Body) {
		t.Error("the kept stanza was not kept")
	}
	for name, tc := range map[string]struct {
		source envelope.KeySource
		want   error
	}{"kept": {a, nil}, "dropped": {b, envelope.ErrUnknownKey}, "new": {c, nil}} {
		got, r, err := readAll(again, testRef, []envelope.KeySource{tc.source})
		if !errors.Is(err, tc.want) || err == nil && (!bytes.Equal(got, pattern(9000)) || r.Metadata().ContentType != meta.ContentType) {
			t.Errorf("%s: %d bytes, %v, want %v", name, len(got), err, tc.want)
		}
	}
	// Old stanzas do not fit the new header, nor new stanzas the old one.
	if _, _, err := readAll(slices.Concat(head, seal(t, fixed, nil, nil)), testRef, []envelope.KeySource{c}); err == nil {
		t.Error("a rewrapped header opens the payload of another object")
	}
}

func TestMove(t *testing.T) {
	object := seal(t, fixed, []byte("sk-1"), nil)
	h, payload := header(t, object)
	to := envelope.Ref{Vault: "v2", Tenant: "other", Collection: "tokens", Name: "b"}
	head, err := envelope.Move(ctx, h, testRef, to, fixed, fixed)
	if err != nil {
		t.Fatal(err)
	}
	moved := slices.Concat(head, payload)
	if got, _, err := readAll(moved, to, fixed); err != nil || string(got) != "sk-1" {
		t.Errorf("under the new name: %q, %v", got, err)
	}
	if _, _, err := readAll(moved, testRef, fixed); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("under the old name: %v", err)
	}
	n, _ := header(t, moved)
	if n.Rewrap != 1 || n.Revision != h.Revision {
		t.Errorf("the new header is %+v", n)
	}
}

func TestRewrapRefuses(t *testing.T) {
	object := seal(t, fixed, []byte("sk-1"), &envelope.SealOptions{Revision: 7})
	changed := func(change func(h *envelope.Header)) *envelope.Header {
		h, _ := header(t, slices.Clone(object))
		change(h)
		return h
	}
	same := func(*envelope.Header) {}
	other := testRef
	other.Name = "b"
	keep := envelope.Keep(changed(same).Stanzas[0])
	for _, tc := range []struct {
		name       string
		h          *envelope.Header
		to         envelope.Ref
		have, want []envelope.KeySource
		err        error  // or
		text       string // of the error
	}{
		{"no source", changed(same), testRef, nil, fixed, envelope.ErrUnknownKey, ""},
		{"source of another key", changed(same), testRef, []envelope.KeySource{localSource(t, 9)}, fixed, envelope.ErrUnknownKey, ""},
		{"Keep as a source to open", changed(same), testRef, []envelope.KeySource{keep}, fixed, envelope.ErrUnknownKey, ""},
		{"no recipient", changed(same), testRef, fixed, nil, nil, "cannot seal: 0 stanzas; there must be 1 to 16"},
		{"65535 rewraps", changed(func(h *envelope.Header) { h.Rewrap = 65535 }), testRef, fixed, fixed, nil, "cannot seal: the object was rewrapped 65535 times; seal it again"},
		{"17 recipients", changed(same), testRef, fixed, numbered(t, 17), nil, "cannot seal: 17 stanzas; there must be 1 to 16"},
		{"same recipient twice", changed(same), testRef, fixed, []envelope.KeySource{keep, fixed[0]}, nil, "cannot seal: two stanzas of type 1 for key " + fixedID(t)},
		{"Keep with an unknown stanza", changed(same), testRef, fixed, []envelope.KeySource{envelope.Keep(envelope.Stanza{Type: 9})}, nil, "cannot seal: the stanza passed to Keep belongs to another object, or the object is moved to another name"},
		{"Keep with a changed body", changed(same), testRef, fixed, []envelope.KeySource{envelope.Keep(changed(func(h *envelope.Header) { h.Stanzas[0].Body[0]++ }).Stanzas[0])}, nil, "cannot seal: the stanza passed to Keep belongs to another object, or the object is moved to another name"},
		{"Keep under another name", changed(same), other, fixed, []envelope.KeySource{keep}, nil, "cannot seal: the stanza passed to Keep belongs to another object, or the object is moved to another name"},
		{"recipient fails", changed(same), testRef, fixed, []envelope.KeySource{script{err: errBroken}}, errBroken, ""},
		{"header too long", changed(same), testRef, fixed, big(4, 8192), nil, "cannot seal: the header has 32898 bytes; the maximum is 32768"},
		{"another revision", changed(func(h *envelope.Header) { h.Revision++ }), testRef, fixed, fixed, envelope.ErrDecrypt, ""},
		{"another rewrap number", changed(func(h *envelope.Header) { h.Rewrap++ }), testRef, fixed, fixed, envelope.ErrDecrypt, ""},
		{"another commitment", changed(func(h *envelope.Header) { h.Commitment[0]++ }), testRef, fixed, fixed, envelope.ErrDecrypt, ""},
		{"additional stanza", changed(func(h *envelope.Header) { h.Stanzas = append(h.Stanzas, envelope.Stanza{Type: 200, Body: []byte{1}}) }), testRef, fixed, fixed, envelope.ErrDecrypt, ""},
		{"zero header", &envelope.Header{}, testRef, fixed, fixed, envelope.ErrFormat, ""},
		{"stanza too long", changed(func(h *envelope.Header) { h.Stanzas[0].Body = make([]byte, 70000) }), testRef, fixed, fixed, envelope.ErrFormat, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			head, err := envelope.Move(ctx, tc.h, testRef, tc.to, tc.have, tc.want)
			if head != nil || err == nil || tc.err != nil && !errors.Is(err, tc.err) || tc.text != "" && err.Error() != tc.text {
				t.Errorf("%d bytes, %v; want %v%s", len(head), err, tc.err, tc.text)
			}
		})
	}
}
