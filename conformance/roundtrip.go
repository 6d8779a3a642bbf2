package conformance

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// wantError returns an error unless err wraps sentinel.
func wantError(sentinel, err error, what string, args ...any) error {
	if errors.Is(err, sentinel) {
		return nil
	}
	return fmt.Errorf("%s: want the error %q, got: %v", fmt.Sprintf(what, args...), sentinel, err)
}

func checkRoundTrip(ctx context.Context, f *fixture) error {
	p := f.newSpace()
	v := p.vault()
	sizes := []int{0, 1, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1 << 20, 1<<20 + 1}
	if f.Large >= 0 {
		sizes = append(sizes, int(cmp.Or(f.Large, 16<<20+70_001)))
	}
	for _, size := range sizes {
		if err := p.roundTrip(ctx, v, vault.Name(fmt.Sprint("size/", size)), f.value(size)); err != nil {
			return fmt.Errorf("%d bytes: %w", size, err)
		}
	}
	if names, err := p.names(ctx, v, ""); err != nil || len(names) > 0 {
		return fmt.Errorf("after all names were deleted, the list contains %q, error %v", names, err)
	}
	return nil
}

// roundTrip runs every operation on one name, except those on the history.
func (p space) roundTrip(ctx context.Context, v *vault.Vault, name vault.Name, value []byte) error {
	expires := time.Date(2042, 1, 2, 3, 4, 5, 0, time.UTC)
	o := &vault.PutOptions{Create: !p.deviates("create"), ContentType: "text/plain", Expires: expires, Labels: map[string]string{"env": "test"}}
	put, err := p.put(ctx, v, name, value, o)
	if err != nil {
		return err
	}
	if put.Size != int64(len(value)) || put.SealedSize <= put.Size {
		return fmt.Errorf("put returned size %d, sealed size %d", put.Size, put.SealedSize)
	}
	if err := p.wantValue(ctx, name, value); err != nil {
		return err
	}

	stat, err := v.Stat(ctx, name)
	if p.recordError(err) != nil {
		return err
	}
	if stat.Size != put.Size || stat.SealedSize != put.SealedSize || stat.Revision != put.Revision || stat.ContentType != o.ContentType ||
		!stat.Expires.Equal(expires) || !maps.Equal(stat.Labels, o.Labels) || stat.Modified.IsZero() || stat.Name != name {
		return fmt.Errorf("stat returned %+v, but put returned %+v", stat, put)
	}
	n := int64(len(value))
	for _, r := range []vault.Range{{Offset: 0, Length: -1}, {Offset: 0, Length: 1}, {Offset: n / 2, Length: 70_000}, {Offset: max(0, n-1), Length: 5}, {Offset: -min(5, n), Length: -1}} {
		got, err := p.get(ctx, v, name, &vault.GetOptions{Range: &r})
		if err != nil {
			return fmt.Errorf("range %+v: %w", r, err)
		}
		from := r.Offset
		if from < 0 {
			from += n
		}
		to := n
		if r.Length >= 0 {
			to = min(n, from+r.Length)
		}
		if !bytes.Equal(got, value[from:to]) {
			return fmt.Errorf("range %+v returned %d bytes; want %d bytes of the value", r, len(got), to-from)
		}
	}

	if !p.deviates("create") {
		if _, err := p.put(ctx, v, name, p.value(3), o); wantError(vault.ErrExist, err, "") != nil {
			return wantError(vault.ErrExist, err, "a create of an existing object")
		}
		if err := p.wantValue(ctx, name, value); err != nil {
			return fmt.Errorf("after a refused create: %w", err)
		}
	}
	value = p.value(len(value) + 1)
	if p.store.Swap != nil {
		if _, err := p.put(ctx, v, name, p.value(3), &vault.PutOptions{IfRevision: put.Revision - 1}); wantError(vault.ErrConflict, err, "") != nil {
			return wantError(vault.ErrConflict, err, "a put with a wrong IfRevision")
		}
		if _, err := p.put(ctx, v, name, value, &vault.PutOptions{IfRevision: put.Revision}); err != nil {
			return fmt.Errorf("a put with the current IfRevision: %w", err)
		}
	} else if _, err := p.put(ctx, v, name, value, nil); err != nil {
		return err
	}
	if err := p.wantValue(ctx, name, value); err != nil {
		return fmt.Errorf("after the value was replaced: %w", err)
	}

	if err := p.delete(ctx, v, name); err != nil {
		return err
	}
	if err := p.wantValue(ctx, name, nil); err != nil {
		return fmt.Errorf("after the name was deleted: %w", err)
	}
	_, err = v.Stat(ctx, name)
	if err := wantError(vault.ErrNotFound, p.recordError(err), "stat of a deleted name"); err != nil {
		return err
	}
	// Some clouds report success for a missing object.
	if err := p.delete(ctx, v, name); err != nil && !errors.Is(err, vault.ErrNotFound) {
		return wantError(vault.ErrNotFound, err, "deleting a deleted name")
	}
	return nil
}

