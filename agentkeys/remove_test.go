package agentkeys_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
)

// TestRemove: Delete removes the name under both prefixes, and names what is left.
func TestRemove(t *testing.T) {
	both := map[string][]byte{walletPrefix + "openrouter.enc": unhex(t, v1Object), omniPrefix + "openrouter.enc": unhex(t, v2Object), omniPrefix + "other.enc": unhex(t, v2Object)}
	for _, tenant := range []string{wallet, omni} {
		b := newBucket(t, both)
		v := b.open(t, tenant, nil)
		if err := v.Delete(t.Context(), "openrouter", nil); err != nil {
			t.Errorf("delete: %v", err)
		}
		if diff := cmp.Diff([]string{omniPrefix + "other.enc"}, b.left(t)); diff != "" {
			t.Errorf("after delete as %s:\n%s", tenant, diff)
		}
		if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
	}
	b := newBucket(t, both)
	b.fail["delete "+omniPrefix] = vault.ErrPermission
	b.fail["remove "+omniPrefix] = vault.ErrPermission
	v := b.open(t, wallet, nil)
	if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrPartial) || !strings.Contains(err.Error(), omniPrefix+"openrouter.enc") {
		t.Errorf("delete without the permission: %v", err)
	}
	result, err := v.Teardown(t.Context(), nil)
	if !errors.Is(err, vault.ErrPartial) || result.NotRemoved != 2 || len(result.Failed) != 2 || result.Failed[0].Key != omniPrefix+"openrouter.enc" {
		t.Errorf("teardown without the permission: %+v, %v", result, err)
	}
	clear(b.fail)
	if result, err := v.Teardown(t.Context(), nil); err != nil || result.Deleted != 2 {
		t.Errorf("teardown: %+v, %v", result, err)
	}
	if left := b.left(t); len(left) > 0 {
		t.Errorf("after the teardown: %q", left)
	}
}

// TestOtherWallet: a tenant that is not the wallet of the signer neither sees nor removes the objects of
// the signer's account.
func TestOtherWallet(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object)})
	replaced, err := agentkeys.NewReader(replacedWallet{}, wallet, nil) // the omni account belongs to wallet
	if err != nil {
		t.Fatal(err)
	}
	former, err := vault.New(b.Store, wallet, []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Legacy: replaced})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []*vault.Vault{b.open(t, "0x"+strings.Repeat("a", 40), nil), former} {
		otherWallet(t, b, v)
	}
}

// A replacedWallet is the new wallet of the omni account.
type replacedWallet struct{}

func (replacedWallet) SignMessage(context.Context, string) ([]byte, error) {
	return make([]byte, 65), nil
}
func (replacedWallet) Omni() string { return omni }
func (replacedWallet) Address(context.Context) (string, error) {
	return "0x" + strings.Repeat("b", 40), nil
}

func otherWallet(t *testing.T, b *bucket, v *vault.Vault) {
	t.Helper()
	for e, err := range v.List(t.Context(), nil) {
		t.Errorf("list: %+v, %v", e, err)
	}
	if _, _, err := get(t, v, "openrouter", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("get: %v", err)
	}
	if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
	if result, err := v.Teardown(t.Context(), &vault.TeardownOptions{AllCollections: true}); err != nil || result.Deleted != 0 {
		t.Errorf("teardown: %+v, %v", result, err)
	}
	if left := b.left(t); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// TestOtherTenant: an envelope of the tenant with the other prefix stays, whatever its size, and does
// not hide an object of agentKeys.
func TestOtherTenant(t *testing.T) {
	for _, size := range []int{1, 2 << 10, 2 << 20} {
		b := newBucket(t, map[string][]byte{walletPrefix + "x.enc": sealedBy(t, agentkeys.V1, "x", "v1 value")})
		o, w := b.open(t, omni, nil), b.open(t, wallet, nil)
		for _, name := range []vault.Name{"x", "prod"} {
			if _, err := o.Put(t.Context(), name, strings.NewReader(strings.Repeat("s", size)), nil); err != nil {
				t.Fatal(err)
			}
		}
		if value, _, err := get(t, w, "x", nil); err != nil || value != "v1 value" {
			t.Errorf("%d bytes: get: %q, %v", size, value, err)
		}
		if _, _, err := get(t, w, "prod", nil); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%d bytes: get prod: %v", size, err)
		}
		if err := w.Delete(t.Context(), "prod", nil); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%d bytes: delete prod: %v", size, err)
		}
		if err := w.Delete(t.Context(), "x", nil); err != nil {
			t.Errorf("%d bytes: delete x: %v", size, err)
		}
		if result, err := w.Teardown(t.Context(), nil); err != nil || result.Deleted != 0 {
			t.Errorf("%d bytes: teardown: %+v, %v", size, result, err)
		}
		for _, name := range []vault.Name{"x", "prod"} {
			if value, _, err := get(t, o, name, nil); err != nil || len(value) != size {
				t.Errorf("%d bytes: %s afterwards: %d bytes, %v", size, name, len(value), err)
			}
		}
	}
}

