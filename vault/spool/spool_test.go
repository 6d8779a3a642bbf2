package spool_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// A world is a store that can be taken away, and a spool.
type world struct {
	t     *testing.T
	store *vault.Store
	dir   string
	now   atomic.Int64
	fail  atomic.Pointer[error] // the error of every request; nil: none
	after atomic.Bool           // requests fail after they were applied
	keys  []envelope.KeySource
	warns []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), keys: []envelope.KeySource{kek.InsecureFixed()}}
	w.now.Store(time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC).UnixMicro())
	inner, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w.store = intercept.Store(inner, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		failure := w.fail.Load()
		switch {
		case failure == nil:
			return do()
		case w.after.Load():
			do()
		}
		return *failure
	}})
	t.Cleanup(func() { w.store.Close() })
	return w
}

func (w *world) clock() time.Time { return time.UnixMicro(w.now.Add(1)) }

func (w *world) away(err error) {
	if err == nil {
		w.fail.Store(nil)
		return
	}
	w.fail.Store(&err)
}

func (w *world) spool(change func(*spool.Config)) *spool.Spool {
	w.t.Helper()
	c := spool.Config{Dir: w.dir, Store: "0123456789abcdef", Now: w.clock, Warn: func(err error) { w.warns = append(w.warns, err.Error()) }}
	if change != nil {
		change(&c)
	}
	s, err := spool.Open(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) vault(s vault.Spool) *vault.Vault {
	w.t.Helper()
	v, err := vault.New(w.store, "0xabc", w.keys, &vault.Options{Spool: s, Now: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

func (w *world) entries(s *spool.Spool) []vault.SpoolEntry {
	w.t.Helper()
	all, err := s.All(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	list := make([]vault.SpoolEntry, len(all))
	for i, e := range all {
		list[i] = e.Entry()
	}
	return list
}

func (w *world) wantValue(v *vault.Vault, name vault.Name, want string, pending bool) {
	w.t.Helper()
	value, info, err := v.ReadAll(w.t.Context(), name, nil)
	if err != nil || string(value) != want || info.Pending != pending {
		w.t.Errorf("%s is %q, pending %v, %v; want %q, %v", name, value, info.Pending, err, want, pending)
	}
}

var errAway = fmt.Errorf("%w: connection refused", vault.ErrUnavailable)

// TestAway: a value that was put while the store was away is read from the spool, and sync stores it
// under the revision that Put returned.
func TestAway(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	w.away(errAway)
	info, err := v.Put(t.Context(), "openrouter", strings.NewReader("sk-1"), &vault.PutOptions{Labels: map[string]string{"env": "prod"}})
	if !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, vault.ErrUnavailable) || !info.Pending || info.Size != 4 || info.Revision == 0 {
		t.Fatalf("put: %+v, %v", info, err)
	}
	w.wantValue(v, "openrouter", "sk-1", true)
	for _, tag := range []string{"", info.Tag} { // a pending value is returned whatever the caller has
		o, err := v.Open(t.Context(), "openrouter", &vault.GetOptions{IfNoneTag: tag})
		if err != nil {
			t.Fatal(err)
		}
		if err := iotest.TestReader(o, []byte("sk-1")); err != nil || !o.Info().Pending {
			t.Errorf("open: %+v, %v", o.Info(), err)
		}
		o.Close()
	}
	if info, err := v.Stat(t.Context(), "openrouter"); err != nil || !info.Pending || info.Labels["env"] != "prod" {
		t.Errorf("stat: %+v, %v", info, err)
	}
	// A second process, with the store still away.
	sum, err := w.spool(nil).Sync(t.Context(), w.vault(w.spool(nil)), nil)
	if err != nil || sum.Pending != 1 || sum.Sent != 0 || !errors.Is(sum.Cause, vault.ErrUnavailable) {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.away(nil)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 || sum.Pending != 0 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(v, "openrouter", "sk-1", false)
	if got, err := w.vault(nil).Stat(t.Context(), "openrouter"); err != nil || got.Revision != info.Revision || got.Tag != info.Tag {
		t.Errorf("stored %+v, %v, want revision %d", got, err, info.Revision)
	}
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("left in the spool: %+v", left)
	}
}

// TestStoredNotSpooled: a value that is known to be stored is not in the spool.
func TestStoredNotSpooled(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	if info, err := v.Put(t.Context(), "a", strings.NewReader("1"), nil); err != nil || info.Pending {
		t.Fatalf("put: %+v, %v", info, err)
	}
	if _, err := v.Put(t.Context(), "b", strings.NewReader("1"), &vault.PutOptions{Spool: vault.SpoolOff}); err != nil {
		t.Fatal(err)
	}
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("left in the spool: %+v", left)
	}
	w.wantValue(v, "a", "1", false)
}

// TestJournalFirst: the entry is complete on disk when the first request is sent, and before a deferred
// store is opened.
func TestJournalFirst(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	var found []vault.SpoolEntry
	store := vault.Deferred("test", func(context.Context) (*vault.Store, error) {
		found = w.entries(s)
		return w.store, nil
	})
	v, err := vault.New(store, "0xabc", w.keys, &vault.Options{Spool: s, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("1"), nil); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Ref.Name != "a" || found[0].Ref.Tenant != "0xabc" {
		t.Errorf("when the store was opened, the spool had %+v", found)
	}
}

// TestDeferredAway: a store that cannot be opened is like one that cannot be reached.
func TestDeferredAway(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	opens := 0
	store := vault.Deferred("test", func(context.Context) (*vault.Store, error) {
		if opens++; opens < 3 {
			return nil, fmt.Errorf("%w: the token expired", vault.ErrUnauthenticated)
		}
		return w.store, nil
	})
	v, err := vault.New(store, "0xabc", w.keys, &vault.Options{Spool: s, Now: w.clock})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("1"), nil); !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, vault.ErrUnauthenticated) {
		t.Fatalf("put: %v", err)
	}
	w.wantValue(v, "a", "1", true) // the second open
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
}

// TestLostResponse: a write whose response was lost is found by sync, and not written twice.
func TestLostResponse(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	w.after.Store(true)
	w.away(fmt.Errorf("%w: reset", vault.ErrUnavailable))
	if _, err := v.Put(t.Context(), "a", strings.NewReader("1"), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, vault.ErrUnsure) {
		t.Fatalf("put: %v", err)
	}
	w.away(nil)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	n := 0
	for _, err := range v.History(t.Context(), "a") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d versions, want 1", n)
	}
	w.wantValue(v, "a", "1", false)
}

// TestOrder: values of one name are stored in the order in which they were put, also by a Put that
// finds older entries.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	w.away(errAway)
	for _, value := range []string{"1", "2"} {
		if _, err := v.Put(t.Context(), "a", strings.NewReader(value), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatalf("put: %v", err)
		}
	}
	w.now.Add(-int64(time.Hour / time.Microsecond)) // the clock steps back
	w.wantValue(v, "a", "2", true)
	w.away(nil)
	if _, err := w.vault(w.spool(nil)).Put(t.Context(), "a", strings.NewReader("3"), nil); err != nil {
		t.Fatal(err)
	}
	var values []string
	for h, err := range v.History(t.Context(), "a") {
		if err != nil {
			t.Fatal(err)
		}
		value, _, err := v.ReadAll(t.Context(), "a", &vault.ReadAllOptions{GetOptions: vault.GetOptions{Version: h.Version}})
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, string(value))
	}
	if want := []string{"3", "2", "1"}; !slices.Equal(values, want) {
		t.Errorf("history %q, want %q", values, want)
	}
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("left in the spool: %+v", left)
	}
}

