package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// isolation requests objects of other tenants, which must be denied.
func (e *checker) isolation(ctx context.Context) {
	if !e.Isolated {
		scheme, _, _ := strings.Cut(e.Store.Name, "://")
		e.add(ctx, "isolation", found(Skipped, "isolation: %s:// does not isolate tenants", scheme))
		return
	}
	if e.OwnerCredentials != nil {
		e.broken = new([]string)
		defer e.reportWhole(ctx)
	}
	e.access.lists = e.listable(ctx, &e.access)
	read := e.missingTenant(ctx)
	e.longerName(ctx)
	e.roots(ctx)
	e.reading(ctx, read)
	e.reverse(ctx)
	e.trials(ctx)
}

const brokenPrefix = "ISOLATION BROKEN: "

// reportWhole reports in one result that the credentials can access objects outside the tenant's prefix.
func (e *checker) reportWhole(ctx context.Context) {
	reached := *e.broken
	e.broken = nil
	if len(reached) == 0 || ctx.Err() != nil {
		return
	}
	owner, whose := e.OwnerCredentials(ctx)
	if owner {
		e.publish(Line{Check: "isolation", Status: Warning,
			Message: fmt.Sprintf("these credentials can access the whole bucket, because they belong to its owner (%s): the requests of %s were not denied", whose, text.Count(len(reached), "isolation check", "isolation checks")),
			Hint:    "let agents use a token: {prog} policy prints the role for the token, and --identity selects the token"})
		return
	}
	e.publish(Line{Check: "isolation", Status: Broken,
		Message: fmt.Sprintf("%sthese credentials (%s) can access the whole bucket; %s this: %s", brokenPrefix, whose, text.Count(len(reached), "check shows", "checks show"), strings.Join(reached, "; ")),
		Hint:    closedHint})
	e.sum[Broken] += len(reached) - 1
}

const closedHint = "store no secrets here until the policies of the cloud are correct; {prog} policy check finds weaknesses"

// outside judges the response to a request that must be denied. mine reports whether the same
// request succeeds under the tenant's prefix; if it does not, a denial proves nothing.
func outside(st *vault.Store, err error, mine bool, what, otherwise string) finding {
	switch {
	case err == nil:
		return found(Broken, "%s%s", brokenPrefix, otherwise).hinted(closedHint)
	case probe.Kind(st, err) != vault.ErrPermission:
		return found(NotProven, "%s: the response is neither success nor a denial", what).refusedBy(st, err)
	case !mine:
		return found(NotProven, "%s: denied, but the same request did not succeed under your prefix, so it may be denied everywhere", what)
	}
	return found(OK, "%s: denied", what)
}

// missingTenant tries requests under the prefix of a tenant that does not exist. read reports
// whether it could store an object there and read it.
func (e *checker) missingTenant(ctx context.Context) (read bool) {
	key := prefix(vault.Tenant(e.run), e.Collection) + e.run + "/isolation.enc"
	if e.putOutside(ctx, "isolation-put", key, "put under another tenant's prefix", "an object was stored under another tenant's prefix") {
		read = readByte(ctx, e.Store, key) == nil
	}
	e.add(ctx, "isolation-list", e.unlisted(ctx, &e.access, vault.Tenant(e.run), "list of another tenant's prefix", "another tenant's prefix was listed"))
	if e.Store.History != nil {
		mine := versions(ctx, e.Store, e.access.prefix+"own.enc") == nil
		err := versions(ctx, e.Store, key)
		e.add(ctx, "isolation-versions", outside(e.Store, err, mine, "list of old versions under another tenant's prefix", "old versions under another tenant's prefix were listed"))
	}
	if e.NoWrites != "" {
		e.add(ctx, "isolation-delete", found(Skipped, "delete under another tenant's prefix: %s", e.NoWrites))
	} else {
		err := remove(ctx, e.Store, key)
		e.add(ctx, "isolation-delete", e.notLookup(outside(e.Store, err, e.access.deletes, "delete under another tenant's prefix", "a delete under another tenant's prefix was not denied")))
	}
	return read
}

