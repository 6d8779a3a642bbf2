package spool_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
)

// TestRewrapPending: a rewrap and a rotation first send the pending values of the name, so that no value stays
// sealed for a removed key, and none becomes older than the object. If the values cannot be sent, nothing is
// changed.
func TestRewrapPending(t *testing.T) {
	added, _, err := kek.CreateFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*vault.Vault, []envelope.KeySource) error{
		"rewrap": func(v *vault.Vault, removed []envelope.KeySource) error {
			_, err := v.Rewrap(t.Context(), "a", &vault.RewrapOptions{Add: []envelope.KeySource{added}, Remove: removed})
			return err
		},
		"rotate": func(v *vault.Vault, _ []envelope.KeySource) error {
			_, err := v.Rotate(t.Context(), "a", nil)
			return err
		},
	} {
		w := newWorld(t)
		s := w.spool(nil)
		v := w.vault(s)
		before := put(t, v, "a", "one")
		pend(t, w, v, "a", "two")
		w.away(errAway)
		if err := change(v, w.keys); !errors.Is(err, vault.ErrSpooled) {
			t.Errorf("%s while the store is away: %v", what, err)
		}
		w.away(nil)
		if now, err := w.vault(nil).Stat(t.Context(), "a"); err != nil || now.Tag != before.Tag {
			t.Errorf("%s while the store is away changed the object: %+v, %v", what, now, err)
		}
		removed := w.keys
		if err := change(v, removed); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if what == "rewrap" {
			if _, err := w.vault(nil).Get(t.Context(), "a", nil); !errors.Is(err, envelope.ErrUnknownKey) {
				t.Errorf("the removed key opens the value: %v", err)
			}
			w.keys = []envelope.KeySource{added}
		}
		if left := w.entries(s); len(left) != 0 {
			t.Errorf("%s: the spool has %+v", what, left)
		}
		w.wantValue(w.vault(nil), "a", "two", false)
	}
}

// TestRewrapRefused: a refused value that is sealed for a removed key can still be sent, so the operator must
// first decide about it.
func TestRewrapRefused(t *testing.T) {
	added, _, err := kek.CreateFile(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	put(t, v, "a", "one")
	w.away(fmt.Errorf("%w: the policy denies it", vault.ErrPermission))
	var spooled *vault.SpooledError
	if _, err := v.Put(t.Context(), "a", strings.NewReader("two"), nil); !errors.As(err, &spooled) || !spooled.Refused {
		t.Fatalf("put: %v", err)
	}
	w.away(nil)
	o := &vault.RewrapOptions{Add: []envelope.KeySource{added}}
	if _, err := v.Rewrap(t.Context(), "a", o); err != nil {
		t.Errorf("rewrap that removes no key: %v", err)
	}
	if _, err := v.Rotate(t.Context(), "a", nil); err != nil {
		t.Errorf("rotation: %v", err)
	}
	o.Remove, o.Add = []envelope.KeySource{added}, w.keys
	if _, err := v.Rewrap(t.Context(), "a", o); err != nil {
		t.Errorf("rewrap that removes another key: %v", err)
	}
	o.Remove, o.Add = w.keys, []envelope.KeySource{added}
	if _, err := v.Rewrap(t.Context(), "a", o); !errors.Is(err, vault.ErrSpooled) {
		t.Errorf("rewrap: %v", err)
	}
	if err := s.Drop(t.Context(), spooled.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Rewrap(t.Context(), "a", o); err != nil {
		t.Errorf("rewrap after the value was dropped: %v", err)
	}
}
