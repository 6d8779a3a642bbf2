package probe

import (
	"context"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/vault"
)

func checkRemove(ctx context.Context, t *trial) error {
	// A full call, with enough of the objects there to tell; writing all would take longer
	// than all other probes together.
	const full = 1000
	keys := make([]string, full)
	var there, absent []string
	for i := range keys {
		keys[i] = t.key(fmt.Sprintf("%04d", i))
		if i%8 == 7 {
			there = append(there, keys[i])
		} else {
			absent = append(absent, keys[i])
		}
	}
	stays, v := t.key("stays"), newValue(10)
	err := each(ctx, append(slices.Clone(there), stays), func(ctx context.Context, key string) error {
		return t.works(t.Store, t.put(ctx, t.Store, key, v.fill), "a write")
	})
	if err != nil {
		return err
	}
	failed, err := t.remove(ctx, t.Store, keys)
	if err != nil {
		return t.works(t.Store, err, "removing %d keys", full)
	}
	for key, err := range failed {
		if slices.Contains(absent, key) && t.kind(t.Store, err) == vault.ErrNotFound {
			continue
		}
		return errOr(t.works(t.Store, err, "removing %d keys: %q", full, key), broken("removing %d keys says nil of %q", full, key))
	}
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	err = each(ctx, there, func(ctx context.Context, key string) error {
		return t.holds(ctx, other, key, nil, "after it was removed with others")
	})
	if err != nil {
		return err
	}
	t.forget(keys)
	if err := t.holds(ctx, other, stays, &v, "after others were removed"); err != nil {
		return err
	}
	failed, err = t.remove(ctx, t.Store, []string{stays})
	if err != nil || len(failed) > 0 {
		return errOr(t.works(t.Store, err, "removing one object"), broken("removing one object that is there says %v", failed))
	}
	return t.holds(ctx, other, stays, nil, "after it was removed alone")
}

func checkRemoveTellsAbsent(ctx context.Context, t *trial) error {
	var there, absent []string
	for i := range 5 {
		there = append(there, t.key(fmt.Sprintf("there-%d", i)))
		absent = append(absent, t.key(fmt.Sprintf("absent-%d", i)))
	}
	err := each(ctx, there, func(ctx context.Context, key string) error {
		return t.works(t.Store, t.put(ctx, t.Store, key, newValue(3).fill), "a write")
	})
	if err != nil {
		return err
	}
	// Twice: what never was, and then what was deleted.
	for _, absent := range [][]string{absent, there} {
		keys := slices.Sorted(slices.Values(append(slices.Clone(there), absent...)))
		keys = slices.Compact(keys)
		failed, err := t.remove(ctx, t.Store, keys)
		if err != nil {
			return t.works(t.Store, err, "removing objects, some of them absent")
		}
		for key, err := range failed {
			if !slices.Contains(absent, key) {
				return broken("removing objects, some of them absent, says of one that was there: %w", err)
			}
		}
		for _, key := range absent {
			if err := t.fails(t.Store, failed[key], vault.ErrNotFound, "removing what is absent"); err != nil {
				return err
			}
		}
		for _, key := range there {
			if err := t.holds(ctx, t.Store, key, nil, "after it was removed"); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDeleteTellsAbsent(ctx context.Context, t *trial) error {
	never := t.key("never")
	if err := t.fails(t.Store, t.delete(ctx, t.Store, never), vault.ErrNotFound, "deleting what never was"); err != nil {
		return err
	}
	gone := t.key("gone")
	if err := t.put(ctx, t.Store, gone, newValue(3).fill); err != nil {
		return t.works(t.Store, err, "a write")
	}
	if err := t.delete(ctx, t.Store, gone); err != nil {
		return t.works(t.Store, err, "a delete")
	}
	return t.fails(t.Store, t.delete(ctx, t.Store, gone), vault.ErrNotFound, "deleting what was deleted")
}

func checkPurge(ctx context.Context, t *trial) error {
	kept, err := t.makePast(ctx, "a/kept")
	if err != nil {
		return err
	}
	gone, err := t.makePast(ctx, "a/gone")
	if err != nil {
		return err
	}
	if err := t.drop(ctx, t.Store, gone.key); err != nil {
		return t.works(t.Store, err, "a delete")
	}
	gone.states[0].current = false
	gone.states = append([]state{{nil, true}}, gone.states...)
	other, err := t.makePast(ctx, "a0/other")
	if err != nil {
		return err
	}

	// What a purge takes is all that a read does not see: old versions and markers, the
	// current marker included.
	want := make(map[vault.Leftover]bool)
	for _, p := range []past{kept, gone} {
		all, err := t.versions(ctx, t.Store, p.key)
		if err != nil {
			return t.works(t.Store, err, "reading the history")
		}
		for _, v := range all {
			if !v.Current || v.Deleted {
				want[vault.Leftover{Key: p.key, ID: v.ID, Deleted: v.Deleted}] = true
			}
		}
	}
	left, err := t.leftovers(ctx, t.Store, t.prefix+"a/")
	if err != nil {
		return t.works(t.Store, err, "reading what is left in history")
	}
	seen := make(map[vault.Leftover]bool)
	for _, l := range left {
		if !want[l] {
			return broken("%+v is listed as left in history, but is not", l)
		}
		if seen[l] {
			return broken("%+v is listed twice", l)
		}
		seen[l] = true
	}
	if len(seen) != len(want) {
		return broken("%d versions are listed as left in history, want %d", len(seen), len(want))
	}
	if len(left) == 0 {
		return broken("nothing is left in history after overwrites and a delete")
	}

	// One first, then the rest, then all of them again: they are gone, which is no failure.
	// Markers go with or after what they hide, since a cloud shows that again once its
	// marker is gone; within one call the order is the store's business.
	if i := slices.IndexFunc(left, func(l vault.Leftover) bool { return !l.Deleted }); i > 0 {
		left[0], left[i] = left[i], left[0]
	}
	for _, batch := range [][]vault.Leftover{left[:1], left[1:], left} {
		failed, err := t.Store.Purge.Purge(ctx, batch)
		t.saw(err)
		if err != nil {
			return t.works(t.Store, err, "a purge")
		}
		for l, err := range failed {
			return errOr(t.works(t.Store, err, "purging %+v", l), broken("a purge says that %+v failed, with no error", l))
		}
	}
	if left, err = t.leftovers(ctx, t.Store, t.prefix+"a/"); err != nil || len(left) > 0 {
		return errOr(t.works(t.Store, err, "reading what is left in history"), broken("%d versions are left after a purge", len(left)))
	}
	if err := t.tells(ctx, t.Store, past{kept.key, kept.states[:1]}); err != nil {
		return err
	}
	if err := t.tells(ctx, t.Store, past{key: gone.key}); err != nil {
		return err
	}
	if err := t.holds(ctx, t.Store, kept.key, kept.states[0].value, "after its history was purged"); err != nil {
		return err
	}
	if err := t.holds(ctx, t.Store, gone.key, nil, "after all of it was purged"); err != nil {
		return err
	}
	return t.tells(ctx, t.Store, other)
}
