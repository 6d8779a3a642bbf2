package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// This file moves the objects of agentKeys to envelopes.

// LegacyEntry returns the object that agentKeys reads for name: see [Options].Legacy. It does not open the
// object, and it does not matter whether there is an envelope, too. If agentKeys has stored no object of
// the name, the error wraps [ErrNotFound].
func (v *Vault) LegacyEntry(ctx context.Context, name Name) (_ Entry, err error) {
	defer wrap(&err, "list", string(name))
	found, err := v.firstLegacy(ctx, name)
	return Entry{Name: name, Key: found.key, SealedSize: found.size, Modified: found.modified, Legacy: true}, err
}

// ReadLegacy opens the object that [Vault.LegacyEntry] returns. The other errors are those of [Vault.Get].
// It does not detect that an envelope was seen before.
func (v *Vault) ReadLegacy(ctx context.Context, name Name) (value []byte, info Info, err error) {
	defer wrap(&err, "get", string(name))
	for attempt := 1; ; attempt++ {
		var o legacyObject
		found, err := v.firstLegacy(ctx, name)
		if err == nil {
			o, _, err = v.openFound(ctx, name, found.place, found.head)
		}
		if err != errReplaced || attempt == maxReplaced || !pause(ctx, attempt) {
			return o.value, o.info, err
		}
	}
}

// firstLegacy returns the object that agentKeys reads for name.
func (v *Vault) firstLegacy(ctx context.Context, name Name) (foundLegacy, error) {
	if _, err := v.readable(ctx, name); err != nil {
		return foundLegacy{}, err
	}
	keys, err := v.legacyKeys(ctx, name)
	if err != nil {
		return foundLegacy{}, err
	}
	for _, key := range keys {
		h, kind, err := v.peekLegacy(ctx, key)
		switch {
		case err != nil:
			return foundLegacy{}, err
		case kind == legacyFormat:
			return foundLegacy{place{key: key}, h}, nil
		case kind == unknownFormat:
			return foundLegacy{}, unknownAt(key)
		}
	}
	return foundLegacy{}, ErrNotFound
}

// ConvertOptions configures [Vault.ConvertLegacy]. Nil, or the zero value, is ready to use.
type ConvertOptions struct {
	// NoOtherWriters permits ConvertLegacy at a store without compare-and-swap: see [RewrapOptions].
	NoOtherWriters bool
}

// ConvertLegacy stores the value that agentKeys stored under name as an envelope at the key of the name.
// An object of agentKeys at that key is replaced. One at another key stays: see [Vault.ShredLegacy].
//
// If the current object is an envelope, the error wraps [ErrExist]. If agentKeys has stored no object of
// the name, it wraps [ErrNotFound]. If another program changes the object at the same time, it wraps
// [ErrConflict]. The write is a compare-and-swap. If the store does not support that, the error wraps
// [ErrUnsupported], unless NoOtherWriters is set. The other errors are those of [Vault.Get] and
// [Vault.Put].
func (v *Vault) ConvertLegacy(ctx context.Context, name Name, o *ConvertOptions) (_ Info, err error) {
	defer wrap(&err, "put", string(name))
	if o == nil {
		o = &ConvertOptions{}
	}
	key, err := v.storable(name)
	if err == nil && v.writer != nil {
		err = errLegacyWriter
	}
	if err == nil {
		err = v.connect(ctx)
	}
	if err != nil {
		return Info{}, err
	}
	own, kind, err := v.peekLegacy(ctx, key)
	switch {
	case err != nil:
		return Info{}, err
	case kind == anEnvelope:
		return Info{}, fmt.Errorf("%w: the object is an envelope", ErrExist)
	case kind == unknownFormat:
		return Info{}, unknownAt(key)
	}
	at := place{key: key, before: v.mark(ctx, name)}
	found, err := v.firstLegacy(ctx, name)
	if err != nil {
		return Info{}, err
	}
	object, data, err := v.openFound(ctx, name, found.place, found.head)
	if err == nil {
		err = v.checkLegacy(ctx, name, at, data)
	}
	if err != nil {
		return Info{}, err
	}
	info, err := v.writeConverted(ctx, key, own, kind, object, o.NoOtherWriters)
	if err != nil || found.key == key {
		return info, err
	}
	// agentKeys may have stored another value at the other key, which the new envelope hides.
	switch h, _, err := v.peekLegacy(ctx, found.key); {
	case err != nil:
		return info, err
	case !h.same(found.snapshot) && h.size > 0:
		return info, fmt.Errorf("%w: agentKeys stored another value at %s at the same time; the envelope has the older one", ErrConflict, found.key)
	}
	return info, nil
}

