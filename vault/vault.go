// Package vault keeps the credentials of AI agents, or any object, sealed in a
// bucket of the operator's own. Nothing readable leaves the process: every object is
// an envelope (package envelope) bound to its vault, tenant, collection and name.
//
// A provider opens a [Store], [New] makes a [Vault] of it:
//
//	store, err := memfs.Open(ctx, memfs.Config{Dir: "/srv/vault"})
//	keys, err := kek.OpenFile("root.key")
//	v, err := vault.New(store, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a", []envelope.KeySource{keys}, nil)
//	info, err := v.Put(ctx, "openrouter", strings.NewReader("sk-or-v1-…"), nil)
//	r, err := v.Get(ctx, "openrouter", nil)
//
// What holds: a Put that returned nil is stored and durable; one that failed left
// nothing, unless its error wraps [ErrUnsure]. A reader gets bytes that were sealed
// under this very name, or an error. What does not: the sizes, times and names of
// objects are visible to whoever may list the bucket.
//
// A Vault may be used by several goroutines at once.
package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A Vault stores and opens the objects of one tenant in one collection.
type Vault struct {
	store      *Store
	backend    *backend // every request to store goes through it
	id         string
	tenant     Tenant
	collection Collection
	scope      Scope
	keys       []envelope.KeySource
	revisions  revisions
}

// Options configures a [Vault]. Nil, or the zero value, is ready to use.
type Options struct {
	// VaultID tells two vaults of one tenant and one key apart. It is sealed into
	// every object, so it is the same wherever the vault is copied.
	VaultID string
	// Collection is where the objects are; empty means [DefaultCollection].
	Collection Collection
	// Scope limits what this Vault may touch; the zero value limits nothing.
	Scope Scope
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
	// Log gets a line for each request to the store, never a value. Nil means none. The
	// attributes: "op" (get, put, create, swap, delete, delete-if, list, versions, leftovers,
	// purge, settle), "key" (the object's key, the prefix of a list, or the first of several
	// keys), "keys" (how many keys the request was about, or returned), "status" ("ok", or the
	// text of a sentinel), "duration", "bytes" (sealed bytes of one object that were sent or
	// received), "tenant", and "attempt" (from 1).
	Log *slog.Logger
}

// A Scope limits a [Vault] before any request is made: the cloud knows the tenant,
// but not the name. A verb outside the scope is [ErrPermission].
type Scope struct {
	Names    []Name // the only names that may be used; nil means all, empty means none
	ReadOnly bool   // refuses every write
}

// New returns a Vault over store for tenant. keys seal and open the objects; without
// any, only what needs no key works: List, Delete, Teardown and History. New makes
// no request. It refuses bad names with [ErrInvalidName], and a nil store or key source with
// [ErrConfig].
func New(store *Store, tenant Tenant, keys []envelope.KeySource, o *Options) (_ *Vault, err error) {
	defer wrap(&err, "open", "")
	if o == nil {
		o = &Options{}
	}
	if store == nil || store.Bucket == nil {
		return nil, fmt.Errorf("%w: there is no store", ErrConfig)
	}
	if slices.Contains(keys, nil) {
		return nil, fmt.Errorf("%w: a key source is nil", ErrConfig)
	}
	v := &Vault{store: store, keys: slices.Clone(keys), revisions: revisions{now: o.Now}}
	if v.revisions.now == nil {
		v.revisions.now = time.Now
	}
	if v.tenant, err = ParseTenant(string(tenant)); err != nil {
		return nil, err
	}
	if v.collection, err = ParseCollection(string(o.Collection)); err != nil {
		return nil, err
	}
	if v.id, err = ParseVaultID(o.VaultID); err != nil {
		return nil, err
	}
	for _, n := range o.Scope.Names {
		if _, err := ParseName(string(n)); err != nil {
			return nil, err
		}
	}
	v.scope = Scope{Names: slices.Clone(o.Scope.Names), ReadOnly: o.Scope.ReadOnly}
	v.backend = &backend{store: store, tenant: v.tenant, log: o.Log}
	if v.backend.log == nil {
		v.backend.log = slog.New(slog.DiscardHandler)
	}
	return v, nil
}

