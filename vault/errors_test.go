package vault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

func TestErrors(t *testing.T) {
	ctx := t.Context()
	v := newVault(t, newStore(t), nil)
	info := put(t, v, "a", "1", nil)
	for _, tc := range []struct {
		what string
		do   func() error
		want error
		text string
	}{
		{"get of an absent name", func() error { _, err := v.Get(ctx, "acme/absent", nil); return err }, vault.ErrNotFound, "get acme/absent: not found"},
		{"delete of an absent name", func() error { return v.Delete(ctx, "b", nil) }, vault.ErrNotFound, "delete b: not found"},
		{"create of an existing name", func() error {
			_, err := v.Put(ctx, "a", strings.NewReader("2"), &vault.PutOptions{Create: true})
			return err
		}, vault.ErrExist, "put a: exists already"},
		{"put with an old revision", func() error {
			_, err := v.Put(ctx, "a", strings.NewReader("2"), &vault.PutOptions{IfRevision: 5})
			return err
		}, vault.ErrConflict, fmt.Sprintf("put a: conflict: the object has revision %d, not 5", info.Revision)},
		{"put with a revision of a deleted name", func() error {
			_, err := v.Put(ctx, "b", strings.NewReader("2"), &vault.PutOptions{IfRevision: 5})
			return err
		}, vault.ErrConflict, "put b: conflict: there is no revision 5, the object is gone"},
		{"invalid name", func() error { _, err := v.Stat(ctx, "a//b"); return err }, vault.ErrInvalidName, `stat a//b: invalid name: "a//b" has an empty segment`},
		{"invalid version", func() error { _, err := v.Get(ctx, "a", &vault.GetOptions{Version: "@x"}); return err }, vault.ErrInvalidName, `get a: invalid name: "@x" is not a version; write an id from history, @N or r:REVISION`},
		{"absent version", func() error { _, err := v.Get(ctx, "a", &vault.GetOptions{Version: "@2"}); return err }, vault.ErrNotFound, "get a: not found: version @2"},
		{"history of an absent name", func() error {
			for _, err := range v.History(ctx, "b") {
				return err
			}
			return nil
		}, vault.ErrNotFound, "history b: not found"},
		{"undelete of an existing name", func() error { _, err := v.Undelete(ctx, "a"); return err }, vault.ErrExist, "undelete a: exists already: it is not deleted"},
		{"undelete of an absent name", func() error { _, err := v.Undelete(ctx, "b"); return err }, vault.ErrNotFound, "undelete b: not found"},
		{"rollback of an absent name", func() error { _, err := v.Rollback(ctx, "b", "@1"); return err }, vault.ErrNotFound, "rollback b: not found: version @1"},
	} {
		err := tc.do()
		var e *vault.Error
		if !errors.Is(err, tc.want) || !errors.As(err, &e) {
			t.Errorf("%s: %v, want %v in a *vault.Error", tc.what, err, tc.want)
		} else if err.Error() != tc.text {
			t.Errorf("%s: %q, want %q", tc.what, err, tc.text)
		}
	}
	if !errors.Is(vault.ErrUnsure, vault.ErrUnavailable) {
		t.Error("ErrUnsure does not wrap ErrUnavailable")
	}
	if _, err := vault.New(newStore(t), "a*", keys, nil); !errors.Is(err, vault.ErrInvalidName) {
		t.Errorf("a tenant with a wildcard: %v", err)
	}
	keyless, err := vault.New(newStore(t), "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keyless.Put(ctx, "a", strings.NewReader("1"), nil); !errors.Is(err, envelope.ErrUnknownKey) {
		t.Errorf("put without a key: %v, want ErrUnknownKey", err)
	}
}

// TestDeniedOrAbsent: if a tenant may list only below a prefix, reading a missing key returns
// 403, and one list request distinguishes denied from absent.
func TestDeniedOrAbsent(t *testing.T) {
	ctx := t.Context()
	s := newStore(t)
	put(t, newVault(t, s, nil), "there", "1", nil)
	put(t, newVault(t, s, nil), "gone2", "1", nil)
	listing := true
	v := newVault(t, intercept.Store(s, intercept.Hooks{Call: func(_ context.Context, c intercept.Call, do func() error) error {
		if c.Op == "get" || c.Op == "remove" || c.Op == "list" && !listing {
			return vault.ErrPermission
		}
		return do()
	}}), nil)
	verbs := map[string]func(vault.Name) error{
		"get": func(n vault.Name) error { _, err := v.Get(ctx, n, nil); return err },
		"range": func(n vault.Name) error {
			_, err := v.Get(ctx, n, &vault.GetOptions{Range: &vault.Range{}})
			return err
		},
		"stat":   func(n vault.Name) error { _, err := v.Stat(ctx, n); return err },
		"delete": func(n vault.Name) error { return v.Delete(ctx, n, nil) },
	}
	for verb, do := range verbs {
		for _, tc := range []struct {
			name    vault.Name
			listing bool
			want    error
		}{{"there", true, vault.ErrPermission}, {"gone", true, vault.ErrNotFound}, {"gone", false, vault.ErrPermission}} {
			listing = tc.listing
			err := do(tc.name)
			if !errors.Is(err, tc.want) || tc.want == vault.ErrPermission && errors.Is(err, vault.ErrNotFound) {
				t.Errorf("%s %s, listing %v: %v, want %v", verb, tc.name, tc.listing, err, tc.want)
			}
		}
	}
}
