package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/conformance/probe"
	"github.com/objectvault/objectvault/internal/linger"
	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// A leftover is a prefix or a key to which the doctor wrote, or may have written. Only this run
// uses the prefix.
type leftover struct {
	store  *vault.Store
	prefix string // empty: the leftover is one key
	keys   []string
}

// leftover records keys before the doctor writes to them.
func (e *checker) leftover(st *vault.Store, prefix string, keys ...string) {
	for _, t := range e.leftovers {
		if t.store == st && t.prefix == prefix && prefix != "" {
			t.keys = unique(append(t.keys, keys...))
			return
		}
	}
	e.leftovers = append(e.leftovers, &leftover{st, prefix, keys})
}

// cleanupTime limits the time for removing the objects.
const cleanupTime = 2 * time.Minute

// cleanUp removes the objects that the doctor wrote, also after ctx has ended. It reports the
// objects that it could not remove.
func (e *checker) cleanUp(ctx context.Context) {
	if len(e.leftovers) == 0 {
		return
	}
	ctx, cancel := linger.Context(ctx, cleanupTime)
	defer cancel()
	var left []string
	old, places := 0, []string(nil)
	for _, t := range e.leftovers {
		if err := t.remove(ctx); err != nil {
			left = append(left, err.Error())
		}
		switch n, err := t.purge(ctx); {
		case err != nil:
			left = append(left, fmt.Sprintf("old versions under %s may be left: %s", t.prefixOrKey(), described(t.store, err)))
		case n > 0:
			old += n
			places = append(places, t.prefixOrKey())
		}
	}
	left, places = unique(left), unique(places)
	f := found(OK, "all test objects were removed")
	switch {
	case len(left) > 0:
		f = found(Warning, "some test objects may be left: %s", strings.Join(left, "; ")).
			hinted("ask the owner of the bucket to remove them; no other object has such a name")
	case old > 0:
		f = found(Warning, "%s left in the history under %s", text.Count(old, "old version is", "old versions are"), strings.Join(places, " and ")).
			hinted("add a lifecycle rule for old versions, or ask the owner of the bucket to delete them permanently; this identity has no permission to do so")
	}
	e.publish(Line{Check: "cleanup", Status: f.status, Message: f.message, Hint: f.hint})
}

func unique(s []string) []string {
	var u []string
	for _, x := range s {
		if !slices.Contains(u, x) {
			u = append(u, x)
		}
	}
	return u
}

func (t *leftover) prefixOrKey() string {
	if t.prefix != "" {
		return t.prefix
	}
	return t.keys[0]
}

// remove deletes the current objects: the known keys, and those that a list returns.
func (t *leftover) remove(ctx context.Context) error {
	for _, key := range t.keys {
		// In some stores, deleting a missing object adds a delete marker to the history.
		if gone, err := absent(ctx, t.store, key); err == nil && gone {
			continue
		}
		if err := t.removeKey(ctx, key); err != nil {
			return err
		}
	}
	for t.prefix != "" {
		keys, err := list(ctx, t.store, t.prefix)
		switch {
		case probe.Kind(t.store, err) == vault.ErrPermission:
			return nil
		case err != nil:
			return fmt.Errorf("%s: %s", t.prefix, described(t.store, err))
		}
		for _, key := range keys {
			if err := t.removeKey(ctx, key); err != nil {
				return err
			}
		}
		if len(keys) < 1000 {
			return nil
		}
	}
	return nil
}

func (t *leftover) removeKey(ctx context.Context, key string) error {
	if err := remove(ctx, t.store, key); err != nil && probe.Kind(t.store, err) != vault.ErrNotFound {
		return fmt.Errorf("%s: %s", key, described(t.store, err))
	}
	return nil
}

// purge permanently deletes old versions. It returns the number of versions that are left because
// the delete was denied.
func (t *leftover) purge(ctx context.Context) (stay int, err error) {
	if t.store.Purge == nil {
		return 0, nil
	}
	var contents, markers []vault.Leftover
	for l, err := range t.store.Purge.Leftovers(ctx, t.prefixOrKey()) {
		switch {
		case probe.Kind(t.store, err) == vault.ErrPermission && t.prefix == "":
			return 0, nil // the key belongs to another tenant's prefix, and may have no versions
		case err != nil:
			return 0, err
		case t.prefix == "" && l.Key != t.prefixOrKey():
		case l.Deleted:
			markers = append(markers, l)
		default:
			contents = append(contents, l)
		}
	}
	// Delete the contents first: without its delete marker, the newest content would become current
	// again.
	for _, all := range [][]vault.Leftover{contents, markers} {
		for batch := range slices.Chunk(all, 1000) {
			failed, err := t.store.Purge.Purge(ctx, batch)
			switch {
			case probe.Kind(t.store, err) == vault.ErrPermission:
				stay += len(batch)
			case err != nil:
				return stay, err
			}
			stay += len(failed)
		}
		if stay > 0 {
			return len(contents) + len(markers), nil
		}
	}
	return 0, nil
}
