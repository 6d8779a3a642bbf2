package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/objectvault/objectvault/envelope"
)

// Objects of agentKeys, the program that this project replaces, are in the same bucket as the
// envelopes. The order of reading is: an envelope at the key of the name; if there is none, the keys
// of agentKeys in its own order, the next one only if the one before has no object.

// A Legacy opens the objects that agentKeys stored for the tenant of a [Vault]. The Reader of package
// agentkeys is one.
type Legacy interface {
	// Keys returns the object keys at which agentKeys may have stored name, in the order in which it
	// reads them. It returns none if agentKeys does not store objects of this name.
	Keys(ctx context.Context, name string) ([]string, error)
	// Prefixes returns the prefixes of all these keys.
	Prefixes(ctx context.Context) ([]string, error)
	// NameOf returns the name of the object at key, if agentKeys may have stored it.
	NameOf(ctx context.Context, key string) (name string, ok bool)
	// Open opens an object. format names its format. If the object cannot be opened, the error wraps
	// [envelope.ErrFormat] or [envelope.ErrDecrypt].
	Open(ctx context.Context, name string, object []byte) (value []byte, format string, err error)
}

// ErrLegacy means that an object has the format of agentKeys, which a Vault without [Options].Legacy
// cannot open. The error also wraps [envelope.ErrFormat].
var ErrLegacy = errors.New("an object of agentKeys")

// ErrLegacyLimit means that the format of agentKeys does not support the operation, in whatever store. The
// error also wraps [ErrUnsupported].
var ErrLegacyLimit = errors.New("not supported by the format of agentKeys")

// A legacyLimit is an [ErrLegacyLimit] with its own text.
type legacyLimit string

func (e legacyLimit) Error() string { return string(e) }

func (legacyLimit) Unwrap() []error { return []error{ErrUnsupported, ErrLegacyLimit} }

// errLegacyTag means that an operation needs a revision or a tag of an object of agentKeys.
const errLegacyTag legacyLimit = "not possible: agentKeys has stored the object, so it has no revision and no tag"

const (
	// legacyMin is the length of the shortest object of agentKeys: version, nonce and tag.
	legacyMin = 1 + 12 + 16
	// legacyMax is the length of the longest one. Its value has at most 1 MiB.
	legacyMax = legacyMin + 1<<20
	// legacyRevision is recorded for an object of agentKeys that was accepted in place of an envelope.
	// No envelope has it: revisions are times.
	legacyRevision = 1
)

// isLegacy reports whether data starts like an object of agentKeys.
func isLegacy(data []byte) bool {
	return len(data) >= legacyMin && (data[0] == 1 || data[0] == 2)
}

// legacy adds ErrLegacy to the error of an object that starts like one of agentKeys.
func legacy(data []byte, err error) error {
	if errors.Is(err, envelope.ErrFormat) && isLegacy(data) {
		return fmt.Errorf("%w, version %d: %w", ErrLegacy, data[0], err)
	}
	return err
}

// readsLegacy reports whether the Vault opens objects of agentKeys. agentKeys has one collection.
func (v *Vault) readsLegacy() bool { return v.legacy != nil && v.collection == DefaultCollection }

// mayBeLegacy reports whether the error err of reading the current object of a name means that the
// name may have an object of agentKeys.
func (v *Vault) mayBeLegacy(err error) bool {
	return v.readsLegacy() && (errors.Is(err, ErrNotFound) || errors.Is(err, envelope.ErrFormat))
}

// describeLegacy adds ErrLegacy to the error err of opening the object at a place, if the object starts
// like one of agentKeys. It reads the start of the object again.
func (v *Vault) describeLegacy(ctx context.Context, at place, err error) error {
	if !errors.Is(err, envelope.ErrFormat) || errors.Is(err, ErrLegacy) {
		return err
	}
	h, herr := v.readHead(ctx, at, 0, legacyMin)
	if herr != nil {
		return err
	}
	return legacy(h.data, err)
}

// A legacyKind is what a key of agentKeys contains.
type legacyKind int

const (
	noObject     legacyKind = iota
	legacyFormat            // an object of agentKeys
	anEnvelope              // of this tenant, or of the tenant with the other prefix
	unknownFormat
)

// peekLegacy reads the start of the object at a key of agentKeys. If the caller may not read a prefix
// that is not that of the tenant, the object counts as absent, because the cloud then denies the prefix
// as a whole.
func (v *Vault) peekLegacy(ctx context.Context, key string) (head, legacyKind, error) {
	h, err := v.readHead(ctx, place{key: key}, 0, headSize)
	if err != nil && (!errors.Is(err, ErrPermission) || v.isOwnPrefix(key)) {
		err = v.absent(ctx, key, err)
	}
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrPermission) && !v.isOwnPrefix(key):
		return head{}, noObject, nil
	case err != nil:
		return head{}, noObject, err
	case isLegacy(h.data):
		return h, legacyFormat, nil
	case bytes.HasPrefix(h.data, []byte("OVE1")):
		return h, anEnvelope, nil
	}
	return h, unknownFormat, nil
}

