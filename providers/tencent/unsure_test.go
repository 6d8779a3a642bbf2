package tencent_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/providers/tencent"
	"github.com/objectvault/objectvault/vault"
)

// TestUnsure: a tenant with a token creates, changes and removes an object, with every variant of
// every question that the documentation leaves open.
func TestUnsure(t *testing.T) {
	for _, q := range costest.Questions() {
		for _, variant := range q.Variants[1:] { // all other tests use the first variant
			for _, versioning := range []string{"", "Enabled"} {
				t.Run(fmt.Sprintf("%s=%s %q", q.Name, variant, versioning), func(t *testing.T) {
					t.Parallel()
					life(t, costest.Options{Versioning: versioning, Unsure: map[string]string{q.Name: variant}})
				})
			}
		}
	}
}

func life(t *testing.T, o costest.Options) {
	w := newTenantServerOn(t, o, nil, "acme", "globex")
	ctx := t.Context()
	store, err := tencent.Open(ctx, w.config("acme"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	v := newVault(t, store, "acme")
	value := []byte("a secret")
	for _, name := range []vault.Name{"a", "b", "c"} {
		if _, err := v.Put(ctx, name, bytes.NewReader(value), &vault.PutOptions{Create: true}); err != nil {
			t.Fatalf("create %s: %v", name, err)
		}
		if _, err := v.Put(ctx, name, bytes.NewReader(value), &vault.PutOptions{Create: true}); !errors.Is(err, vault.ErrExist) {
			t.Errorf("create %s again: %v", name, err)
		}
	}
	if _, err := v.Put(ctx, "a", bytes.NewReader(value[7:]), nil); err != nil {
		t.Errorf("put: %v", err)
	}
	for name, want := range map[vault.Name][]byte{"a": value[7:], "b": value} {
		r, err := v.Get(ctx, name, nil)
		if err != nil {
			t.Errorf("get %s: %v", name, err)
			continue
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("get %s: %d bytes, %v", name, len(got), err)
		}
		r.Close()
	}
	if _, err := v.Stat(ctx, "d"); !errors.Is(err, vault.ErrNotFound) {
		t.Errorf("stat of a missing object: %v", err)
	}
	if err := v.Delete(ctx, "c", nil); err != nil {
		t.Errorf("delete: %v", err)
	}
	var names []vault.Name
	for info, err := range v.List(ctx, nil) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		names = append(names, info.Name)
	}
	if fmt.Sprint(names) != "[a b]" {
		t.Errorf("list: %v", names)
	}
	if _, err := newVault(t, store, "globex").Stat(ctx, "a"); !errors.Is(err, vault.ErrPermission) {
		t.Errorf("stat of another tenant's object: %v", err)
	}
	if done, err := v.Teardown(ctx, nil); err != nil || done.Deleted != 2 || len(done.Failed) > 0 {
		t.Errorf("teardown: %+v, %v", done, err)
	}
}
