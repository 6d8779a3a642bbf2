package probe

import (
	"context"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

func checkRemove(ctx context.Context, t *probeRun) error {
	// A call with the maximum number of keys. Only one in eight exists, because writing all of
	// them would take longer than all other probes together.
	const maxKeys = 1000
	keys := make([]string, maxKeys)
	var existing, absent []string
	for i := range keys {
		keys[i] = t.key(fmt.Sprintf("%04d", i))
		if i%8 == 7 {
			existing = append(existing, keys[i])
		} else {
			absent = append(absent, keys[i])
		}
	}
	stays, v := t.key("stays"), newValue(10)
	err := forEach(ctx, append(slices.Clone(existing), stays), func(ctx context.Context, key string) error {
		return t.wantSuccess(t.Store, t.put(ctx, t.Store, key, v.fill), "a write")
	})
	if err != nil {
		return err
	}
	failed, err := t.remove(ctx, t.Store, keys)
	if err != nil {
		return t.wantSuccess(t.Store, err, "a delete of %d keys", maxKeys)
	}
	for key, err := range failed {
		if slices.Contains(absent, key) && t.kind(t.Store, err) == vault.ErrNotFound {
			continue
		}
		return firstError(t.wantSuccess(t.Store, err, "a delete of %d keys: %q", maxKeys, key), violation("a delete of %d keys reported %q as failed, but with no error", maxKeys, key))
	}
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	err = forEach(ctx, existing, func(ctx context.Context, key string) error {
		return t.wantObject(ctx, other, key, nil, "after it was deleted with other objects")
	})
	if err != nil {
		return err
	}
	t.markAbsent(keys)
	if err := t.wantObject(ctx, other, stays, &v, "after other objects were deleted"); err != nil {
		return err
	}
	failed, err = t.remove(ctx, t.Store, []string{stays})
	if err != nil || len(failed) > 0 {
		return firstError(t.wantSuccess(t.Store, err, "a delete of one object"), violation("a delete of one existing object reported failures: %v", failed))
	}
	return t.wantObject(ctx, other, stays, nil, "after it was deleted alone")
}

func checkRemoveReportsAbsent(ctx context.Context, t *probeRun) error {
	var existing, absent []string
	for i := range 5 {
		existing = append(existing, t.key(fmt.Sprintf("there-%d", i)))
		absent = append(absent, t.key(fmt.Sprintf("absent-%d", i)))
	}
	err := forEach(ctx, existing, func(ctx context.Context, key string) error {
		return t.wantSuccess(t.Store, t.put(ctx, t.Store, key, newValue(3).fill), "a write")
	})
	if err != nil {
		return err
	}
	// First with keys that never existed, then with keys that were deleted.
	for _, absent := range [][]string{absent, existing} {
		keys := slices.Sorted(slices.Values(append(slices.Clone(existing), absent...)))
		keys = slices.Compact(keys)
		failed, err := t.remove(ctx, t.Store, keys)
		if err != nil {
			return t.wantSuccess(t.Store, err, "a delete of several objects, some of them missing")
		}
		for key, err := range failed {
			if !slices.Contains(absent, key) {
				return violation("a delete of several objects, some of them missing, failed for an existing object: %w", err)
			}
		}
		for _, key := range absent {
			if err := t.wantError(t.Store, failed[key], vault.ErrNotFound, "a delete of a missing object"); err != nil {
				return err
			}
		}
		for _, key := range existing {
			if err := t.wantObject(ctx, t.Store, key, nil, "after it was deleted"); err != nil {
				return err
			}
		}
	}
	return nil
}

func checkDeleteReportsAbsent(ctx context.Context, t *probeRun) error {
	never := t.key("never")
	if err := t.wantError(t.Store, t.delete(ctx, t.Store, never), vault.ErrNotFound, "a delete of an object that never existed"); err != nil {
		return err
	}
	gone := t.key("gone")
	if err := t.put(ctx, t.Store, gone, newValue(3).fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write")
	}
	if err := t.delete(ctx, t.Store, gone); err != nil {
		return t.wantSuccess(t.Store, err, "a delete")
	}
	return t.wantError(t.Store, t.delete(ctx, t.Store, gone), vault.ErrNotFound, "a delete of an object that is already deleted")
}

func checkPurge(ctx context.Context, t *probeRun) error {
	kept, err := t.writeHistory(ctx, "a/kept")
	if err != nil {
		return err
	}
	gone, err := t.writeHistory(ctx, "a/gone")
	if err != nil {
		return err
	}
	if err := t.deleteKey(ctx, t.Store, gone.key); err != nil {
		return t.wantSuccess(t.Store, err, "a delete")
	}
	gone.states[0].current = false
	gone.states = append([]versionState{{nil, true}}, gone.states...)
	other, err := t.writeHistory(ctx, "a0/other")
	if err != nil {
		return err
	}

	// A purge deletes everything that a read does not return: old versions and all delete
	// markers, including a current one.
	want := make(map[vault.Leftover]bool)
	for _, p := range []keyHistory{kept, gone} {
		all, err := t.versions(ctx, t.Store, p.key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading the history")
		}
		for _, v := range all {
			if !v.Current || v.Deleted {
				want[vault.Leftover{Key: p.key, ID: v.ID, Deleted: v.Deleted}] = true
			}
		}
	}
	left, err := t.leftovers(ctx, t.Store, t.prefix+"a/")
	if err != nil {
		return t.wantSuccess(t.Store, err, "listing the old versions")
	}
	seen := make(map[vault.Leftover]bool)
	for _, l := range left {
		if !want[l] {
			return violation("%+v is listed as an old version, but is not in the history as one", l)
		}
		if seen[l] {
			return violation("%+v is listed twice", l)
		}
		seen[l] = true
	}
	if len(seen) != len(want) {
		return violation("%s listed, want %d", text.Count(len(seen), "old version is", "old versions are"), len(want))
	}
	if len(left) == 0 {
		return violation("no old versions are listed after overwrites and a delete")
	}

	// Purge one version, then the rest, then all of them again. Purging a missing version is not
	// a failure. A delete marker must not be purged before the version that it hides, because
	// the version would become current. Within one call the store chooses the order.
	if i := slices.IndexFunc(left, func(l vault.Leftover) bool { return !l.Deleted }); i > 0 {
		left[0], left[i] = left[i], left[0]
	}
	for _, batch := range [][]vault.Leftover{left[:1], left[1:], left} {
		failed, err := t.Store.Purge.Purge(ctx, batch)
		t.recordError(err)
		if err != nil {
			return t.wantSuccess(t.Store, err, "a purge")
		}
		for l, err := range failed {
			return firstError(t.wantSuccess(t.Store, err, "purging %+v", l), violation("a purge reported %+v as failed, but with no error", l))
		}
	}
	if left, err = t.leftovers(ctx, t.Store, t.prefix+"a/"); err != nil || len(left) > 0 {
		return firstError(t.wantSuccess(t.Store, err, "listing the old versions"), violation("%s still listed after a purge", text.Count(len(left), "old version is", "old versions are")))
	}
	if err := t.wantHistory(ctx, t.Store, keyHistory{kept.key, kept.states[:1]}); err != nil {
		return err
	}
	if err := t.wantHistory(ctx, t.Store, keyHistory{key: gone.key}); err != nil {
		return err
	}
	if err := t.wantObject(ctx, t.Store, kept.key, kept.states[0].value, "after its history was purged"); err != nil {
		return err
	}
	if err := t.wantObject(ctx, t.Store, gone.key, nil, "after its whole history was purged"); err != nil {
		return err
	}
	return t.wantHistory(ctx, t.Store, other)
}