func checkNames(ctx context.Context, f *fixture) error {
	p := f.newSpace()
	v := p.vault()
	names := []vault.Name{
		"openrouter", "acme/openai", "acme/openai.enc", "acme/openai.enc/x", "a b", "a%20b", "%", "100%", "__0x2f__", "_", "@=~", ".hidden", "...",
		"-rf", "+", "?q=1&x", "#", "*", `\`, `"quoted"`, "é", "密钥", "🔑", "order", "order-1", "order/1", "order0",
	}
	values := make(map[vault.Name][]byte)
	for i, name := range names {
		values[name] = f.value(i)
		if _, err := p.put(ctx, v, name, values[name], &vault.PutOptions{Create: !p.deviates("create")}); err != nil {
			return err
		}
	}
	for name, value := range values {
		if err := p.wantValue(ctx, name, value); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	got, err := p.names(ctx, v, "")
	if err != nil {
		return err
	}
	if f.claims("list-after-write") {
		all := slices.Sorted(maps.Keys(values))
		if !slices.Equal(slices.Sorted(slices.Values(toNames(got))), all) {
			return fmt.Errorf("the list is %[2]q, want %[1]q", all, got)
		}
	}
	return nil
}

func toNames(list []string) []vault.Name {
	names := make([]vault.Name, len(list))
	for i, s := range list {
		names[i] = vault.Name(s)
	}
	return names
}

func (p Provider) claims(clause string) bool { return slices.Contains(p.Claims, clause) }

func (p Provider) deviates(clause string) bool { return p.Deviations[clause] != "" }

func checkSecondClient(ctx context.Context, f *fixture) error {
	if f.Reopen == nil {
		return fmt.Errorf("a second client: %w", errNotOffered)
	}
	store, err := f.Reopen(ctx)
	if err != nil {
		return err
	}
	defer store.Close()
	p := f.newSpace()
	first, second := p.vault(), p.over(store, nil)
	for i := range 5 {
		value := f.value(100 + i)
		if _, err := p.put(ctx, first, "shared", value, nil); err != nil {
			return err
		}
		got, err := p.get(ctx, second, "shared", nil)
		if err != nil || !bytes.Equal(got, value) {
			return fmt.Errorf("after put %d of one client, another client reads %s, error %v", i, describe(got), err)
		}
		first, second = second, first
	}
	if err := p.delete(ctx, first, "shared"); err != nil {
		return err
	}
	_, err = p.get(ctx, second, "shared", nil)
	return wantError(vault.ErrNotFound, err, "get of a name that another client deleted")
}

func checkHistory(ctx context.Context, f *fixture) error {
	if f.store.History == nil {
		return fmt.Errorf("history: %w", errNotOffered)
	}
	p := f.newSpace()
	v := p.vault()
	const name = "historic"
	var values [][]byte
	var revisions []int64
	for i := range 3 {
		values = append(values, f.value(100*i))
		info, err := p.put(ctx, v, name, values[i], nil)
		if err != nil {
			return err
		}
		revisions = append(revisions, info.Revision)
	}
	entries, err := p.history(ctx, v, name)
	if err != nil {
		return err
	}
	if len(entries) != 3 {
		return fmt.Errorf("after three puts the history has %d entries", len(entries))
	}
	for i, e := range entries {
		n := len(entries) - 1 - i
		if e.Revision != revisions[n] || e.Size != int64(len(values[n])) || e.Current != (i == 0) || e.Deleted || e.Damaged {
			return fmt.Errorf("entry %d of the history is %+v, want revision %d and size %d", i, e, revisions[n], len(values[n]))
		}
		for _, spec := range []string{e.Version, fmt.Sprintf("@%d", i+1), fmt.Sprintf("r:%d", revisions[n])} {
			got, err := p.get(ctx, v, name, &vault.GetOptions{Version: spec})
			if err != nil || !bytes.Equal(got, values[n]) {
				return fmt.Errorf("get of version %s returned %s, error %v", spec, describe(got), err)
			}
			got, err = p.get(ctx, v, name, &vault.GetOptions{Version: spec, Range: &vault.Range{Offset: 0, Length: 50}})
			if err != nil || !bytes.Equal(got, values[n][:min(50, len(values[n]))]) {
				return fmt.Errorf("get of a range of version %s returned %s, error %v", spec, describe(got), err)
			}
		}
	}

	info, err := v.Rollback(ctx, name, "@3")
	if p.recordError(err) != nil {
		return err
	}
	if info.Revision <= revisions[2] {
		return fmt.Errorf("a rollback wrote revision %d, want a revision above %d", info.Revision, revisions[2])
	}
	if err := p.wantValue(ctx, name, values[0]); err != nil {
		return fmt.Errorf("after a rollback: %w", err)
	}
	if _, err = v.Undelete(ctx, name); wantError(vault.ErrExist, p.recordError(err), "") != nil {
		return wantError(vault.ErrExist, err, "undeleting an existing object")
	}
	if err := p.delete(ctx, v, name); err != nil {
		return err
	}
	if _, err = p.get(ctx, v, name, &vault.GetOptions{Version: "@1"}); wantError(vault.ErrNotFound, err, "") != nil {
		return wantError(vault.ErrNotFound, err, "get of a version that is a delete marker")
	}
	if p.deviates("create-after-delete") {
		return nil // undelete is not possible
	}
	if _, err = v.Undelete(ctx, name); p.recordError(err) != nil {
		return err
	}
	if err := p.wantValue(ctx, name, values[0]); err != nil {
		return fmt.Errorf("after an undelete: %w", err)
	}
	if entries, err = p.history(ctx, v, name); err != nil {
		return err
	}
	if len(entries) != 6 || !entries[1].Deleted || !entries[0].Current {
		return fmt.Errorf("after three puts, a rollback, a delete and an undelete the history is %+v", entries)
	}
	for _, spec := range []string{"no-such-version", "@7", "r:1"} {
		_, err = p.get(ctx, v, name, &vault.GetOptions{Version: spec})
		if err := wantError(vault.ErrNotFound, err, "get of the missing version %s", spec); err != nil {
			return err
		}
	}
	_, err = p.history(ctx, v, "never-existed")
	return wantError(vault.ErrNotFound, err, "the history of a name that never existed")
}

func (p space) history(ctx context.Context, v *vault.Vault, name vault.Name) (all []vault.HistoryEntry, err error) {
	for e, err := range v.History(ctx, name) {
		if err != nil {
			return nil, p.recordError(err)
		}
		all = append(all, e)
	}
	return all, nil
}

func checkScope(ctx context.Context, f *fixture) error {
	p := f.newSpace()
	value, refused := f.value(10), f.value(10)
	for _, name := range []vault.Name{"mine", "theirs"} {
		if _, err := p.put(ctx, p.vault(), name, value, nil); err != nil {
			return err
		}
	}
	var requests atomic.Int32
	store := intercept.Store(f.store, intercept.Hooks{Call: func(ctx context.Context, c intercept.Call, do func() error) error {
		requests.Add(1)
		return do()
	}})
	scoped := p.over(store, &vault.Options{Scope: vault.Scope{Names: []vault.Name{"mine"}}})
	reading := p.over(store, &vault.Options{Scope: vault.Scope{ReadOnly: true}})
	for what, do := range map[string]func() error{
		"put":                func() error { _, err := p.put(ctx, scoped, "theirs", refused, nil); return err },
		"get":                func() error { _, err := p.get(ctx, scoped, "theirs", nil); return err },
		"stat":               func() error { _, err := scoped.Stat(ctx, "theirs"); return err },
		"delete":             func() error { return scoped.Delete(ctx, "theirs", nil) },
		"history":            func() error { _, err := p.history(ctx, scoped, "theirs"); return err },
		"rollback":           func() error { _, err := scoped.Rollback(ctx, "theirs", "@1"); return err },
		"undelete":           func() error { _, err := scoped.Undelete(ctx, "theirs"); return err },
		"teardown":           func() error { _, err := scoped.Teardown(ctx, nil); return err },
		"read-only put":      func() error { _, err := p.put(ctx, reading, "mine", refused, nil); return err },
		"read-only delete":   func() error { return reading.Delete(ctx, "mine", nil) },
		"read-only rollback": func() error { _, err := reading.Rollback(ctx, "mine", "@1"); return err },
		"read-only undelete": func() error { _, err := reading.Undelete(ctx, "mine"); return err },
		"read-only teardown": func() error { _, err := reading.Teardown(ctx, nil); return err },
	} {
		if err := wantError(vault.ErrPermission, do(), "%s outside the scope", what); err != nil {
			return err
		}
		if n := requests.Load(); n > 0 {
			return fmt.Errorf("%s outside the scope made %d requests", what, n)
		}
	}
	if got, err := p.get(ctx, scoped, "mine", nil); err != nil || !bytes.Equal(got, value) {
		return fmt.Errorf("get inside the scope returned %s, error %v", describe(got), err)
	}
	if names, err := p.names(ctx, scoped, ""); err != nil || slices.Contains(names, "theirs") {
		return fmt.Errorf("a list with a scope returned %q, error %v", names, err)
	}
	return p.wantValue(ctx, "theirs", value)
}

func checkTeardown(ctx context.Context, f *fixture) error {
	if !f.claims("list-after-write") {
		return fmt.Errorf("list-after-write: %w", errNotOffered)
	}
	p, other := f.newSpace(), f.newSpace()
	for _, space := range []space{p, other} {
		for i := range 3 {
			for range 2 {
				if _, err := space.put(ctx, space.vault(), vault.Name(fmt.Sprint("n", i)), f.value(20+i), nil); err != nil {
					return err
				}
			}
		}
	}
	if err := p.delete(ctx, p.vault(), "n2"); err != nil {
		return err
	}
	kept := f.value(50)
	if _, err := p.put(ctx, other.vault(), "n0", kept, nil); err != nil {
		return err
	}
	result, err := p.vault().Teardown(ctx, nil)
	if p.recordError(err) != nil {
		return err
	}
	left := 0
	switch {
	case f.store.Purge != nil && f.store.History != nil:
		left = 6 // two values for each of three names
	case f.store.Purge == nil && f.store.History != nil:
		left = -1
	}
	if result.Deleted != 2 || result.LeftInHistory != left || len(result.Failed) > 0 {
		return fmt.Errorf("teardown of two objects returned %+v, want LeftInHistory %d", result, left)
	}
	for _, name := range []vault.Name{"n0", "n1", "n2"} {
		if err := p.wantValue(ctx, name, nil); err != nil {
			return fmt.Errorf("after a teardown: %w", err)
		}
	}
	if f.store.Purge == nil {
		_, err := p.vault().Teardown(ctx, &vault.TeardownOptions{Purge: true})
		if err := wantError(vault.ErrUnsupported, p.recordError(err), "a purge in a store that does not support it"); err != nil {
			return err
		}
		return other.wantValue(ctx, "n0", kept)
	}
	result, err = p.vault().Teardown(ctx, &vault.TeardownOptions{Purge: true})
	if p.recordError(err) != nil {
		return err
	}
	if result.Deleted != 0 || result.LeftInHistory != 0 || result.Purged != left || len(result.Failed) > 0 {
		return fmt.Errorf("a purge of three names with six values returned %+v", result)
	}
	for _, name := range []vault.Name{"n0", "n1", "n2"} {
		if err := p.wantValue(ctx, name, nil); err != nil {
			return fmt.Errorf("after a purge: %w", err)
		}
		if f.store.History == nil {
			continue
		}
		if _, err := p.history(ctx, p.vault(), name); wantError(vault.ErrNotFound, err, "") != nil {
			return wantError(vault.ErrNotFound, err, "the history after a purge")
		}
	}
	return other.wantValue(ctx, "n0", kept)
}

// checkErrorKinds checks the errors of a vault whose client the store refuses.
func checkErrorKinds(ctx context.Context, f *fixture) error {
	p := f.newSpace()
	value := f.value(10)
	if _, err := p.put(ctx, p.vault(), "there", value, nil); err != nil {
		return err
	}
	noClient := true
	for _, c := range []struct {
		name string
		open func(context.Context) (*vault.Store, error)
		want error
	}{{"denied", f.Denied, vault.ErrPermission}, {"expired", f.Expired, vault.ErrUnauthenticated}, {"unreachable", f.Unreachable, vault.ErrUnavailable}} {
		if c.open == nil {
			continue
		}
		noClient = false
		store, err := c.open(ctx)
		if err != nil {
			return err
		}
		defer store.Close()
		v := p.over(store, nil)
		for what, do := range map[string]func() error{
			"put": func() error { _, err := p.put(ctx, v, "new", value, nil); return err },
			"create": func() error {
				_, err := p.put(ctx, v, "new", value, &vault.PutOptions{Create: !p.deviates("create")})
				return err
			},
			"get":    func() error { _, err := p.get(ctx, v, "there", nil); return err },
			"stat":   func() error { _, err := v.Stat(ctx, "there"); return p.recordError(err) },
			"list":   func() error { _, err := p.names(ctx, v, ""); return err },
			"delete": func() error { return p.delete(ctx, v, "there") },
		} {
			if err := wantError(c.want, do(), "%s with a client that is %s", what, c.name); err != nil {
				return err
			}
		}
	}
	if noClient {
		return fmt.Errorf("a client that the store refuses: %w", errNotOffered)
	}
	if err := p.wantValue(ctx, "new", nil); err != nil {
		return err
	}
	return p.wantValue(ctx, "there", value)
}