// TestConflict: an entry never replaces a later revision, and both values are kept until the operator
// decides.
func TestConflict(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	w.away(errAway)
	v.Put(t.Context(), "a", strings.NewReader("pending"), nil)
	w.away(nil)
	other := w.vault(nil)
	if _, err := other.Put(t.Context(), "a", strings.NewReader("other"), nil); err != nil {
		t.Fatal(err)
	}
	w.wantValue(v, "a", "other", false) // it is later
	sum, err := s.Sync(t.Context(), v, nil)
	if err != nil || sum.Refused != 1 || sum.Sent != 0 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(v, "a", "other", false)
	left := w.entries(s)
	if len(left) != 1 || !left[0].Refused || !strings.Contains(left[0].Attempts[len(left[0].Attempts)-1].Reason, "conflict") {
		t.Fatalf("in the spool: %+v", left)
	}
	// The store away: a refused value is never read.
	w.away(errAway)
	if _, _, err := v.ReadAll(t.Context(), "a", nil); !errors.Is(err, vault.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
	w.away(nil)
	if err := s.Retry(t.Context(), left[0].ID, true); err != nil {
		t.Fatal(err)
	}
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync after retry: %+v, %v", sum, err)
	}
	// Another reader, which has read the other value, accepts this one as the newest.
	w.wantValue(other, "a", "pending", false)
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("left in the spool: %+v", left)
	}
}

