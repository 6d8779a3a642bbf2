package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gocloud.dev/blob"

	"github.com/objectvault/objectvault/internal/text"
)

// TeardownOptions configures [Vault.Teardown]. With nil or the zero value, Teardown removes the
// current objects of the Vault's collection.
type TeardownOptions struct {
	// AllCollections also removes the objects of the tenant's other collections.
	AllCollections bool
	// Purge also removes old versions and delete markers, permanently. If the store has no
	// [Purger], Teardown fails with [ErrUnsupported] and removes nothing.
	Purge bool
}

// A TeardownResult counts the objects that a teardown removed and failed to remove.
type TeardownResult struct {
	Deleted       int       // current objects removed
	Purged        int       // old versions removed
	LeftInHistory int       // old versions that can still be opened; -1 if unknown
	NotRemoved    int       // objects and versions that could not be removed
	Failed        []Failure // the first 1000 objects of NotRemoved
	// Mirrors are the results of the mirrors. The other fields are about the primary store.
	Mirrors []MirrorTeardown

	legacyLeft int // old versions of objects of agentKeys below another prefix; -1 if unknown
}

// A MirrorTeardown is the result of a teardown in a mirror.
type MirrorTeardown struct {
	Store string // [Store].Name
	TeardownResult
	Err error // why the mirror was not emptied; nil: it was
}

// A Failure is an object that could not be removed.
type Failure struct {
	Key  string
	Name Name // empty for an object of another program or another collection
	Err  error
}

// maxFailures is the maximum length of TeardownResult.Failed.
const maxFailures = 1000

// Teardown removes every current object of the tenant in the Vault's collection, including objects
// of other programs. If the Vault has a [Scope], Teardown fails with [ErrPermission] and removes
// nothing. With [Options].Spool, Teardown locks the pending entries, and sets them aside unless it fails and
// has removed nothing.
//
// If a single object cannot be removed, Teardown adds it to the result, continues, and returns
// [ErrPartial] at the end. If a whole request fails because the service cannot be reached or
// rejects the caller, Teardown stops and returns that error. The result then counts what was
// removed until then.
//
// If it was complete in the primary store, Teardown does the same in each mirror: see
// [Options].Mirror. The error names the first mirror that failed.
func (v *Vault) Teardown(ctx context.Context, o *TeardownOptions) (result TeardownResult, err error) {
	defer wrap(&err, "teardown", "")
	ctx, op := v.operate(ctx, "teardown", "")
	defer op.finish(new(Info), &err)
	defer func() { op.yielded(result.Deleted) }()
	if o == nil {
		o = &TeardownOptions{}
	}
	if result, err = v.teardown(ctx, o); err != nil {
		return result, err
	}
	for _, m := range v.mirrors() {
		mo := *o
		one := MirrorTeardown{Store: m.name}
		if one.Err = m.connect(ctx); one.Err == nil {
			mo.Purge = o.Purge && m.store.Purge != nil
			one.TeardownResult, one.Err = m.teardown(ctx, &mo)
		}
		result.Mirrors = append(result.Mirrors, one)
		if one.Err != nil && err == nil {
			err = fmt.Errorf("mirror %s: %w", m.name, one.Err)
		}
	}
	return result, err
}

// teardown is Teardown in the store of the Vault.
func (v *Vault) teardown(ctx context.Context, o *TeardownOptions) (result TeardownResult, err error) {
	result.LeftInHistory = -1 // not counted yet
	if err := v.opened(); err != nil {
		return result, err
	}
	if v.scope.Names != nil || v.scope.ReadOnly {
		return result, fmt.Errorf("%w: teardown needs a vault without a scope", ErrScope)
	}
	pending, err := v.holdPending(ctx, "", o.AllCollections)
	if err != nil {
		return result, err
	}
	defer pending.release()
	defer func() {
		if err != nil && result.Deleted+result.Purged == 0 && !errors.Is(err, ErrUnsure) {
			return // nothing was removed
		}
		if perr := pending.end("the tenant was torn down"); perr != nil {
			err = errors.Join(err, perr)
		}
	}()
	if err := v.connect(ctx); err != nil {
		return result, err
	}
	if o.Purge && v.store.Purge == nil {
		return result, fmt.Errorf("%w: it cannot purge its history", ErrUnsupported)
	}
	prefix := keyPrefix(v.tenant, v.collection)
	if o.AllCollections {
		prefix = tenantPrefix(v.tenant)
	}
	if err := v.teardownLegacy(ctx, prefix, o, &result); err != nil {
		return result, err
	}
	// Each page is deleted before the next one is listed. Deletions do not disturb the listing,
	// which continues after the last key, and memory stays bounded.
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := v.backend.page(ctx, prefix, "", token)
		if err != nil {
			return result, err
		}
		keys := make([]string, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		seen := v.seenPage(ctx, keys)
		removed := func(key string) {
			result.Deleted++
			v.deletedKey(ctx, seen, key)
		}
		if err := v.removeAll(ctx, prefix, keys, &result, removed); err != nil {
			return result, err
		}
		token = next
	}
	if err := v.countLeftovers(ctx, prefix, o.Purge, &result); err != nil {
		return result, err
	}
	if result.LeftInHistory >= 0 {
		if result.LeftInHistory += result.legacyLeft; result.legacyLeft < 0 {
			result.LeftInHistory = -1
		}
	}
	if result.NotRemoved > 0 {
		return result, fmt.Errorf("%w: %s left: %w", ErrPartial, text.Count(result.NotRemoved, "object or version is", "objects or versions are"), result.Failed[0].Err)
	}
	return result, nil
}

