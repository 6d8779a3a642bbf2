package spool_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// keep adds a value without a tenant, for the identity of the spool.
func keep(t *testing.T, s *spool.Spool, collection, name, value string) {
	t.Helper()
	keepLocked(t, s, collection, name, value).Unlock()
}

func keepLocked(t *testing.T, s *spool.Spool, collection, name, value string) vault.Spooled {
	t.Helper()
	entry, err := s.Keep(t.Context(), envelope.Ref{Collection: collection, Name: name}, strings.NewReader(value), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(entry.Unlock)
	return entry
}

func put(t *testing.T, v *vault.Vault, name vault.Name, value string) vault.Info {
	t.Helper()
	info, err := v.Put(t.Context(), name, strings.NewReader(value), nil)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func identity(name string) func(*spool.Config) {
	return func(c *spool.Config) { c.Identity = name }
}

// TestKeptRead: a value that was kept before the tenant was known is read although the store has an older
// one, or none. Another identity does not see it.
func TestKeptRead(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	v := w.vault(s)
	put(t, v, "a", "old")
	keep(t, s, "credentials", "a", "new")
	keep(t, s, "credentials", "b", "first")
	w.wantValue(v, "a", "new", true)
	w.wantValue(v, "b", "first", true)
	other := w.vault(w.spool(identity("other")))
	w.wantValue(other, "a", "old", false)
	if _, _, err := other.ReadAll(t.Context(), "b", nil); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("another identity reads the value: %v", err)
	}
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 2 {
		t.Fatalf("sync: %+v, %v", sum, err)
	}
	w.wantValue(other, "a", "new", false)
}

// TestKeptOrder: a put sends the values that were kept for the same name first, and the store has the last
// one.
func TestKeptOrder(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	v := w.vault(s)
	keep(t, s, "credentials", "a", "one")
	keep(t, s, "credentials", "a", "two")
	info := put(t, v, "a", "three")
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("the spool has %+v", left)
	}
	w.wantValue(v, "a", "three", false)
	versions := 0
	for version, err := range v.History(t.Context(), "a") {
		if err != nil {
			t.Fatal(err)
		}
		if versions++; versions == 1 && version.Revision != info.Revision {
			t.Errorf("the newest version has revision %d, want %d", version.Revision, info.Revision)
		}
	}
	if versions != 3 {
		t.Errorf("the history has %d versions, want 3", versions)
	}
}