// Tenant returns the tenant whose objects these are, as [ParseTenant] folded it.
func (v *Vault) Tenant() Tenant { return v.tenant }

// Collection returns the collection that the objects are in.
func (v *Vault) Collection() Collection { return v.collection }

// An Info is what is known of an object. Absent values are zero.
type Info struct {
	Name        Name
	Tenant      Tenant
	Collection  Collection
	Revision    int64             // microseconds since the Unix epoch; grows with every write of the name
	Rewrap      int               // how often the data key was wrapped again since that write
	Tag         string            // opaque; identifies this very write: see PutOptions.IfTag; empty without keys
	Version     string            // the store's id of it, where it was asked for or the store returned it
	Size        int64             // bytes of the value; announced, and proven only by reading to the end
	SealedSize  int64             // bytes stored
	Modified    time.Time         // the store's time of the write; zero after a write
	ContentType string            // sealed with the value
	Expires     time.Time         // sealed with the value: a note, not an access control
	Expired     bool              // Expires is not after now
	Labels      map[string]string // sealed with the value
}

// PutOptions configures [Vault.Put]. Nil, or the zero value, replaces any object. At most one
// of Create, IfTag and IfRevision may be set.
type PutOptions struct {
	// Create refuses with [ErrExist] when the name is taken.
	Create bool
	// IfTag, when not empty, refuses with [ErrConflict] unless the object has this
	// [Info].Tag: it is compare-and-swap. It costs one request more, and is [ErrUnsupported]
	// where the store has no [Swapper], or gives no tag of the object; then nothing is stored.
	IfTag string
	// IfRevision, when not 0, is the human form of IfTag: the object must have this
	// [Info].Revision, and IfRewrap as its [Info].Rewrap. Two writers may share a revision,
	// so a program takes IfTag.
	IfRevision int64
	IfRewrap   int
	// ContentType, Expires and Labels are sealed beside the value (at most 255 bytes,
	// whole seconds, 64 labels, all together 4096 bytes). The store does not see them.
	ContentType string
	Expires     time.Time
	Labels      map[string]string
}

// Put seals value and stores it under name. On error no reader will see the value,
// unless the error wraps [ErrUnsure]: then the outcome is unknown, and the value may still
// appear. When ctx has ended Put may take some 20 seconds more to find out what became of a
// request in progress, and to clean up. A value of up to 1 MiB is tried again when the store
// does not respond, a longer one streams and is tried once. It is read again only if value is an
// [io.Seeker] and the store, which stored nothing, wants the upload to be made again: another
// write of the same name was in progress, or another client aborted the upload. Where the store
// has conditional writes, a further attempt never replaces what another writer wrote meanwhile. A value that
// streams is refused with [ErrConflict] if a later Put of this Vault has stored another one
// meanwhile. An error of the reader is a [*SourceError].
func (v *Vault) Put(ctx context.Context, name Name, value io.Reader, o *PutOptions) (info Info, err error) {
	defer wrap(&err, "put", string(name))
	if value == nil {
		return Info{}, fmt.Errorf("%w: there is no reader of the value", ErrConfig)
	}
	return v.put(ctx, name, newSource(ctx, value), o)
}