// A refusing store refuses every condition, as Ceph does.
type refusing struct{ vault.Swapper }

func (refusing) Swap(context.Context, string, string, func(io.Writer) error) (string, error) {
	return "", fmt.Errorf("%w: 412", vault.ErrConflict)
}

// TestNoConditions: an entry also reaches a store that refuses every condition.
func TestNoConditions(t *testing.T) {
	w := newWorld(t)
	w.store.Swap = refusing{w.store.Swap}
	s := w.spool(nil)
	v := w.vault(s)
	if _, err := v.Put(t.Context(), "a", strings.NewReader("1"), nil); err != nil {
		t.Fatal(err)
	}
	w.away(errAway)
	v.Put(t.Context(), "a", strings.NewReader("2"), nil)
	w.away(nil)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(v, "a", "2", false)
}

// TestRefused: a Put that the store refuses fails with that error, and one entry is kept for each name
// and value.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	for _, cause := range []error{
		fmt.Errorf("%w: policy", vault.ErrPermission), fmt.Errorf("%w: quota", vault.ErrNoSpace),
		&vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.NoBucket, Effect: vault.Refused},
	} {
		w.away(cause)
		for _, value := range []string{"1", "1", "2"} {
			_, err := v.Put(t.Context(), "a", strings.NewReader(value), nil)
			var spooled *vault.SpooledError
			if errors.Is(err, vault.ErrSpooled) || !errors.Is(err, errors.Unwrap(cause)) || !errors.As(err, &spooled) || !spooled.Refused {
				t.Errorf("put: %v, want %v", err, cause)
			}
		}
	}
	if left := w.entries(s); len(left) != 2 {
		t.Errorf("%d entries, want one for each value: %+v", len(left), left)
	}
	w.away(nil)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Refused != 2 || sum.Sent != 0 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	// The refusal does not hold up a later value.
	if _, err := v.Put(t.Context(), "a", strings.NewReader("3"), nil); err != nil {
		t.Error(err)
	}
}

// TestRemoved: sync does not store a name again that was removed.
func TestRemoved(t *testing.T) {
	for _, remove := range []func(context.Context, *vault.Vault) error{
		func(ctx context.Context, v *vault.Vault) error { return v.Delete(ctx, "a", nil) },
		func(ctx context.Context, v *vault.Vault) error { _, err := v.Teardown(ctx, nil); return err },
	} {
		w := newWorld(t)
		s := w.spool(nil)
		v := w.vault(s)
		w.away(errAway)
		v.Put(t.Context(), "a", strings.NewReader("1"), nil)
		w.away(nil)
		if err := remove(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum != (spool.Summary{}) {
			t.Errorf("sync: %+v, %v", sum, err)
		}
		if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("stat: %v", err)
		}
		aside, err := s.Aside(t.Context())
		if err != nil || len(aside) != 1 || aside[0].Reason == "" || aside[0].Entry.Ref.Name != "a" {
			t.Fatalf("set aside: %+v, %v", aside, err)
		}
		if err := s.Restore(aside[0].ID); err != nil {
			t.Fatal(err)
		}
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
			t.Errorf("sync after restore: %+v, %v", sum, err)
		}
	}
}

// A downSource is a key source that cannot be reached.
type downSource struct {
	envelope.KeySource
	down atomic.Bool
}

func (d *downSource) Wrap(ctx context.Context, ref envelope.Ref, dek []byte, aad envelope.AAD) (envelope.Stanza, error) {
	if d.down.Load() {
		return envelope.Stanza{}, fmt.Errorf("%w: signer", envelope.ErrUnavailable)
	}
	return d.KeySource.Wrap(ctx, ref, dek, aad)
}

