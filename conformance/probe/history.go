package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// A state is what a history is to tell of one version.
type state struct {
	value   *value // nil: a delete marker
	current bool
}

// A past is a key with a history, newest first.
type past struct {
	key    string
	states []state
}

// makePast writes create, put, swap, delete, put.
func (t *trial) makePast(ctx context.Context, name string) (past, error) {
	p := past{key: t.key(name)}
	add := func(v *value) {
		for i := range p.states {
			p.states[i].current = false
		}
		p.states = append([]state{{v, true}}, p.states...)
	}
	first, second, third, last := newValue(100), newValue(70_000), newValue(0), newValue(101)
	if err := t.make(ctx, t.Store, p.key, first.fill); err != nil {
		return p, t.works(t.Store, err, "a create")
	}
	add(&first)
	if err := t.put(ctx, t.Store, p.key, second.fill); err != nil {
		return p, t.works(t.Store, err, "an overwrite")
	}
	add(&second)
	if needSwap.met(t.Subject) {
		tag, err := t.tag(ctx, t.Store, p.key)
		if err == nil {
			_, err = t.swap(ctx, t.Store, p.key, tag, third.fill)
		}
		if err != nil {
			return p, t.works(t.Store, err, "a swap")
		}
		add(&third)
	}
	if err := t.drop(ctx, t.Store, p.key); err != nil {
		return p, t.works(t.Store, err, "a delete")
	}
	add(nil)
	if err := t.put(ctx, t.Store, p.key, last.fill); err != nil {
		return p, t.works(t.Store, err, "a write after a delete")
	}
	add(&last)
	return p, nil
}

func checkHistory(ctx context.Context, t *trial) error {
	start := time.Now()
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	if all, err := t.versions(ctx, t.Store, t.key("never")); err != nil || len(all) > 0 {
		return errOr(t.works(t.Store, err, "the history of a key that never was"), broken("the history of a key that never was: %+v", all))
	}
	p, err := t.makePast(ctx, "past")
	if err != nil {
		return err
	}
	// Neighbours, whose versions are not those of the key.
	for _, name := range []string{"past.enc", "past0", "pas", "past.enc0"} {
		if err := t.put(ctx, t.Store, t.key(name), newValue(5).fill); err != nil {
			return t.works(t.Store, err, "a write")
		}
	}
	for _, st := range []*vault.Store{t.Store, other} {
		if err := t.tells(ctx, st, p); err != nil {
			return err
		}
	}
	if err := t.drop(ctx, t.Store, p.key); err != nil {
		return t.works(t.Store, err, "a delete")
	}
	p.states[0].current = false
	p.states = append([]state{{nil, true}}, p.states...)
	for _, st := range []*vault.Store{t.Store, other} {
		if err := t.tells(ctx, st, p); err != nil {
			return err
		}
	}
	all, err := t.versions(ctx, t.Store, p.key)
	if err != nil {
		return t.works(t.Store, err, "reading the history")
	}
	for i, v := range all {
		// The store has its own clock, and whole seconds perhaps; a day is a wrong unit.
		if d := v.Modified.Sub(start); d < -24*time.Hour || d > 24*time.Hour {
			return broken("a version was written at %v, want about %v", v.Modified, start)
		}
		if i > 0 && v.Modified.After(all[i-1].Modified) {
			return broken("version %d is newer than the one before it: %v, %v", i, v.Modified, all[i-1].Modified)
		}
	}
	return nil
}

// tells checks that the history of p.key is p.states, every content included.
func (t *trial) tells(ctx context.Context, st *vault.Store, p past) error {
	all, err := t.versions(ctx, st, p.key)
	if err != nil {
		return t.works(st, err, "reading the history")
	}
	if len(all) != len(p.states) {
		return broken("the history of %q has %d versions, want %d: %+v", p.key, len(all), len(p.states), all)
	}
	ids := make(map[string]bool)
	for i, v := range all {
		want := vault.Version{ID: v.ID, Modified: v.Modified, Current: p.states[i].current, Deleted: p.states[i].value == nil}
		if !want.Deleted {
			want.Size = p.states[i].value.size
		}
		if v != want || v.ID == "" || v.Modified.IsZero() {
			return broken("version %d of %d, newest first, is %+v, want %+v with an id and a time", i, len(all), v, want)
		}
		if ids[v.ID] {
			return broken("two versions have the id %q", v.ID)
		}
		ids[v.ID] = true
		if want.Deleted {
			continue
		}
		if err := t.versionHoldsIn(ctx, st, p.key, v.ID, *p.states[i].value, 0, -1); err != nil {
			return err
		}
	}
	return nil
}

