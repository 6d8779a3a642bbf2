package vault_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

func TestHistory(t *testing.T) {
	ctx := t.Context()
	v := newVault(t, newStore(t), nil)
	one := put(t, v, "a", "one", &vault.PutOptions{Labels: map[string]string{"n": "1"}})
	two := put(t, v, "a", "two!", nil)
	if err := v.Delete(ctx, "a", nil); err != nil {
		t.Fatal(err)
	}
	history := func() (list []vault.HistoryEntry) {
		for e, err := range v.History(ctx, "a") {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, e)
		}
		return list
	}
	type line struct {
		Revision, Size   int64
		Current, Deleted bool
	}
	lines := func() (list []line) {
		for _, e := range history() {
			if e.Version == "" || e.Modified.IsZero() {
				t.Errorf("%+v has no id or no time", e)
			}
			list = append(list, line{e.Revision, e.Size, e.Current, e.Deleted})
		}
		return list
	}
	want := []line{{0, 0, true, true}, {two.Revision, 4, false, false}, {one.Revision, 3, false, false}}
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
	for _, spec := range []string{"@3", fmt.Sprint("r:", one.Revision), history()[2].Version} {
		if got := get(t, v, "a", &vault.GetOptions{Version: spec}); got != "one" {
			t.Errorf("version %s = %q", spec, got)
		}
		if got := get(t, v, "a", &vault.GetOptions{Version: spec, Range: &vault.Range{Offset: 1, Length: 1}}); got != "n" {
			t.Errorf("range of version %s = %q", spec, got)
		}
	}
	if _, err := v.Get(ctx, "a", &vault.GetOptions{Version: "@1"}); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("get of a deletion: %v", err)
	}
	back, err := v.Undelete(ctx, "a")
	if err != nil || get(t, v, "a", nil) != "two!" || back.Revision <= two.Revision {
		t.Fatalf("undelete: %+v, %v", back, err)
	}
	rolled, err := v.Rollback(ctx, "a", fmt.Sprint("r:", one.Revision))
	if err != nil || get(t, v, "a", nil) != "one" || rolled.Revision <= back.Revision || rolled.Labels["n"] != "1" {
		t.Fatalf("rollback: %+v, %v", rolled, err)
	}
	want = append([]line{{rolled.Revision, 3, true, false}, {back.Revision, 4, false, false}, {0, 0, false, true}}, want[1:]...)
	if diff := cmp.Diff(want, lines()); diff != "" {
		t.Errorf("history after rollback (-want +got):\n%s", diff)
	}
}

// TestPrunedHistory: a version that is removed during a listing is omitted; the listing does
// not fail with ErrNotFound.
func TestPrunedHistory(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	first := put(t, plain, "a", "one", nil)
	put(t, plain, "a", "two", nil)
	put(t, plain, "a", "three", nil)
	opened := 0
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "open-version" {
			if opened++; opened == 2 {
				return vault.ErrNotFound
			}
		}
		return do()
	}}), nil)
	lines := 0
	for _, err := range v.History(t.Context(), "a") {
		if err != nil {
			t.Fatal(err)
		}
		lines++
	}
	if lines != 2 {
		t.Errorf("%d lines, want 2", lines)
	}
	opened = 0
	if got := get(t, v, "a", &vault.GetOptions{Version: fmt.Sprint("r:", first.Revision)}); got != "one" {
		t.Errorf("r:%d = %q", first.Revision, got)
	}
}

// TestRevisionIsProven: a version that is chosen by revision has that revision when it is
// opened.
func TestRevisionIsProven(t *testing.T) {
	s := newStore(t)
	plain := newVault(t, s, nil)
	put(t, plain, "a", "value 1", nil) // same length, so that it does not look like a cut body
	want := put(t, plain, "a", "value 2", nil)
	put(t, plain, "a", "new", nil)
	lying := *s
	lying.History = &lyingHistorian{Historian: s.History}
	v := newVault(t, &lying, nil)
	spec := fmt.Sprint("r:", want.Revision)
	for what, do := range map[string]func() error{
		"get": func() error { return closed(v.Get(t.Context(), "a", &vault.GetOptions{Version: spec})) },
		"range": func() error {
			return closed(v.Get(t.Context(), "a", &vault.GetOptions{Version: spec, Range: &vault.Range{}}))
		},
		"rollback": func() error { _, err := v.Rollback(t.Context(), "a", spec); return err },
	} {
		lying.History.(*lyingHistorian).reads = 0
		if err := do(); !errors.Is(err, vault.ErrRollback) {
			t.Errorf("%s %s of a store that serves another version: %v", what, spec, err)
		}
	}
}

// A lyingHistorian returns the oldest version after the headers were read.
type lyingHistorian struct {
	vault.Historian
	reads int
}

func (h *lyingHistorian) OpenVersion(ctx context.Context, key, id string, offset, length int64) (io.ReadCloser, string, error) {
	if h.reads++; h.reads > 2 {
		for v := range h.Historian.Versions(ctx, key) {
			id = v.ID // the last one is the oldest
		}
	}
	return h.Historian.OpenVersion(ctx, key, id, offset, length)
}