// TestKeysAway: without its key sources a value is sealed for the key of the spool, and sync seals it
// for the real ones.
func TestKeysAway(t *testing.T) {
	w := newWorld(t)
	source := &downSource{KeySource: w.keys[0]}
	w.keys = []envelope.KeySource{source}
	s := w.spool(nil)
	v := w.vault(s)
	source.down.Store(true)
	long := strings.Repeat("x", 3<<20)
	for name, value := range map[vault.Name]string{"a": "1", "long": long} {
		info, err := v.Put(t.Context(), name, strings.NewReader(value), &vault.PutOptions{Create: true})
		if !errors.Is(err, vault.ErrSpooled) || !info.Pending {
			t.Fatalf("put: %v", err)
		}
		w.wantValue(v, name, value, true)
	}
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Pending != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	source.down.Store(false)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(nil), "a", "1", false)
	w.wantValue(w.vault(nil), "long", long, false)
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("left in the spool: %+v", left)
	}
}

// TestKeysAwayTwice: two values of one name that were sealed for the key of the spool are both stored, in
// their order.
func TestKeysAwayTwice(t *testing.T) {
	w := newWorld(t)
	source := &downSource{KeySource: w.keys[0]}
	w.keys = []envelope.KeySource{source}
	s := w.spool(nil)
	v := w.vault(s)
	source.down.Store(true)
	for _, value := range []string{"1", "2"} {
		if _, err := v.Put(t.Context(), "a", strings.NewReader(value), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatalf("put: %v", err)
		}
	}
	source.down.Store(false)
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(w.vault(nil), "a", "2", false)
}

// TestKeyLost: without the key of the spool its values stay, and no new key hides that it is lost.
func TestKeyLost(t *testing.T) {
	w := newWorld(t)
	source := &downSource{KeySource: w.keys[0]}
	w.keys = []envelope.KeySource{source}
	s := w.spool(nil)
	source.down.Store(true)
	w.vault(s).Put(t.Context(), "a", strings.NewReader("1"), nil)
	source.down.Store(false)
	key := filepath.Join(w.dir, "spool.key")
	if err := os.Rename(key, key+".lost"); err != nil {
		t.Fatal(err)
	}
	s = w.spool(nil)
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Pending != 1 || s.HasKey() {
		t.Errorf("sync: %+v, %v, has a key: %v", sum, err, s.HasKey())
	}
	if err := os.Rename(key+".lost", key); err != nil {
		t.Fatal(err)
	}
	s = w.spool(nil)
	if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != 1 {
		t.Errorf("sync with the key: %+v, %v", sum, err)
	}
}

// TestBusy: a put does not wait without a limit for an older value that a suspended process has locked, and
// keeps its place behind it.
func TestBusy(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	w.away(errAway)
	v.Put(t.Context(), "a", strings.NewReader("1"), nil)
	w.away(nil)
	all, err := s.All(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	if err := all[0].Lock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Put(t.Context(), "a", strings.NewReader("2"), nil); !errors.Is(err, vault.ErrSpooled) || !errors.Is(err, vault.ErrBusy) {
		t.Errorf("put: %v", err)
	}
	all[0].Unlock()
	if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 2 {
		t.Errorf("sync: %+v, %v", sum, err)
	}
	w.wantValue(v, "a", "2", false)
}

// TestLong: a stream that turns out to be longer than the limit is sent anyway. If that fails, the error
// states that the value is not saved.
func TestLong(t *testing.T) {
	for _, size := range []int{1 << 20, 1<<20 + 1, 3 << 20} {
		w := newWorld(t)
		s := w.spool(func(c *spool.Config) { c.Limit = 1 << 20 })
		v := w.vault(s)
		value := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		stream := func() io.Reader { return io.MultiReader(bytes.NewReader(value)) }
		if _, err := v.Put(t.Context(), "a", stream(), nil); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		w.wantValue(v, "a", string(value), false)
		w.away(errAway)
		_, err := v.Put(t.Context(), "b", stream(), nil)
		var unsaved *vault.UnsavedError
		if saved := size <= 1<<20; errors.Is(err, vault.ErrSpooled) != saved || errors.As(err, &unsaved) == saved || !errors.Is(err, vault.ErrUnavailable) {
			t.Errorf("%d bytes, store away: %v", size, err)
		}
		if _, err := v.Put(t.Context(), "c", bytes.NewReader(value), nil); errors.Is(err, vault.ErrSpooled) != (size <= 1<<20) {
			t.Errorf("%d bytes of known length, store away: %v", size, err)
		}
		files, err := filepath.Glob(filepath.Join(s.Dir(), ".*.tmp"))
		if err != nil || len(files) > 0 {
			t.Errorf("left behind: %q, %v", files, err)
		}
	}
}

// TestLargest: the largest limit saves values of any length.
func TestLargest(t *testing.T) {
	w := newWorld(t)
	s := w.spool(func(c *spool.Config) { c.Limit = math.MaxInt64 })
	v := w.vault(s)
	w.away(errAway)
	value := strings.Repeat("x", 3<<20)
	if _, err := v.Put(t.Context(), "a", io.MultiReader(strings.NewReader(value)), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatal(err)
	}
	w.wantValue(v, "a", value, true)
}

// TestUnwritable: a spool that cannot be written does not stop a put that the store accepts.
func TestUnwritable(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(w.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*spool.Config){
		"path is a file": func(c *spool.Config) { c.Dir = file },
		"full":           func(c *spool.Config) { c.Total = 1; c.Store = "full" },
	} {
		s := w.spool(change)
		v := w.vault(s)
		if what == "full" {
			w.away(errAway)
			v.Put(t.Context(), "first", strings.NewReader("1"), nil)
			w.away(nil)
		}
		w.warns = nil
		if _, err := v.Put(t.Context(), "a", strings.NewReader("1"), nil); err != nil || len(w.warns) != 1 {
			t.Errorf("%s: put: %v, warnings %q", what, err, w.warns)
		}
		w.away(errAway)
		_, err := v.Put(t.Context(), "a", strings.NewReader("1"), nil)
		var unsaved *vault.UnsavedError
		if !errors.As(err, &unsaved) || !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrSpooled) {
			t.Errorf("%s, store away: %v", what, err)
		}
		w.away(nil)
		r := strings.NewReader("1")
		if _, err := v.Put(t.Context(), "b", r, &vault.PutOptions{Spool: vault.SpoolRequire}); err == nil || r.Len() != 1 {
			t.Errorf("%s, required: %v, and %d bytes were read", what, err, 1-r.Len())
		}
	}
}

