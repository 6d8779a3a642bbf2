package vault_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// sources returns the indexes of the sources that open the stanzas.
func sources(list []vault.Recipient) (n []int) {
	for _, r := range list {
		n = append(n, r.Source)
	}
	return n
}

// Recipients opens the object with each source, and reports the sources that cannot be used now.
func TestRecipients(t *testing.T) {
	a, b, c := recipient("a"), recipient("b"), recipient("c")
	away := brokenKey{recipient("away"), envelope.ErrUnavailable}
	s := newStore(t)
	put(t, vaultFor(t, s, nil, a, b), "x", "sk", &vault.PutOptions{Labels: map[string]string{"k": "v"}})
	for _, tc := range []struct {
		sources []envelope.KeySource
		want    []int
		err     error
	}{
		{[]envelope.KeySource{a, b}, []int{0, 1}, nil},
		{[]envelope.KeySource{c, b}, []int{-1, 1}, nil},
		{[]envelope.KeySource{c}, []int{-1, -1}, nil},
		{[]envelope.KeySource{away, a}, []int{1, -1}, vault.ErrUnavailable},
	} {
		info, list, err := vaultFor(t, s, nil, c).Recipients(t.Context(), "x", &vault.RecipientsOptions{Sources: tc.sources})
		if !errors.Is(err, tc.err) {
			t.Errorf("%v: %v", tc.want, err)
		}
		if diff := cmp.Diff(tc.want, sources(list)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if opened := tc.want[0] >= 0 || tc.want[1] >= 0; opened != (info.Revision > 0) || opened != (info.Labels["k"] == "v") || info.SealedSize == 0 {
			t.Errorf("%v: %+v", tc.want, info)
		}
	}
	// No source opens a stanza with a forged key id.
	key := "bots/0xabc/credentials/x.enc"
	object, err := s.Bucket.ReadAll(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	object[21+19]++ // the body of the first stanza
	if err := s.Bucket.WriteAll(t.Context(), key, object, nil); err != nil {
		t.Fatal(err)
	}
	if _, list, err := vaultFor(t, s, nil, a).Recipients(t.Context(), "x", nil); list[0].Source != -1 || !errors.Is(err, envelope.ErrDecrypt) {
		t.Errorf("a forged stanza: %v, %v", sources(list), err)
	}
}

// Recipients distinguishes an object of agentKeys from a damaged one.
func TestRecipientsLegacy(t *testing.T) {
	s := newStore(t)
	for object, legacy := range map[string]bool{
		"\x01a0a1a2a3a4a5a6a7a8a9aaabbbccdd": true, "\x02a0a1a2a3a4a5a6a7a8a9aaabbbccdd": true,
		"\x03a0a1a2a3a4a5a6a7a8a9aaabbbccdd": false, "\x01short": false, "": false,
	} {
		if err := s.Bucket.WriteAll(t.Context(), "bots/0xabc/credentials/x.enc", []byte(object), nil); err != nil {
			t.Fatal(err)
		}
		_, _, err := newVault(t, s, nil).Recipients(t.Context(), "x", nil)
		if errors.Is(err, vault.ErrLegacy) != legacy || !errors.Is(err, envelope.ErrFormat) {
			t.Errorf("%q: %v", object, err)
		}
	}
	if _, _, err := newVault(t, s, nil).Recipients(t.Context(), "absent", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("absent: %v", err)
	}
}

// PurgeVersions removes the old versions of one name, and leaves the current object and other names.
func TestPurgeVersions(t *testing.T) {
	s, err := memfs.Open(t.Context(), memfs.Config{Versions: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v := newVault(t, s, nil)
	for _, value := range []string{"1", "2"} {
		put(t, v, "x", value, nil)
		put(t, v, "x/y", value, nil)
	}
	if err := v.Delete(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	put(t, v, "x", "3", nil)
	n, err := v.PurgeVersions(t.Context(), "x", nil)
	if err != nil || n != 2 {
		t.Errorf("%d versions, %v", n, err)
	}
	count := func(name vault.Name) (n int) {
		for _, err := range v.History(t.Context(), name) {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		return n
	}
	if got := get(t, v, "x", nil); got != "3" || count("x") != 1 || count("x/y") != 2 {
		t.Errorf("value %q, %d and %d versions", got, count("x"), count("x/y"))
	}
	if n, err := v.PurgeVersions(t.Context(), "x", nil); err != nil || n != 0 {
		t.Errorf("again: %d, %v", n, err)
	}
	readOnly := newVault(t, s, &vault.Options{Scope: vault.Scope{ReadOnly: true}})
	if _, err := readOnly.PurgeVersions(t.Context(), "x", nil); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("read-only: %v", err)
	}
}
