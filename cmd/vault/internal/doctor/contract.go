package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/vault"
)

// A feature is a clause of the contract of a store that the user depends on.
type feature struct {
	clause string
	what   string
	broken Status // the result if the store does not support the feature
	means  string // the consequence for the user in this case
	hint   string
	race   bool   // --quick skips the check, as it skips large objects
	needs  string // the clause that the store must support for this check to be meaningful
}

const otherServer = "do not use this store, or the proxy in front of it"

var features = []feature{
	{clause: "create", what: "create-only", broken: Fail,
		means: "put --create may overwrite an existing object", hint: "do not rely on put --create in this store; some servers ignore it in a bucket with versioning"},
	{clause: "create-after-delete", what: "create-only after a delete", broken: Warning, needs: "create",
		means: "a name cannot be created again after rm", hint: "use put without --create"},
	{clause: "create-detects", what: "create-only in a race", broken: Fail, race: true, needs: "create",
		means: "several concurrent creates may all succeed, or may all fail", hint: "let only one program at a time create names in this store"},
	{clause: "create-large", what: "create-only of a large object", broken: Warning, needs: "create",
		means: "put --create of more than 9 MiB may overwrite an existing object", hint: "do not rely on put --create for large objects in this store"},
	{clause: "swap", what: "compare-and-swap", broken: Warning,
		means: "put --if-revision may overwrite another writer's object, or always fail", hint: "do not rely on put --if-revision in this store"},
	{clause: "swap-atomic", what: "compare-and-swap in a race", broken: Warning, race: true, needs: "swap",
		means: "several concurrent writes with --if-revision may all succeed, or may all fail", hint: "do not rely on put --if-revision in this store"},
	{clause: "swap-large", what: "compare-and-swap of a large object", broken: Warning, needs: "swap",
		means: "put --if-revision of more than 9 MiB may overwrite another writer's object", hint: "do not rely on put --if-revision for large objects in this store"},
	{clause: "read-after-write", what: "a read returns the last write", broken: Fail,
		means: "a read may return an older value", hint: otherServer},
	{clause: "ranges", what: "range reads are exact", broken: Fail,
		means: "a range read may return the wrong bytes", hint: otherServer},
	{clause: "history", what: "versioning", broken: Warning,
		means: "rollback and undelete have no version to restore", hint: "enable versioning if the store supports it: {prog} policy prints the command"},
	{clause: "versions", what: "old versions can be read", broken: Warning, needs: "history",
		means: "rollback and undelete may not find the version to restore"},
	{clause: "all-or-nothing", what: "a write is complete or absent", broken: Fail,
		means: "an interrupted write may store an incomplete value", hint: otherServer},
	{clause: "all-or-nothing-large", what: "a large write is complete or absent", broken: Fail,
		means: "an interrupted upload may store an incomplete value", hint: otherServer},
}

// contract checks which features the store supports.
func (e *checker) contract(ctx context.Context) {
	switch {
	case e.NoWrites != "":
		e.add(ctx, "contract", found(Skipped, "features of the store: %s", e.NoWrites))
		return
	case !e.access.puts:
		e.add(ctx, "contract", found(NotProven, "features of the store: not tried, because no object could be stored under your prefix"))
		return
	}
	s := e.subject(e.Store)
	all := probe.All()
	supported := make(map[string]bool)
	titles := make(map[string]string)
	for _, p := range features {
		if ctx.Err() != nil {
			return
		}
		i := slices.IndexFunc(all, func(candidate probe.Probe) bool { return candidate.Clause == p.clause })
		if i < 0 {
			panic("doctor: package probe has no check for the clause " + p.clause)
		}
		titles[p.clause] = p.what
		switch {
		case e.Quick && (p.race || all[i].Large):
			e.add(ctx, p.clause, found(Skipped, "%s: skipped because of --quick", p.what))
			continue
		case p.needs != "" && !supported[p.needs]:
			e.add(ctx, p.clause, found(Skipped, "%s: not tried, because the check of %s did not succeed", p.what, titles[p.needs]))
			continue
		}
		r := s.Run(ctx, all[i])
		supported[p.clause] = r.Verdict == probe.Supported
		e.add(ctx, p.clause, p.judge(e, e.Store, r))
		if p.clause == "swap" && !supported["swap"] {
			s = e.subject(withoutSwap(e.Store)) // otherwise later checks that use Swap would fail, too
		}
	}
}

func (e *checker) subject(st *vault.Store) *probe.Subject {
	return &probe.Subject{Store: st, Reopen: e.Reopen, Prefix: e.access.prefix, Large: e.Large, HidesAbsent: e.Isolated}
}

func withoutSwap(st *vault.Store) *vault.Store {
	c := *st
	c.Swap, c.Tag = nil, nil
	return &c
}

// judge returns the finding for a verdict.
func (p feature) judge(e *checker, st *vault.Store, r probe.Result) finding {
	why := ""
	if r.Err != nil {
		why = reason(st, r.Err)
	}
	switch r.Verdict {
	case probe.Supported:
		return found(OK, "%s: supported", p.what)
	case probe.NotSupported:
		if p.clause == "create" && errors.Is(r.Err, vault.ErrUnsupported) { // the store refuses the write and overwrites nothing
			return found(Warning, "%s: refused by this store: %s", p.what, why).hinted(e.advice(st, r.Err, p.hint))
		}
		if requestRefused(st, r.Err) { // does not depend on the features of the store
			return found(NotProven, "%s: a request was refused", p.what).refusedBy(st, r.Err)
		}
		return finding{status: p.broken, message: fmt.Sprintf("%s: not supported: %s (%s)", p.what, p.means, why), hint: p.hint}
	case probe.NotApplicable:
		return found(Skipped, "%s: %s", p.what, why)
	}
	if requestRefused(st, r.Err) {
		return found(NotProven, "%s: a request was refused", p.what).refusedBy(st, r.Err)
	}
	return found(NotProven, "%s: %s", p.what, why)
}

// requestRefused reports whether a request of a check failed for a reason other than the feature:
// the caller, the clock, the network, a full disk.
func requestRefused(st *vault.Store, err error) bool {
	switch probe.Kind(st, err) {
	case vault.ErrUnauthenticated, vault.ErrPermission, vault.ErrNoSpace, vault.ErrUnavailable, vault.ErrRefused:
		return true
	}
	return false
}