func (v *Vault) put(ctx context.Context, name Name, value io.Reader, o *PutOptions) (Info, error) {
	if o == nil {
		o = &PutOptions{}
	}
	conditions := 0
	for _, set := range []bool{o.Create, o.IfTag != "", o.IfRevision != 0} {
		if set {
			conditions++
		}
	}
	if conditions > 1 || o.IfRewrap != 0 && o.IfRevision == 0 {
		return Info{}, fmt.Errorf("%w: Create, IfTag and IfRevision exclude one another, and IfRewrap goes with IfRevision", ErrConfig)
	}
	key, err := v.storable(name)
	if err != nil {
		return Info{}, err
	}
	how, err := v.condition(ctx, name, key, o)
	if err != nil {
		return Info{}, err
	}
	m := envelope.Metadata{ContentType: o.ContentType, Expires: o.Expires, Labels: maps.Clone(o.Labels)}
	if !m.Expires.IsZero() {
		m.Expires = m.Expires.UTC().Truncate(time.Second) // as it is sealed
	}
	if len(m.Labels) == 0 {
		m.Labels = nil
	}
	sealed := sealing{ref: v.ref(name), keys: v.keys, metadata: m, value: value, revisions: &v.revisions, name: name}
	if s, ok := value.(*source); ok && s.seek != nil {
		sealed.source = s
	}
	version, err := v.publish(ctx, key, how, &sealed)
	if err != nil {
		return Info{}, err
	}
	info := v.info(name, sealed.header, m)
	info.Version, info.Size, info.SealedSize = version, sealed.read, sealed.written
	return info, nil
}

// errNoTag means that a conditional write was asked for and the server gave no tag to compare.
var errNoTag = fmt.Errorf("%w: the server gives no tag of the object, so it cannot compare", ErrUnsupported)

// condition reads the object that is to be replaced, if that was asked for.
func (v *Vault) condition(ctx context.Context, name Name, key string, o *PutOptions) (condition, error) {
	switch {
	case o.Create:
		return condition{kind: create}, nil
	case o.IfTag == "" && o.IfRevision == 0:
		return condition{}, nil
	case v.store.Swap == nil || v.store.Tag == nil:
		return condition{}, fmt.Errorf("%w: it cannot compare and swap", ErrUnsupported)
	}
	h, header, err := v.current(ctx, name, key)
	switch {
	case errors.Is(err, ErrNotFound) && o.IfTag == "":
		return condition{}, fmt.Errorf("%w: there is no revision %d, the object is gone", ErrConflict, o.IfRevision)
	case errors.Is(err, ErrNotFound):
		return condition{}, fmt.Errorf("%w: the object is gone", ErrConflict)
	case err != nil:
		return condition{}, err
	case o.IfTag != "" && o.IfTag != tagOf(header):
		return condition{}, fmt.Errorf("%w: the object has the tag %s", ErrConflict, tagOf(header))
	case o.IfTag == "" && o.IfRevision != header.Revision:
		return condition{}, fmt.Errorf("%w: the object has revision %d, not %d", ErrConflict, header.Revision, o.IfRevision)
	case o.IfTag == "" && o.IfRewrap != int(header.Rewrap):
		return condition{}, fmt.Errorf("%w: revision %d was wrapped again %d times, not %d", ErrConflict, header.Revision, header.Rewrap, o.IfRewrap)
	case h.tag == "":
		return condition{}, errNoTag
	}
	return condition{kind: swap, tag: h.tag, old: h.data[:header.Len()]}, nil
}

// tagOf is the commitment, which no two writes and no two re-wraps share.
func tagOf(h *envelope.Header) string { return hex.EncodeToString(h.Commitment[:]) }

// GetOptions configures [Vault.Get]. Nil, or the zero value, reads the whole current object.
type GetOptions struct {
	// Version is an id from [Vault.History], "@N" for the N-th newest line of it (1 is
	// the current one), or "r:REVISION". Empty means current.
	Version string
	// Range, when not nil, reads a part of the value, in one or two requests. One that is
	// counted from the end, and ends before it, may take a third: it is given out only after
	// the end was verified.
	Range *Range
}

// A Range is a part of a value. The zero value is all of it.
type Range struct {
	Offset int64 // first byte; below 0, counted from the end: -5 means the last five
	Length int64 // how many; 0 or less means to the end; clipped to what is there
}