// putOutside tries to store an object outside the tenant's prefix, and reports whether it succeeded.
func (e *checker) putOutside(ctx context.Context, check, key, what, otherwise string) bool {
	if e.NoWrites != "" {
		e.add(ctx, check, found(Skipped, "%s: %s", what, e.NoWrites))
		return false
	}
	if ctx.Err() != nil {
		return false
	}
	err := put(ctx, e.Store, key, random())
	if probe.Kind(e.Store, err) != vault.ErrPermission {
		e.leftover(e.Store, "", key) // the object was stored, or may have been
	}
	e.add(ctx, check, outside(e.Store, err, e.access.puts, what, otherwise))
	return err == nil
}

// notLookup changes a denial to NotProven if the store looks the object up before the delete,
// because then the look-up may have been denied instead of the delete.
func (e *checker) notLookup(f finding) finding {
	if f.status == OK && e.Store.Remover == nil {
		return found(NotProven, "%s, but this store reads the object before each delete, and perhaps only that read was denied", f.message)
	}
	return f
}

// longerName tries the prefix of a tenant whose id starts with this tenant's id. A policy without
// the slash after the tenant allows access to it.
func (e *checker) longerName(ctx context.Context) {
	longer := e.Tenant + "x"
	key := prefix(longer, e.Collection) + e.run + "/isolation.enc"
	e.putOutside(ctx, "isolation-longer-put", key, "put under "+tenantPrefix(longer), "an object was stored under "+tenantPrefix(longer)+", the prefix of another tenant, whose id starts with yours")
	e.add(ctx, "isolation-longer-list", e.unlisted(ctx, &e.access, longer, "list of "+tenantPrefix(longer), tenantPrefix(longer)+", the prefix of another tenant, whose id starts with yours, was listed"))
}

// reading checks whether another tenant's object can be read: an object that the second tenant
// stores, the object of --foreign-key, or an object that an earlier check stored although the put
// should have been denied.
func (e *checker) reading(ctx context.Context, read bool) {
	unknown := found(NotProven, "get of another tenant's object: not tried, because no such object is known, and the get of a missing object is always denied").
		hinted("set --other to the identity of a second tenant; with --foreign-key KEY alone, the doctor can detect broken isolation but cannot prove isolation")
	best := unknown
	add := func(f finding) {
		if best == unknown || f.status == Broken || f.status == OK && best.status == NotProven {
			best = f
		}
	}
	switch {
	case e.OtherErr != nil:
		add(found(NotProven, "get of another tenant's object: the second tenant cannot be used: %v", e.OtherErr).hinted(e.advice(nil, e.OtherErr, "")))
	case e.Other != nil && e.OtherTenant == e.Tenant:
		add(found(NotProven, "get of another tenant's object: not tried, because both identities belong to tenant %s", e.Tenant).hinted("set --other to the identity of another tenant"))
	}
	if e.ForeignKey != "" {
		add(e.readKey(ctx))
	}
	if read {
		add(outside(e.Store, nil, true, "", "an object under another tenant's prefix was read"))
	}
	if e.hasOther() && e.NoWrites == "" {
		other := e.tenantAccess(e.Other, e.OtherTenant)
		e.measureVersions(ctx, &e.access)
		e.crossTenant(ctx, "isolation", &e.access, &other, func(get finding) {
			add(get)
			e.add(ctx, "isolation-get", best)
		})
		return
	}
	e.add(ctx, "isolation-get", best)
}

func (e *checker) hasOther() bool { return e.Other != nil && e.OtherTenant != e.Tenant }

// readKey reads one byte of the object of --foreign-key. Only a read by the second tenant proves
// that the object exists.
func (e *checker) readKey(ctx context.Context) finding {
	what := "get of " + e.ForeignKey
	if strings.HasPrefix(e.ForeignKey, tenantPrefix(e.Tenant)) {
		return found(NotProven, "%s: the key is under your prefix", what).hinted("set --foreign-key to the key of another tenant's object")
	}
	exists := e.hasOther() && readByte(ctx, e.Other, e.ForeignKey) == nil
	err := readByte(ctx, e.Store, e.ForeignKey)
	if probe.Kind(e.Store, err) == vault.ErrNotFound && !exists {
		return found(NotProven, "%s: the object does not exist", what).hinted("set --foreign-key to the key of an existing object, such as bots/TENANT/credentials/NAME.enc")
	}
	f := outside(e.Store, err, e.access.gets, what, e.ForeignKey+" was read")
	if f.status == OK && !exists {
		return found(NotProven, "%s, but the object may not exist, and the get of a missing object is denied, too", f.message).
			hinted("also set --other to the identity of the object's tenant, which proves that the object exists")
	}
	return f
}
