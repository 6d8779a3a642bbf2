package doctor

import (
	"context"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// A tenantAccess is a tenant, its store, and the requests that succeed under the tenant's prefix.
// A denial under another prefix proves isolation only for these requests.
type tenantAccess struct {
	store  *vault.Store
	tenant vault.Tenant
	prefix string // the tenant's prefix for this run; ends in a slash

	puts, gets, deletes bool
	lists               map[listForm]bool
	opens, purges       bool // reads and permanent deletes of a version by its id
}

func (e *checker) tenantAccess(st *vault.Store, t vault.Tenant) tenantAccess {
	return tenantAccess{store: st, tenant: t, prefix: prefix(t, e.Collection) + e.run + "/"}
}

// reach lists the tenant's prefix, and reports whether the store can be used for further checks.
func (e *checker) reach(ctx context.Context) bool {
	stop := func(f finding) bool {
		e.add(ctx, "bucket", f)
		status, why := NotProven, "not tried, because the store cannot be used"
		if f.status == Warning {
			status, why = Skipped, "there is no store yet"
		}
		for _, g := range []struct{ check, what string }{{"own", "your prefix"}, {"isolation", "isolation"}, {"contract", "features of the store"}} {
			e.add(ctx, g.check, found(status, "%s: %s", g.what, why))
		}
		return false
	}
	switch {
	case e.Store == nil && e.StoreErr == nil:
		return stop(found(Warning, "there is no store yet").hinted("the first {vault} put creates it"))
	case e.Store == nil:
		return stop(found(Fail, "the store cannot be opened: %v", e.StoreErr).hinted(e.advice(nil, e.StoreErr, "")))
	}
	e.access = e.tenantAccess(e.Store, e.Tenant)
	_, err := list(ctx, e.Store, e.access.prefix)
	switch kind := probe.Kind(e.Store, err); {
	case err == nil:
		e.add(ctx, "bucket", found(OK, "%s responds and lists your prefix", e.Store.Name))
	case kind == vault.ErrPermission:
		e.add(ctx, "bucket", found(Fail, "%s responds, but does not list your prefix %s: %s", e.Store.Name, prefix(e.Tenant, e.Collection), described(e.Store, err)).
			hinted(e.advice(e.Store, err, "check the tenant, the collection and the permissions of this identity")))
	case kind == vault.ErrUnauthenticated:
		return stop(found(Fail, "%s refuses these credentials: %s", e.Store.Name, described(e.Store, err)).
			hinted(e.advice(e.Store, err, "get new credentials")))
	default:
		return stop(found(Fail, "%s cannot be reached: %s", e.Store.Name, described(e.Store, err)).
			hinted(e.advice(e.Store, err, "check the store URL, the network, the proxy and TLS")))
	}
	return ctx.Err() == nil
}

// ownPrefix sends, under the tenant's prefix, each request that must be denied under other prefixes.
func (e *checker) ownPrefix(ctx context.Context) {
	if e.NoWrites != "" {
		e.add(ctx, "own", found(Skipped, "your prefix: %s", e.NoWrites))
		return
	}
	o := &e.access
	key, value := o.prefix+"own.enc", random()
	e.leftover(o.store, o.prefix, key)
	bad := func(check, what string, err error) {
		e.add(ctx, check, found(Fail, "%s: %s", what, described(o.store, err)).
			hinted(e.advice(o.store, err, "check the permissions of this identity under "+prefix(o.tenant, e.Collection))))
	}

	err := put(ctx, o.store, key, value)
	if err != nil {
		bad("own-put", "put under your prefix", err)
		for _, check := range []string{"own-get", "own-list", "own-delete"} {
			e.add(ctx, check, found(NotProven, "%s under your prefix: not tried, because the put failed", strings.TrimPrefix(check, "own-")))
		}
		return
	}
	o.puts = true
	e.add(ctx, "own-put", found(OK, "put under your prefix"))

	switch got, err := get(ctx, o.store, key, int64(len(value))); {
	case err != nil:
		bad("own-get", "get under your prefix", err)
	case got != value:
		e.add(ctx, "own-get", found(Fail, "get under your prefix did not return the stored bytes").
			hinted("do not use this store, or the proxy in front of it"))
	default:
		o.gets = true
		e.add(ctx, "own-get", found(OK, "get under your prefix"))
	}

	switch keys, err := list(ctx, o.store, o.prefix); {
	case err != nil:
		bad("own-list", "list under your prefix", err)
	case !slices.Contains(keys, key):
		e.add(ctx, "own-list", found(Warning, "a list immediately after a put does not contain the object").hinted("expect a delay until {vault} ls shows new names"))
	default:
		e.add(ctx, "own-list", found(OK, "list under your prefix"))
	}

	if err := remove(ctx, o.store, key); err != nil {
		bad("own-delete", "delete under your prefix", err)
		return
	}
	switch gone, err := absent(ctx, o.store, key); {
	case err != nil:
		e.add(ctx, "own-delete", found(NotProven, "delete under your prefix: the delete succeeded, but it could not be checked whether the object still exists: %s", described(o.store, err)))
	case !gone:
		e.add(ctx, "own-delete", found(Fail, "an object still exists after it was deleted"))
	default:
		o.deletes = true
		e.add(ctx, "own-delete", found(OK, "delete under your prefix"))
	}
}
