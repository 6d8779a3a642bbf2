package doctor

import (
	"context"
	"slices"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// reverse tries the same requests as the second tenant on an object of the first tenant.
func (e *checker) reverse(ctx context.Context) {
	if !e.hasOther() || e.NoWrites != "" || ctx.Err() != nil {
		return
	}
	other := e.tenantAccess(e.Other, e.OtherTenant)
	e.measure(ctx, &other)
	e.measureVersions(ctx, &other)
	e.crossTenant(ctx, "isolation-reverse", &other, &e.access, func(get finding) { e.add(ctx, "isolation-reverse-get", get) })
}

// measure tries each request under the tenant's own prefix.
func (e *checker) measure(ctx context.Context, p *tenantAccess) {
	key, value := p.prefix+"own.enc", random()
	e.leftover(p.store, p.prefix, key)
	p.puts = put(ctx, p.store, key, value) == nil
	got, err := get(ctx, p.store, key, int64(len(value)))
	p.gets = err == nil && got == value
	p.lists = e.listable(ctx, p)
	p.deletes = p.puts && remove(ctx, p.store, key) == nil
}

// measureVersions tries to read and delete a version of the tenant's own object.
func (e *checker) measureVersions(ctx context.Context, p *tenantAccess) {
	key := p.prefix + "version.enc"
	e.leftover(p.store, p.prefix, key)
	if p.store.History == nil || put(ctx, p.store, key, random()) != nil {
		return
	}
	id, err := newest(ctx, p.store, key)
	if err != nil {
		return
	}
	p.opens = readVersionByte(ctx, p.store, key, id) == nil
	p.purges = p.store.Purge != nil && purge(ctx, p.store, key, id) == nil
}

// crossTenant tries every request as one tenant on an object that the other tenant has just stored.
// Then the other tenant checks that the object is unchanged. reportGet is called with the finding
// of the read.
func (e *checker) crossTenant(ctx context.Context, id string, from, to *tenantAccess, reportGet func(finding)) {
	dir := to.prefix + "crossed/" // contains only the objects of this check
	key, added, value := dir+"theirs.enc", dir+"added.enc", random()
	e.leftover(to.store, to.prefix, key, added)
	if err := put(ctx, to.store, key, value); err != nil {
		reportGet(found(NotProven, "get of an object of tenant %s: not tried, because that tenant cannot store an object: %s", to.tenant, described(to.store, err)).
			hinted(e.advice(to.store, err, "")))
		return
	}
	describe := func(request string) (attempt, broken string) {
		attempt = request + " of tenant " + string(to.tenant) + " by tenant " + string(from.tenant)
		return attempt, attempt + " was not denied"
	}
	judge := func(err error, mine bool, request string) finding {
		attempt, broken := describe(request)
		return outside(from.store, err, mine, attempt, broken)
	}
	reportGet(judge(readByte(ctx, from.store, key), from.gets, "get of an object"))
	// Requests by version id need separate permissions, also in a bucket that was never versioned.
	var version string
	var unknown error
	byID := from.store.History != nil && to.store.History != nil
	if byID {
		version, unknown = newest(ctx, to.store, key)
	}
	judgeVersion := func(send func() error, mine bool, request string) finding {
		if unknown != nil {
			attempt, _ := describe(request)
			return found(NotProven, "%s: not tried, because tenant %s cannot read the version id: %s", attempt, to.tenant, described(to.store, unknown))
		}
		return judge(send(), mine, request)
	}
	if byID {
		e.add(ctx, id+"-get-version", judgeVersion(func() error { return readVersionByte(ctx, from.store, key, version) }, from.opens, "get of a version"))
	}
	e.add(ctx, id+"-overwrite", judge(put(ctx, from.store, key, random()), from.puts, "overwrite of an object"))
	e.add(ctx, id+"-add", judge(put(ctx, from.store, added, random()), from.puts, "put of a new object under the prefix"))
	e.add(ctx, id+"-remove", e.notLookup(judge(remove(ctx, from.store, key), from.deletes, "delete of an object")))
	if byID && from.store.Purge != nil {
		e.add(ctx, id+"-remove-version", judgeVersion(func() error { return purge(ctx, from.store, key, version) }, from.purges, "delete of a version"))
	}
	attempt, broken := describe("list of the prefix")
	e.add(ctx, id+"-names", e.unlisted(ctx, from, to.tenant, attempt, broken))
	e.add(ctx, id+"-intact", e.unchanged(ctx, to, dir, key, value))
}

// unchanged checks, as a tenant, that its object is unchanged and is the only object below dir.
func (e *checker) unchanged(ctx context.Context, to *tenantAccess, dir, key, value string) finding {
	got, err := get(ctx, to.store, key, int64(len(value)))
	kind := probe.Kind(to.store, err)
	if kind == vault.ErrPermission { // a read of a missing object may be denied, too
		if gone, aerr := absent(ctx, to.store, key); gone && aerr == nil {
			kind = vault.ErrNotFound
		}
	}
	switch {
	case kind == vault.ErrNotFound, err == nil && got != value:
		return outside(to.store, nil, true, "", "the object of tenant "+string(to.tenant)+" was changed or removed, even if the results above are ok")
	case err != nil:
		return found(NotProven, "tenant %s cannot read back its own object: %s", to.tenant, described(to.store, err))
	}
	keys, err := list(ctx, to.store, dir)
	switch {
	case err != nil:
		return found(NotProven, "tenant %s cannot list its own prefix: %s", to.tenant, described(to.store, err))
	case slices.ContainsFunc(keys, func(k string) bool { return k != key }):
		return outside(to.store, nil, true, "", "tenant "+string(to.tenant)+" lists an object that it did not store")
	}
	return found(OK, "the object of tenant %s is unchanged, and no object was added", to.tenant)
}
