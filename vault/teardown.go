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
	// Purge removes the history as well, for ever. [ErrUnsupported] where the store
	// has no [Purger].
	Purge bool
}

// A TeardownResult says what a teardown did.
type TeardownResult struct {
	Deleted       int       // current objects removed
	Purged        int       // old versions removed
	LeftInHistory int       // old versions that can still be opened; -1 where the store does not tell, or was not asked
	Failed        []Failure // what is still there
}

// A Failure is an object that could not be removed.
type Failure struct {
	Key  string
	Name Name // empty for a foreign key, or one of another collection
	Err  error
}

// Teardown removes every current object of the tenant in this collection, foreign
// ones included. It goes on after an error that concerns single objects: they are in
// the result, and the error is [ErrPartial]. Any other error ended it early. It needs a Vault without a scope.
func (v *Vault) Teardown(ctx context.Context, o *TeardownOptions) (result TeardownResult, err error) {
	defer wrap(&err, "teardown", "")
	result.LeftInHistory = -1 // nobody has looked yet
	if o == nil {
		o = &TeardownOptions{}
	}
	if v.scope.Names != nil || v.scope.ReadOnly {
		return result, fmt.Errorf("%w: teardown needs a profile without a scope", ErrPermission)
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
	token := blob.FirstPageToken
	for len(token) > 0 {
		done := v.request(ctx, "list", prefix)
		page, next, err := v.store.Bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix})
		done(int64(len(page)), err)
		if err != nil {
			return result, v.explain(err)
		}
		keys := make([]string, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		v.removeAll(ctx, keys, &result)
		token = next
	}
	if err := v.leftovers(ctx, prefix, o.Purge, &result); err != nil {
		return result, err
	}
	if n := len(result.Failed); n > 0 {
		return result, fmt.Errorf("%w: %d are left: %w", ErrPartial, n, result.Failed[0].Err)
	}
	return result, nil
}

// removeAll deletes the keys of one page.
func (v *Vault) removeAll(ctx context.Context, keys []string, result *TeardownResult) {
	if len(keys) == 0 {
		return
	}
	failed := make(map[string]error)
	if v.store.Remover == nil {
		for _, key := range keys {
			if err := v.remove(ctx, key); err != nil {
				failed[key] = err
			}
		}
	} else {
		for attempt := 1; ; attempt++ {
			done := v.request(ctx, "delete", fmt.Sprintf("%s (%d keys)", keys[0], len(keys)))
			some, err := v.store.Remover.Remove(ctx, keys)
			done(0, err)
			if err == nil {
				failed = some
				break
			}
			if err = v.explain(err); attempt == maxAttempts || !transient(err) || !pause(ctx, attempt) {
				for _, key := range keys {
					failed[key] = err
				}
				break
			}
		}
	}
	for _, key := range keys {
		err := v.explain(failed[key])
		if err == nil || errors.Is(err, ErrNotFound) { // gone, by us or by somebody else
			result.Deleted++
			continue
		}
		name, _ := nameOf(v.tenant, v.collection, key)
		result.Failed = append(result.Failed, Failure{Key: key, Name: name, Err: err})
	}
}

// leftovers counts what stays in history below prefix, or removes it: contents first,
// since on some clouds an object whose marker of deletion goes comes back.
func (v *Vault) leftovers(ctx context.Context, prefix string, purge bool, result *TeardownResult) error {
	switch {
	case v.store.Purge == nil && v.store.History != nil:
		return nil
	case v.store.Purge == nil:
		result.LeftInHistory = 0
		return nil
	}
	if !purge {
		n := 0
		err := v.eachLeftover(ctx, prefix, func(l Leftover) error {
			if !l.Deleted {
				n++
			}
			return nil
		})
		if err == nil {
			result.LeftInHistory = n
		}
		return err
	}
	result.LeftInHistory = 0
	for _, markers := range []bool{false, true} {
		var batch []Leftover
		err := v.eachLeftover(ctx, prefix, func(l Leftover) (err error) {
			if l.Deleted == markers {
				batch = append(batch, l)
			}
			if len(batch) == pageSize {
				err = v.purge(ctx, batch, result)
				batch = batch[:0]
			}
			return err
		})
		if err == nil && len(batch) > 0 {
			err = v.purge(ctx, batch, result)
		}
		if err != nil || result.LeftInHistory > 0 {
			return err
		}
	}
	return nil
}

func (v *Vault) eachLeftover(ctx context.Context, prefix string, do func(Leftover) error) (err error) {
	done := v.request(ctx, "leftovers", prefix)
	defer func() { done(0, err) }()
	for l, err := range v.store.Purge.Leftovers(ctx, prefix) {
		if err == nil {
			err = do(l)
		}
		if err != nil {
			return v.explain(err)
		}
	}
	return nil
}

func (v *Vault) purge(ctx context.Context, batch []Leftover, result *TeardownResult) error {
	done := v.request(ctx, "purge", fmt.Sprintf("%s (%d versions)", batch[0].Key, len(batch)))
	failed, err := v.store.Purge.Purge(ctx, batch)
	done(0, err)
	if err != nil {
		return v.explain(err)
	}
	for _, l := range batch {
		err := v.explain(failed[l])
		switch {
		case err != nil:
			name, _ := nameOf(v.tenant, v.collection, l.Key)
			result.Failed = append(result.Failed, Failure{Key: l.Key, Name: name, Err: err})
			if !l.Deleted {
				result.LeftInHistory++
			}
		case !l.Deleted:
			result.Purged++
		}
	}
	return nil
}