// TestRemoveOrder: the envelope is removed last, so that an interruption makes no older value current.
func TestRemoveOrder(t *testing.T) {
	for _, conditional := range []bool{false, true} {
		b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object)})
		v := b.open(t, wallet, nil)
		info, err := v.Put(t.Context(), "openrouter", strings.NewReader("rotated"), nil)
		if err != nil {
			t.Fatal(err)
		}
		o := &vault.DeleteOptions{}
		if conditional {
			o.IfTag = info.Tag
		}
		b.fail["any "+omniPrefix] = vault.ErrUnavailable
		if err := v.Delete(t.Context(), "openrouter", o); !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("delete: %v", err)
		}
		clear(b.fail)
		if value, _, err := get(t, b.open(t, wallet, nil), "openrouter", nil); err != nil || value != "rotated" {
			t.Errorf("after a delete that failed: %q, %v", value, err)
		}
		if err := v.Delete(t.Context(), "openrouter", o); err != nil {
			t.Errorf("delete again: %v", err)
		}
		if left := b.left(t); len(left) > 0 {
			t.Errorf("left: %q", left)
		}
		if info, err := v.Undelete(t.Context(), "openrouter"); err != nil || info.Legacy != "" {
			t.Errorf("undelete: %+v, %v", info, err)
		}
	}
}

// TestRemoveSeveral: after one object cannot be removed, the others are, and each that is left is named.
func TestRemoveSeveral(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "a b.enc": sealedBy(t, agentkeys.V2, "a b", "x"), walletPrefix + "a b.enc": sealedBy(t, agentkeys.V1, "a b", "x")})
	b.fail["delete "+omniPrefix], b.fail["remove "+omniPrefix] = vault.ErrPermission, vault.ErrPermission
	v := b.open(t, wallet, nil)
	if err := v.Delete(t.Context(), "a b", nil); !errors.Is(err, vault.ErrPartial) || !strings.Contains(err.Error(), omniPrefix+"a b.enc") {
		t.Errorf("delete: %v", err)
	}
	if diff := cmp.Diff([]string{omniPrefix + "a b.enc"}, b.left(t)); diff != "" {
		t.Errorf("left:\n%s", diff)
	}
}

// TestPurge: a teardown with Purge also removes the old versions of the objects of agentKeys, and one
// without it counts them.
func TestPurge(t *testing.T) {
	for _, purge := range []bool{false, true} {
		b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object), walletPrefix + "b.enc": sealedBy(t, agentkeys.V1, "b", "x")})
		v := b.open(t, wallet, &vault.Options{Collection: map[bool]vault.Collection{true: "other", false: ""}[purge]})
		result, err := v.Teardown(t.Context(), &vault.TeardownOptions{Purge: purge, AllCollections: purge})
		if err != nil || result.Deleted != 2 || !purge && result.LeftInHistory != 2 || purge && (result.LeftInHistory != 0 || result.Purged != 2) {
			t.Errorf("purge %v: %+v, %v", purge, result, err)
		}
		n := 0
		for l, err := range b.Purge.Leftovers(t.Context(), "bots/") {
			if err != nil {
				t.Fatal(err)
			}
			if !l.Deleted {
				n++
			}
		}
		if n != result.LeftInHistory {
			t.Errorf("purge %v: %d old versions are left, want %d", purge, n, result.LeftInHistory)
		}
	}
}

