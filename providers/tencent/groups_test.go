package tencent_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestGroups: a list with a delimiter requests no more than a page of the names that it combines, and omits the
// objects of other programs below them.
func TestGroups(t *testing.T) {
	t.Parallel()
	s := newServer(t, &costest.Options{})
	store := open(t, config(s, owner(s)))
	v := newVault(t, store, "acme")
	names := []vault.Name{"a", "big-", "big0", "z/1", "z/2"}
	for i := range 2100 {
		names = append(names, vault.Name(fmt.Sprintf("big/%04d", i)))
	}
	for _, name := range names {
		if _, err := v.Put(t.Context(), name, strings.NewReader("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"big/foreign", "big/\U0001F511", "plain", "only/foreign"} {
		if err := store.Bucket.WriteAll(t.Context(), "bots/acme/credentials/"+key, []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (got []string) {
		s.Reset()
		for e, err := range v.List(t.Context(), &vault.ListOptions{Delimiter: "/"}) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Foreign {
				e.Name = vault.Name(e.Key)
			}
			got = append(got, string(e.Name)+e.Group)
		}
		return got
	}
	want := []string{"a", "big-", "big/", "big0", "bots/acme/credentials/plain", "z/"}
	if got := list(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if n := len(s.Requests()); n != 2 {
		t.Errorf("%d requests: %q", n, s.Requests())
	}
	// Pages of keys that no name can have are listed to their end.
	for i := range 2100 {
		if err := store.Bucket.WriteAll(t.Context(), fmt.Sprintf("bots/acme/credentials/big/日本%04d", i), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := list(); !slices.Equal(got, want) {
		t.Errorf("with other keys: %q, want %q", got, want)
	}
	if n := len(s.Requests()); n > 4 {
		t.Errorf("with other keys: %d requests", n)
	}
}