// TestDamaged: an entry that is damaged, or was moved to another store or name, is set aside and never
// sent.
func TestDamaged(t *testing.T) {
	for what, damage := range map[string]func(t *testing.T, path string){
		"flipped bit": func(t *testing.T, path string) {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)/2] ^= 1
			if err := os.WriteFile(path, text, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"truncated": func(t *testing.T, path string) {
			if err := os.Truncate(path, 200); err != nil {
				t.Fatal(err)
			}
		},
		"empty": func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		},
		"renamed to another id": func(t *testing.T, path string) {
			base := filepath.Base(path)
			if err := os.Rename(path, filepath.Join(filepath.Dir(path), "0000000000000001"+base[16:])); err != nil {
				t.Fatal(err)
			}
		},
	} {
		w := newWorld(t)
		s := w.spool(nil)
		v := w.vault(s)
		w.away(errAway)
		v.Put(t.Context(), "a", strings.NewReader("1"), nil)
		w.away(nil)
		damage(t, filepath.Join(s.Dir(), w.entries(s)[0].ID+".entry"))
		if _, err := s.Sync(t.Context(), v, nil); err != nil {
			t.Errorf("%s: sync: %v", what, err)
		}
		if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s: stat: %v", what, err)
		}
		if aside, err := s.Aside(t.Context()); err != nil || len(aside) != 1 {
			t.Errorf("%s: set aside: %+v, %v", what, aside, err)
		}
		if len(w.warns) == 0 || len(w.entries(s)) != 0 {
			t.Errorf("%s: warnings %q, entries %+v", what, w.warns, w.entries(s))
		}
	}
	w := newWorld(t)
	s := w.spool(nil)
	w.away(errAway)
	w.vault(s).Put(t.Context(), "a", strings.NewReader("1"), nil)
	w.away(nil)
	other := w.spool(func(c *spool.Config) { c.Store = "fedcba9876543210" })
	if err := os.Rename(s.Dir(), other.Dir()); err != nil {
		t.Fatal(err)
	}
	if sum, err := other.Sync(t.Context(), w.vault(other), nil); err != nil || sum.Sent != 0 {
		t.Errorf("another store: %+v, %v", sum, err)
	}
}

