package migrate_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/migrate"
	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/envelope/kek"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A source is the credentials of a test.
type source struct {
	values  map[string]string
	updated time.Time // of every item
	listErr error
	readErr map[string]error
}

func (s *source) List(context.Context) (items []migrate.Item, others int, err error) {
	for service := range s.values {
		items = append(items, migrate.Item{Agent: "agent", Service: service, Updated: s.updated})
	}
	slices.SortFunc(items, func(a, b migrate.Item) int { return strings.Compare(a.Service, b.Service) })
	return items, 3, s.listErr
}

func (s *source) Read(_ context.Context, item migrate.Item) ([]byte, error) {
	return []byte(s.values[item.Service]), s.readErr[item.Service]
}

// Shred removes the items whose value is the verified one.
func (s *source) Shred(_ context.Context, verified []migrate.Verified) (report migrate.ShredReport, err error) {
	for _, v := range verified {
		if v.Same([]byte(s.values[v.Service])) {
			delete(s.values, v.Service)
			report.Removed = append(report.Removed, v.Item)
			continue
		}
		report.Kept = append(report.Kept, migrate.Kept{Item: v.Item, Reason: "changed"})
	}
	return report, nil
}

func (s *source) Close() error { return nil }

// newVault returns a vault over memory. call runs before each request; it may be nil.
func newVault(t *testing.T, call func(intercept.Call)) (*vault.Vault, *vault.Store) {
	t.Helper()
	s, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	store := intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if call != nil {
			call(c)
		}
		return do()
	}})
	v, err := vault.New(store, "acme", []envelope.KeySource{kek.InsecureFixed()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v, store
}

func put(t *testing.T, v *vault.Vault, name vault.Name, value string) {
	t.Helper()
	if _, err := v.Put(t.Context(), name, strings.NewReader(value), nil); err != nil {
		t.Fatal(err)
	}
}

// run migrates, and returns the results by service.
func run(t *testing.T, m *migrate.Migration) map[string]migrate.Result {
	t.Helper()
	results := make(map[string]migrate.Result)
	others, err := m.Run(t.Context(), func(r migrate.Result) error {
		results[r.Service] = r
		return nil
	})
	if err != nil || others != 3 {
		t.Fatalf("run: %d credentials of others, %v", others, err)
	}
	return results
}

// TestRun: each credential ends with the status that its value in the vault requires.
func TestRun(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	for _, tc := range []struct {
		label   string
		vault   string // the value in the vault; empty: none
		updated time.Time
		options migrate.Options
		status  migrate.Status
		stored  bool
		err     error
		after   string // the value in the vault afterwards
	}{
		{"a new credential", "", past, migrate.Options{}, migrate.StatusVerified, true, nil, "value"},
		{"a new credential in a dry run", "", past, migrate.Options{DryRun: true}, migrate.StatusFound, false, nil, ""},
		{"the same value", "value", past, migrate.Options{}, migrate.StatusVerified, false, nil, "value"},
		{"the same value in a dry run", "value", past, migrate.Options{DryRun: true}, migrate.StatusVerified, false, nil, "value"},
		{"an older value in the vault", "other", future, migrate.Options{}, migrate.StatusVerified, true, nil, "value"},
		{"a newer value in the vault", "other", past, migrate.Options{}, migrate.StatusSkipped, false, migrate.ErrNewer, "other"},
		{"a newer value in the vault, and overwrite", "other", past, migrate.Options{Overwrite: true}, migrate.StatusVerified, true, nil, "value"},
		{"a newer value in the vault, and overwrite in a dry run", "other", past, migrate.Options{Overwrite: true, DryRun: true}, migrate.StatusFound, false, nil, "other"},
		{"a source without times", "other", time.Time{}, migrate.Options{}, migrate.StatusFailed, false, migrate.ErrDiffers, "other"},
		{"a source without times, and overwrite", "other", time.Time{}, migrate.Options{Overwrite: true}, migrate.StatusVerified, true, nil, "value"},
	} {
		v, _ := newVault(t, nil)
		if tc.vault != "" {
			put(t, v, "a", tc.vault)
		}
		s := &source{values: map[string]string{"a": "value"}, updated: tc.updated}
		tc.options.Now = func() time.Time { return future.Add(time.Hour) }
		m := migrate.New(s, v, &tc.options)
		r := run(t, m)["a"]
		if r.Status != tc.status || r.Stored != tc.stored || r.Size != 5 || !errors.Is(r.Err, tc.err) || r.Err != nil && tc.err == nil {
			t.Errorf("%s: %+v", tc.label, r)
		}
		value, _, err := v.ReadAll(t.Context(), "a", nil)
		if string(value) != tc.after || tc.after == "" && !errors.Is(err, vault.ErrNotFound) {
			t.Errorf("%s: the vault has %q, %v", tc.label, value, err)
		}
		report, err := m.Shred(t.Context())
		if removed := len(report.Removed) == 1; err != nil || removed != (tc.status == migrate.StatusVerified) || removed == (len(s.values) == 1) {
			t.Errorf("%s: shred: %+v, %v, left %q", tc.label, report, err, s.values)
		}
	}
}

// TestRunGoesOn: a credential that cannot be migrated does not stop the others, and is not removed.
func TestRunGoesOn(t *testing.T) {
	v, _ := newVault(t, nil)
	s := &source{values: map[string]string{"a": "1", "b": "2", "..": "3", "d": "4"}, readErr: map[string]error{"b": migrate.ErrGone}}
	m := migrate.New(s, v, nil)
	got := run(t, m)
	for service, want := range map[string]error{"a": nil, "b": migrate.ErrGone, "..": vault.ErrInvalidName, "d": nil} {
		r := got[service]
		if (r.Status == migrate.StatusVerified) != (want == nil) || !errors.Is(r.Err, want) {
			t.Errorf("%s: %+v", service, r)
		}
	}
	s.values["d"] = "changed"
	report, err := m.Shred(t.Context())
	if err != nil || len(report.Removed) != 1 || report.Removed[0].Service != "a" || len(report.Kept) != 1 {
		t.Errorf("shred: %+v, %v", report, err)
	}
	s.listErr = migrate.ErrUnavailable
	if _, err := m.Run(t.Context(), func(migrate.Result) error { return nil }); !errors.Is(err, migrate.ErrUnavailable) {
		t.Errorf("a source that cannot be listed: %v", err)
	}
}

// TestOtherWriter: a value that another writer stores meanwhile is not lost.
func TestOtherWriter(t *testing.T) {
	for label, tc := range map[string]struct {
		value  string
		status migrate.Status
	}{"another value": {"of the other writer", migrate.StatusSkipped}, "the same value": {"value", migrate.StatusVerified}} {
		var other *vault.Vault
		written := false
		v, store := newVault(t, func(c intercept.Call) {
			if !written && (c.Op == "create" || c.Op == "put") {
				written = true
				put(t, other, "a", tc.value)
			}
		})
		var err error
		if other, err = vault.New(store, "acme", []envelope.KeySource{kek.InsecureFixed()}, nil); err != nil {
			t.Fatal(err)
		}
		s := &source{values: map[string]string{"a": "value"}, updated: time.Now().Add(-time.Hour)}
		if r := run(t, migrate.New(s, v, nil))["a"]; r.Status != tc.status || r.Stored {
			t.Errorf("%s: %+v", label, r)
		}
		if value, _, err := v.ReadAll(t.Context(), "a", nil); err != nil || string(value) != tc.value {
			t.Errorf("%s: the vault has %q, %v", label, value, err)
		}
	}
}

// TestWithoutConditions: a store without conditional writes requires NoOtherWriters.
func TestWithoutConditions(t *testing.T) {
	for _, noOtherWriters := range []bool{false, true} {
		v, store := newVault(t, nil)
		put(t, v, "a", "other")
		store.Swap = nil
		s := &source{values: map[string]string{"a": "value"}, updated: time.Now().Add(time.Hour)}
		r := run(t, migrate.New(s, v, &migrate.Options{NoOtherWriters: noOtherWriters, Now: func() time.Time { return time.Now().Add(2 * time.Hour) }}))["a"]
		if (r.Status == migrate.StatusVerified) != noOtherWriters || !noOtherWriters && !errors.Is(r.Err, vault.ErrUnsupported) {
			t.Errorf("no other writers %v: %+v", noOtherWriters, r)
		}
	}
}

// TestCancelled: a run that ends early reports no result for the credential in progress.
func TestCancelled(t *testing.T) {
	v, _ := newVault(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s := &source{values: map[string]string{"a": "1", "b": "2", "c": "3"}}
	n := 0
	_, err := migrate.New(s, v, nil).Run(ctx, func(migrate.Result) error {
		n++
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) || n != 1 {
		t.Errorf("%v, %d results", err, n)
	}
	stop := errors.New("the output is closed")
	if _, err := migrate.New(s, v, nil).Run(t.Context(), func(migrate.Result) error { return stop }); err != stop {
		t.Errorf("a report that fails: %v", err)
	}
}

// TestEmptyValue: an empty value is a value.
func TestEmptyValue(t *testing.T) {
	v, _ := newVault(t, nil)
	s := &source{values: map[string]string{"a": ""}}
	if r := run(t, migrate.New(s, v, nil))["a"]; r.Status != migrate.StatusVerified || !r.Stored {
		t.Errorf("%+v", r)
	}
	if value, _, err := v.ReadAll(t.Context(), "a", nil); err != nil || !bytes.Equal(value, nil) {
		t.Errorf("the vault has %q, %v", value, err)
	}
}

// TestMirrorOnly: a value that only a mirror returns is not verified, and stays in the source.
func TestMirrorOnly(t *testing.T) {
	away := false
	_, store := newVault(t, nil)
	first := intercept.Store(store, intercept.Hooks{Call: func(_ context.Context, _ intercept.Call, do func() error) error {
		if away {
			return &vault.Cause{Sentinel: vault.ErrUnavailable, Reason: vault.Unreachable, Effect: vault.Refused}
		}
		return do()
	}})
	mirror, _ := newVault(t, nil)
	v, err := vault.New(first, "acme", []envelope.KeySource{kek.InsecureFixed()}, &vault.Options{Mirror: &vault.Mirror{Vaults: []*vault.Vault{mirror}}})
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, "a", "value")
	s := &source{values: map[string]string{"a": "value"}}

	away = true
	m := migrate.New(s, v, nil)
	if r := run(t, m)["a"]; r.Status != migrate.StatusFailed || !errors.Is(r.Err, vault.ErrUnavailable) {
		t.Errorf("without the first store: %+v", r)
	}

	away = false
	m = migrate.New(s, v, nil)
	if r := run(t, m)["a"]; r.Status != migrate.StatusVerified {
		t.Errorf("with the first store: %+v", r)
	}
	away = true
	if report, err := m.Shred(t.Context()); err != nil || len(report.Removed) > 0 || len(report.Kept) != 1 || s.values["a"] != "value" {
		t.Errorf("Shred without the first store: %+v, %v", report, err)
	}
	away = false
	if report, err := m.Shred(t.Context()); err != nil || len(report.Removed) != 1 {
		t.Errorf("Shred with the first store: %+v, %v", report, err)
	}
}
