// Package vault keeps the credentials of AI agents, or any object, sealed in a
// bucket of the operator's own. Nothing readable leaves the process: every object is
// an envelope (package envelope) bound to its vault, tenant, collection and name.
//
// A provider opens a [Store], [New] makes a [Vault] of it:
//
//	store, err := memfs.Open(ctx, memfs.Config{Dir: "/srv/vault"})
//	keys, err := kek.OpenFile("root.key")
//	v, err := vault.New(store, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a", []envelope.Source{keys}, nil)
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
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"slices"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"gocloud.dev/blob"
)

// A Vault stores and opens the objects of one tenant in one collection.
type Vault struct {
	store      *Store
	id         string
	tenant     Tenant
	collection Collection
	scope      Scope
	keys       []envelope.Source
	clock      clock
	log        *slog.Logger
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
	// Log gets a line for each request to the store: operation, key, status, time and
	// bytes, never a value. Nil means none.
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
// no request. It refuses bad names with [ErrInvalidName].
func New(store *Store, tenant Tenant, keys []envelope.Source, o *Options) (_ *Vault, err error) {
	defer wrap(&err, "open", "")
	if o == nil {
		o = &Options{}
	}
	v := &Vault{store: store, keys: slices.Clone(keys), log: o.Log, clock: clock{now: o.Now}}
	if v.log == nil {
		v.log = slog.New(slog.DiscardHandler)
	}
	if v.clock.now == nil {
		v.clock.now = time.Now
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
	return v, nil
}

// Tenant returns the tenant whose objects these are, as [ParseTenant] folded it.
func (v *Vault) Tenant() Tenant { return v.tenant }

// Collection returns the collection that the objects are in.
func (v *Vault) Collection() Collection { return v.collection }

// An Info says what is known of an object. Absent values are zero.
type Info struct {
	Name        Name
	Tenant      Tenant
	Collection  Collection
	Revision    int64             // microseconds since the Unix epoch; grows with every write of the name
	Version     string            // the store's id of it, where it was asked for or the store told
	Size        int64             // bytes of the value; announced, and proven only by reading to the end
	SealedSize  int64             // bytes stored
	Modified    time.Time         // the store's time of the write; zero after a write
	ContentType string            // sealed with the value
	Expires     time.Time         // sealed with the value: a note, not an access control
	Expired     bool              // Expires is not after now
	Labels      map[string]string // sealed with the value
}

// PutOptions configures [Vault.Put]. Nil, or the zero value, replaces what is there.
type PutOptions struct {
	// Create refuses with [ErrExist] when the name is taken.
	Create bool
	// IfRevision, when not 0, refuses with [ErrConflict] unless the object has this
	// revision. It costs one request more, and [ErrUnsupported] where the store has
	// no [Swapper].
	IfRevision int64
	// ContentType, Expires and Labels are sealed beside the value (at most 255 bytes,
	// whole seconds, 64 labels, all together 4096 bytes). The store does not see them.
	ContentType string
	Expires     time.Time
	Labels      map[string]string
}

// Put seals value and stores it under name. On error no reader will see the value,
// unless the error wraps [ErrUnsure]. When ctx has ended Put may take some 20 seconds more
// to find out what became of a request under way, and to clean up. A value of up to 1 MiB
// is tried again when the store does not answer, a longer one streams and is tried once.
// A write that is tried again may replace what another writer wrote meanwhile: where that
// matters, give Create or IfRevision.
func (v *Vault) Put(ctx context.Context, name Name, value io.Reader, o *PutOptions) (info Info, err error) {
	defer wrap(&err, "put", string(name))
	return v.put(ctx, name, value, o)
}

func (v *Vault) put(ctx context.Context, name Name, value io.Reader, o *PutOptions) (Info, error) {
	if o == nil {
		o = &PutOptions{}
	}
	if o.Create && o.IfRevision != 0 {
		return Info{}, errors.New("create and if-revision exclude each other")
	}
	key, err := v.writable(name)
	if err != nil {
		return Info{}, err
	}
	how, err := v.condition(ctx, name, key, o)
	if err != nil {
		return Info{}, err
	}
	revision, err := v.clock.next(name)
	if err != nil {
		return Info{}, err
	}
	sealed := sealing{
		ref:     v.ref(name),
		keys:    v.keys,
		options: envelope.SealOptions{Revision: revision, Metadata: envelope.Metadata{ContentType: o.ContentType, Expires: o.Expires, Labels: o.Labels}},
		value:   value,
	}
	version, err := v.publish(ctx, key, how, &sealed)
	if err != nil {
		return Info{}, err
	}
	info := v.info(name, sealed.header, sealed.options.Metadata)
	info.Version, info.Size, info.SealedSize = version, sealed.read, sealed.written
	return info, nil
}

// GetOptions configures [Vault.Get]. Nil, or the zero value, reads the whole of what
// is current.
type GetOptions struct {
	// Version is an id from [Vault.History], "@N" for the N-th newest line of it (1 is
	// the current one), or "r:REVISION". Empty means current.
	Version string
	// Range, when not nil, reads a part of the value, in two requests.
	Range *Range
}

// A Range is a part of a value.
type Range struct {
	Offset int64 // first byte; below 0, counted from the end: -5 means the last five
	Length int64 // how many; below 0 means to the end; clipped to what is there
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
		return nil, v.explain(err)
	}
	info, err := v.found(name, at, body.stored, r.Header(), r.Metadata())
	if err != nil {
		body.Close()
		return nil, err
	}
	return &Reader{v: v, info: info, plain: r, body: body}, nil
}

// A Reader yields the verified bytes of one object.
type Reader struct {
	v     *Vault
	info  Info
	plain io.Reader
	body  io.Closer
}

// Info says what the object is. It was authenticated before Get returned.
func (r *Reader) Info() Info { return r.info }

func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.plain.Read(p)
	if err != nil && err != io.EOF {
		err = r.v.explain(err)
		wrap(&err, "get", string(r.info.Name))
	}
	return n, err
}