// TestPause: an entry that could not be sent is not due at once.
func TestPause(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	w.away(errAway)
	v.Put(t.Context(), "a", strings.NewReader("1"), nil)
	w.away(nil)
	due := &spool.SyncOptions{OnlyDue: true}
	if sum, err := s.Sync(t.Context(), v, due); err != nil || sum.Sent != 0 || sum.Pending != 1 {
		t.Errorf("at once: %+v, %v", sum, err)
	}
	w.now.Add(int64(2 * time.Second / time.Microsecond))
	if sum, err := s.Sync(t.Context(), v, due); err != nil || sum.Sent != 1 {
		t.Errorf("2s later: %+v, %v", sum, err)
	}
}

// TestInterruptedValue: if the context ends while Put reads the value, Put returns the error of the
// context, and neither the store nor the spool contains a part of the value.
func TestInterruptedValue(t *testing.T) {
	for _, length := range []int{10, 200 << 10} {
		w := newWorld(t)
		s := w.spool(nil)
		eager := *w.store
		eager.Put = eagerPutter{w.store.Put}
		w.store = &eager
		v := w.vault(s)
		ctx, cancel := context.WithCancel(t.Context())
		value := io.MultiReader(strings.NewReader(strings.Repeat("v", length)), readerFunc(func([]byte) (int, error) {
			cancel()
			return 0, nil
		}), strings.NewReader("rest"))
		if _, err := v.Put(ctx, "a", value, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("%d bytes: put: %v, want %v", length, err, context.Canceled)
		}
		if left := w.entries(s); len(left) != 0 {
			t.Errorf("%d bytes: left in the spool: %+v", length, left)
		}
		if _, err := v.Stat(t.Context(), "a"); !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%d bytes: stat: %v", length, err)
		}
		if temps, err := filepath.Glob(filepath.Join(s.Dir(), ".*")); err != nil || len(temps) > 0 {
			t.Errorf("%d bytes: left behind: %q, %v", length, temps, err)
		}
	}
}

// An eagerPutter asks for the envelope before it looks at the context, as package aws does.
type eagerPutter struct{ vault.Putter }

func (p eagerPutter) Put(ctx context.Context, key string, fill func(io.Writer) error) (string, error) {
	var envelope bytes.Buffer
	if err := fill(&envelope); err != nil {
		return "", err
	}
	return p.Putter.Put(ctx, key, func(w io.Writer) error {
		_, err := envelope.WriteTo(w)
		return err
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSentMeanwhile: a value that another process sends while it is read from the spool is read from the
// store.
func TestSentMeanwhile(t *testing.T) {
	for _, op := range []string{"get", "stat"} {
		w := newWorld(t)
		s := w.spool(nil)
		w.away(errAway)
		if _, err := w.vault(s).Put(t.Context(), "a", strings.NewReader("1"), nil); !errors.Is(err, vault.ErrSpooled) {
			t.Fatal(err)
		}
		v := w.vault(&racedSpool{s, func() {
			w.away(nil)
			if _, err := s.Sync(t.Context(), w.vault(s), nil); err != nil {
				t.Error(err)
			}
		}})
		if op == "get" {
			w.wantValue(v, "a", "1", false)
			continue
		}
		if info, err := v.Stat(t.Context(), "a"); err != nil || info.Pending {
			t.Errorf("stat: %+v, %v", info, err)
		}
	}
}

// A racedSpool calls race before an entry is opened.
type racedSpool struct {
	vault.Spool
	race func()
}

func (r *racedSpool) Entries(ctx context.Context, ref envelope.Ref) ([]vault.Spooled, error) {
	list, err := r.Spool.Entries(ctx, ref)
	for i := range list {
		list[i] = racedEntry{list[i], r.race}
	}
	return list, err
}

type racedEntry struct {
	vault.Spooled
	race func()
}

func (e racedEntry) Open() (io.ReadCloser, error) {
	e.race()
	return e.Spooled.Open()
}

// TestInterruptedAdd: an add that the caller interrupts is no fault of the spool.
func TestInterruptedAdd(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	ctx, cancel := context.WithCancel(t.Context())
	entry, err := s.Add(ctx, vault.SpoolEntry{Ref: envelope.Ref{Tenant: "0xabc", Collection: "credentials", Name: "a"}}, func(io.Writer) error {
		cancel()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) || len(w.warns) != 0 {
		t.Errorf("interrupted: %v, warnings %q", err, w.warns)
	}
	if entry != nil {
		entry.Remove()
		entry.Unlock()
	}
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("the spool has %+v", left)
	}
}
