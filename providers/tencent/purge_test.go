package tencent_test

import (
	"bytes"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/vault"
)

// TestPurgeDuringSwap: another writer has stored a version that lost, and has not deleted it yet, when the
// old versions are removed. The version that won stays. If it has been removed all the same, the version
// that lost stays, because it is the only one.
func TestPurgeDuringSwap(t *testing.T) {
	for _, tc := range []struct {
		name  string
		purge func(t *testing.T, st *vault.Store, v *vault.Vault, written string)
		lost  error
		want  string
		count int
	}{
		{"new version known", func(t *testing.T, _ *vault.Store, v *vault.Vault, written string) {
			if n, err := v.PurgeVersions(t.Context(), "x", &vault.PurgeOptions{Written: written}); err != nil || n != 1 {
				t.Errorf("purge: %d, %v", n, err)
			}
		}, vault.ErrConflict, "first", 1},
		{"unknown", func(t *testing.T, _ *vault.Store, v *vault.Vault, _ string) {
			if n, err := v.PurgeVersions(t.Context(), "x", nil); !errors.Is(err, vault.ErrPartial) || n != 0 {
				t.Errorf("purge: %d, %v", n, err)
			}
		}, vault.ErrConflict, "first", 2},
		{"another program", func(t *testing.T, st *vault.Store, _ *vault.Vault, _ string) {
			var all []vault.Leftover
			for l, err := range st.Purge.Leftovers(t.Context(), "") {
				if err != nil {
					t.Error(err)
				}
				all = append(all, l)
			}
			if failed, err := st.Purge.Purge(t.Context(), all); err != nil || len(failed) > 0 || len(all) != 2 {
				t.Errorf("purge of %v: %v, %v", all, failed, err)
			}
		}, vault.ErrUnsure, "second", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newServer(t, &costest.Options{Versioning: "Enabled"})
			st := open(t, config(s, owner(s)))
			winner, loser := newVault(t, st, "acme"), newVault(t, open(t, config(s, owner(s))), "acme")
			first, err := winner.Put(t.Context(), "x", strings.NewReader("first"), nil)
			if err != nil {
				t.Fatal(err)
			}
			var put, rotated, listed atomic.Bool
			var written vault.Info
			s.SetRule(func(r *costest.Request) *costest.Fault {
				switch {
				case r.Action == "PutObject" && put.CompareAndSwap(false, true):
					var err error
					if written, err = winner.Rotate(t.Context(), "x", nil); err != nil {
						t.Error(err)
					}
					rotated.Store(true)
				case r.Action == "GetBucketObjectVersions" && rotated.Load() && listed.CompareAndSwap(false, true):
					tc.purge(t, st, winner, written.Version)
				}
				return nil
			})
			_, err = loser.Put(t.Context(), "x", strings.NewReader("second"), &vault.PutOptions{IfTag: first.Tag})
			s.SetRule(nil)
			if !errors.Is(err, tc.lost) {
				t.Errorf("the losing write: %v, want %v", err, tc.lost)
			}
			reader := newVault(t, st, "acme") // winner has seen a later revision
			if value, _, err := reader.ReadAll(t.Context(), "x", nil); err != nil || string(value) != tc.want {
				t.Errorf("the value is %q, %v", value, err)
			}
			count := 0
			for _, err := range winner.History(t.Context(), "x") {
				if err != nil {
					t.Fatal(err)
				}
				count++
			}
			if count != tc.count {
				t.Errorf("%d versions, want %d", count, tc.count)
			}
		})
	}
}

// TestPurgeSettled: if it is not known who stored the current version, the old versions are removed once
// no writer deletes it any more. Those of a removed object are removed at once.
func TestPurgeSettled(t *testing.T) {
	var ahead atomic.Int64
	s := newServer(t, &costest.Options{Versioning: "Enabled", Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	v := newVault(t, open(t, config(s, owner(s))), "acme")
	purge := func(what string, want int, wantErr error) {
		t.Helper()
		if n, err := v.PurgeVersions(t.Context(), "x", nil); n != want || !errors.Is(err, wantErr) {
			t.Errorf("%s: %d, %v", what, n, err)
		}
	}
	info, err := v.Put(t.Context(), "x", strings.NewReader("1"), &vault.PutOptions{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	purge("one version", 0, nil)
	if _, err := v.Put(t.Context(), "x", strings.NewReader("2"), &vault.PutOptions{IfTag: info.Tag}); err != nil {
		t.Fatal(err)
	}
	purge("at once", 0, vault.ErrPartial)
	ahead.Store(int64(2 * time.Minute))
	purge("later", 1, nil)
	if _, err := v.Put(t.Context(), "x", strings.NewReader("3"), nil); err != nil {
		t.Fatal(err)
	}
	purge("after a put without a condition", 1, nil)
	root, err := kek.NewRoot(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	r, err := v.Rewrap(t.Context(), "x", &vault.RewrapOptions{Add: []envelope.KeySource{kek.NewLocal(root)}})
	if err != nil || !r.Changed {
		t.Fatalf("rewrap: %+v, %v", r, err)
	}
	if n, err := v.PurgeVersions(t.Context(), "x", &vault.PurgeOptions{Written: r.Version}); n != 1 || err != nil {
		t.Errorf("after a rewrap: %d, %v", n, err)
	}
	if err := v.Delete(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	purge("after a delete", 1, nil)
	for h, err := range v.History(t.Context(), "x") {
		if !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("left: %v, %v", h, err)
		}
	}
}