// Get opens the object called name. The caller closes the reader. A reader gives only
// what was verified, and [io.EOF] only after the end was; every error is final.
// An expired object is given all the same: see [Info].
func (v *Vault) Get(ctx context.Context, name Name, o *GetOptions) (_ *Reader, err error) {
	defer wrap(&err, "get", string(name))
	if o == nil {
		o = &GetOptions{}
	}
	key, err := v.readable(name)
	if err != nil {
		return nil, err
	}
	at, err := v.locate(ctx, key, o.Version)
	if err != nil {
		return nil, err
	}
	if at.known == nil {
		at.before = v.revisions.mark(name)
	}
	if o.Range != nil {
		return v.openRange(ctx, name, at, *o.Range)
	}
	body, err := v.fetch(ctx, at, 0, -1)
	if err != nil {
		return nil, v.absentAt(ctx, at, err)
	}
	r, err := envelope.Open(ctx, body, v.ref(name), v.keys)
	if err != nil {
		body.Close()
		return nil, v.backend.explain(err)
	}
	info, err := v.found(name, at, body.snapshot, r.Header(), r.Metadata())
	if err != nil {
		body.Close()
		return nil, err
	}
	return &Reader{v: v, info: info, header: r.Header().Bytes(), plain: r, body: body}, nil
}

// A Reader yields the verified bytes of one object. It comes from [Vault.Get].
type Reader struct {
	v      *Vault
	info   Info
	header []byte // sealed bytes of the header that was verified
	plain  io.Reader
	body   *body // nil when the first request returned all that is needed
	err    error // what every further Read returns
}

// Info returns what is known of the object. It was authenticated before Get returned.
func (r *Reader) Info() Info { return r.info }

func (r *Reader) Read(p []byte) (int, error) {
	if r.plain == nil {
		return 0, &Error{Op: "get", Err: fmt.Errorf("%w: a Reader comes from Get", ErrConfig)}
	}
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.plain.Read(p)
	if err != nil && err != io.EOF {
		// A body of its own after the header, or several requests, may mix two objects.
		if r.body != nil && r.body.finished != errClosedReader {
			err = r.v.replacedOrDamaged(r.body.ctx, r.body.at, r.header, r.body.tag, err)
		}
		err = r.v.backend.explain(err)
		wrap(&err, "get", string(r.info.Name))
	}
	r.err = err
	return n, err
}

// Close ends the request. It returns nil, also when called again: the bytes that were read
// were verified, and whether the object ends there is known only after [io.EOF].
func (r *Reader) Close() error {
	if r.body != nil {
		r.body.Close()
	}
	if r.plain != nil && r.err == nil {
		r.err = &Error{Op: "get", Name: string(r.info.Name), Err: errClosedReader}
	}
	return nil
}

// Stat returns what is known of name from the object's first 16 KiB: revision and sealed
// metadata are authenticated, the size is announced. A Vault without keys returns
// revision and size only, and neither is proven.
func (v *Vault) Stat(ctx context.Context, name Name) (info Info, err error) {
	defer wrap(&err, "stat", string(name))
	key, err := v.readable(name)
	if err != nil {
		return Info{}, err
	}
	at := place{key: key, before: v.revisions.mark(name)}
	head, err := v.head(ctx, at)
	if err != nil {
		return Info{}, v.absent(ctx, key, err)
	}
	if len(v.keys) == 0 {
		header, err := envelope.ReadHeader(bytes.NewReader(head.data))
		if err != nil {
			return Info{}, err
		}
		return v.found(name, place{}, head.snapshot, header, envelope.Metadata{})
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(head.data), v.ref(name), v.keys)
	if err != nil {
		return Info{}, v.backend.explain(err)
	}
	return v.found(name, at, head.snapshot, object.Header(), object.Metadata())
}

// An Entry is what a listing knows of an object.
type Entry struct {
	Name       Name      // empty when Foreign
	Key        string    // the object's key in the bucket
	SealedSize int64     // bytes stored
	Modified   time.Time // the store's time of the last write
	Foreign    bool      // not a key that this package makes: somebody else put it there, and it is never opened
}

