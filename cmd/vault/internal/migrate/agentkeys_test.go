package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/objectvault/objectvault/agentkeys"
	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/envelope/kek/signer"
	"github.com/objectvault/objectvault/envelope/kek/signer/signertest"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

const (
	wallet = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"
	omni   = "c5204378ff1ef0b422d52ef494a8cc18af31a901f562d6879d07aa4e2329597d"
	v1key  = "bots/" + wallet + "/credentials/a.enc"
	v2key  = "bots/" + omni + "/credentials/a.enc"
)

func newSigner(t *testing.T) *signer.Source {
	t.Helper()
	server := signertest.New(&signertest.Options{Keys: map[string][]byte{omni: bytes.Repeat([]byte{0x11}, 32)}})
	s, err := signer.New(signer.Config{URL: "http://127.0.0.1:1", Omni: omni, Transport: server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A legacyBucket is a store with objects of agentKeys for the service a, and a vault that reads them.
type legacyBucket struct {
	t     *testing.T
	store *vault.Store
	raw   *vault.Store // the same objects, without call
	vault *vault.Vault
	call  func(c intercept.Call, do func() error) error // in place of each request; may be nil
}

func newLegacyBucket(t *testing.T) *legacyBucket {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := &legacyBucket{t: t, raw: s}
	b.store = intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if b.call != nil {
			return b.call(c, do)
		}
		return do()
	}})
	reader, err := agentkeys.NewReader(newSigner(t), wallet, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b.vault, err = vault.New(b.store, wallet, []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Legacy: reader}); err != nil {
		t.Fatal(err)
	}
	return b
}

// agentKeysStores stores a value as agentKeys does.
func (b *legacyBucket) agentKeysStores(f agentkeys.Format, value string) {
	b.t.Helper()
	a, err := agentkeys.NewAccount(wallet, "")
	if err != nil {
		b.t.Fatal(err)
	}
	kek, err := agentkeys.DeriveKEK(b.t.Context(), newSigner(b.t), a, "a")
	if err != nil {
		b.t.Fatal(err)
	}
	object, err := agentkeys.Seal(kek, a, f, "a", []byte(value))
	if err != nil {
		b.t.Fatal(err)
	}
	key := v1key
	if f == agentkeys.V2 {
		key = v2key
	}
	if err := b.raw.Bucket.WriteAll(b.t.Context(), key, object, nil); err != nil {
		b.t.Fatal(err)
	}
}

// has fails the test unless the vault has a value in an envelope.
func (b *legacyBucket) has(label, want string) {
	b.t.Helper()
	value, info, err := b.vault.ReadAll(b.t.Context(), "a", nil)
	if err != nil || string(value) != want || info.Legacy != "" {
		b.t.Errorf("%s: the vault has %q, %+v, %v; want %q", label, value, info, err, want)
	}
}

// A legacySource is the objects of agentKeys of a vault.
type legacySource struct{ v *vault.Vault }

func (s legacySource) List(ctx context.Context) ([]migrate.Item, int, error) {
	e, err := s.v.LegacyEntry(ctx, "a")
	if errors.Is(err, vault.ErrNotFound) {
		return nil, 3, nil
	}
	return []migrate.Item{{Agent: wallet, Service: "a", Updated: e.Modified}}, 3, err
}

func (s legacySource) Read(ctx context.Context, _ migrate.Item) ([]byte, error) {
	value, _, err := s.v.ReadLegacy(ctx, "a")
	if errors.Is(err, vault.ErrNotFound) {
		err = migrate.ErrGone
	}
	return value, err
}

func (s legacySource) Shred(ctx context.Context, verified []migrate.Verified) (r migrate.ShredReport, err error) {
	for _, i := range verified {
		if _, err := s.v.ShredLegacy(ctx, "a", &vault.ShredOptions{Same: i.Same, OtherKeys: true}); err == nil {
			r.Removed = append(r.Removed, i.Item)
		} else {
			r.Kept = append(r.Kept, migrate.Kept{Item: i.Item, Reason: err.Error()})
		}
	}
	return r, nil
}

func (legacySource) Close() error { return nil }

// A refusing server refuses every compare-and-swap, as Ceph does.
type refusing struct{}

func (refusing) Swap(_ context.Context, _, _ string, fill func(io.Writer) error) (string, error) {
	fill(io.Discard)
	return "", vault.ErrConflict
}

// TestOverLegacy: a newer value of another source replaces an object of agentKeys, in one write.
func TestOverLegacy(t *testing.T) {
	for label, prepare := range map[string]func(*legacyBucket){
		"a store with compare-and-swap":          func(*legacyBucket) {},
		"a server that refuses every condition":  func(b *legacyBucket) { b.store.Swap = refusing{} },
		"a store without compare-and-swap":       func(b *legacyBucket) { b.store.Swap = nil },
		"after an interruption of the first run": func(b *legacyBucket) { b.interruptFirstSwap() },
		"after the objects of agentKeys were moved": func(b *legacyBucket) {
			if r := run(b.t, migrate.New(legacySource{b.vault}, b.vault, &migrate.Options{InPlace: true}))["a"]; r.Status != migrate.StatusVerified {
				b.t.Errorf("%+v", r)
			}
			b.has("moved", "old")
		},
	} {
		b := newLegacyBucket(t)
		now := time.Now()
		b.agentKeysStores(agentkeys.V1, "old")
		prepare(b)
		s := &source{values: map[string]string{"a": "new"}, updated: now.Add(time.Minute)}
		o := &migrate.Options{NoOtherWriters: true, Now: func() time.Time { return now.Add(2 * time.Minute) }}
		r := run(t, migrate.New(s, b.vault, o))["a"]
		if b.call != nil { // it was interrupted
			b.call = nil
			r = run(t, migrate.New(s, b.vault, o))["a"]
		}
		if r.Status != migrate.StatusVerified || !r.Stored {
			t.Errorf("%s: %+v", label, r)
		}
		b.has(label, "new")
	}
}

