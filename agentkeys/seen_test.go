package agentkeys_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/seen"
)

// TestRollback: an object of agentKeys in place of an envelope that was seen is a rollback.
func TestRollback(t *testing.T) {
	b := newBucket(t, nil)
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.open(t, wallet, &vault.Options{Seen: log}).Put(t.Context(), "openrouter", strings.NewReader("sealed"), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Bucket.WriteAll(t.Context(), walletPrefix+"openrouter.enc", unhex(t, v1Object), nil); err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Seen: log}) // another process
	var older *vault.SeenError
	for range 2 {
		if _, _, err := get(t, v, "openrouter", nil); !errors.Is(err, vault.ErrRollback) || !errors.As(err, &older) || !strings.Contains(err.Error(), "agentKeys") {
			t.Errorf("get: %v", err)
		}
	}
	if _, err := v.Stat(t.Context(), "openrouter"); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("stat: %v", err)
	}
	if info, err := v.AcceptOlder(t.Context(), "openrouter"); err != nil || info.Legacy != "v1" {
		t.Errorf("accept: %+v, %v", info, err)
	}
	if value, _, err := get(t, v, "openrouter", nil); err != nil || value != plaintext {
		t.Errorf("get after it was accepted: %q, %v", value, err)
	}
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("sealed again"), nil); err != nil {
		t.Error(err)
	}
	if value, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "openrouter", nil); err != nil || value != "sealed again" {
		t.Errorf("get after another put: %q, %v", value, err)
	}
}

// TestSameProcess: a vault that has stored an envelope detects the rollback without a record.
func TestSameProcess(t *testing.T) {
	b := newBucket(t, nil)
	v := b.open(t, wallet, nil)
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("sealed"), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.Bucket.WriteAll(t.Context(), walletPrefix+"openrouter.enc", unhex(t, v1Object), nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, v, "openrouter", nil); !errors.Is(err, vault.ErrRollback) {
		t.Errorf("get: %v", err)
	}
}

// TestDeletedSeen: an object of agentKeys that comes back after this machine deleted it is a rollback, and
// a teardown is recorded as a deletion.
func TestDeletedSeen(t *testing.T) {
	b := newBucket(t, nil)
	log, err := seen.Open(seen.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Seen: log})
	if _, err := v.Put(t.Context(), "x", strings.NewReader("1"), nil); err != nil {
		t.Fatal(err)
	}
	plant := func() {
		t.Helper()
		if err := b.Bucket.WriteAll(t.Context(), omniPrefix+"x.enc", sealedBy(t, agentkeys.V2, "x", "legacy"), nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := v.Delete(t.Context(), "x", nil); err != nil {
			t.Fatal(err)
		}
		plant()
		if _, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "x", nil); !errors.Is(err, vault.ErrRollback) || !strings.Contains(err.Error(), "was deleted on this machine") {
			t.Errorf("get of an object that is back: %v", err)
		}
		if _, err := v.AcceptOlder(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if value, _, err := get(t, b.open(t, wallet, &vault.Options{Seen: log}), "x", nil); err != nil || value != "legacy" {
			t.Errorf("get after it was accepted: %q, %v", value, err)
		}
	}
	if _, err := v.Teardown(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var gone *vault.SeenError
	if _, _, err := get(t, v, "x", nil); !errors.Is(err, vault.ErrNotFound) || errors.As(err, &gone) {
		t.Errorf("get after a teardown: %v", err)
	}
}