// Close ends the request. What was read before the end was verified, the end was not.
func (r *Reader) Close() error { return r.body.Close() }

// Stat says what is known of name from the object's first 16 KiB: revision and sealed
// metadata are authenticated, the size is announced. A Vault without keys tells
// revision and size only, and neither is proven.
func (v *Vault) Stat(ctx context.Context, name Name) (info Info, err error) {
	defer wrap(&err, "stat", string(name))
	key, err := v.readable(name)
	if err != nil {
		return Info{}, err
	}
	head, err := v.head(ctx, place{key: key})
	if err != nil {
		return Info{}, v.absent(ctx, key, err)
	}
	if len(v.keys) == 0 {
		header, err := envelope.ReadHeader(bytes.NewReader(head.data))
		if err != nil {
			return Info{}, err
		}
		return v.found(name, place{}, head.stored, header, envelope.Metadata{})
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(head.data), v.ref(name), v.keys)
	if err != nil {
		return Info{}, v.explain(err)
	}
	return v.found(name, place{}, head.stored, object.Header(), object.Metadata())
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
		within := keyPrefix(v.tenant, v.collection)
		for o, err := range v.listKeys(ctx, listPrefix(v.tenant, v.collection, prefix)) {
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

// Delete removes the current object of name; its history stays where the store keeps
// one. An absent object is [ErrNotFound], except on a cloud that does not tell. It is tried
// again when the store does not answer, and may then remove what another writer wrote
// meanwhile.
func (v *Vault) Delete(ctx context.Context, name Name) (err error) {
	defer wrap(&err, "delete", string(name))
	key, err := v.writable(name)
	if err != nil {
		return err
	}
	return v.absent(ctx, key, v.remove(ctx, key))
}

// ref is what an envelope of name is bound to.
func (v *Vault) ref(name Name) envelope.Ref {
	return envelope.Ref{Vault: v.id, Tenant: string(v.tenant), Collection: string(v.collection), Name: string(name)}
}

// found makes the Info of an object that was opened, remembers its revision, and
// refuses a length that no envelope has, or a version that is not the one asked for.
func (v *Vault) found(name Name, at place, s stored, h *envelope.Header, m envelope.Metadata) (Info, error) {
	if err := at.check(h); err != nil {
		return Info{}, err
	}
	size, err := h.PlaintextSize(s.size)
	if err != nil {
		return Info{}, err
	}
	if len(v.keys) > 0 {
		v.clock.saw(name, h.Revision)
	}
	info := v.info(name, h, m)
	info.Version, info.Size, info.SealedSize, info.Modified = s.version, size, s.size, s.modified
	return info, nil
}

func (v *Vault) info(name Name, h *envelope.Header, m envelope.Metadata) Info {
	return Info{
		Name: name, Tenant: v.tenant, Collection: v.collection, Revision: h.Revision,
		ContentType: m.ContentType, Labels: m.Labels, Expires: m.Expires,
		Expired: !m.Expires.IsZero() && !v.clock.now().Before(m.Expires),
	}
}

// allows says whether name is inside the scope.
func (s Scope) allows(name Name) bool { return s.Names == nil || slices.Contains(s.Names, name) }

// readable checks name and scope and returns the object's key; nothing was requested.
func (v *Vault) readable(name Name) (string, error) {
	if _, err := ParseName(string(name)); err != nil {
		return "", err
	}
	if !v.scope.allows(name) {
		return "", fmt.Errorf("%w: the name is outside the scope of this profile", ErrPermission)
	}
	return objectKey(v.tenant, v.collection, name)
}

// writable is [Vault.readable] for verbs that change something.
func (v *Vault) writable(name Name) (string, error) {
	key, err := v.readable(name)
	if err == nil && v.scope.ReadOnly {
		return "", fmt.Errorf("%w: this profile is read-only", ErrPermission)
	}
	return key, err
}

func hasPrefix(n Name, prefix string) bool {
	return len(n) >= len(prefix) && string(n[:len(prefix)]) == prefix
}

// listKeys is the store's listing, with its requests logged and its errors explained.
func (v *Vault) listKeys(ctx context.Context, prefix string) iter.Seq2[*blob.ListObject, error] {
	return func(yield func(*blob.ListObject, error) bool) {
		token := blob.FirstPageToken
		for len(token) > 0 {
			done := v.request(ctx, "list", prefix)
			page, next, err := v.store.Bucket.ListPage(ctx, token, pageSize, &blob.ListOptions{Prefix: prefix})
			done(int64(len(page)), err)
			if err != nil {
				yield(nil, v.explain(err))
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
			token = next
		}
	}
}

// pageSize is the most keys that S3 and COS list, or delete, in one request.
const pageSize = 1000