// A silentWallet does not respond until the context ends.
type silentWallet struct{ asked chan struct{} }

func (w silentWallet) SignMessage(ctx context.Context, _ string) ([]byte, error) {
	_, err := w.Address(ctx)
	return nil, err
}
func (w silentWallet) Omni() string { return omni }
func (w silentWallet) Address(ctx context.Context) (string, error) {
	w.asked <- struct{}{}
	<-ctx.Done()
	return "", fmt.Errorf("%w: %w", envelope.ErrUnavailable, ctx.Err())
}

// TestSilentWallet: while the address of the wallet is not known, nothing is removed, and a call ends
// with its own context.
func TestSilentWallet(t *testing.T) {
	b := newBucket(t, nil)
	w := silentWallet{make(chan struct{}, 10)}
	reader, err := agentkeys.NewReader(w, omni, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(b.Store, omni, []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Legacy: reader})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("x"), nil); err != nil {
		t.Fatal(err)
	}
	waiting, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); reader.Prefixes(waiting) }()
	<-w.asked
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := reader.Prefixes(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("prefixes: %v", err)
	}
	stop()
	<-done
	for op, do := range map[string]func(context.Context) error{
		"delete":   func(ctx context.Context) error { return v.Delete(ctx, "a", nil) },
		"teardown": func(ctx context.Context) error { _, err := v.Teardown(ctx, nil); return err },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			select {
			case <-w.asked:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := do(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", op, err, context.Canceled)
		}
		cancel()
	}
	if value, _, err := get(t, v, "a", nil); err != nil || value != "x" {
		t.Errorf("then: %q, %v", value, err)
	}
}

// TestUnknownFormat: an object that is neither an envelope nor one of agentKeys is not removed, and is
// reported.
func TestUnknownFormat(t *testing.T) {
	b := newBucket(t, map[string][]byte{omniPrefix + "short.enc": unhex(t, v2Object)[:5]})
	v := b.open(t, wallet, nil)
	if err := v.Delete(t.Context(), "short", nil); !errors.Is(err, vault.ErrPartial) || !strings.Contains(err.Error(), omniPrefix+"short.enc") {
		t.Errorf("delete: %v", err)
	}
	if result, err := v.Teardown(t.Context(), nil); !errors.Is(err, vault.ErrPartial) || result.NotRemoved != 1 {
		t.Errorf("teardown: %+v, %v", result, err)
	}
	if _, err := v.Put(t.Context(), "short", strings.NewReader("x"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrExist) {
		t.Errorf("create: %v", err)
	}
	if left := b.left(t); len(left) != 1 {
		t.Errorf("left: %q", left)
	}
}

// TestRemovalKeepsPending: if the object of agentKeys cannot be removed, nothing was removed, and the pending
// value of the name stays pending. If only the envelope cannot be removed, the pending value ends.
func TestRemovalKeepsPending(t *testing.T) {
	for prefix, want := range map[string]int{omniPrefix: 1, walletPrefix: 0} {
		b := newBucket(t, map[string][]byte{omniPrefix + "openrouter.enc": unhex(t, v2Object)})
		sp := newSpool(t)
		v := b.open(t, wallet, &vault.Options{Spool: sp})
		if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("one"), nil); err != nil {
			t.Fatal(err)
		}
		b.fail["any "] = vault.ErrUnavailable
		if _, err := v.Put(t.Context(), "openrouter", strings.NewReader("two"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatalf("put: %v", err)
		}
		clear(b.fail)
		b.fail["remove "+prefix] = vault.ErrPermission
		if err := v.Delete(t.Context(), "openrouter", nil); !errors.Is(err, vault.ErrPermission) {
			t.Errorf("delete: %v", err)
		}
		if left, err := sp.All(t.Context()); err != nil || len(left) != want {
			t.Errorf("denied below %s: %d values are pending, %v; want %d", prefix, len(left), err, want)
		}
	}
}