// versionHolds checks a range of one version, whose content is v.
func (t *trial) versionHolds(ctx context.Context, key, id string, v value, offset, length int64) error {
	return t.versionHoldsIn(ctx, t.Store, key, id, v, offset, length)
}

func (t *trial) versionHoldsIn(ctx context.Context, st *vault.Store, key, id string, v value, offset, length int64) error {
	what := fmt.Sprintf("reading %d bytes at %d of %d of version %s", length, offset, v.size, id)
	r, _, err := st.History.OpenVersion(ctx, key, id, offset, length)
	t.saw(err)
	n := max(0, v.size-offset)
	if length >= 0 {
		n = min(n, length)
	}
	if err != nil && n == 0 && t.kind(st, err) != vault.ErrNotFound {
		return nil // nothing to read: an answer to a range past the end may be an error
	}
	if err := t.works(st, err, "%s", what); err != nil {
		return err
	}
	defer r.Close()
	return t.same(r, v, offset, n, what)
}

func checkVersions(ctx context.Context, t *trial) error {
	p, err := t.makePast(ctx, "past")
	if err != nil {
		return err
	}
	all, err := t.versions(ctx, t.Store, p.key)
	if err != nil {
		return t.works(t.Store, err, "reading the history")
	}
	if len(all) != len(p.states) {
		return broken("the history of %q has %d versions, want %d: %+v", p.key, len(all), len(p.states), all)
	}
	absent := []string{"never-was", "0", "0000000000000000", "null"}
	for i, v := range all {
		if v.Deleted {
			absent = append(absent, v.ID)
			continue
		}
		if p.states[i].value == nil {
			return broken("version %d of %d of %q is a content, want a delete marker: %+v", i, len(all), p.key, all)
		}
		value := *p.states[i].value
		for _, r := range []struct{ offset, length int64 }{{0, -1}, {0, 1}, {0, 16 << 10}, {0, 1 << 40}, {17, 50}, {90, 100}, {99, -1}, {0, 0}} {
			if err := t.versionHolds(ctx, p.key, v.ID, value, r.offset, r.length); err != nil {
				return err
			}
		}
	}
	other := t.key("other")
	if err := t.put(ctx, t.Store, other, newValue(5).fill); err != nil {
		return t.works(t.Store, err, "a write")
	}
	for _, id := range absent {
		if err := t.noVersion(ctx, p.key, id); err != nil {
			return err
		}
	}
	return t.noVersion(ctx, t.key("never"), all[0].ID)
}

func (t *trial) noVersion(ctx context.Context, key, id string) error {
	r, _, err := t.Store.History.OpenVersion(ctx, key, id, 0, -1)
	t.saw(err)
	if err == nil {
		r.Close()
	}
	if t.HidesAbsent && t.kind(t.Store, err) == vault.ErrPermission {
		return nil
	}
	return t.fails(t.Store, err, vault.ErrNotFound, "opening version %q, which has no content", id)
}

func checkHistoryOverwriters(ctx context.Context, t *trial) error {
	other, err := t.second(ctx)
	if err != nil {
		return err
	}
	stores := []*vault.Store{t.Store, other}
	key := t.key("overwritten")
	values := make([]value, 6)
	for i := range values {
		values[i] = newValue(int64(200 + i))
	}
	for _, n := range []int{2, 4} { // six versions in all: some stores keep no more than sixteen
		mine := values[:n]
		values = values[n:]
		before, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.works(t.Store, err, "reading the history")
		}
		errs := race(n, func(i int) error { return t.put(ctx, stores[i%2], key, mine[i].fill) })
		if err := errors.Join(errs...); err != nil {
			return t.works(t.Store, err, "one of %d overwrites at once", n)
		}
		all, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.works(t.Store, err, "reading the history")
		}
		if len(all) != len(before)+n {
			return broken("after %d overwrites at once the history has %d versions, want %d", n, len(all), len(before)+n)
		}
		for _, v := range mine {
			i := slices.IndexFunc(all, func(in vault.Version) bool { return in.Size == v.size })
			if i < 0 {
				return broken("after %d overwrites at once one of their values is not in the history", n)
			}
			if err := t.versionHolds(ctx, key, all[i].ID, v, 0, -1); err != nil {
				return err
			}
			if all[i].Current {
				if err := t.holds(ctx, other, key, &v, "the current version"); err != nil {
					return err
				}
			}
		}
		if !all[0].Current {
			return broken("the newest version is not the current one: %+v", all)
		}
	}
	return nil
}
