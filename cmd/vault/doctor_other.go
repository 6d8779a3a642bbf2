package main

import (
	"context"

	"github.com/objectvault/objectvault/cmd/vault/internal/config"
	"github.com/objectvault/objectvault/cmd/vault/internal/doctor"
	"github.com/objectvault/objectvault/vault"
)

// The second tenant of the doctor has its own plan for the same store.

// second returns the plan of the second tenant, if --other names one.
func (s *session) second(ctx context.Context, set config.Settings, first *plan) (*plan, error) {
	if !s.c.IsSet("other") {
		for _, name := range []string{"other-tenant", "other-store"} {
			if s.c.IsSet(name) {
				return nil, usagef("--%s requires --other, the identity of the second tenant", name)
			}
		}
		return nil, nil
	}
	switch {
	case !first.InCloud():
		return nil, hint(usagef("--other: this store uses no identity"), roleHint)
	case first.identity == nil:
		return nil, hint(usagef("--other requires role= in the store URL"), "%s", first.RoleAdvice())
	}
	set.Identity = config.Value{Text: s.c.String("other"), From: "--other"}
	set.Tenant = config.Value{Text: s.c.String("other-tenant"), From: "--other-tenant"}
	if _, err := vault.ParseTenant(set.Tenant.Text); err != nil {
		return nil, from(set.Tenant, err)
	}
	if s.c.IsSet("other-store") {
		set.Store = config.Value{Text: s.c.String("other-store"), From: "--other-store"}
		other, err := s.location(set)
		if err != nil {
			return nil, err
		}
		if other.Scheme != first.Scheme || other.Bucket != first.Bucket {
			return nil, usagef("--other-store must be a URL of the same bucket as --store")
		}
	}
	return s.plan(ctx, set)
}

// openOther opens the store as the second tenant. The doctor reports the errors.
func (s *session) openOther(ctx context.Context, d *doctorRun, first, second *plan) {
	if second == nil {
		return
	}
	firstIdentity, secondIdentity := first.identity, second.identity
	err := secondIdentity.requireDistinct(ctx, firstIdentity)
	if err == nil {
		d.OtherTenant, err = second.tenant(ctx)
	}
	if err == nil {
		if d.Other, err = second.open(ctx); err == nil {
			d.opened = append(d.opened, d.Other)
		}
	}
	d.OtherErr = err
	checkFirst := d.Identity
	d.Identity = func(ctx context.Context) []doctor.Line {
		return append(checkFirst(ctx), firstIdentity.checkRoles(ctx, secondIdentity)...)
	}
}
