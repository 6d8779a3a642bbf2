package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gocloud.dev/blob"
)

// This file moves the objects of agentKeys to envelopes.

// DeniedLegacy returns the prefixes of agentKeys that the caller may not list. Reads treat objects below
// them as missing. A program that moves all objects should not.
func (v *Vault) DeniedLegacy(ctx context.Context) (denied []string, err error) {
	defer wrap(&err, "list", "")
	if err := v.opened(); err != nil || !v.readsLegacy() {
		return nil, err
	}
	if err := v.connect(ctx); err != nil {
		return nil, err
	}
	prefixes, err := v.legacy.Prefixes(ctx)
	if err != nil {
		return nil, v.backend.explain(err)
	}
	for _, prefix := range prefixes {
		_, _, err := v.backend.page(ctx, prefix, "", blob.FirstPageToken)
		switch {
		case errors.Is(err, ErrPermission):
			denied = append(denied, prefix)
		case err != nil:
			return denied, err
		}
	}
	return denied, nil
}

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
	ctx, op := v.operate(ctx, "get", name)
	defer op.finish(&info, &err)
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
	return v.scanFor(ctx, keys, "", head{}, noObject)
}

// scanFor is scanLegacy with an error that wraps [ErrNotFound] if there is no object.
func (v *Vault) scanFor(ctx context.Context, keys []string, own string, h head, kind legacyKind) (foundLegacy, error) {
	found, ok, err := v.scanLegacy(ctx, keys, own, h, kind)
	if err == nil && !ok {
		err = ErrNotFound
	}
	return found, err
}

// ConvertOptions configures [Vault.ConvertLegacy]. Nil, or the zero value, stores the value that agentKeys
// reads.
type ConvertOptions struct {
	// NoOtherWriters permits ConvertLegacy at a store without compare-and-swap. The caller must make sure
	// that nothing else writes the objects meanwhile.
	NoOtherWriters bool
	// Same, if not nil, reports whether the value of agentKeys is the expected one. If it is not,
	// ConvertLegacy stores nothing, and the error wraps [ErrConflict].
	Same func(value []byte) bool
	// Value, if not nil, is stored in place of the value of agentKeys.
	Value []byte
	// Overwrite permits ConvertLegacy to replace an object of agentKeys that is newer than the one that
	// agentKeys reads, and has another value.
	Overwrite bool
}

// ConvertLegacy stores the value that agentKeys stored under name as an envelope at the key of the name. An
// object of agentKeys at that key is replaced. One at another key stays: see [Vault.ShredLegacy]. The
// revision of the envelope is the time at which agentKeys stored the value, if no later revision is known.
//
// If the current object is an envelope, the error wraps [ErrExist]. If agentKeys has stored no object of
// the name, it wraps [ErrNotFound]. If another program changes the object at the same time, it wraps
// [ErrConflict]; if the Info is not zero, the envelope was stored, and agentKeys has a newer value. The write
// is a compare-and-swap. If the store does not support that, the error wraps [ErrUnsupported], unless
// NoOtherWriters is set. The other errors are those of [Vault.Get] and [Vault.Put].
func (v *Vault) ConvertLegacy(ctx context.Context, name Name, o *ConvertOptions) (info Info, err error) {
	defer wrap(&err, "put", string(name))
	ctx, op := v.operate(ctx, "convert", name)
	defer op.finish(&info, &err)
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
	at := place{key: key, before: v.mark(ctx, name)}
	own, kind, err := v.peekLegacy(ctx, key)
	switch {
	case err != nil:
		return Info{}, err
	case kind == anEnvelope:
		return Info{}, fmt.Errorf("%w: the object is an envelope", ErrExist)
	case kind == unknownFormat:
		return Info{}, unknownAt(key)
	}
	keys, err := v.legacyKeys(ctx, name)
	if err != nil {
		return Info{}, err
	}
	found, err := v.scanFor(ctx, keys, key, own, kind)
	if err != nil {
		return Info{}, err
	}
	object, data, err := v.openFound(ctx, name, found.place, found.head)
	switch {
	case err == errReplaced:
		return Info{}, fmt.Errorf("%w: agentKeys stored another value at %s at the same time", ErrConflict, found.key)
	case err != nil:
		return Info{}, err
	case o.Same != nil && !o.Same(object.value):
		return Info{}, fmt.Errorf("%w: the object at %s has another value", ErrConflict, found.key)
	}
	if err := v.checkLegacy(ctx, name, at, data); err != nil {
		return Info{}, err
	}
	if kind == legacyFormat && found.key != key && !o.Overwrite {
		if err := v.checkHidden(ctx, name, place{key: key}, own, object); err != nil {
			return Info{}, err
		}
	}
	value, revision := o.Value, int64(0)
	if value == nil {
		value, revision = object.value, found.modified.UnixMicro()
	}
	info, err = v.writeConverted(ctx, name, key, own, kind, value, revision, o.NoOtherWriters)
	if err != nil || found.key == key {
		return info, err
	}
	// agentKeys may have stored another value at the other key, which the new envelope hides.
	switch h, kind, err := v.peekLegacy(ctx, found.key); {
	case err != nil:
		return info, err
	case kind != noObject && !h.same(found.snapshot):
		return info, fmt.Errorf("%w: agentKeys stored another value at %s at the same time; the envelope has the older one", ErrConflict, found.key)
	}
	return info, nil
}

