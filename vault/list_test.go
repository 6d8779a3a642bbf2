package vault_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// TestListOptions: the options of a list, alone and together.
func TestListOptions(t *testing.T) {
	var rec recorder
	v := newVault(t, intercept.Store(newStore(t), rec.hooks()), nil)
	for _, name := range []vault.Name{"acme/a", "acme/b/1", "acme/b/2", "acme/c", "anthropic", "openai", "zulu/1"} {
		put(t, v, name, "value", nil)
	}
	for _, tc := range []struct {
		o    *vault.ListOptions
		want []string
	}{
		{nil, []string{"acme/a", "acme/b/1", "acme/b/2", "acme/c", "anthropic", "openai", "zulu/1"}},
		{&vault.ListOptions{Prefix: "acme/"}, []string{"acme/a", "acme/b/1", "acme/b/2", "acme/c"}},
		{&vault.ListOptions{After: "anthropic"}, []string{"openai", "zulu/1"}},
		{&vault.ListOptions{After: "b"}, []string{"openai", "zulu/1"}}, // the name need not exist
		{&vault.ListOptions{After: "zulu/1"}, nil},
		{&vault.ListOptions{Limit: 2}, []string{"acme/a", "acme/b/1"}},
		{&vault.ListOptions{Delimiter: "/"}, []string{"acme/ …", "anthropic", "openai", "zulu/ …"}},
		{&vault.ListOptions{Delimiter: "/", Prefix: "acme/"}, []string{"acme/a", "acme/b/ …", "acme/c"}},
		{&vault.ListOptions{Delimiter: "/", Limit: 2}, []string{"acme/ …", "anthropic"}},
		{&vault.ListOptions{Prefix: "acme/", After: "acme/b/1", Limit: 1}, []string{"acme/b/2"}},
	} {
		rec.take()
		var got []string
		for e, err := range v.List(t.Context(), tc.o) {
			fatal(t, err)
			if e.Group != "" {
				if e.Name != "" || e.Key != "" {
					t.Errorf("%+v: a group with a name: %+v", tc.o, e)
				}
				got = append(got, e.Group+" …")
				continue
			}
			got = append(got, string(e.Name))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%+v: %q, want %q", tc.o, got, tc.want)
		}
		if calls := rec.take(); len(calls) != 1 {
			t.Errorf("%+v: requests %q, want one", tc.o, calls)
		}
	}
	for _, err := range v.List(t.Context(), &vault.ListOptions{After: "a//b"}) {
		if !errors.Is(err, vault.ErrInvalidName) {
			t.Errorf("after an invalid name: %v", err)
		}
	}
}

// TestListRemoved: with Removed, the names that have only old versions come last, unless the prefix, After
// or the scope excludes them.
func TestListRemoved(t *testing.T) {
	s, err := memfs.Open(t.Context(), memfs.Config{Versions: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	v := newVault(t, s, nil)
	for _, name := range []vault.Name{"a", "b", "team/c", "team/d", "z"} {
		put(t, v, name, "1", nil)
		put(t, v, name, "2", nil)
	}
	for _, name := range []vault.Name{"a", "team/c", "z"} {
		if err := v.Delete(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	put(t, v, "z", "3", nil)
	for _, tc := range []struct {
		o     vault.ListOptions
		scope []vault.Name
		want  string
	}{
		{vault.ListOptions{}, nil, "b team/d z"},
		{vault.ListOptions{Removed: true}, nil, "b team/d z -a -team/c"},
		{vault.ListOptions{Removed: true, Prefix: "team/"}, nil, "team/d -team/c"},
		{vault.ListOptions{Removed: true, After: "b"}, nil, "team/d z -team/c"},
		{vault.ListOptions{Removed: true, Delimiter: "/"}, nil, "b team/ z -a team/"},
		{vault.ListOptions{Removed: true}, []vault.Name{"a", "b"}, "b -a"},
	} {
		got := ""
		for e, err := range newVault(t, s, &vault.Options{Scope: vault.Scope{Names: tc.scope}}).List(t.Context(), &tc.o) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Removed {
				got += "-"
			}
			got += string(e.Name) + e.Group + " "
		}
		if got = strings.TrimSpace(got); got != tc.want {
			t.Errorf("%+v: %s, want %s", tc, got, tc.want)
		}
	}
}
