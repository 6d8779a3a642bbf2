package agentkeys_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// TestEnvelopeFirst: an envelope at the key of the name is the value, whatever agentKeys has stored, and
// a put replaces the object of agentKeys.
func TestEnvelopeFirst(t *testing.T) {
	for _, tenant := range []string{wallet, omni} {
		for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
			t.Run(fmt.Sprint(tenant[:6], " spool ", mode), func(t *testing.T) {
				b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object)})
				sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
				if err != nil {
					t.Fatal(err)
				}
				v := b.open(t, tenant, &vault.Options{Spool: sp})
				if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("sealed"), &vault.PutOptions{Spool: mode}); err != nil {
					t.Fatal(err)
				}
				b.keys = nil
				value, info, err := get(t, v, "openrouter", nil)
				if err != nil || value != "sealed" || info.Legacy != "" || info.Revision == 0 || len(b.keys) != 1 {
					t.Errorf("get: %q, %+v, %v, reads of %q", value, info, err, b.keys)
				}
			})
		}
	}
}

// TestLaterEntry: an entry of the spool replaces an object of agentKeys, which has no revision.
func TestLaterEntry(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)})
	sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Spool: sp})
	b.fail["any bots/"] = vault.ErrUnavailable
	var saved *vault.SpooledError
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("later"), nil); !errors.As(err, &saved) || saved.Refused {
		t.Fatalf("put without a store: %v", err)
	}
	clear(b.fail)
	if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	if value, info, err := get(t, v, "openrouter", nil); err != nil || value != "later" || info.Legacy != "" {
		t.Errorf("get: %q, %+v, %v", value, info, err)
	}
}

// TestConditions: a create detects an object of agentKeys, and a compare-and-swap with it is not
// possible.
func TestConditions(t *testing.T) {
	for _, key := range []string{walletPrefix, omniPrefix} {
		b := newBucket(t, map[string][]byte{key + "openrouter.enc": unhex(t, map[string]string{walletPrefix: v1Object, omniPrefix: v2Object}[key])})
		sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		v := b.open(t, wallet, &vault.Options{Spool: sp})
		for _, mode := range []vault.SpoolMode{vault.SpoolOff, vault.SpoolDefault} {
			if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &vault.PutOptions{Create: true, Spool: mode}); !errors.Is(err, vault.ErrExist) {
				t.Errorf("create over %s, spool %v: %v", key, mode, err)
			}
			for _, o := range []vault.PutOptions{{IfRevision: 7, Spool: mode}, {IfTag: "abc", Spool: mode}} {
				if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("x"), &o); !errors.Is(err, vault.ErrUnsupported) {
					t.Errorf("put %+v over %s: %v", o, key, err)
				}
			}
		}
		if err := v.Delete(t.Context(), "openrouter", &vault.DeleteOptions{IfTag: "abc"}); !errors.Is(err, vault.ErrUnsupported) {
			t.Errorf("delete if: %v", err)
		}
		if value, _, err := get(t, v, "openrouter", nil); err != nil || value != plaintext {
			t.Errorf("then: %q, %v", value, err)
		}
	}
}

// TestRotate: an object of agentKeys cannot be replaced on a condition, so it is not rotated.
func TestRotate(t *testing.T) {
	b := newBucket(t, map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object)})
	v := b.open(t, wallet, nil)
	if _, err := v.Rotate(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrUnsupported) {
		t.Errorf("rotate: %v", err)
	}
	if _, err := v.Rewrap(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrLegacy) {
		t.Errorf("rewrap: %v", err)
	}
	if value, info, err := get(t, v, "openrouter", nil); err != nil || value != plaintext || info.Legacy == "" {
		t.Errorf("then: %q, %+v, %v", value, info, err)
	}
}

// TestNewerThanEntry: a pending value does not replace a value that agentKeys stored later, and does not
// hide it.
func TestNewerThanEntry(t *testing.T) {
	for _, at := range []agentkeys.Format{agentkeys.V1, agentkeys.V2} {
		b := newBucket(t, nil)
		sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
		if err != nil {
			t.Fatal(err)
		}
		v := b.open(t, wallet, &vault.Options{Spool: sp})
		b.fail["any bots/"] = vault.ErrUnavailable
		if _, err = v.Put(t.Context(), "openrouter", strings.NewReader("monday"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatal(err)
		}
		clear(b.fail)
		key, err := account(t).Key(at, "openrouter")
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Bucket.WriteAll(t.Context(), key, sealedBy(t, at, "openrouter", "tuesday"), nil); err != nil {
			t.Fatal(err)
		}
		if value, info, err := get(t, v, "openrouter", nil); err != nil || value != "tuesday" || info.Pending {
			t.Errorf("%v: get: %q, %+v, %v", at, value, info, err)
		}
		if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Refused != 1 || sum.Sent != 0 {
			t.Errorf("%v: sync: %+v, %v", at, sum, err)
		}
		if value, _, err := get(t, v, "openrouter", nil); err != nil || value != "tuesday" {
			t.Errorf("%v: get after the sync: %q, %v", at, value, err)
		}
	}
}

// TestAppliedEntry: an entry that was stored, and then replaced by agentKeys, is sent; it is no conflict.
func TestAppliedEntry(t *testing.T) {
	b := newBucket(t, nil)
	sp, err := spool.Open(spool.Config{Dir: t.TempDir(), Store: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	v := b.open(t, wallet, &vault.Options{Spool: sp})
	b.lost = true
	if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("monday"), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatal(err)
	}
	b.lost = false
	if err := b.Bucket.WriteAll(t.Context(), walletPrefix+"openrouter.enc", sealedBy(t, agentkeys.V1, "openrouter", "tuesday"), nil); err != nil {
		t.Fatal(err)
	}
	if sum, err := sp.Sync(t.Context(), v, nil); err != nil || sum.Refused != 0 || sum.Pending != 0 || sum.Sent != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	if value, _, err := get(t, b.open(t, wallet, nil), "openrouter", nil); err != nil || value != "tuesday" {
		t.Errorf("get: %q, %v", value, err)
	}
}
