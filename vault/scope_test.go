package vault_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

func TestScope(t *testing.T) {
	ctx := t.Context()
	var rec recorder
	s := newStore(t)
	put(t, newVault(t, s, nil), "mine", "1", nil)
	put(t, newVault(t, s, nil), "other", "2", nil)
	s = intercept.Store(s, rec.hooks())

	verbs := map[string]func(v *vault.Vault, n vault.Name) error{
		"put": func(v *vault.Vault, n vault.Name) error {
			_, err := v.Put(ctx, n, strings.NewReader("x"), nil)
			return err
		},
		"delete":   func(v *vault.Vault, n vault.Name) error { return v.Delete(ctx, n, nil) },
		"rollback": func(v *vault.Vault, n vault.Name) error { _, err := v.Rollback(ctx, n, "@1"); return err },
		"undelete": func(v *vault.Vault, n vault.Name) error { _, err := v.Undelete(ctx, n); return err },
		"teardown": func(v *vault.Vault, _ vault.Name) error { _, err := v.Teardown(ctx, nil); return err },
	}
	reads := map[string]func(v *vault.Vault, n vault.Name) error{
		"get":  func(v *vault.Vault, n vault.Name) error { return closed(v.Get(ctx, n, nil)) },
		"stat": func(v *vault.Vault, n vault.Name) error { _, err := v.Stat(ctx, n); return err },
		"range": func(v *vault.Vault, n vault.Name) error {
			return closed(v.Get(ctx, n, &vault.GetOptions{Range: &vault.Range{Length: 1}}))
		},
		"history": func(v *vault.Vault, n vault.Name) error {
			for _, err := range v.History(ctx, n) {
				return err
			}
			return nil
		},
	}
	denied := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, vault.ErrPermission) {
			t.Errorf("%s: %v, want ErrPermission", what, err)
		}
		if calls := rec.take(); calls != nil {
			t.Errorf("%s: denied after the requests %q", what, calls)
		}
	}
	names1 := &vault.Options{Scope: vault.Scope{Names: []vault.Name{"mine"}}}
	none := &vault.Options{Scope: vault.Scope{Names: []vault.Name{}}}
	readOnly := &vault.Options{Scope: vault.Scope{ReadOnly: true}}
	for verb, do := range verbs {
		denied(verb+" outside the scope", do(newVault(t, s, names1), "other"))
		denied(verb+" with an empty scope", do(newVault(t, s, none), "mine"))
		denied(verb+" with a read-only scope", do(newVault(t, s, readOnly), "mine"))
	}
	denied("teardown with a scope of names", verbs["teardown"](newVault(t, s, names1), "mine"))
	for verb, do := range reads {
		denied(verb+" outside the scope", do(newVault(t, s, names1), "other"))
		denied(verb+" with an empty scope", do(newVault(t, s, none), "mine"))
		if err := do(newVault(t, s, names1), "mine"); err != nil {
			t.Errorf("%s inside the scope: %v", verb, err)
		}
		if err := do(newVault(t, s, readOnly), "other"); err != nil {
			t.Errorf("%s with a read-only scope: %v", verb, err)
		}
		rec.take()
	}
	for _, tc := range []struct {
		o    *vault.Options
		want []string
	}{{names1, []string{"mine"}}, {none, nil}, {readOnly, []string{"mine", "other"}}} {
		if diff := cmp.Diff(tc.want, names(t, newVault(t, s, tc.o), "")); diff != "" {
			t.Errorf("list within %+v (-want +got):\n%s", tc.o.Scope, diff)
		}
	}
}