// isOwnPrefix reports whether key is below the prefix of the Vault's tenant.
func (v *Vault) isOwnPrefix(key string) bool { return strings.HasPrefix(key, tenantPrefix(v.tenant)) }

// legacyKeys returns the keys at which agentKeys may have stored the name, in the order in which it
// reads them.
func (v *Vault) legacyKeys(ctx context.Context, name Name) ([]string, error) {
	if !v.readsLegacy() {
		return nil, nil
	}
	keys, err := v.legacy.Keys(ctx, string(name))
	if err != nil {
		return nil, v.backend.explain(err)
	}
	return slices.DeleteFunc(keys, func(key string) bool {
		other, ok := nameOf(v.tenant, v.collection, key)
		return ok && other != name // the envelope of another name has this key
	}), nil
}

// otherLegacy returns the objects that agentKeys has stored for a name at other keys than own, the
// one that it reads first being the first. Envelopes are not returned.
func (v *Vault) otherLegacy(ctx context.Context, name Name, own string) (found []legacyObject, err error) {
	keys, err := v.legacyKeys(ctx, name)
	for _, key := range keys {
		if key == own {
			continue
		}
		h, kind, err := v.peekLegacy(ctx, key)
		if err != nil {
			return found, err
		}
		if kind == legacyFormat || kind == unknownFormat {
			found = append(found, legacyObject{snapshot: h.snapshot, key: key, unknown: kind == unknownFormat})
		}
	}
	return found, err
}

// A legacyObject is an object of agentKeys.
type legacyObject struct {
	snapshot
	key     string
	unknown bool // neither an object of agentKeys nor an envelope, for example truncated
	value   []byte
	info    Info
}

// openLegacy opens the object that agentKeys stored for a name. ownErr is the error of reading the
// envelope. If there is no object of agentKeys, openLegacy returns ownErr.
func (v *Vault) openLegacy(ctx context.Context, name Name, at place, ownErr error) (legacyObject, error) {
	found, err := v.findLegacy(ctx, name, at.key, ownErr)
	if err != nil {
		return legacyObject{}, err
	}
	o, data, err := v.openFound(ctx, name, found.place, found.head)
	if err != nil {
		return legacyObject{}, err
	}
	return o, v.checkLegacy(ctx, name, at, data)
}

// A foundLegacy is the start of an object of agentKeys, and its place.
type foundLegacy struct {
	place
	head
}

// findLegacy returns the object that agentKeys reads for a name. own is the key of the envelope.
func (v *Vault) findLegacy(ctx context.Context, name Name, own string, ownErr error) (foundLegacy, error) {
	keys, err := v.legacyKeys(ctx, name)
	switch {
	case err != nil:
		return foundLegacy{}, err
	case len(keys) == 0:
		return foundLegacy{}, v.describeLegacy(ctx, place{key: own}, ownErr)
	}
	var ownHead head
	ownKind := noObject
	if !errors.Is(ownErr, ErrNotFound) {
		// An envelope at its own key is the value, even if it is damaged.
		switch ownHead, ownKind, err = v.peekLegacy(ctx, own); {
		case err != nil:
			return foundLegacy{}, err
		case ownKind == unknownFormat:
			return foundLegacy{}, ownErr
		case ownKind == anEnvelope:
			if _, err := envelope.ReadHeader(bytes.NewReader(ownHead.data)); err == nil {
				return foundLegacy{}, errReplaced // by another writer, after it was read first
			}
			return foundLegacy{}, ownErr
		}
	}
	found, ok, err := v.scanLegacy(ctx, keys, own, ownHead, ownKind)
	if err == nil && !ok {
		err = ownErr
	}
	return found, err
}

// scanLegacy returns the object of agentKeys at the first of the keys that has one. The object at own was
// read before: it starts with h and has the given kind.
func (v *Vault) scanLegacy(ctx context.Context, keys []string, own string, h head, kind legacyKind) (found foundLegacy, ok bool, err error) {
	for _, key := range keys {
		at, atKind := h, kind
		if key != own {
			if at, atKind, err = v.peekLegacy(ctx, key); err != nil {
				return foundLegacy{}, false, err
			}
		}
		switch {
		case atKind == legacyFormat:
			return foundLegacy{place{key: key}, at}, true, nil
		case atKind == unknownFormat:
			return foundLegacy{}, false, unknownAt(key)
		}
	}
	return foundLegacy{}, false, nil
}

// unknownAt is the error of an object that is neither an envelope nor one of agentKeys.
func unknownAt(key string) error {
	return fmt.Errorf("%w: the object at %s is neither an envelope nor one of agentKeys", envelope.ErrFormat, key)
}

