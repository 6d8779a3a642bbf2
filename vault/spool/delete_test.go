package spool_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vault/spool"
)

// pend puts a value while the store is away.
func pend(t *testing.T, w *world, v *vault.Vault, name vault.Name, value string) {
	t.Helper()
	w.away(errAway)
	defer w.away(nil)
	if _, err := v.Put(t.Context(), name, strings.NewReader(value), nil); !errors.Is(err, vault.ErrSpooled) {
		t.Fatalf("put: %v", err)
	}
}

// TestFailedDelete: if nothing could be removed, the pending values of the name stay pending, and are read
// and sent.
func TestFailedDelete(t *testing.T) {
	denied := fmt.Errorf("%w: the policy denies it", vault.ErrPermission)
	expired := fmt.Errorf("%w: the token has expired", vault.ErrUnauthenticated)
	for _, failure := range []error{denied, expired} {
		for _, tc := range []struct {
			what string
			end  func(v *vault.Vault) error
		}{
			{"delete", func(v *vault.Vault) error { return v.Delete(t.Context(), "a", nil) }},
			{"delete of a tag", func(v *vault.Vault) error {
				return v.Delete(t.Context(), "a", &vault.DeleteOptions{IfTag: strings.Repeat("0", 64)})
			}},
			{"teardown", func(v *vault.Vault) error { _, err := v.Teardown(t.Context(), nil); return err }},
		} {
			w := newWorld(t)
			s := w.spool(identity("mine"))
			v := w.vault(s)
			put(t, v, "a", "one")
			pend(t, w, v, "a", "two")
			w.away(failure)
			if err := tc.end(v); !errors.Is(err, failure) {
				t.Errorf("%s: %v", tc.what, err)
			}
			w.away(nil)
			w.wantValue(v, "a", "two", true)
			if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Sent != 1 {
				t.Errorf("%s: sync: %+v, %v", tc.what, sum, err)
			}
			w.wantValue(v, "a", "two", false)
		}
	}
}

// TestDeleteOfOtherTag: a delete of a tag that the store does not have ends no pending value.
func TestDeleteOfOtherTag(t *testing.T) {
	for _, exists := range []bool{false, true} {
		w := newWorld(t)
		s := w.spool(nil)
		v := w.vault(s)
		want := vault.ErrNotFound
		if exists {
			put(t, v, "a", "one")
			want = vault.ErrConflict
		}
		pend(t, w, v, "a", "two")
		if err := v.Delete(t.Context(), "a", &vault.DeleteOptions{IfTag: strings.Repeat("0", 64)}); !errors.Is(err, want) {
			t.Errorf("delete: %v, want %v", err, want)
		}
		w.wantValue(v, "a", "two", true)
	}
}

// A listening spool calls listed after its first list.
type listening struct {
	*spool.Spool
	once   sync.Once
	listed func()
}

func (l *listening) Entries(ctx context.Context, ref envelope.Ref) ([]vault.Spooled, error) {
	entries, err := l.Spool.Entries(ctx, ref)
	l.once.Do(l.listed)
	return entries, err
}

// TestPutDuringDelete: a put that begins while a delete holds an older value of the name waits for the delete,
// and the delete does not wait for the put.
func TestPutDuringDelete(t *testing.T) {
	w := newWorld(t)
	s := w.spool(nil)
	v := w.vault(s)
	put(t, v, "a", "one")
	pend(t, w, v, "a", "two")
	stored := make(chan error, 1)
	first, err := vault.New(w.store, "0xabc", w.keys, &vault.Options{Now: w.clock, Spool: &listening{Spool: s, listed: func() {
		older := w.entries(s)[0]
		held, err := s.Find(t.Context(), older.ID)
		if err == nil {
			err = held.Lock(t.Context()) // so that the put waits until the delete has the lock
		}
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := w.vault(w.spool(nil)).Put(t.Context(), "a", strings.NewReader("three"), nil)
			stored <- err
		}()
		for len(w.entries(s)) < 2 {
			time.Sleep(time.Millisecond)
		}
		held.Unlock()
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Delete(t.Context(), "a", nil); err != nil {
		t.Errorf("delete: %v", err)
	}
	if err := <-stored; err != nil {
		t.Errorf("put: %v", err)
	}
	if left := w.entries(s); len(left) != 0 {
		t.Errorf("the spool has %+v", left)
	}
}

// TestDeleteDuringSync: a value that sync seals again for the keys of the vault does not come back after a
// delete that ran at the same time.
func TestDeleteDuringSync(t *testing.T) {
	for range 50 {
		w := newWorld(t)
		s := w.spool(identity("mine"))
		v := w.vault(s)
		keep(t, s, "credentials", "a", "value")
		synced := make(chan error)
		for range 2 {
			go func() {
				_, err := s.Sync(t.Context(), v, nil)
				synced <- err
			}()
		}
		derr := v.Delete(t.Context(), "a", nil)
		for range 2 {
			if err := <-synced; err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.Sync(t.Context(), v, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Stat(t.Context(), "a"); derr == nil && !errors.Is(err, vault.ErrNotFound) {
			t.Fatalf("the deleted value is back: %v", err)
		}
	}
}

// TestSecondDelete: while a delete that will fail is in progress, another delete of the name waits, and so does
// a put. So a removed value does not come back, and the order stays.
func TestSecondDelete(t *testing.T) {
	for _, second := range []string{"delete", "put"} {
		w := newWorld(t)
		s := w.spool(nil)
		v := w.vault(s)
		put(t, v, "a", "one")
		pend(t, w, v, "a", "two")
		done := make(chan error, 1)
		started := false
		failing := intercept.Store(w.store, intercept.Hooks{Call: func(context.Context, intercept.Call, func() error) error {
			if !started {
				started = true
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // the time to run into the lock
				defer cancel()
				other := w.vault(w.spool(nil))
				if second == "delete" {
					done <- other.Delete(ctx, "a", nil)
				} else {
					_, err := other.Put(ctx, "a", strings.NewReader("three"), nil)
					done <- err
				}
			}
			return fmt.Errorf("%w: the policy denies it", vault.ErrPermission)
		}})
		first, err := vault.New(failing, "0xabc", w.keys, &vault.Options{Spool: s, Now: w.clock})
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Delete(t.Context(), "a", nil); !errors.Is(err, vault.ErrPermission) {
			t.Errorf("%s: the first delete: %v", second, err)
		}
		if err := <-done; err == nil {
			t.Errorf("%s: it did not wait for the first delete", second)
		}
		want := "two"
		if second == "put" {
			want = "three"
		}
		if sum, err := s.Sync(t.Context(), v, nil); err != nil || sum.Pending+sum.Refused != 0 {
			t.Errorf("%s: sync: %+v, %v", second, sum, err)
		}
		w.wantValue(v, "a", want, false)
	}
}