// interruptFirstSwap makes the first compare-and-swap fail.
func (b *legacyBucket) interruptFirstSwap() {
	b.call = func(c intercept.Call, do func() error) error {
		if c.Op == "swap" {
			return fmt.Errorf("%w: down", vault.ErrBusy)
		}
		return do()
	}
}

// TestRaceWithAgentKeys: a value that agentKeys stores during the conversion is the one that is migrated.
func TestRaceWithAgentKeys(t *testing.T) {
	for _, f := range []agentkeys.Format{agentkeys.V1, agentkeys.V2} {
		for _, op := range []string{"create", "swap", "get"} {
			b := newLegacyBucket(t)
			b.agentKeysStores(f, "older")
			written := 0
			b.call = func(c intercept.Call, do func() error) error {
				if c.Op == op {
					if written++; written == 2 || written == 1 && op != "get" {
						b.agentKeysStores(f, "newer")
					}
				}
				return do()
			}
			r := run(t, migrate.New(legacySource{b.vault}, b.vault, &migrate.Options{InPlace: true}))["a"]
			b.call = nil
			if r.Status != migrate.StatusVerified {
				t.Errorf("%v, at the first %s: %+v", f, op, r)
			}
			if written > 0 {
				b.has(fmt.Sprintf("%v, at the first %s", f, op), "newer")
			}
		}
	}
}

// TestSourceChanges: a value that is stored in the source during the migration is migrated, too.
func TestSourceChanges(t *testing.T) {
	for label, tc := range map[string]struct {
		changes int
		status  migrate.Status
		err     error
	}{"once": {1, migrate.StatusVerified, nil}, "always": {100, migrate.StatusFailed, migrate.ErrChanging}} {
		s := &source{values: map[string]string{"a": "value 0"}, updated: time.Now()}
		n := 0
		v, _ := newVault(t, func(c intercept.Call) {
			if (c.Op == "create" || c.Op == "swap") && n < tc.changes {
				n++
				s.values["a"] = fmt.Sprint("value ", n)
			}
		})
		r := run(t, migrate.New(s, v, nil))["a"]
		if r.Status != tc.status || !errors.Is(r.Err, tc.err) {
			t.Errorf("%s: %+v", label, r)
		}
		if value, _, err := v.ReadAll(t.Context(), "a", nil); tc.err == nil && (err != nil || string(value) != s.values["a"]) {
			t.Errorf("%s: the vault has %q, %v", label, value, err)
		}
	}
}

// TestUncertainOrder: times that are close to each other, or in the future, decide nothing.
func TestUncertainOrder(t *testing.T) {
	for label, updated := range map[string]time.Duration{"the same second": 0, "a second later": time.Second, "a second earlier": -time.Second, "in the future": time.Hour} {
		v, _ := newVault(t, nil)
		put(t, v, "a", "other")
		s := &source{values: map[string]string{"a": "value"}, updated: time.Now().Add(updated)}
		if r := run(t, migrate.New(s, v, nil))["a"]; r.Status != migrate.StatusFailed || !errors.Is(r.Err, migrate.ErrDiffers) {
			t.Errorf("%s: %+v", label, r)
		}
	}
}

// TestLarge: a value that is longer than the default limit of a read is verified.
func TestLarge(t *testing.T) {
	v, _ := newVault(t, nil)
	s := &source{values: map[string]string{"a": string(bytes.Repeat([]byte("x"), 17<<20))}}
	if r := run(t, migrate.New(s, v, nil))["a"]; r.Status != migrate.StatusVerified {
		t.Errorf("%v", r.Err)
	}
}

// TestShredAgain: a value that the vault does not return any more is not removed from the source.
func TestShredAgain(t *testing.T) {
	b := newLegacyBucket(t)
	b.agentKeysStores(agentkeys.V1, "value")
	b.agentKeysStores(agentkeys.V2, "value")
	m := migrate.New(legacySource{b.vault}, b.vault, &migrate.Options{InPlace: true})
	if r := run(t, m)["a"]; r.Status != migrate.StatusVerified {
		t.Fatalf("%+v", r)
	}
	b.agentKeysStores(agentkeys.V1, "value") // in place of the envelope
	report, err := m.Shred(t.Context())
	if err != nil || len(report.Removed) != 0 || len(report.Kept) != 1 {
		t.Errorf("shred: %+v, %v", report, err)
	}
	if value, _, err := b.vault.ReadLegacy(t.Context(), "a"); err != nil || string(value) != "value" {
		t.Errorf("the object of agentKeys: %q, %v", value, err)
	}
}
