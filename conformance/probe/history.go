package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/objectvault/objectvault/internal/text"
	"github.com/objectvault/objectvault/vault"
)

// A versionState is the expected entry of one version in a history.
type versionState struct {
	value   *value // nil: a delete marker
	current bool
}

// A keyHistory is a key with its expected history, newest first.
type keyHistory struct {
	key    string
	states []versionState
}

// writeHistory creates, overwrites, swaps, deletes and puts an object.
func (t *probeRun) writeHistory(ctx context.Context, name string) (keyHistory, error) {
	p := keyHistory{key: t.key(name)}
	add := func(v *value) {
		for i := range p.states {
			p.states[i].current = false
		}
		p.states = append([]versionState{{v, true}}, p.states...)
	}
	first, second, third, last := newValue(100), newValue(70_000), newValue(0), newValue(101)
	if err := t.createOrPut(ctx, t.Store, p.key, first.fill); err != nil {
		return p, t.wantSuccess(t.Store, err, "a create")
	}
	add(&first)
	if err := t.put(ctx, t.Store, p.key, second.fill); err != nil {
		return p, t.wantSuccess(t.Store, err, "an overwrite")
	}
	add(&second)
	if needSwap.met(t.Subject) {
		tag, err := t.tag(ctx, t.Store, p.key)
		if err == nil {
			_, err = t.swap(ctx, t.Store, p.key, tag, third.fill)
		}
		if err != nil {
			return p, t.wantSuccess(t.Store, err, "a swap")
		}
		add(&third)
	}
	if err := t.deleteKey(ctx, t.Store, p.key); err != nil {
		return p, t.wantSuccess(t.Store, err, "a delete")
	}
	add(nil)
	if err := t.put(ctx, t.Store, p.key, last.fill); err != nil {
		return p, t.wantSuccess(t.Store, err, "a write after a delete")
	}
	add(&last)
	return p, nil
}

func checkHistory(ctx context.Context, t *probeRun) error {
	start := time.Now()
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	if all, err := t.versions(ctx, t.Store, t.key("never")); err != nil || len(all) > 0 {
		return firstError(t.wantSuccess(t.Store, err, "the history of a key that never existed"), violation("the history of a key that never existed: %+v", all))
	}
	p, err := t.writeHistory(ctx, "past")
	if err != nil {
		return err
	}
	// The history must not contain versions of keys with a similar name.
	for _, name := range []string{"past.enc", "past0", "pas", "past.enc0"} {
		if err := t.put(ctx, t.Store, t.key(name), newValue(5).fill); err != nil {
			return t.wantSuccess(t.Store, err, "a write")
		}
	}
	for _, st := range []*vault.Store{t.Store, other} {
		if err := t.wantHistory(ctx, st, p); err != nil {
			return err
		}
	}
	if err := t.deleteKey(ctx, t.Store, p.key); err != nil {
		return t.wantSuccess(t.Store, err, "a delete")
	}
	p.states[0].current = false
	p.states = append([]versionState{{nil, true}}, p.states...)
	for _, st := range []*vault.Store{t.Store, other} {
		if err := t.wantHistory(ctx, st, p); err != nil {
			return err
		}
	}
	all, err := t.versions(ctx, t.Store, p.key)
	if err != nil {
		return t.wantSuccess(t.Store, err, "reading the history")
	}
	for i, v := range all {
		// The clock of the store may differ, and may count whole seconds. A difference of more
		// than a day means that the unit or the zone is wrong.
		if d := v.Modified.Sub(start); d < -24*time.Hour || d > 24*time.Hour {
			return violation("a version has the time %v, want about %v", v.Modified, start)
		}
		if i > 0 && v.Modified.After(all[i-1].Modified) {
			return violation("version %d, at %v, is newer than the version before it in the list, at %v", i, v.Modified, all[i-1].Modified)
		}
	}
	return nil
}

// versions returns a number of versions for a message.
func versions(n int) string { return text.Count(n, "version", "versions") }

// wantHistory checks that the history of p.key equals p.states, including every value.
func (t *probeRun) wantHistory(ctx context.Context, st *vault.Store, p keyHistory) error {
	all, err := t.versions(ctx, st, p.key)
	if err != nil {
		return t.wantSuccess(st, err, "reading the history")
	}
	if len(all) != len(p.states) {
		return violation("the history of %q has %s, want %d: %+v", p.key, versions(len(all)), len(p.states), all)
	}
	ids := make(map[string]bool)
	for i, v := range all {
		want := vault.Version{ID: v.ID, Modified: v.Modified, Current: p.states[i].current, Deleted: p.states[i].value == nil}
		if !want.Deleted {
			want.Size = p.states[i].value.size
		}
		if v != want || v.ID == "" || v.Modified.IsZero() {
			return violation("version %d of %d, newest first, is %+v, want %+v with an ID and a time", i, len(all), v, want)
		}
		if ids[v.ID] {
			return violation("two versions have the ID %q", v.ID)
		}
		ids[v.ID] = true
		if want.Deleted {
			continue
		}
		if err := t.wantVersionIn(ctx, st, p.key, v.ID, *p.states[i].value, 0, -1); err != nil {
			return err
		}
	}
	return nil
}

