package vault

import (
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"
)

// TeardownOptions configures [Vault.Teardown]. Nil, or the zero value, removes the
// current objects of the vault's collection.
type TeardownOptions struct {
	// AllCollections removes those of the tenant's other collections too.
	AllCollections bool
	// Purge removes the history as well, permanently. [ErrUnsupported] where the store
	// has no [Purger].
	Purge bool
}

// A TeardownResult is what a teardown did.
type TeardownResult struct {
	Deleted       int       // current objects removed
	Purged        int       // old versions removed
	LeftInHistory int       // old versions that can still be opened; -1 where that is not known
	NotRemoved    int       // how many objects and versions could not be removed
	Failed        []Failure // the first 1000 of them
}

// A Failure is an object that could not be removed.
type Failure struct {
	Key  string
	Name Name // empty for a key that this package did not make, or one of another collection
	Err  error
}

// maxFailures is how many failures a result lists.
const maxFailures = 1000

// Teardown removes every current object of the tenant in this collection, also those whose
// keys this package did not make. It goes on after an error that concerns a single object:
// such objects are in the result, and the error is [ErrPartial]. An error of the request as
// a whole ends it: the service cannot be reached, or refuses the caller. It needs a Vault
// without a scope.
func (v *Vault) Teardown(ctx context.Context, o *TeardownOptions) (result TeardownResult, err error) {
	defer wrap(&err, "teardown", "")
	result.LeftInHistory = -1 // not counted yet
	if o == nil {
		o = &TeardownOptions{}
	}
	if err := v.opened(); err != nil {
		return result, err
	}
	if v.scope.Names != nil || v.scope.ReadOnly {
		return result, fmt.Errorf("%w: teardown needs a vault without a scope", ErrPermission)
	}
	if o.Purge && v.store.Purge == nil {
		return result, fmt.Errorf("%w: it cannot purge its history", ErrUnsupported)
	}
	prefix := keyPrefix(v.tenant, v.collection)
	if o.AllCollections {
		prefix = tenantPrefix(v.tenant)
	}
	// A page is listed, then deleted, then the next one: a listing goes on by key, so
	// what was deleted behind it does not matter, and memory stays bounded.
	for token := blob.FirstPageToken; len(token) > 0; {
		page, next, err := v.backend.page(ctx, prefix, token)
		if err != nil {
			return result, err
		}
		keys := make([]string, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		if err := v.removeAll(ctx, prefix, keys, &result); err != nil {
			return result, err
		}
		token = next
	}
	if err := v.countLeftovers(ctx, prefix, o.Purge, &result); err != nil {
		return result, err
	}
	if result.NotRemoved > 0 {
		return result, fmt.Errorf("%w: %d are left: %w", ErrPartial, result.NotRemoved, result.Failed[0].Err)
	}
	return result, nil
}

// failed adds an object that could not be removed.
func (v *Vault) failed(result *TeardownResult, key string, err error) {
	if result.NotRemoved++; len(result.Failed) < maxFailures {
		name, _ := nameOf(v.tenant, v.collection, key)
		result.Failed = append(result.Failed, Failure{Key: key, Name: name, Err: err})
	}
}

// concernsAll reports whether err is about the caller or the store, and not about one object:
// the next request would fail in the same way.
func concernsAll(err error) bool {
	return err != nil && (errors.Is(err, ErrUnauthenticated) || errors.Is(err, ErrUnavailable) || errors.Is(err, ErrClosed) || errors.Is(err, context.Canceled))
}

// removeAll deletes the keys of one page. Its error is one that ends the teardown.
func (v *Vault) removeAll(ctx context.Context, prefix string, keys []string, result *TeardownResult) error {
	switch {
	case len(keys) == 0:
		return nil
	case v.store.Remover != nil:
		return v.removePage(ctx, prefix, keys, result)
	}
	silent := 0 // requests in a row that got no response
	for _, key := range keys {
		err := v.remove(ctx, key)
		switch {
		case err == nil, errors.Is(err, ErrNotFound): // gone, by us or by another client
			result.Deleted++
			silent = 0
			continue
		case errors.Is(err, ErrUnavailable) && ctx.Err() == nil: // a store may call a damaged file so
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
func (v *Vault) removePage(ctx context.Context, prefix string, keys []string, result *TeardownResult) error {
	if err := ctx.Err(); err != nil {
		return v.backend.explain(err) // nothing was sent
	}
	var lost error // of the last attempt with an unknown outcome
	for n := 1; ; n++ {
		failed, err := v.backend.removeMany(ctx, keys, n)
		if err == nil {
			for _, key := range keys {
				if err := failed[key]; err == nil || errors.Is(err, ErrNotFound) {
					result.Deleted++
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
				result.Deleted += len(keys) - len(still)
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

// stillThere returns those keys, of a sorted page below prefix, that are still there.
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

// countLeftovers counts what stays in history below prefix, or removes it: contents first,
// since on some clouds an object whose delete marker is removed comes back.
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
				return nil // what was asked for is done: only how many are left is not known
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
	result.LeftInHistory = -1 // until the purge has come to its end
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
