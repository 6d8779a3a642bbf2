package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// isolation asks for what belongs to somebody else, and wants to be denied.
func (e *exam) isolation(ctx context.Context) {
	if !e.Isolated {
		scheme, _, _ := strings.Cut(e.Store.Name, "://")
		e.say(ctx, "isolation", found(Skipped, "isolation: %s:// keeps nobody apart", scheme))
		return
	}
	if e.Whole != nil {
		e.broken = new([]string)
		defer e.reportWhole(ctx)
	}
	e.own.lists = e.listable(ctx, &e.own)
	read := e.stranger(ctx)
	e.longerName(ctx)
	e.roots(ctx)
	e.reading(ctx, read)
	e.reverse(ctx)
	e.trials(ctx)
}

const brokenPrefix = "ISOLATION BROKEN: "

// reportWhole reports in one line that the credentials reach what is not under the own prefix.
func (e *exam) reportWhole(ctx context.Context) {
	reached := *e.broken
	e.broken = nil
	if len(reached) == 0 || ctx.Err() != nil {
		return
	}
	owner, whose := e.Whole(ctx)
	if owner {
		e.tell(Line{Check: "isolation", Status: Warning,
			Message: fmt.Sprintf("these credentials reach the whole bucket, as an owner's do (%s): %d checks of isolation were not denied", whose, len(reached)),
			Hint:    "agents need a token: {prog} policy prints the role, and --identity takes the token"})
		return
	}
	e.tell(Line{Check: "isolation", Status: Broken,
		Message: fmt.Sprintf("%sthese credentials (%s) reach the whole bucket, in %d checks: %s", brokenPrefix, whose, len(reached), strings.Join(reached, "; ")),
		Hint:    closedHint})
	e.sum[Broken] += len(reached) - 1
}

const closedHint = "keep secrets out of this store until the cloud's policies are right: {prog} policy check names their holes"

// outside judges the answer to a request that has to be denied. mine says whether the
// same request works under the own prefix: where it does not, a denial says nothing.
func outside(st *vault.Store, err error, mine bool, what, otherwise string) finding {
	switch {
	case err == nil:
		return found(Broken, "%s%s", brokenPrefix, otherwise).hinted(closedHint)
	case probe.Kind(st, err) != vault.ErrPermission:
		return found(NotProven, "%s: neither denied nor allowed", what).because(st, err)
	case !mine:
		return found(NotProven, "%s: denied, but the same was not seen to work under the own prefix: it may be denied everywhere", what)
	}
	return found(OK, "%s: denied", what)
}

// stranger tries the prefix of a tenant that does not exist. read says that it could
// store something there, and read it.
func (e *exam) stranger(ctx context.Context) (read bool) {
	theirs := prefix(vault.Tenant(e.run), e.Collection)
	key := theirs + e.run + "/isolation.enc"
	if e.putOutside(ctx, "isolation-put", key, "put under a foreign prefix", "an object could be put under a foreign prefix") {
		read = peek(ctx, e.Store, key) == nil
	}
	e.say(ctx, "isolation-list", e.unlisted(ctx, &e.own, vault.Tenant(e.run), "list of a foreign prefix", "a foreign prefix could be listed"))
	if e.Store.History != nil {
		mine := versions(ctx, e.Store, e.own.prefix+"own.enc") == nil
		err := versions(ctx, e.Store, key)
		e.say(ctx, "isolation-versions", outside(e.Store, err, mine, "list of old versions under a foreign prefix", "old versions under a foreign prefix could be listed"))
	}
	if e.Hands != "" {
		e.say(ctx, "isolation-delete", found(Skipped, "delete under a foreign prefix: %s", e.Hands))
	} else {
		err := remove(ctx, e.Store, key)
		e.say(ctx, "isolation-delete", e.looked(outside(e.Store, err, e.own.deletes, "delete under a foreign prefix", "a delete under a foreign prefix was not denied")))
	}
	return read
}