// TestReplaces: a put with the same value takes the place of a kept entry, which is removed before the store
// has the value, so that a process that is killed later cannot send it again.
func TestReplaces(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	entries := -1
	seen := intercept.Store(w.store, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		entries = len(w.entries(s))
		return do()
	}})
	v, err := vault.New(seen, "0xabc", w.keys, &vault.Options{Spool: s, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	kept := keepLocked(t, s, "credentials", "a", "one")
	if _, err := v.Put(t.Context(), "a", strings.NewReader("one"), &vault.PutOptions{Replaces: kept}); err != nil {
		t.Fatal(err)
	}
	if left := w.entries(s); entries != 1 || len(left) != 0 {
		t.Errorf("during the request, the spool had %d entries; then %+v", entries, left)
	}
	w.wantValue(v, "a", "one", false)
}

// TestReplacesBeforeLater: if a later value of the name is already in the spool, the put waits, and sync sends
// both in order. It overwrites no value of another writer.
func TestReplacesBeforeLater(t *testing.T) {
	for _, other := range []bool{false, true} {
		w := newWorld(t)
		s := w.spool(identity("mine"))
		v := w.vault(s)
		kept := keepLocked(t, s, "credentials", "a", "one")
		kept.Unlock()
		pend(t, w, v, "a", "two")
		if err := kept.Lock(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, sent, refused := "two", 2, 0
		plain, err := vault.New(w.store, "0xabc", w.keys, &vault.Options{Now: w.clock})
		if err != nil {
			t.Fatal(err)
		}
		if other {
			put(t, plain, "a", "three")
			want, sent, refused = "three", 0, 2
		}
		if _, err := v.Put(t.Context(), "a", strings.NewReader("one"), &vault.PutOptions{Replaces: kept}); !errors.Is(err, vault.ErrSpooled) {
			t.Fatalf("put: %v", err)
		}
		entries := w.entries(s)
		if len(entries) != 2 || entries[0].Ref.Tenant != "0xabc" || entries[0].Revision >= entries[1].Revision {
			t.Errorf("the spool has %+v", entries)
		}
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != sent || sum.Refused != refused {
			t.Errorf("other writer %v: sync: %+v, %v", other, sum, err)
		}
		w.wantValue(plain, "a", want, false)
	}
}

// TestReplacesUnsavedBeforeLater: if the value cannot be saved again and a later value of the name waits, it
// is not sent, because it would be the newer one in the store.
func TestReplacesUnsavedBeforeLater(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	kept := keepLocked(t, s, "credentials", "a", "older")
	kept.Unlock()
	pend(t, w, w.vault(s), "a", "newer")
	if err := kept.Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	v := w.vault(w.spool(func(c *spool.Config) { c.Identity, c.Limit = "mine", 2 }))
	if _, err := v.Put(t.Context(), "a", strings.NewReader("older"), &vault.PutOptions{Replaces: kept}); !errors.Is(err, vault.ErrSpooled) {
		t.Errorf("put: %v", err)
	}
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(s), "a", "newer", false)
}

// TestReplacesFails: if a put can neither store the value nor save it again, the kept entry has the error, and
// stays.
func TestReplacesFails(t *testing.T) {
	for _, tc := range []struct {
		what    string
		failure error
		options vault.PutOptions
		refused bool
	}{
		{"the name exists", nil, vault.PutOptions{Create: true}, true},
		{"denied", fmt.Errorf("%w: the policy denies it", vault.ErrPermission), vault.PutOptions{}, true},
		{"away", errAway, vault.PutOptions{}, false},
		{"the spool is required", nil, vault.PutOptions{Spool: vault.SpoolRequire}, false},
	} {
		w := newWorld(t)
		put(t, w.vault(nil), "a", "before")
		s := w.spool(identity("mine"))
		v := w.vault(w.spool(func(c *spool.Config) { c.Identity, c.Limit = "mine", 2 })) // the value is too long for an entry of Put
		w.away(tc.failure)
		tc.options.Replaces = keepLocked(t, s, "credentials", "a", "value")
		id := tc.options.Replaces.Entry().ID
		_, err := v.Put(t.Context(), "a", strings.NewReader("value"), &tc.options)
		var spooled *vault.SpooledError
		if !errors.As(err, &spooled) || spooled.ID != id || spooled.Refused != tc.refused || tc.failure != nil && !errors.Is(err, tc.failure) {
			t.Errorf("%s: put: %v", tc.what, err)
		}
		if left := w.entries(s); len(left) != 1 || left[0].ID != id || left[0].Refused != tc.refused {
			t.Errorf("%s: the spool has %+v", tc.what, left)
		}
	}
	w := newWorld(t)
	s := w.spool(identity("mine"))
	kept := keepLocked(t, s, "credentials", "a", "value")
	for _, v := range []*vault.Vault{w.vault(nil), w.vault(s)} {
		if _, err := v.Put(t.Context(), "a", strings.NewReader("value"), &vault.PutOptions{Replaces: kept, Spool: vault.SpoolOff}); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("without a spool: %v", err)
		}
	}
}

// TestKeptAhead: a value that is kept after another one is later than it, also if the clock was set back.
func TestKeptAhead(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	v := w.vault(s)
	w.now.Add(int64(time.Minute / time.Microsecond))
	pend(t, w, v, "a", "one")
	w.now.Add(-int64(time.Minute / time.Microsecond))
	keep(t, s, "credentials", "a", "two")
	w.wantValue(v, "a", "two", true)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(v, "a", "two", false)
}

// TestKeptRetry: a retry with overwrite of a kept value also retries the later values of the name, so that the
// newest is stored last. It does not change the values of another identity.
func TestKeptRetry(t *testing.T) {
	w := newWorld(t)
	s, other := w.spool(identity("mine")), w.spool(identity("other"))
	v := w.vault(s)
	refused := func(s *spool.Spool, value string) string {
		entry := keepLocked(t, s, "credentials", "a", value)
		defer entry.Unlock()
		if err := entry.Attempted(vault.SpoolAttempt{Time: w.clock(), Reason: "denied", Refused: true}); err != nil {
			t.Fatal(err)
		}
		return entry.Entry().ID
	}
	mine := refused(s, "one")
	foreign := refused(other, "foreign")
	w.away(fmt.Errorf("%w: the policy denies it", vault.ErrPermission))
	if _, err := v.Put(t.Context(), "a", strings.NewReader("two"), nil); !errors.Is(err, vault.ErrPermission) {
		t.Fatalf("put: %v", err)
	}
	w.away(nil)
	if err := s.Retry(t.Context(), mine, true); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the first sync makes the later value pending
		if _, err := s.Sync(t.Context(), v, nil); err != nil {
			t.Fatal(err)
		}
	}
	w.wantValue(v, "a", "two", false)
	if left := w.entries(s); len(left) != 1 || left[0].ID != foreign || !left[0].Refused || left[0].Overwrite {
		t.Errorf("the spool has %+v", left)
	}
}

