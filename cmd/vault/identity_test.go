package main

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/objectvault/objectvault/federation"
	"github.com/objectvault/objectvault/vault"
	"github.com/objectvault/objectvault/vaulturl"
)

// tokensOf returns one token for each of its tenants, in order.
type tokensOf []string

func (s *tokensOf) Token(context.Context) (federation.Token, error) {
	t := federation.Token{Claims: federation.Claims{
		Expires: time.Now().Add(time.Hour), Tags: map[string][]string{federation.DefaultTagKeys()[0]: {(*s)[0]}},
	}}
	*s = (*s)[1:]
	return t, nil
}

// TestPinned: once the tenant of the vault is known, a token of another tenant is refused before it is
// sent.
func TestPinned(t *testing.T) {
	p := &pinned{Source: &tokensOf{"0xaaa", "0xbbb", "0xAAA", "0xbbb"}, now: time.Now}
	for i, want := range []error{nil, nil} {
		if _, err := p.Token(t.Context()); !errors.Is(err, want) {
			t.Fatalf("token %d, when no tenant is known: %v", i, err)
		}
	}
	tenant := vault.Tenant("0xaaa")
	p.tenant.Store(&tenant)
	for i, want := range []error{nil, federation.ErrTenantMismatch} {
		if _, err := p.Token(t.Context()); !errors.Is(err, want) {
			t.Errorf("token %d of a vault of %s: %v, want %v", i, tenant, err, want)
		}
	}
}

// TestTagOf: if two tags name tenants, the tag that names the tenant of the vault is shown.
func TestTagOf(t *testing.T) {
	keys := federation.DefaultTagKeys()
	c := federation.Claims{Tags: map[string][]string{keys[0]: {"0xabc"}, keys[1]: {"C520"}}}
	i := &identity{Location: new(vaulturl.Location)}
	for tenant, want := range map[vault.Tenant]string{"0xabc": keys[0], "c520": keys[1], "other": keys[0]} {
		if key, _, ok := i.tagOf(c, tenant); key != want || !ok {
			t.Errorf("the tag of %s is %s, want %s", tenant, key, want)
		}
	}
}
