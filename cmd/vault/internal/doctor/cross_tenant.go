package doctor

import (
	"context"
	"slices"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// reverse lets the second tenant try the same requests on an object of the first.
func (e *checker) reverse(ctx context.Context) {
	if !e.hasOther() || e.NoWrites != "" || ctx.Err() != nil {
		return
	}
	other := e.tenantAccess(e.Other, e.OtherTenant)
	e.measure(ctx, &other)
	e.measureVersions(ctx, &other)
	e.crossTenant(ctx, "isolation-reverse", &other, &e.own, func(get finding) { e.say(ctx, "isolation-reverse-get", get) })
}

// measure tries each request under the tenant's own prefix.
func (e *checker) measure(ctx context.Context, p *tenantAccess) {
	key, value := p.prefix+"own.enc", random()
	e.leftover(p.store, p.prefix, key)
	p.puts = put(ctx, p.store, key, value) == nil
	is, err := get(ctx, p.store, key, int64(len(value)))
	p.gets = err == nil && is == value
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

// crossTenant lets one tenant try every request on an object that the other has just stored. Then
// the other checks that the object is unchanged. got is called with the finding of the read.
func (e *checker) crossTenant(ctx context.Context, id string, from, to *tenantAccess, got func(finding)) {
	in := to.prefix + "crossed/" // the doctor stores no other object there
	key, added, value := in+"theirs.enc", in+"added.enc", random()
	e.leftover(to.store, to.prefix, key, added)
	if err := put(ctx, to.store, key, value); err != nil {
		got(found(NotProven, "get of an object of tenant %s: that tenant cannot store one: %s", to.tenant, described(to.store, err)).
			hinted(e.advice(to.store, err, "")))
		return
	}
	did := func(what string) (string, string) {
		return "tenant " + string(from.tenant) + ", " + what + " of tenant " + string(to.tenant),
			"tenant " + string(from.tenant) + " was not denied " + what + " of tenant " + string(to.tenant)
	}
	judge := func(err error, mine bool, what string) finding {
		is, otherwise := did(what)
		return outside(from.store, err, mine, is, otherwise)
	}
	got(judge(readByte(ctx, from.store, key), from.gets, "get of an object"))
	// Requests by version id need separate permissions, also in a bucket that was never versioned.
	var version string
	var unknown error
	byID := from.store.History != nil && to.store.History != nil
	if byID {
		version, unknown = newest(ctx, to.store, key)
	}
	judgeVersion := func(ask func() error, mine bool, what string) finding {
		if unknown != nil {
			is, _ := did(what)
			return found(NotProven, "%s: that tenant cannot read its version id: %s", is, described(to.store, unknown))
		}
		return judge(ask(), mine, what)
	}
	if byID {
		e.say(ctx, id+"-get-version", judgeVersion(func() error { return readVersionByte(ctx, from.store, key, version) }, from.opens, "get of a version"))
	}
	e.say(ctx, id+"-overwrite", judge(put(ctx, from.store, key, random()), from.puts, "overwrite of an object"))
	e.say(ctx, id+"-add", judge(put(ctx, from.store, added, random()), from.puts, "put of a new object under the prefix"))
	e.say(ctx, id+"-remove", e.notLookup(judge(remove(ctx, from.store, key), from.deletes, "delete of an object")))
	if byID && from.store.Purge != nil {
		e.say(ctx, id+"-remove-version", judgeVersion(func() error { return purge(ctx, from.store, key, version) }, from.purges, "delete of a version"))
	}
	is, otherwise := did("list of the prefix")
	e.say(ctx, id+"-names", e.unlisted(ctx, from, to.tenant, is, otherwise))
	e.say(ctx, id+"-intact", e.unchanged(ctx, to, in, key, value))
}

// unchanged lets a tenant check that its object is still there, and is the only one below in.
func (e *checker) unchanged(ctx context.Context, to *tenantAccess, in, key, value string) finding {
	is, err := get(ctx, to.store, key, int64(len(value)))
	kind := probe.Kind(to.store, err)
	if kind == vault.ErrPermission { // or absent
		if gone, aerr := absent(ctx, to.store, key); gone && aerr == nil {
			kind = vault.ErrNotFound
		}
	}
	spoilt := "the object of tenant " + string(to.tenant) + " was changed or removed, whatever the responses above"
	switch {
	case kind == vault.ErrNotFound, err == nil && is != value:
		return outside(to.store, nil, true, "", spoilt+" claim")
	case err != nil:
		return found(NotProven, "tenant %s cannot read back its own object: %s", to.tenant, described(to.store, err))
	}
	keys, err := list(ctx, to.store, in)
	switch {
	case err != nil:
		return found(NotProven, "tenant %s cannot list its own prefix: %s", to.tenant, described(to.store, err))
	case slices.ContainsFunc(keys, func(k string) bool { return k != key }):
		return outside(to.store, nil, true, "", "tenant "+string(to.tenant)+" lists an object that it did not store")
	}
	return found(OK, "the object of tenant %s is unchanged, and no object was added", to.tenant)
}