// List yields the objects whose names start with prefix, in the order of their keys,
// a page of 1000 at a request. It ends after its first error.
func (v *Vault) List(ctx context.Context, prefix string) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := v.opened(); err != nil {
			wrap(&err, "list", prefix)
			yield(Entry{}, err)
			return
		}
		within := keyPrefix(v.tenant, v.collection)
		for o, err := range v.backend.list(ctx, listPrefix(v.tenant, v.collection, prefix)) {
			if err != nil {
				wrap(&err, "list", prefix)
				yield(Entry{}, err)
				return
			}
			e := Entry{Key: o.Key, SealedSize: o.Size, Modified: o.ModTime}
			name, ours := nameOf(v.tenant, v.collection, o.Key)
			e.Name, e.Foreign = name, !ours
			switch {
			case ours && (!hasPrefix(name, prefix) || !v.scope.allows(name)):
				continue
			case e.Foreign && (v.scope.Names != nil || prefix != "" && !hasPrefix(Name(o.Key[len(within):]), prefix)):
				continue
			}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// ref is what an envelope of name is bound to.
func (v *Vault) ref(name Name) envelope.Ref {
	return envelope.Ref{Vault: v.id, Tenant: string(v.tenant), Collection: string(v.collection), Name: string(name)}
}

// found makes the Info of an object that was opened, remembers its revision, and
// refuses a length that no envelope has, or a version that is not the one asked for.
func (v *Vault) found(name Name, at place, s snapshot, h *envelope.Header, m envelope.Metadata) (Info, error) {
	if err := at.check(h); err != nil {
		return Info{}, err
	}
	size, err := h.PlaintextSize(s.size)
	if err != nil {
		return Info{}, err
	}
	switch {
	case len(v.keys) == 0: // nothing was authenticated
	case at.known != nil:
		v.revisions.raise(name, h.Revision)
	default:
		v.revisions.saw(name, h.Revision, at.before)
	}
	info := v.info(name, h, m)
	info.Version, info.Size, info.SealedSize, info.Modified = s.version, size, s.size, s.modified
	return info, nil
}

func (v *Vault) info(name Name, h *envelope.Header, m envelope.Metadata) Info {
	info := Info{
		Name: name, Tenant: v.tenant, Collection: v.collection, Revision: h.Revision, Rewrap: int(h.Rewrap),
		ContentType: m.ContentType, Labels: m.Labels, Expires: m.Expires,
		Expired: !m.Expires.IsZero() && !v.revisions.now().Before(m.Expires),
	}
	if len(v.keys) > 0 {
		info.Tag = tagOf(h)
	}
	return info
}

// allows reports whether name is inside the scope.
func (s Scope) allows(name Name) bool { return s.Names == nil || slices.Contains(s.Names, name) }

// opened refuses a Vault that does not come from New.
func (v *Vault) opened() error {
	if v == nil || v.backend == nil {
		return fmt.Errorf("%w: a Vault comes from New", ErrConfig)
	}
	return nil
}

// readable checks name and scope and returns the object's key; nothing was requested.
func (v *Vault) readable(name Name) (string, error) {
	if err := v.opened(); err != nil {
		return "", err
	}
	if _, err := ParseName(string(name)); err != nil {
		return "", err
	}
	if !v.scope.allows(name) {
		return "", fmt.Errorf("%w: the name is outside the scope of this vault", ErrPermission)
	}
	return objectKey(v.tenant, v.collection, name)
}

// storable is [Vault.writable] for verbs that store something under the name.
func (v *Vault) storable(name Name) (string, error) {
	key, err := v.writable(name)
	if err == nil {
		err = name.checkNew()
	}
	return key, err
}

// writable is [Vault.readable] for verbs that change something.
func (v *Vault) writable(name Name) (string, error) {
	key, err := v.readable(name)
	if err == nil && v.scope.ReadOnly {
		return "", fmt.Errorf("%w: this vault is read-only", ErrPermission)
	}
	return key, err
}

func hasPrefix(n Name, prefix string) bool {
	return len(n) >= len(prefix) && string(n[:len(prefix)]) == prefix
}