// writeConverted stores the value of o as an envelope at key, whose object of the given kind starts with
// own.
func (v *Vault) writeConverted(ctx context.Context, key string, own head, kind legacyKind, o legacyObject, noOtherWriters bool) (Info, error) {
	how := condition{kind: create}
	switch {
	case kind == noObject:
	case v.store.Swap != nil && own.tag != "":
		how = condition{kind: swap, tag: own.tag, old: startOf(own.data)}
	case noOtherWriters:
		how = condition{}
	case v.store.Swap == nil:
		return Info{}, fmt.Errorf("%w: the store has no compare-and-swap, which protects the object from other writers", ErrUnsupported)
	default:
		return Info{}, errNoTag
	}
	info, err := v.putValue(ctx, o.info.Name, key, how, o.value)
	if how.kind == replace || !errors.Is(err, ErrConflict) && !errors.Is(err, ErrUnsupported) {
		return info, err
	}
	if now, _, perr := v.peekLegacy(ctx, key); perr != nil || !bytes.Equal(now.data, own.data) || errors.Is(err, ErrUnsure) {
		return info, err
	}
	// The object is still the one that was read: the server refuses every condition, as Ceph does.
	if !noOtherWriters {
		return info, fact(errNoConditions, err)
	}
	return v.putValue(ctx, o.info.Name, key, condition{}, o.value)
}

// putValue stores a value as an envelope, without the spool.
func (v *Vault) putValue(ctx context.Context, name Name, key string, how condition, value []byte) (Info, error) {
	v.raiseSeen(ctx, name)
	s := &sealing{ref: v.ref(name), keys: v.keys, oneKey: v.oneKey, value: bytes.NewReader(value), revisions: &v.revisions, name: name}
	version, err := v.publish(ctx, key, how, s)
	if err != nil {
		return Info{}, err
	}
	info := v.infoOf(s, key)
	info.Version, info.MissingKeys = version, s.missing
	return info, nil
}

// ShredLegacy removes the objects that agentKeys stored under name, at all of its keys, if same reports
// that their value is the expected one. It removes no envelope. removed is the number of objects that
// were removed. Old versions stay in the history of the store.
//
// If an object has another value, or cannot be opened or removed, it stays, and the error wraps
// [ErrPartial] and names its key.
func (v *Vault) ShredLegacy(ctx context.Context, name Name, same func(value []byte) bool) (removed int, err error) {
	defer wrap(&err, "rm", string(name))
	if _, err := v.writable(name); err != nil {
		return 0, err
	}
	if err := v.connect(ctx); err != nil {
		return 0, err
	}
	keys, err := v.legacyKeys(ctx, name)
	if err != nil {
		return 0, err
	}
	var left []error
	for _, key := range keys {
		h, kind, err := v.peekLegacy(ctx, key)
		if err == nil && kind == unknownFormat {
			err = unknownAt(key)
		}
		if err == nil && kind == legacyFormat {
			if err = v.shredLegacy(ctx, name, key, h, same); err == nil {
				removed++
			}
		}
		switch {
		case ctx.Err() != nil:
			return removed, err
		case err != nil:
			left = append(left, fmt.Errorf("the object of agentKeys at %s: %w", key, err))
		}
	}
	if len(left) > 0 {
		return removed, fmt.Errorf("%w: %w", ErrPartial, errors.Join(left...))
	}
	return removed, nil
}

// shredLegacy removes the object of agentKeys at key, which starts with h.
func (v *Vault) shredLegacy(ctx context.Context, name Name, key string, h head, same func(value []byte) bool) error {
	o, _, err := v.openFound(ctx, name, place{key: key}, h)
	switch {
	case err != nil:
		return err
	case !same(o.value):
		return fmt.Errorf("%w: it has another value", ErrConflict)
	}
	if v.store.RemoveIf != nil && h.tag != "" {
		if err := v.removeExactly(ctx, key, h.tag, startOf(h.data)); !errors.Is(err, ErrUnsupported) {
			return err
		}
	}
	return v.remove(ctx, key)
}
