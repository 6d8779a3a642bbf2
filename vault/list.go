package vault

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Entry is an object in a listing.
type Entry struct {
	Name       Name      // empty if Foreign
	Key        string    // the object's key in the bucket
	SealedSize int64     // bytes stored
	Modified   time.Time // the store's time of the last write
	Foreign    bool      // another program stored the object: Key is not the key of any Name, so a Vault cannot open the object
	// Legacy means that Key is one that agentKeys uses and this Vault does not: see [Options].Legacy. The
	// object may also be an envelope of the tenant with the other prefix, which this Vault cannot open.
	Legacy bool
	// Removed means that there is no object, only old versions or delete markers: see
	// [ListOptions].Removed.
	Removed bool
	// Group is the common start of several names, up to a [ListOptions].Delimiter. The other fields are
	// empty.
	Group string
}

// ListOptions configures [Vault.List]. With nil or the zero value, List yields every object.
type ListOptions struct {
	Prefix string // only names that start with it
	// After is a name. Only objects whose keys are after the key of that name are yielded. S3 and COS list
	// no others; with another store they are skipped.
	After Name
	// Delimiter combines the names that have it after Prefix: List yields one Entry, with Group, in place
	// of all names that are equal up to the Delimiter. It omits objects of other programs whose keys have the
	// Delimiter after Prefix. If it is a slash, S3 and COS usually list no more than a page of each Group.
	Delimiter string
	// Limit is the maximum number of entries; 0 means all. No page is requested after them.
	Limit int
	// Removed also yields the names that have only old versions or delete markers, after the others. If
	// the store gives no access to old versions, there are none. With Delimiter, a Group may come twice. Do
	// not use it with Limit and After to read pages: they leave out removed names.
	Removed bool
}

// List yields the objects of the collection, in the order of their keys. It omits names outside the
// [Scope]. It does not yield pending values of the [Spool]. It sends one request for
// each 1000 objects and stops after the first error. With [Options].Legacy, the names that only
// agentKeys has stored, under the prefix of another id of the tenant, come last. If the first request
// cannot reach the store, List lists a mirror: see [Options].Mirror.
func (v *Vault) List(ctx context.Context, o *ListOptions) iter.Seq2[Entry, error] {
	if o == nil {
		o = &ListOptions{}
	}
	return operateEach(v, ctx, "list", "", func(ctx context.Context) iter.Seq2[Entry, error] { return o.group(v.listAll(ctx, o)) })
}

// group combines the names with a delimiter, and ends after the last entry.
func (o *ListOptions) group(entries iter.Seq2[Entry, error]) iter.Seq2[Entry, error] {
	if o.Delimiter == "" && o.Limit <= 0 {
		return entries
	}
	return func(yield func(Entry, error) bool) {
		n, last := 0, ""
		for e, err := range entries {
			if err != nil {
				yield(e, err)
				return
			}
			if group := o.groupOf(e.Name); group != "" {
				e = Entry{Group: group}
			}
			if e.Group != "" && e.Group == last {
				continue
			}
			last = e.Group
			if n++; !yield(e, nil) || n == o.Limit {
				return
			}
		}
	}
}

// groupOf returns the group of a name, or "" if it has none.
func (o *ListOptions) groupOf(n Name) string {
	rest, found := strings.CutPrefix(string(n), o.Prefix)
	if !found || o.Delimiter == "" {
		return ""
	}
	first, _, found := strings.Cut(rest, o.Delimiter)
	if !found {
		return ""
	}
	return o.Prefix + first + o.Delimiter
}

// listAll lists the objects of the primary store, or else of a mirror.
func (v *Vault) listAll(ctx context.Context, o *ListOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		first := error(nil) // of the primary store
		for i, store := range append([]*Vault{v}, v.mirrors()...) {
			var failed error
			empty := true
			for e, err := range store.listHere(ctx, o) {
				if err != nil && empty && v.mirror != nil && (i > 0 || isAway(err)) {
					failed = err // nothing was yielded, so that another store can answer
					break
				}
				if empty && i > 0 {
					v.fellBack(store, first)
				}
				if empty = false; !yield(e, err) {
					return
				}
			}
			if failed == nil {
				if empty && i > 0 {
					v.fellBack(store, first)
				}
				return
			}
			first = cmp.Or(first, failed)
		}
		yield(Entry{}, first)
	}
}