// wantVersion checks a range of one version, whose value is v.
func (t *probeRun) wantVersion(ctx context.Context, key, id string, v value, offset, length int64) error {
	return t.wantVersionIn(ctx, t.Store, key, id, v, offset, length)
}

func (t *probeRun) wantVersionIn(ctx context.Context, st *vault.Store, key, id string, v value, offset, length int64) error {
	what := fmt.Sprintf("reading %d bytes at %d of %d of version %s", length, offset, v.size, id)
	r, _, err := st.History.OpenVersion(ctx, key, id, offset, length)
	t.recordError(err)
	n := max(0, v.size-offset)
	if length >= 0 {
		n = min(n, length)
	}
	if err != nil && n == 0 && t.kind(st, err) != vault.ErrNotFound {
		return nil // a range past the end contains no bytes, and may cause an error
	}
	if err := t.wantSuccess(st, err, "%s", what); err != nil {
		return err
	}
	defer r.Close()
	return t.wantBytes(r, v, offset, n, what)
}

func checkVersions(ctx context.Context, t *probeRun) error {
	p, err := t.writeHistory(ctx, "past")
	if err != nil {
		return err
	}
	all, err := t.versions(ctx, t.Store, p.key)
	if err != nil {
		return t.wantSuccess(t.Store, err, "reading the history")
	}
	if len(all) != len(p.states) {
		return violation("the history of %q has %s, want %d: %+v", p.key, versions(len(all)), len(p.states), all)
	}
	absent := []string{"no-such-version", "0", "0000000000000000", "null"}
	for i, v := range all {
		if v.Deleted {
			absent = append(absent, v.ID)
			continue
		}
		if p.states[i].value == nil {
			return violation("version %d of %d of %q has a value, want a delete marker: %+v", i, len(all), p.key, all)
		}
		value := *p.states[i].value
		for _, r := range []struct{ offset, length int64 }{{0, -1}, {0, 1}, {0, 16 << 10}, {0, 1 << 40}, {17, 50}, {90, 100}, {99, -1}, {0, 0}} {
			if err := t.wantVersion(ctx, p.key, v.ID, value, r.offset, r.length); err != nil {
				return err
			}
		}
	}
	other := t.key("other")
	if err := t.put(ctx, t.Store, other, newValue(5).fill); err != nil {
		return t.wantSuccess(t.Store, err, "a write")
	}
	for _, id := range absent {
		if err := t.wantNoVersion(ctx, p.key, id); err != nil {
			return err
		}
	}
	return t.wantNoVersion(ctx, t.key("never"), all[0].ID)
}

func (t *probeRun) wantNoVersion(ctx context.Context, key, id string) error {
	r, _, err := t.Store.History.OpenVersion(ctx, key, id, 0, -1)
	t.recordError(err)
	if err == nil {
		r.Close()
	}
	if t.HidesAbsent && t.kind(t.Store, err) == vault.ErrPermission {
		return nil
	}
	return t.wantError(t.Store, err, vault.ErrNotFound, "a read of version %q, which does not exist or has no value", id)
}

func checkHistoryOverwriters(ctx context.Context, t *probeRun) error {
	other, err := t.secondClient(ctx)
	if err != nil {
		return err
	}
	stores := []*vault.Store{t.Store, other}
	key := t.key("overwritten")
	values := make([]value, 6)
	for i := range values {
		values[i] = newValue(int64(200 + i))
	}
	for _, n := range []int{2, 4} { // six versions in total, because some stores keep at most sixteen
		mine := values[:n]
		values = values[n:]
		before, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading the history")
		}
		errs := race(n, func(i int) error { return t.put(ctx, stores[i%2], key, mine[i].fill) })
		if err := errors.Join(errs...); err != nil {
			return t.wantSuccess(t.Store, err, "one of %d concurrent overwrites", n)
		}
		all, err := t.versions(ctx, t.Store, key)
		if err != nil {
			return t.wantSuccess(t.Store, err, "reading the history")
		}
		if len(all) != len(before)+n {
			return violation("after %d concurrent overwrites, the history has %s, want %d", n, versions(len(all)), len(before)+n)
		}
		for _, v := range mine {
			i := slices.IndexFunc(all, func(entry vault.Version) bool { return entry.Size == v.size })
			if i < 0 {
				return violation("after %d concurrent overwrites, one of the values is not in the history", n)
			}
			if err := t.wantVersion(ctx, key, all[i].ID, v, 0, -1); err != nil {
				return err
			}
			if all[i].Current {
				if err := t.wantObject(ctx, other, key, &v, "the current version"); err != nil {
					return err
				}
			}
		}
		if !all[0].Current {
			return violation("the newest version is not the current one: %+v", all)
		}
	}
	return nil
}