// checkHidden returns [ErrConflict] if the object of agentKeys at a place, which starts with h, is newer than
// the one that agentKeys reads, and has another value.
func (v *Vault) checkHidden(ctx context.Context, name Name, at place, h head, read legacyObject) error {
	if !h.modified.After(read.modified) {
		return nil
	}
	hidden, _, err := v.openFound(ctx, name, at, h)
	if err == nil && !bytes.Equal(hidden.value, read.value) {
		err = fmt.Errorf("%w: agentKeys reads %s, but the object at %s is newer and has another value", ErrConflict, read.key, at.key)
	}
	return err
}

// writeConverted stores a value as an envelope at key, whose object of the given kind starts with own.
func (v *Vault) writeConverted(ctx context.Context, name Name, key string, own head, kind legacyKind, value []byte, revision int64, noOtherWriters bool) (Info, error) {
	how := condition{kind: create}
	if kind != noObject {
		var err error
		if how, err = v.swapCondition(own.tag, startOf(own.data), noOtherWriters); err != nil {
			return Info{}, err
		}
	}
	info, err := v.putValue(ctx, name, key, how, value, revision)
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
	return v.putValue(ctx, name, key, condition{}, value, revision)
}

// putValue stores a value as an envelope, without the spool. It has the given revision, or a later one if
// the name already has a later one.
func (v *Vault) putValue(ctx context.Context, name Name, key string, how condition, value []byte, revision int64) (Info, error) {
	v.raiseSeen(ctx, name)
	s := &sealing{ref: v.ref(name), keys: v.keys, oneKey: v.oneKey, value: bytes.NewReader(value), revisions: &v.revisions, name: name, revision: revision}
	version, err := v.publish(ctx, key, how, s)
	v.mirrorStored(ctx, key, s)
	if err != nil {
		return Info{}, err
	}
	info := v.infoOf(s, key)
	info.Version, info.MissingKeys = version, s.missing
	return info, nil
}

// ShredOptions configures [Vault.ShredLegacy].
type ShredOptions struct {
	// Same reports whether a value is the expected one. It is required.
	Same func(value []byte) bool
	// OtherKeys keeps the object at the key of the name: only objects at the other keys of agentKeys are
	// removed.
	OtherKeys bool
	// NoOtherWriters permits ShredLegacy at a store without conditional deletes: see [ConvertOptions].
	NoOtherWriters bool
}

// ShredLegacy removes the objects that agentKeys stored under name, at all of its keys, if their value is
// the expected one. It removes no envelope. removed is the number of objects that were removed. Old versions
// stay in the history of the store.
//
// If an object has another value, or cannot be opened or removed, it stays, and the error wraps
// [ErrPartial] and names its key.
func (v *Vault) ShredLegacy(ctx context.Context, name Name, o *ShredOptions) (removed int, err error) {
	defer wrap(&err, "rm", string(name))
	ctx, op := v.operate(ctx, "shred", name)
	defer op.finish(new(Info), &err)
	if o == nil || o.Same == nil {
		return 0, fmt.Errorf("%w: ShredOptions.Same is missing", ErrConfig)
	}
	own, err := v.writable(name)
	if err == nil {
		err = v.connect(ctx)
	}
	if err != nil {
		return 0, err
	}
	keys, err := v.legacyKeys(ctx, name)
	if err != nil {
		return 0, err
	}
	var left []error
	for _, key := range keys {
		h, kind, err := v.peekLegacy(ctx, key)
		switch {
		case err != nil:
		case kind == unknownFormat:
			err = unknownAt(key)
		case kind == legacyFormat && o.OtherKeys && key == own:
			err = fmt.Errorf("%w: agentKeys has stored the name again", ErrConflict)
		case kind == legacyFormat:
			if err = v.shredLegacy(ctx, name, key, h, o); err == nil {
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
func (v *Vault) shredLegacy(ctx context.Context, name Name, key string, h head, o *ShredOptions) error {
	found, _, err := v.openFound(ctx, name, place{key: key}, h)
	switch {
	case err != nil:
		return err
	case !o.Same(found.value):
		return fmt.Errorf("%w: it has another value", ErrConflict)
	}
	err = fmt.Errorf("%w: the store has no conditional delete, which protects the object from other writers", ErrUnsupported)
	if v.store.RemoveIf != nil && h.tag != "" {
		err = v.removeExactly(ctx, key, h.tag, startOf(h.data))
	}
	if errors.Is(err, ErrUnsupported) && o.NoOtherWriters {
		err = v.remove(ctx, key)
	}
	return err
}