// listHere lists the objects of the store.
func (v *Vault) listHere(ctx context.Context, o *ListOptions) iter.Seq2[Entry, error] {
	prefix := o.Prefix
	delimiter, groupOf := o.Delimiter, o.groupOf
	return func(yield func(Entry, error) bool) {
		after, err := "", v.opened()
		if err == nil && o.After != "" {
			if _, err = ParseName(string(o.After)); err == nil {
				after, err = objectKey(v.tenant, v.collection, o.After)
			}
		}
		if err == nil {
			err = v.connect(ctx)
		}
		if err != nil {
			wrap(&err, "list", prefix)
			yield(Entry{}, err)
			return
		}
		within := keyPrefix(v.tenant, v.collection)
		others, err := v.listLegacy(ctx, within, prefix)
		if err != nil {
			wrap(&err, "list", prefix)
			yield(Entry{}, err)
			return
		}
		removed, removedErr := v.removedNames(ctx, o, after) // a name that is listed is deleted from it
		listed := make(map[Name]bool)                        // names whose key is escaped
		group := ""                                          // the start of the keys of the group that was yielded last
		skip := func(last string) string {
			to := group + "\u00ff" // the keys of names are ASCII
			if group == "" || !strings.HasPrefix(last, group) || last >= to {
				return ""
			}
			return to
		}
		if delimiter != "/" || v.store.ListAfter == nil || v.readsLegacy() || o.Removed {
			skip = nil
		}
		for o, err := range v.backend.listAfter(ctx, listPrefix(v.tenant, v.collection, prefix), after, skip) {
			if err != nil {
				wrap(&err, "list", prefix)
				yield(Entry{}, err)
				return
			}
			e := Entry{Key: o.Key, SealedSize: o.Size, Modified: o.ModTime}
			name, ours := nameOf(v.tenant, v.collection, o.Key)
			if legacy, ok := v.legacyName(ctx, o.Key); ok && !ours {
				if others == nil {
					others = make(map[Name]Entry)
				}
				if !listed[legacy] {
					v.addLegacy(ctx, others, prefix, o)
				}
				continue
			}
			e.Name, e.Foreign = name, !ours
			delete(removed, name)
			if delete(others, name); v.readsLegacy() && ours && encodeName(name) != string(name)+suffix {
				listed[name] = true // its other key may be listed later
			}
			switch {
			case ours && (!hasPrefix(name, prefix) || v.scope.Check(name, false) != nil):
				continue
			case e.Foreign && (v.scope.Names != nil || prefix != "" && !hasPrefix(Name(o.Key[len(within):]), prefix)):
				continue
			case e.Foreign && groupOf(Name(o.Key[len(within):])) != "":
				continue
			}
			if g := groupOf(name); ours && delimiter == "/" && g != "" {
				group = within + upToSlash(o.Key[len(within):], strings.Count(g, "/"))
			}
			if !yield(e, nil) {
				return
			}
		}
		for _, name := range slices.Sorted(maps.Keys(others)) {
			if others[name].Key <= after && after != "" {
				continue
			}
			if !yield(others[name], nil) {
				return
			}
		}
		for _, name := range slices.Sorted(maps.Keys(removed)) {
			if !yield(Entry{Name: name, Key: removed[name], Removed: true}, nil) {
				return
			}
		}
		if removedErr != nil {
			wrap(&removedErr, "list", prefix)
			yield(Entry{}, removedErr)
		}
	}
}

// removedNames returns the names for [ListOptions].Removed, with their keys. It contains names that have
// an object, too.
func (v *Vault) removedNames(ctx context.Context, o *ListOptions, after string) (map[Name]string, error) {
	if !o.Removed || v.store.Purge == nil {
		return nil, nil
	}
	names := make(map[Name]string)
	for l, err := range v.backend.leftovers(ctx, listPrefix(v.tenant, v.collection, o.Prefix)) {
		switch {
		case errors.Is(err, ErrUnsupported):
			return nil, nil
		case err != nil:
			return nil, err
		}
		name, ours := nameOf(v.tenant, v.collection, l.Key)
		if ours && hasPrefix(name, o.Prefix) && l.Key > after && v.scope.Check(name, false) == nil {
			names[name] = l.Key
		}
	}
	return names, nil
}

// upToSlash returns the start of a key with n slashes, which a key has wherever its name has them.
func upToSlash(key string, n int) string {
	end := 0
	for range n {
		end += strings.IndexByte(key[end:], '/') + 1
	}
	return key[:end]
}