// putOutside tries to put an object where none may be put, and says whether it is there.
func (e *exam) putOutside(ctx context.Context, check, key, what, otherwise string) bool {
	if e.Hands != "" {
		e.say(ctx, check, found(Skipped, "%s: %s", what, e.Hands))
		return false
	}
	if ctx.Err() != nil {
		return false
	}
	err := put(ctx, e.Store, key, random())
	if probe.Kind(e.Store, err) != vault.ErrPermission {
		e.trace(e.Store, "", key) // it is there, or may be
	}
	e.say(ctx, check, outside(e.Store, err, e.own.puts, what, otherwise))
	return err == nil
}

// looked takes a denial back that may be that of looking, and not of deleting.
func (e *exam) looked(f finding) finding {
	if f.status == OK && e.Store.Remover == nil {
		return found(NotProven, "%s, but perhaps only looking was: this store has no other delete", f.message)
	}
	return f
}

// longerName tries a tenant whose id starts like the own one: a policy that lacks the
// slash after the tenant lets it through.
func (e *exam) longerName(ctx context.Context) {
	longer := e.Tenant + "x"
	key := prefix(longer, e.Collection) + e.run + "/isolation.enc"
	e.putOutside(ctx, "isolation-longer-put", key, "put under "+tenantPrefix(longer), "an object could be put under "+tenantPrefix(longer)+", which starts like the own prefix")
	e.say(ctx, "isolation-longer-list", e.unlisted(ctx, &e.own, longer, "list of "+tenantPrefix(longer), tenantPrefix(longer)+", which starts like the own prefix, could be listed"))
}

// reading decides whether foreign objects can be read: by one that the second tenant
// puts there, by one that is known to exist, or by one that should not have been stored.
func (e *exam) reading(ctx context.Context, read bool) {
	unknown := found(NotProven, "get of a foreign object: there is none to try; a missing one is denied even where every object may be read").
		hinted("give a second tenant's identity with --other SRC; --foreign-key KEY, the key of another tenant's object, shows a hole, and alone proves nothing")
	best := unknown
	weigh := func(f finding) {
		if best == unknown || f.status == Broken || f.status == OK && best.status == NotProven {
			best = f
		}
	}
	switch {
	case e.Unintroduced != nil:
		weigh(found(NotProven, "get of a foreign object: the second tenant is not there: %v", e.Unintroduced).hinted(e.advice(nil, e.Unintroduced, "")))
	case e.Other != nil && e.OtherTenant == e.Tenant:
		weigh(found(NotProven, "get of a foreign object: the second identity is of tenant %s too", e.Tenant).hinted("give another tenant's identity with --other SRC"))
	}
	if e.ForeignKey != "" {
		weigh(e.readKey(ctx))
	}
	if read {
		weigh(outside(e.Store, nil, true, "", "an object under a foreign prefix could be read"))
	}
	if e.introduced() && e.Hands == "" {
		other := e.party(e.Other, e.OtherTenant)
		e.measureVersions(ctx, &e.own)
		e.trespass(ctx, "isolation", &e.own, &other, func(get finding) {
			weigh(get)
			e.say(ctx, "isolation-get", best)
		})
		return
	}
	e.say(ctx, "isolation-get", best)
}

func (e *exam) introduced() bool { return e.Other != nil && e.OtherTenant != e.Tenant }

// readKey reads one byte of an object that is said to exist. Only the second tenant shows
// that it does.
func (e *exam) readKey(ctx context.Context) finding {
	what := "get of " + e.ForeignKey
	if strings.HasPrefix(e.ForeignKey, tenantPrefix(e.Tenant)) {
		return found(NotProven, "%s: that is below the own prefix", what).hinted("--foreign-key is the key of another tenant's object")
	}
	exists := e.introduced() && peek(ctx, e.Other, e.ForeignKey) == nil
	err := peek(ctx, e.Store, e.ForeignKey)
	if probe.Kind(e.Store, err) == vault.ErrNotFound && !exists {
		return found(NotProven, "%s: it is not there", what).hinted("--foreign-key is the key of an object that exists, such as bots/TENANT/credentials/NAME.enc")
	}
	f := outside(e.Store, err, e.own.gets, what, e.ForeignKey+" could be read")
	if f.status == OK && !exists {
		return found(NotProven, "%s, which proves something only if it exists: a missing one is denied even where every object may be read", f.message).
			hinted("give the identity of its tenant with --other SRC as well")
	}
	return f
}
