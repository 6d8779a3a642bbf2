package spool_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// values returns the values of a name in the store, oldest first.
func (w *world) values(v *vault.Vault, name vault.Name) (values []string) {
	w.t.Helper()
	for h, err := range v.History(w.t.Context(), name) {
		if err != nil {
			w.t.Fatal(err)
		}
		value, _, err := v.ReadAll(w.t.Context(), name, &vault.ReadAllOptions{GetOptions: vault.GetOptions{Version: h.Version}})
		if err != nil {
			w.t.Fatal(err)
		}
		values = append(values, string(value))
	}
	slices.Reverse(values)
	return values
}

// TestOverwriteOrder: if the operator lets one of several values of a name overwrite the object, the
// later values of the name follow in their order, and the newest one wins.
func TestOverwriteOrder(t *testing.T) {
	for _, tc := range []struct {
		name    string
		refused int  // values that were refused before the retry; the others are pending
		retry   int  // the value that is retried
		fails   bool // the first flush after the retry fails
		want    []string
	}{
		{"all refused, first retried", 3, 0, false, []string{"other", "0", "1", "2"}},
		{"all refused, last retried", 3, 2, false, []string{"other", "2"}},
		{"one refused", 1, 0, false, []string{"other", "0", "1", "2"}},
		{"one refused, store away", 1, 0, true, []string{"other", "0", "1", "2"}},
		{"all refused, store away", 3, 0, true, []string{"other", "0", "1", "2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t)
			s := w.spool(nil)
			put := func(from, to int) {
				w.away(errNotSent)
				for _, value := range []string{"0", "1", "2"}[from:to] {
					if _, err := w.vault(s).Put(t.Context(), "a", strings.NewReader(value), nil); !errors.Is(err, vault.ErrSpooled) {
						t.Fatalf("put: %v", err)
					}
				}
				w.away(nil)
			}
			put(0, tc.refused)
			w.now.Add(int64(time.Hour / time.Microsecond))
			if _, err := w.vault(nil).Put(t.Context(), "a", strings.NewReader("other"), nil); err != nil {
				t.Fatal(err)
			}
			w.now.Add(-int64(time.Hour / time.Microsecond))
			if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Refused != tc.refused {
				t.Fatalf("sync: %+v, %v", sum, err)
			}
			put(tc.refused, 3)
			w.now.Add(int64(2 * time.Hour / time.Microsecond))
			if err := s.Retry(t.Context(), w.entries(s)[tc.retry].ID, true); err != nil {
				t.Fatal(err)
			}
			if tc.fails {
				failing := w.store
				w.store = failingWrites(w.store)
				if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Pending != 3 {
					t.Fatalf("sync: %+v, %v", sum, err)
				}
				w.store = failing
			}
			want := len(tc.want) - 1
			if sum, err := s.Sync(t.Context(), w.vault(s), nil); err != nil || sum.Sent != want || sum.Refused != 3-want {
				t.Errorf("sync: %+v, %v", sum, err)
			}
			v := w.vault(nil)
			if got := w.values(v, "a"); !slices.Equal(got, tc.want) {
				t.Errorf("the store has %q, want %q", got, tc.want)
			}
			w.wantValue(v, "a", tc.want[len(tc.want)-1], false)
		})
	}
}
