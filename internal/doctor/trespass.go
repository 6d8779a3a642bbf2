package doctor

import (
	"context"
	"slices"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// reverse has the second tenant try the same with what is ours.
func (e *exam) reverse(ctx context.Context) {
	if !e.introduced() || e.Hands != "" || ctx.Err() != nil {
		return
	}
	other := e.party(e.Other, e.OtherTenant)
	e.measure(ctx, &other)
	e.trespass(ctx, "isolation-reverse", &other, &e.own, func(get finding) { e.say(ctx, "isolation-reverse-get", get) })
}

// measure finds out what a party may do under its own prefix.
func (e *exam) measure(ctx context.Context, p *party) {
	key, value := p.prefix+"own.enc", random()
	e.trace(p.store, p.prefix, key)
	p.puts = put(ctx, p.store, key, value) == nil
	is, err := get(ctx, p.store, key, int64(len(value)))
	p.gets = err == nil && is == value
	_, err = list(ctx, p.store, p.prefix)
	p.lists = err == nil
	p.deletes = p.puts && remove(ctx, p.store, key) == nil
}

// trespass has one party try everything with an object that the other has just put, who
// then looks whether it is as it was. got is told what reading it found.
func (e *exam) trespass(ctx context.Context, id string, from, to *party, got func(finding)) {
	key, added, value := to.prefix+"theirs.enc", to.prefix+"added.enc", random()
	e.trace(to.store, to.prefix, key, added)
	if err := put(ctx, to.store, key, value); err != nil {
		got(found(NotProven, "get of tenant %s's object: that tenant cannot put one: %s", to.tenant, described(to.store, err)).
			hinted(advice(to.store, err, "")))
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
	got(judge(peek(ctx, from.store, key), from.gets, "get of an object"))
	e.say(ctx, id+"-overwrite", judge(put(ctx, from.store, key, random()), from.puts, "overwrite of an object"))
	e.say(ctx, id+"-add", judge(put(ctx, from.store, added, random()), from.puts, "put of a new object under the prefix"))
	e.say(ctx, id+"-remove", e.looked(judge(remove(ctx, from.store, key), from.deletes, "delete of an object")))
	_, err := list(ctx, from.store, tenantPrefix(to.tenant))
	e.say(ctx, id+"-names", judge(err, from.lists, "list of the prefix"))
	e.say(ctx, id+"-intact", e.intact(ctx, to, key, value))
}

// intact has a party look whether its object, and nothing else, is still there.
func (e *exam) intact(ctx context.Context, to *party, key, value string) finding {
	is, err := get(ctx, to.store, key, int64(len(value)))
	kind := probe.Kind(to.store, err)
	if kind == vault.ErrPermission { // or absent
		if gone, aerr := absent(ctx, to.store, key); gone && aerr == nil {
			kind = vault.ErrNotFound
		}
	}
	spoilt := "the object of tenant " + string(to.tenant) + " is not as it was put, though the answers were"
	switch {
	case kind == vault.ErrNotFound, err == nil && is != value:
		return outside(to.store, nil, true, "", spoilt+" what the lines above say")
	case err != nil:
		return found(NotProven, "tenant %s cannot read back its own object: %s", to.tenant, described(to.store, err))
	}
	keys, err := list(ctx, to.store, to.prefix)
	switch {
	case err != nil:
		return found(NotProven, "tenant %s cannot list its own prefix: %s", to.tenant, described(to.store, err))
	case slices.ContainsFunc(keys, func(k string) bool { return k != key }):
		return outside(to.store, nil, true, "", "tenant "+string(to.tenant)+" lists an object that it did not put")
	}
	return found(OK, "the object of tenant %s is as it was put, and there is no new one", to.tenant)
}
