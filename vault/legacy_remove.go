package vault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gocloud.dev/blob"
)

// This file lists and removes the objects of agentKeys.

// removeLegacy removes the objects that agentKeys stored for a name at other keys than own. It is called
// before the envelope is removed: otherwise an interruption would make an older value current again. If
// an object is left, the error wraps [ErrPartial] and names its key.
func (v *Vault) removeLegacy(ctx context.Context, name Name, own string) (removed int, err error) {
	found, err := v.otherLegacy(ctx, name, own)
	if err != nil {
		return 0, err
	}
	var left []error
	for _, o := range found {
		if o.unknown { // it may be an object of another program
			left = append(left, unknownAt(o.key))
			continue
		}
		switch err := v.remove(ctx, o.key); {
		case err == nil, errors.Is(err, ErrNotFound):
			removed++
		case ctx.Err() != nil:
			return removed, err
		default:
			left = append(left, fmt.Errorf("the object of agentKeys at %s: %w", o.key, err))
		}
	}
	if len(left) > 0 {
		return removed, fmt.Errorf("%w: %w", ErrPartial, errors.Join(left...))
	}
	return removed, nil
}

// legacyName returns the name of an object that agentKeys stored at key.
func (v *Vault) legacyName(ctx context.Context, key string) (Name, bool) {
	if !v.readsLegacy() {
		return "", false
	}
	text, ok := v.legacy.NameOf(ctx, key)
	if !ok {
		return "", false
	}
	name, err := ParseName(text)
	return name, err == nil
}

// legacyPrefixes returns the prefixes of agentKeys that are not below prefix.
func (v *Vault) legacyPrefixes(ctx context.Context, prefix string) ([]string, error) {
	all, err := v.legacy.Prefixes(ctx)
	if err != nil {
		return nil, v.backend.explain(err)
	}
	return slices.DeleteFunc(all, func(p string) bool { return strings.HasPrefix(p, prefix) }), nil
}

// listLegacy returns the objects below keys that only agentKeys uses, by name. within is the prefix of
// the Vault's own keys, and prefix is that of the names. A prefix that the caller may not list has no
// objects.
func (v *Vault) listLegacy(ctx context.Context, within, prefix string) (map[Name]Entry, error) {
	if !v.readsLegacy() {
		return nil, nil
	}
	others, err := v.legacyPrefixes(ctx, within)
	if err != nil {
		return nil, err
	}
	for i := range others {
		others[i] += prefix
	}
	if raw := within + prefix; !strings.HasPrefix(raw, listPrefix(v.tenant, v.collection, prefix)) {
		others = append(others, raw) // agentKeys does not escape keys
	}
	found := make(map[Name]Entry)
	for _, other := range others {
		for o, err := range v.backend.list(ctx, other) {
			if errors.Is(err, ErrPermission) && !v.isOwnPrefix(other) {
				break
			}
			if err != nil {
				return nil, err
			}
			v.addLegacy(ctx, found, prefix, o)
		}
	}
	return found, nil
}

// addLegacy adds an object that only agentKeys may have stored to found, unless the scope excludes it.
func (v *Vault) addLegacy(ctx context.Context, found map[Name]Entry, prefix string, o *blob.ListObject) {
	if _, own := nameOf(v.tenant, v.collection, o.Key); own {
		return
	}
	name, ok := v.legacyName(ctx, o.Key)
	if ok && hasPrefix(name, prefix) && v.scope.Check(name, false) == nil {
		found[name] = Entry{Name: name, Key: o.Key, SealedSize: o.Size, Modified: o.ModTime, Legacy: true}
	}
}

// teardownLegacy removes the objects of agentKeys that are not below within. It does not remove other
// objects there, which may belong to the tenant with the other prefix. A prefix that the caller may not
// list has no objects.
func (v *Vault) teardownLegacy(ctx context.Context, within string, o *TeardownOptions, result *TeardownResult) error {
	if v.legacy == nil || !o.AllCollections && !v.readsLegacy() {
		return nil
	}
	others, err := v.legacyPrefixes(ctx, within)
	if err != nil {
		return err
	}
	for _, other := range others {
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := v.backend.page(ctx, other, "", token)
			if errors.Is(err, ErrPermission) {
				break
			}
			if err != nil {
				return err
			}
			for _, object := range page {
				if err := v.teardownLegacyObject(ctx, object.Key, o, result); err != nil {
					return err
				}
			}
			token = next
		}
	}
	return nil
}

// teardownLegacyObject removes the object at key, if it is one of agentKeys. An error ends the teardown.
func (v *Vault) teardownLegacyObject(ctx context.Context, key string, o *TeardownOptions, result *TeardownResult) error {
	service, ok := v.legacy.NameOf(ctx, key)
	if !ok {
		return nil
	}
	_, kind, err := v.peekLegacy(ctx, key)
	switch {
	case err != nil:
	case kind == unknownFormat:
		err = unknownAt(key)
	case kind != legacyFormat:
		return nil
	}
	if err == nil {
		err = v.remove(ctx, key)
	}
	switch {
	case concernsAll(err):
		return err
	case err != nil && !errors.Is(err, ErrNotFound):
		v.failed(result, key, err)
		return nil
	}
	result.Deleted++
	ref := v.ref(Name(service))
	ref.Collection = string(DefaultCollection)
	if last := v.lastSeen(ctx, ref); last.Revision > 0 {
		v.deleted(ctx, ref, last, nil)
	}
	return v.legacyLeftovers(ctx, key, o.Purge, result)
}

// legacyLeftovers counts the old versions of a key of agentKeys, or removes them.
func (v *Vault) legacyLeftovers(ctx context.Context, key string, purge bool, result *TeardownResult) error {
	if v.store.Purge == nil {
		return nil
	}
	versions, markers, err := v.versionsOf(ctx, key)
	switch {
	case err != nil && purge:
		return err
	case err != nil:
		result.legacyLeft = -1
		return nil
	case !purge:
		if result.legacyLeft >= 0 {
			result.legacyLeft += len(versions)
		}
		return nil
	}
	left, err := v.purgeAll(ctx, versions, markers, result)
	result.legacyLeft += left
	return err
}
