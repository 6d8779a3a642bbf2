package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/text"
)

// A Recipient is one wrapped data key in the header of an object.
type Recipient struct {
	Type byte   // of the stanza: see envelope.Stanza
	ID   string // of the wrapping key, hexadecimal
	// Source is the index of the key source that opens the object with this stanza, or -1 if none of
	// the sources does.
	Source int
}

// RecipientsOptions configures [Vault.Recipients].
type RecipientsOptions struct {
	// Version selects a version of the object: see [GetOptions].
	Version string
	// Sources are the key sources to try; nil means those of the Vault.
	Sources []envelope.KeySource
}

// Recipients returns which key sources can open the object called name. Each source opens the header
// for itself, so the result is authenticated. Info describes the object if a source can open it, and
// otherwise contains only what the store reports.
//
// If a source cannot be used now, the result is still correct for the stanzas of the other sources,
// and Recipients also returns an error that wraps [ErrUnavailable], [ErrUnauthenticated],
// [ErrPermission] or [envelope.ErrChanged]. If the object is no envelope, the error wraps
// [envelope.ErrFormat], or [ErrLegacy] if agentKeys has stored it.
func (v *Vault) Recipients(ctx context.Context, name Name, o *RecipientsOptions) (info Info, list []Recipient, err error) {
	defer wrap(&err, "audit", string(name))
	ctx, op := v.operate(ctx, "recipients", name)
	defer op.finish(&info, &err)
	if o == nil {
		o = &RecipientsOptions{}
	}
	sources := o.Sources
	if sources == nil {
		sources = v.keys
	}
	key, err := v.readable(ctx, name)
	if err != nil {
		return Info{}, nil, err
	}
	at, err := v.locate(ctx, key, o.Version)
	if err != nil {
		return Info{}, nil, err
	}
	h, err := v.head(ctx, at)
	if err != nil {
		return Info{}, nil, v.absentAt(ctx, at, err)
	}
	info = Info{Name: name, Tenant: v.tenant, Collection: v.collection, SealedSize: h.size, Modified: h.modified, Version: o.Version}
	header, err := envelope.ReadHeader(bytes.NewReader(h.data))
	if err != nil {
		return info, nil, legacy(h.data, err)
	}
	for _, s := range header.Stanzas {
		list = append(list, Recipient{s.Type, hex.EncodeToString(s.ID[:]), -1})
	}
	var away []error
	for i, source := range sources {
		owners, err := header.Recipients(ctx, v.ref(name), []envelope.KeySource{source})
		if err != nil {
			away = append(away, err)
			continue
		}
		for n, owner := range owners {
			if owner < 0 || list[n].Source >= 0 {
				continue
			}
			object, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), v.ref(name), []envelope.KeySource{source})
			if err != nil {
				away = append(away, fmt.Errorf("%s: %w", source.Name(), err))
				break
			}
			list[n].Source = i
			size, err := object.Header().PlaintextSize(h.size)
			if err != nil {
				return info, list, err
			}
			opened := v.info(name, object.Header(), object.Metadata())
			opened.Size, opened.SealedSize, opened.Modified, opened.Version = size, h.size, h.modified, o.Version
			info = opened
		}
	}
	return info, list, v.backend.explain(errors.Join(away...))
}

// PurgeOptions configures [Vault.PurgeVersions]. Nil, or the zero value, is ready to use.
type PurgeOptions struct {
	// Written is the version that the caller has just stored: [Info].Version of a Put, Rewrap or Rotate
	// that has succeeded. Then PurgeVersions removes what is older than this version.
	Written string
}

// errUnsettled means that the versions of a name are kept, because a write may depend on them.
var errUnsettled = errors.New("another writer may still delete the version that it has just stored, so the old versions were kept: try again in a minute")