// TestKeepRefuses: a value that could never be sent is not kept.
func TestKeepRefuses(t *testing.T) {
	w := newWorld(t)
	s := w.spool(func(c *spool.Config) { c.Identity, c.Limit = "mine", 4 })
	for _, tc := range []struct {
		ref   envelope.Ref
		value string
		o     *vault.PutOptions
		want  error
	}{
		{envelope.Ref{Name: "a"}, "x", nil, vault.ErrInvalidName},
		{envelope.Ref{Collection: "Bad Coll", Name: "a"}, "x", nil, vault.ErrInvalidName},
		{envelope.Ref{Vault: "!", Collection: "credentials", Name: "a"}, "x", nil, vault.ErrInvalidName},
		{envelope.Ref{Collection: "credentials", Name: "../x"}, "x", nil, vault.ErrInvalidName},
		{envelope.Ref{Collection: "credentials", Name: "a"}, "12345", nil, vault.ErrTooLarge},
		{envelope.Ref{Collection: "credentials", Name: "a"}, "x", &vault.PutOptions{Create: true, IfRevision: 1}, vault.ErrConfig},
	} {
		if _, err := s.Keep(t.Context(), tc.ref, strings.NewReader(tc.value), tc.o); !errors.Is(err, tc.want) {
			t.Errorf("Keep(%+v, %q, %+v): %v, want %v", tc.ref, tc.value, tc.o, err, tc.want)
		}
	}
	if _, err := s.Keep(t.Context(), envelope.Ref{Collection: "credentials", Name: "a"}, nil, nil); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("a nil reader: %v", err)
	}
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("the spool has %+v", left)
	}
	keep(t, s, "credentials", "a", "1234")
}

// TestReplacesOther: an entry of another name is not replaced.
func TestReplacesOther(t *testing.T) {
	w := newWorld(t)
	s := w.spool(identity("mine"))
	kept := keepLocked(t, s, "credentials", "a", "value")
	if _, err := w.vault(s).Put(t.Context(), "b", strings.NewReader("value"), &vault.PutOptions{Replaces: kept}); !errors.Is(err, vault.ErrConfig) {
		t.Errorf("put: %v", err)
	}
	if left := w.entries(s); len(left) != 1 {
		t.Errorf("the spool has %+v", left)
	}
}

// TestSyncOfOther: the entries of a spool are not sent to the store or the tenant of another one.
func TestSyncOfOther(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	s := w.spool(identity("mine"))
	keep(t, s, "credentials", "a", "value")
	for what, v := range map[string]*vault.Vault{
		"another store": other.vault(other.spool(identity("mine"))), "another identity": w.vault(w.spool(identity("other"))),
		"no spool": w.vault(nil), "no vault": nil,
	} {
		if sum, err := s.Sync(t.Context(), v, nil); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%s: %+v, %v", what, sum, err)
		}
	}
	if left := w.entries(s); len(left) != 1 {
		t.Errorf("the spool has %+v", left)
	}
}

// TestKeptIdentity: a value without a tenant needs an identity.
func TestKeptIdentity(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		s   *spool.Spool
		ref envelope.Ref
	}{{w.spool(nil), envelope.Ref{Collection: "credentials", Name: "a"}}, {w.spool(identity("mine")), envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "a"}}} {
		if _, err := tc.s.Keep(t.Context(), tc.ref, strings.NewReader("value"), nil); !errors.Is(err, vault.ErrConfig) {
			t.Errorf("Keep(%+v): %v", tc.ref, err)
		}
	}
	if left := w.entries(w.spool(nil)); len(left) != 0 {
		t.Errorf("the spool has %+v", left)
	}
}

// TestKeptEnds: Delete and Teardown set aside the values that the same identity put before the tenant was
// known, and sync sends the others.
func TestKeptEnds(t *testing.T) {
	for _, tc := range []struct {
		what string
		end  func(v *vault.Vault) error
		ends []string
	}{
		{"delete", func(v *vault.Vault) error { return v.Delete(t.Context(), "a", nil) }, []string{"a"}},
		{"teardown", func(v *vault.Vault) error { _, err := v.Teardown(t.Context(), nil); return err }, []string{"a", "b"}},
		{"teardown of all collections", func(v *vault.Vault) error {
			_, err := v.Teardown(t.Context(), &vault.TeardownOptions{AllCollections: true})
			return err
		}, []string{"a", "b", "x"}},
	} {
		w := newWorld(t)
		s, other := w.spool(identity("mine")), w.spool(identity("other"))
		v := w.vault(s)
		keep(t, s, "credentials", "a", "value")
		keep(t, s, "credentials", "b", "value")
		keep(t, s, "objects", "x", "value")
		keep(t, other, "credentials", "a", "value")
		if err := tc.end(v); err != nil {
			t.Errorf("%s: %v", tc.what, err)
		}
		aside, err := s.Aside(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var ended []string
		for _, a := range aside {
			ended = append(ended, a.Entry.Ref.Name)
		}
		if slices.Sort(ended); !slices.Equal(ended, tc.ends) {
			t.Errorf("%s: set aside: %v; want %v", tc.what, ended, tc.ends)
		}
		wantSent := 2 - len(tc.ends)
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != max(0, wantSent) {
			t.Errorf("%s: sync: %+v, %v; want %d sent", tc.what, sum, err, wantSent)
		}
	}
}