// openFound opens the object of agentKeys at a place, whose start is h. data is the whole object.
func (v *Vault) openFound(ctx context.Context, name Name, at place, h head) (o legacyObject, data []byte, err error) {
	if h.size > legacyMax {
		return o, nil, legacyLimit(fmt.Sprintf("not possible: %s is an object of agentKeys and has %d bytes; the maximum is %d", at.key, h.size, legacyMax))
	}
	if data = h.data; h.size > int64(len(data)) {
		rest, err := v.readHead(ctx, at, int64(len(data)), h.size-int64(len(data)))
		if err != nil {
			return o, nil, err
		}
		if !rest.same(h.snapshot) {
			return o, nil, errReplaced
		}
		data = append(data, rest.data...)
	}
	value, format, err := v.legacy.Open(ctx, string(name), data)
	if err != nil {
		return o, nil, v.backend.explain(fmt.Errorf("the object of agentKeys at %s: %w", at.key, err))
	}
	o = legacyObject{snapshot: h.snapshot, key: at.key, value: value, info: Info{
		Name: name, Tenant: v.tenant, Collection: v.collection, Legacy: format, LegacyKey: at.key,
		Version: h.version, Size: int64(len(value)), SealedSize: h.size, Modified: h.modified,
	}}
	return o, data, nil
}

// openLegacyVersion opens an old version that agentKeys stored at the key of the envelope. err is the
// error of opening it as an envelope.
func (v *Vault) openLegacyVersion(ctx context.Context, name Name, at place, err error) (legacyObject, error) {
	if !v.readsLegacy() || !errors.Is(err, envelope.ErrFormat) {
		return legacyObject{}, err
	}
	h, rerr := v.readHead(ctx, at, 0, headSize)
	switch {
	case rerr != nil:
		return legacyObject{}, rerr
	case !isLegacy(h.data):
		return legacyObject{}, err
	}
	o, _, err := v.openFound(ctx, name, at, h)
	return o, err
}

// checkLegacy returns an error if an envelope of the name was seen before, or if this machine deleted
// the name: the object of agentKeys is then older, unless the Vault stores such objects itself. If the
// caller accepts it, checkLegacy records this.
func (v *Vault) checkLegacy(ctx context.Context, name Name, at place, data []byte) error {
	last := at.before.seen
	switch {
	case at.accept && last.Revision > 0:
		v.acceptLegacy(ctx, v.ref(name), last, legacyState(data, 0))
	case at.accept:
		v.revisions.accept(name, 0)
	case v.writer != nil: // this machine stores such objects, too
	case last.Revision == legacyRevision && isLastWritten(last, data):
		v.revisions.accept(name, 0) // another process of this machine has stored it
	case (last.Revision > legacyRevision || last.Deleted) && !at.before.writing:
		return &SeenError{Last: last, Err: ErrRollback}
	case at.before.floor > 0 && !at.before.writing:
		return fmt.Errorf("%w: the store returned an object of agentKeys in place of an envelope", ErrRollback)
	}
	return nil
}

// getLegacy opens the object of agentKeys at a place, or a part of it. ownErr is the error of opening it
// as an envelope.
func (v *Vault) getLegacy(ctx context.Context, name Name, at place, part *Range, ownErr error) (*Reader, error) {
	var o legacyObject
	var err error
	if at.known == nil {
		o, err = v.openLegacy(ctx, name, at, ownErr)
	} else {
		o, err = v.openLegacyVersion(ctx, name, at, ownErr)
	}
	if err != nil {
		return nil, err
	}
	value := o.value
	if part != nil {
		size := int64(len(value))
		start := part.Offset
		if start < 0 {
			start += size
		}
		start = min(max(start, 0), size)
		end := size
		if part.Length > 0 && part.Length < size-start {
			end = start + part.Length
		}
		value = value[start:end]
	}
	return &Reader{v: v, info: o.info, plain: bytes.NewReader(value)}, nil
}

// noLegacy returns [ErrExist] if agentKeys has stored an object of the name at another key than own. A
// create fails by itself if there is one at own.
func (v *Vault) noLegacy(ctx context.Context, name Name, own string) error {
	found, err := v.otherLegacy(ctx, name, own)
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%w: agentKeys has stored %s", ErrExist, found[0].key)
	}
	return err
}

// newestLegacy returns the time of the newest object that agentKeys has stored for a name, as a
// revision; 0: there is none. own is the start of the object at the key of the envelope.
func (v *Vault) newestLegacy(ctx context.Context, name Name, key string, own head) (int64, error) {
	if !v.readsLegacy() {
		return 0, nil
	}
	newest := int64(0)
	if isLegacy(own.data) {
		newest = own.modified.UnixMicro()
		// The clocks of the store and of this machine may differ. The revision of the last write is a time of
		// this machine.
		if last := v.lastSeen(ctx, v.ref(name)); int64(len(own.data)) == own.size && isLastWritten(last, own.data) {
			newest = writtenRevision(last)
		}
	}
	found, err := v.otherLegacy(ctx, name, key)
	for _, o := range found {
		newest = max(newest, o.modified.UnixMicro())
	}
	return newest, err
}