// PurgeVersions permanently removes the old versions of name, and its delete markers. The current
// object stays. It returns the number of versions that were removed. If some could not be removed,
// the error wraps [ErrPartial]. If the store gives no access to old versions, the error wraps
// [ErrUnsupported].
//
// A store with a [Settler] deletes a version that it has just stored if another writer was first, and
// compares it with the version before to find that out. So PurgeVersions removes only what is older than
// Written, or than a current version that its writer no longer deletes. If Written is empty and the
// current version was stored within the last minute, PurgeVersions may remove nothing. The error then
// wraps [ErrPartial].
func (v *Vault) PurgeVersions(ctx context.Context, name Name, o *PurgeOptions) (purged int, err error) {
	defer wrap(&err, "purge", string(name))
	ctx, op := v.operate(ctx, "purge", name)
	defer op.finish(new(Info), &err)
	if o == nil {
		o = &PurgeOptions{}
	}
	key, err := v.writable(name)
	if err != nil {
		return 0, err
	}
	if err := v.connect(ctx); err != nil {
		return 0, err
	}
	var versions, markers []Leftover
	switch {
	case v.store.Purge == nil && v.store.History != nil:
		return 0, fmt.Errorf("%w: removing old versions", ErrUnsupported)
	case v.store.Purge == nil:
		return 0, nil
	case v.store.Settle != nil:
		versions, markers, err = v.settledVersions(ctx, key, o.Written)
	default:
		versions, markers, err = v.versionsOf(ctx, key)
	}
	if err != nil {
		return 0, err
	}
	var result TeardownResult
	left, err := v.purgeAll(ctx, versions, markers, &result)
	if err != nil {
		return result.Purged, err
	}
	if left > 0 {
		return result.Purged, fmt.Errorf("%w: %s left: %w", ErrPartial, text.Count(left, "old version is", "old versions are"), result.Failed[0].Err)
	}
	return result.Purged, nil
}

// settledVersions is versionsOf for a store with a [Settler]. It returns the versions that are older than
// the version written or, if that is empty, than the current one. That version stays: its writer does
// not delete it, and a writer that finds its own version after it, or after a later one, deletes only
// its own. So at least one version remains, also if several processes remove versions at the same time.
func (v *Vault) settledVersions(ctx context.Context, key, written string) (versions, markers []Leftover, err error) {
	var all []Version
	for version, err := range v.backend.versions(ctx, key) {
		switch {
		case errors.Is(err, ErrUnsupported): // the bucket turned out to have no versions
			return nil, nil, nil
		case err != nil:
			return nil, nil, err
		}
		all = append(all, version)
	}
	first := 1 // the first one to remove
	switch {
	case len(all) > 0 && all[0].Deleted: // the object was removed
		first = 0
	case len(all) < 2:
		return nil, nil, nil
	case written != "":
		i := slices.IndexFunc(all, func(version Version) bool { return version.ID == written })
		if i < 0 {
			return nil, nil, fmt.Errorf("%w: the new version is not in the list of versions, so the old ones were kept", ErrPartial)
		}
		first = i + 1
	default:
		settled, err := v.backend.isSettled(ctx, key, all[0].ID)
		if err != nil {
			return nil, nil, err
		}
		if !settled {
			return nil, nil, fmt.Errorf("%w: %w", ErrPartial, errUnsettled)
		}
	}
	for _, version := range all[first:] {
		if l := (Leftover{Key: key, ID: version.ID, Deleted: version.Deleted}); l.Deleted {
			markers = append(markers, l)
		} else {
			versions = append(versions, l)
		}
	}
	return versions, markers, nil
}

// versionsOf returns the old versions of a key and its delete markers.
func (v *Vault) versionsOf(ctx context.Context, key string) (versions, markers []Leftover, err error) {
	for l, err := range v.backend.leftovers(ctx, key) {
		switch {
		case err != nil:
			return nil, nil, err
		case l.Key != key:
		case l.Deleted:
			markers = append(markers, l)
		default:
			versions = append(versions, l)
		}
	}
	return versions, markers, nil
}

// purgeAll removes versions, and then delete markers: a marker that is removed first could make an old
// version current. left is the number of versions that can still be opened.
func (v *Vault) purgeAll(ctx context.Context, versions, markers []Leftover, result *TeardownResult) (left int, err error) {
	for _, list := range [][]Leftover{versions, markers} {
		for len(list) > 0 {
			batch := list[:min(len(list), maxPage)]
			if err := v.purge(ctx, batch, result, &left); err != nil {
				return left, err
			}
			list = list[len(batch):]
		}
	}
	return left, nil
}