// failed adds an object that could not be removed to result.
func (v *Vault) failed(result *TeardownResult, key string, err error) {
	if result.NotRemoved++; len(result.Failed) < maxFailures {
		name, _ := nameOf(v.tenant, v.collection, key)
		result.Failed = append(result.Failed, Failure{Key: key, Name: name, Err: err})
	}
}

// concernsAll reports whether err concerns the caller or the store, and not one object, so that
// the next request would fail, too.
func concernsAll(err error) bool {
	return err != nil && (errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled))
}

// removeAll deletes the keys of one page. It calls removed for each key that is gone. An error ends
// the teardown.
func (v *Vault) removeAll(ctx context.Context, prefix string, keys []string, result *TeardownResult, removed func(key string)) error {
	switch {
	case len(keys) == 0:
		return nil
	case v.store.Remover != nil:
		return v.removePage(ctx, prefix, keys, result, removed)
	}
	silent := 0 // consecutive requests without a response
	for _, key := range keys {
		err := v.remove(ctx, key)
		switch {
		case err == nil, errors.Is(err, ErrNotFound): // removed by this request or by another client
			removed(key)
			silent = 0
			continue
		case errors.Is(err, ErrUnavailable) && ctx.Err() == nil: // may be one damaged file
			silent++
		case concernsAll(err):
			return err
		}
		if silent == maxAttempts {
			return err
		}
		v.failed(result, key, err)
	}
	return nil
}

// removePage deletes the keys of one page in one request.
func (v *Vault) removePage(ctx context.Context, prefix string, keys []string, result *TeardownResult, removed func(key string)) error {
	if err := ctx.Err(); err != nil {
		return v.backend.explain(err) // nothing was sent
	}
	var lost error // of the last attempt with an unknown outcome
	for n := 1; ; n++ {
		failed, err := v.backend.removeMany(ctx, keys, n)
		if err == nil {
			for _, key := range keys {
				if err := failed[key]; err == nil || errors.Is(err, ErrNotFound) {
					removed(key)
				} else {
					v.failed(result, key, err)
				}
			}
			return nil
		}
		more := n < maxAttempts && retryable(err)
		if classify(true, err) == unknown {
			lost = err
		}
		if lost != nil {
			still, lerr := v.stillThere(ctx, prefix, keys)
			if lerr == nil {
				for _, key := range keys {
					if !slices.Contains(still, key) {
						removed(key)
					}
				}
				keys = still
			}
			if len(keys) == 0 {
				return nil
			}
			more = more && lerr == nil
			if !more && !errors.Is(err, ErrUnsure) {
				err = fmt.Errorf("%w: %w", ErrUnsure, err)
			}
		}
		if !more || !pause(ctx, n) {
			return err
		}
	}
}

// stillThere returns the keys of a sorted page below prefix that still have an object.
func (v *Vault) stillThere(ctx context.Context, prefix string, keys []string) (still []string, err error) {
	ctx, cancel := lingering(ctx)
	defer cancel()
	removed := make(map[string]bool, len(keys))
	for _, key := range keys {
		removed[key] = true
	}
	last := keys[len(keys)-1]
	for o, err := range v.backend.list(ctx, prefix) {
		switch {
		case err != nil:
			return nil, err
		case o.Key > last:
			return still, nil
		case removed[o.Key]:
			still = append(still, o.Key)
		}
	}
	return still, nil
}

// countLeftovers counts the old versions below prefix, or removes them and the delete markers.
// It removes versions first, because on some clouds removing a delete marker restores the
// object.
func (v *Vault) countLeftovers(ctx context.Context, prefix string, purge bool, result *TeardownResult) error {
	switch {
	case v.store.Purge == nil && v.store.History != nil:
		return nil
	case v.store.Purge == nil:
		result.LeftInHistory = 0
		return nil
	}
	if !purge {
		n := 0
		for l, err := range v.backend.leftovers(ctx, prefix) {
			switch {
			case errors.Is(err, ErrUnsupported), errors.Is(err, ErrRefused), errors.Is(err, ErrPermission), errors.Is(err, ErrNotFound), isForeign(err):
				return nil // the objects are removed; only the number of old versions is unknown
			case err != nil:
				return err
			}
			if !l.Deleted {
				n++
			}
		}
		result.LeftInHistory = n
		return nil
	}
	left := 0
	result.LeftInHistory = -1 // until the purge is complete
	for _, markers := range []bool{false, true} {
		var batch []Leftover
		for l, err := range v.backend.leftovers(ctx, prefix) {
			if err != nil {
				return err
			}
			if l.Deleted == markers {
				batch = append(batch, l)
			}
			if len(batch) == maxPage {
				if err := v.purge(ctx, batch, result, &left); err != nil {
					return err
				}
				batch = batch[:0]
			}
		}
		if len(batch) > 0 {
			if err := v.purge(ctx, batch, result, &left); err != nil {
				return err
			}
		}
		if left > 0 {
			break
		}
	}
	result.LeftInHistory = left
	return nil
}

// purge removes one batch of versions, and counts in left those that can still be opened.
func (v *Vault) purge(ctx context.Context, batch []Leftover, result *TeardownResult, left *int) error {
	failed, err := v.backend.purge(ctx, batch)
	if err != nil {
		return err
	}
	for _, l := range batch {
		switch err := failed[l]; {
		case err != nil:
			v.failed(result, l.Key, err)
			if !l.Deleted {
				*left++
			}
		case !l.Deleted:
			result.Purged++
		}
	}
	return nil
}
