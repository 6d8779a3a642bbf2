package spool_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// TestExport: another spool gets the pending, refused and set aside entries once, and can send the pending
// ones.
func TestExport(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	v := w.vault(s)
	put(t, v, "taken", "before")
	if _, err := v.Put(t.Context(), "taken", strings.NewReader("after"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrExist) {
		t.Fatalf("put: %v", err)
	}
	output, err := s.KeepAside(t.Context(), envelope.Ref{Collection: "credentials", Name: "output"}, strings.NewReader("output"), "saved by capture")
	if err != nil {
		t.Fatal(err)
	}
	all := func() []vault.SpoolEntry {
		list := w.entries(s)
		aside, err := s.Aside(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range aside {
			list = append(list, a.Entry)
		}
		return list
	}
	dir := t.TempDir()
	if _, _, err := s.Export(t.Context(), dir, all(), false); !errors.Is(err, spool.ErrNeedsKey) {
		t.Errorf("without the key: %v", err)
	}
	if copied, had, err := s.Export(t.Context(), dir, all(), true); copied != 2 || had != 0 || err != nil {
		t.Fatalf("export: %d, %d, %v", copied, had, err)
	}
	w.away(errAway)
	if _, err := v.Put(t.Context(), "later", strings.NewReader("value"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatalf("put: %v", err)
	}
	if copied, had, err := s.Export(t.Context(), dir, all(), true); copied != 1 || had != 2 || err != nil {
		t.Fatalf("second export: %d, %d, %v; want 1, 2", copied, had, err)
	}
	if copied, had, err := s.Export(t.Context(), dir, []vault.SpoolEntry{{ID: "0000000000000001-000000000000-00000000"}}, true); copied+had != 0 || err != nil {
		t.Errorf("an entry that does not exist any more: %d, %d, %v", copied, had, err)
	}

	w.away(nil)
	to := w.spool(func(c *spool.Config) { c.Dir = dir })
	aside, err := to.Aside(t.Context())
	if err != nil || len(aside) != 1 || aside[0].ID != output || aside[0].Reason != "saved by capture" {
		t.Errorf("set aside in the other spool: %+v, %v", aside, err)
	}
	value, err := to.OpenValue(t.Context(), output, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer value.Close()
	if text, err := io.ReadAll(value); err != nil || string(text) != "output" {
		t.Errorf("the value that was set aside is %q, %v", text, err)
	}
	if sum, err := to.Sync(t.Context(), w.vault(to), nil); err != nil || sum.Sent != 1 || sum.Refused != 1 {
		t.Errorf("sync of the other spool: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(to), "later", "value", false)

	// The other machine has its own key.
	other := t.TempDir()
	if _, err := w.spool(func(c *spool.Config) { c.Dir = other }).KeySource(true); err != nil {
		t.Fatal(err)
	}
	if copied, _, err := s.Export(t.Context(), other, all(), true); copied != 0 || !errors.Is(err, vault.ErrExist) {
		t.Errorf("into a spool with another key: %d, %v", copied, err)
	}
}
