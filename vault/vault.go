// Package vault stores the credentials of AI agents, or any other object, sealed in a bucket that
// the operator owns. Plaintext never leaves the process: every object is sealed in an envelope (see
// package envelope) that is bound to its vault, tenant, collection and name.
//
// A provider opens a [Store]; [New] returns a [Vault] that uses it:
//
//	store, err := memfs.Open(ctx, memfs.Config{Dir: "/srv/vault"})
//	keys, err := kek.OpenFile("root.key")
//	v, err := vault.New(store, "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a", []envelope.KeySource{keys}, nil)
//	info, err := v.Put(ctx, "openrouter", strings.NewReader("sk-or-v1-…"), nil)
//	r, err := v.Get(ctx, "openrouter", nil)
//
// When Put returns nil, the value is durable. When Put fails, nothing was stored, unless the error
// wraps [ErrUnsure]. A reader receives bytes that were sealed under the requested name, or an
// error. A client that may list the bucket can see the names, sizes and times of objects.
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
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/text"
)

// A Vault stores and opens the objects of one tenant in one collection.
type Vault struct {
	store      *Store       // set by New, or by connect
	backend    *backend     // every request to store goes through it
	deferral   *deferral    // nil: the store is open
	mu         sync.Mutex   // held while connect sets store
	spool      Spool        // nil: Put saves nothing on this machine
	seen       Seen         // nil: only this process remembers what it has seen
	legacy     Legacy       // nil: objects of agentKeys are not opened
	writer     LegacyWriter // nil: Put stores envelopes
	id         string
	tenant     Tenant
	collection Collection
	scope      Scope
	keys       []envelope.KeySource
	mirror     *Mirror // nil: there are no mirrors
	primary    *Vault  // of which this Vault is a mirror; nil: of none
	name       string  // of the store: store itself is set by connect
	oneKey     bool    // OneKeySuffices
	revisions  revisions

	observe   func(context.Context, Operation) // may be nil
	telemetry *telemetry                       // may be nil
}

// Options configures a [Vault]. Nil, or the zero value, is ready to use.
type Options struct {
	// VaultID separates vaults that have the same tenant and the same key: an object of one vault
	// does not open in another. A copy of a vault must use the VaultID of the original.
	VaultID string
	// Collection is the collection of the objects; empty means [DefaultCollection].
	Collection Collection
	// Scope limits the names and operations of this Vault; the zero value limits nothing.
	Scope Scope
	// OneKeySuffices makes Put succeed if at least one of several key sources can be used. The
	// others are in [Info].MissingKeys, and [Vault.Rewrap] adds them later. The zero value makes Put
	// fail if any key source cannot be used.
	OneKeySuffices bool
	// Now reports the time; nil means [time.Now].
	Now func() time.Time
	// Spool saves values on this machine until the store has them; nil saves nothing. See
	// [Vault.Put].
	Spool Spool
	// Seen remembers, across processes, the newest state of each object, so that a store cannot
	// return an older one unnoticed: see [SeenError]. Nil remembers nothing.
	Seen Seen
	// Legacy makes the Vault open, list and remove the objects that agentKeys stored for the tenant.
	// The Reader of package agentkeys is a Legacy. An envelope at the key of a name takes precedence.
	// Nil means that the Vault opens envelopes only. See [ErrLegacy].
	Legacy Legacy
	// LegacyWriter, if not nil, makes the Vault store objects of agentKeys instead of envelopes, so that
	// a program that cannot read envelopes yet reads them. It takes the place of Legacy. The Writer of
	// package agentkeys is a LegacyWriter. The format is weaker: an older object is not detected, and a
	// value has at most 1 MiB and no metadata. A Put with IfTag, IfRevision, Labels, Expires or
	// ContentType fails with [ErrUnsupported]. The Collection must be [DefaultCollection].
	LegacyWriter LegacyWriter
	// Mirror keeps copies of the objects in further stores. Each change goes to them, too. Get and Stat
	// ask them if the store of the Vault cannot be reached, or has an older object than this machine
	// has seen; List asks them if it cannot be reached. Nil means that there are none.
	Mirror *Mirror
	// Log receives one record for each request to the store; nil disables logging. A record
	// never contains a value. It has these attributes:
	//   - "op": get, put, create, swap, delete, delete-if, list, versions, leftovers, purge,
	//     settle or settled
	//   - "key": the object's key, the prefix of a listing, or the first of several keys
	//   - "keys": the number of keys in the request, or in the response
	//   - "status": "ok", or the text of a sentinel
	//   - "bytes": the sealed bytes of one object that were sent or received
	//   - "attempt": 1 for the first attempt
	//   - "duration" and "tenant"
	Log *slog.Logger
	// Observe is called after each request to the store, with what Log would get. It may be called by
	// several goroutines at once, and must not block. Nil means that there is none.
	Observe func(context.Context, Event)
	// ObserveOperation is called after each operation of the Vault. It may be called by several goroutines
	// at once, and must not block. Nil means that there is none.
	ObserveOperation func(context.Context, Operation)
	// Telemetry sends traces and metrics to OpenTelemetry; nil sends none.
	Telemetry *Telemetry
}

// An Event describes one request to the store. It never contains a value.
type Event struct {
	Op       string        // see [Options].Log
	Tenant   Tenant        // of the Vault
	Key      string        // the object's key, the prefix of a listing, or the first of several keys
	Keys     int           // number of keys in the request, or in the response
	Bytes    int64         // sealed bytes of one object that were sent or received
	Attempt  int           // 1 for the first attempt
	Duration time.Duration // until the end of the response
	Err      error         // wraps a sentinel of this package; nil if the request succeeded
}

// A Scope limits the names and operations of a [Vault]. The cloud authorizes the tenant but cannot
// authorize single names, so the Vault checks the scope before it sends a request. An operation
// outside the scope fails with [ErrPermission].
type Scope struct {
	Names    []Name // the only names that may be used; nil means all, empty means none
	ReadOnly bool   // rejects every write and delete
}

// New returns a Vault that keeps the objects of tenant in store, and seals and opens them with
// keys. It sends no request. The error wraps [ErrInvalidName] if tenant is invalid, or if the
// VaultID, the Collection or a name of the Scope in o is invalid. If store or a key source is nil,
// the error wraps [ErrConfig].
//
// Without keys, a Vault supports only List, Stat, History, Teardown, and Delete without IfTag. The
// other methods fail with [envelope.ErrUnknownKey].
func New(store *Store, tenant Tenant, keys []envelope.KeySource, o *Options) (_ *Vault, err error) {
	defer wrap(&err, "open", "")
	if o == nil {
		o = &Options{}
	}
	if store == nil || store.Bucket == nil && store.deferral == nil {
		return nil, fmt.Errorf("%w: there is no store", ErrConfig)
	}
	if slices.Contains(keys, nil) {
		return nil, fmt.Errorf("%w: a key source is nil", ErrConfig)
	}
	v := &Vault{store: store, deferral: store.deferral, spool: o.Spool, seen: o.Seen, legacy: o.Legacy, keys: slices.Clone(keys), oneKey: o.OneKeySuffices, revisions: revisions{now: o.Now}}
	if v.revisions.now == nil {
		v.revisions.now = time.Now
	}
	if o.LegacyWriter != nil {
		v.legacy, v.writer = o.LegacyWriter, o.LegacyWriter
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
	if v.writer != nil && v.collection != DefaultCollection {
		return nil, fmt.Errorf("%w: agentKeys has only the collection %s", ErrConfig, DefaultCollection)
	}
	for _, n := range o.Scope.Names {
		if _, err := ParseName(string(n)); err != nil {
			return nil, err
		}
	}
	v.scope = Scope{Names: slices.Clone(o.Scope.Names), ReadOnly: o.Scope.ReadOnly}
	v.name = store.Name
	if v.telemetry, err = newTelemetry(o.Telemetry); err != nil {
		return nil, err
	}
	v.observe = o.ObserveOperation
	v.backend = &backend{store: store, tenant: v.tenant, log: o.Log, observe: o.Observe, telemetry: v.telemetry}
	if v.backend.log == nil {
		v.backend.log = slog.New(slog.DiscardHandler)
	}
	if err := v.setMirror(o.Mirror); err != nil {
		return nil, err
	}
	return v, nil
}

// Tenant returns the tenant of the Vault, as [ParseTenant] returned it.
func (v *Vault) Tenant() Tenant { return v.tenant }

// VaultID returns the [Options].VaultID of the Vault, which may be empty.
func (v *Vault) VaultID() string { return v.id }

// Spool returns [Options].Spool.
func (v *Vault) Spool() Spool { return v.spool }

// Collection returns the collection of the Vault.
func (v *Vault) Collection() Collection { return v.collection }

// An Info describes an object. A field that is not known is zero.
type Info struct {
	Name        Name
	Tenant      Tenant
	Collection  Collection
	Revision    int64             // microseconds since the Unix epoch; a later write of the name has a greater one, but concurrent writers may use the same
	Rewrap      int               // how often this revision was rewrapped: see envelope.Rewrap
	Tag         string            // opaque id of this write, for IfTag of Put and Delete; empty if the Vault has no keys
	Version     string            // the store's id of the version; Put sets it if the store returns the id, and Get sets it if a version was requested
	Size        int64             // bytes of the value; verified only after the value was read to its end
	SealedSize  int64             // bytes stored
	Modified    time.Time         // the store's time of the write; zero in the result of Put
	ContentType string            // sealed with the value
	Expires     time.Time         // sealed with the value; informational, not an access control
	Expired     bool              // Expires has passed
	Labels      map[string]string // sealed with the value
	MissingKeys []string          // of Put, Deliver and Rotate: names of the key sources that cannot open the object yet, see [Options].OneKeySuffices
	Unfinished  int64             // bytes of multipart uploads that failed before the write succeeded and that may remain, so that the store, or a mirror, may bill them: see [Cause].Unfinished; only in the result of a write
	Pending     bool              // the value is saved on this machine, and is not known to be in the store: see [Spool]
	Legacy      string            // format of an object of agentKeys, which has no Revision, Tag or sealed metadata; empty for an envelope
	LegacyKey   string            // the object's key in the bucket, if Legacy is set
	Mirror      string            // the [Store].Name of the mirror that returned the object; empty: the store of the Vault
}

// PutOptions configures [Vault.Put]. With nil or the zero value, Put creates the object, or
// replaces the existing object of that name. At most one of Create, IfTag and IfRevision may be
// set.
type PutOptions struct {
	// Create makes Put fail with [ErrExist] if the object exists.
	Create bool
	// IfTag, if not empty, makes Put a compare-and-swap. Put sends one more request to read the
	// object, and fails with [ErrConflict] unless the object has this [Info].Tag. If the store has
	// no [Swapper], or returns no tag for the object, Put fails with [ErrUnsupported] and stores
	// nothing.
	IfTag string
	// IfRevision, if not 0, also makes Put a compare-and-swap, with a number that a person can
	// type. Put fails with [ErrConflict] unless the object has this [Info].Revision, and its
	// [Info].Rewrap equals IfRewrap. Two writers may use the same revision, so programs should use
	// IfTag.
	IfRevision int64
	IfRewrap   int
	// ContentType, Expires and Labels are sealed with the value, so the store cannot read them.
	// ContentType has at most 255 bytes. Expires is truncated to whole seconds. There are at most 64
	// labels. Encoded as JSON, the three have at most 4096 bytes.
	ContentType string
	Expires     time.Time
	Labels      map[string]string
	// Spool selects whether Put first saves the value on this machine. The zero value saves it if
	// the Vault has an [Options].Spool. Use [SpoolOff] for a loop of compare-and-swaps that can compute its
	// value again: otherwise each value that loses is kept in the spool.
	Spool SpoolMode
	// Replaces, if not nil, is an entry of [Options].Spool that has the same value, such as one that was saved
	// before the tenant was known. The caller holds its lock. The entry that Put adds to the spool takes its
	// place in the order, and Put removes it. If Put can neither store the value nor save it again, this entry
	// stays, and the error wraps a [*SpooledError]. Put unlocks it.
	Replaces Spooled

	again bool // an old value is stored again: the quorum does not matter
}

// Put seals value and stores it under name. If it fails, nothing was stored, unless the error wraps
// [ErrUnsure]. Then the outcome is unknown, and the value may appear in the store later. When ctx
// ends during a request, Put may take 5 more seconds to find out the outcome and to clean up. It also waits
// until a Read of value that is in progress has returned.
//
// Put holds a value of up to 1 MiB in memory, and retries the write if the store does not respond.
// If the store supports conditional writes, a retry never replaces a value that another writer
// stored after the first attempt.
//
// Put streams a longer value. It sends the value again only if two conditions are met. First, it is
// certain that nothing was stored, for example because another write of the name was in progress.
// Second, value is an [io.Seeker] or a [*Content], or the [Spool] has saved the value. A streamed
// Put fails with [ErrConflict] and stores nothing if this Vault has stored or read a later revision
// of the name in the meantime.
//
// With [Options].Spool, Put saves the sealed value on this machine before it sends a request. If it
// then cannot store the value, or the outcome is unknown, Put returns the Info of the value and an
// error that wraps a [*SpooledError]. The method Sync of package spool sends the value later, unless
// [SpooledError].Refused is set. A nil error still means that the store has the value. If neither
// the store nor the spool has the value, the error wraps an [*UnsavedError].
//
// If the reader fails, the error wraps a [*SourceError].
func (v *Vault) Put(ctx context.Context, name Name, value io.Reader, o *PutOptions) (info Info, err error) {
	defer wrap(&err, "put", string(name))
	ctx, op := v.operate(ctx, "put", name)
	defer op.finish(&info, &err)
	if o != nil && o.Replaces != nil {
		defer o.Replaces.Unlock()
	}
	if value == nil {
		return Info{}, fmt.Errorf("%w: the reader of the value is nil", ErrConfig)
	}
	if c, ok := value.(*Content); ok {
		defer c.close()
	}
	if o == nil || o.Replaces == nil {
		return v.put(ctx, name, newSource(ctx, value), o)
	}
	if v.spool == nil || o.Spool == SpoolOff {
		return Info{}, fmt.Errorf("%w: Replaces needs a spool", ErrConfig)
	}
	if !v.isNamed(o.Replaces.Entry(), name) {
		return Info{}, fmt.Errorf("%w: Replaces is an entry of another name, tenant, collection or vault", ErrConfig)
	}
	own := *o
	info, err = v.put(ctx, name, newSource(ctx, value), &own)
	if own.Replaces != nil { // Put has not saved the value
		err = v.finishReplaced(ctx, own.Replaces, err)
	}
	return info, err
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
		return Info{}, fmt.Errorf("%w: use only one of Create, IfTag and IfRevision, and IfRewrap only with IfRevision", ErrConfig)
	}
	key, err := v.storable(name)
	if err == nil && v.writer != nil {
		err = CheckLegacyPut(name, o)
	}
	if err != nil {
		return Info{}, err
	}
	if o.Spool == SpoolRequire && v.spool == nil {
		return Info{}, fmt.Errorf("%w: SpoolRequire is set, but this vault has no spool", ErrConfig)
	}
	m := envelope.Metadata{ContentType: o.ContentType, Expires: o.Expires, Labels: maps.Clone(o.Labels)}
	if !m.Expires.IsZero() {
		m.Expires = m.Expires.UTC().Truncate(time.Second) // as it is sealed
	}
	if len(m.Labels) == 0 {
		m.Labels = nil
	}
	v.raiseSeen(ctx, name)
	sealed := sealing{ref: v.ref(name), keys: v.keys, oneKey: v.oneKey, metadata: m, value: value, revisions: &v.revisions, name: name, writer: v.writer}
	if !o.again {
		sealed.quorum = v.quorum()
	}
	if s, ok := value.(*source); ok && s.again != nil {
		sealed.source = s
	}
	var version string
	if v.spool == nil || o.Spool == SpoolOff {
		version, err = v.sendFirst(ctx, key, &sealed, o)
	} else {
		version, err = v.putSpooled(ctx, key, &sealed, o)
	}
	v.mirrorStored(ctx, key, &sealed)
	var spooled *SpooledError
	if err != nil && !errors.As(err, &spooled) {
		return Info{}, err
	}
	info := v.infoOf(&sealed, key)
	info.Version = version
	info.Pending = spooled != nil && !spooled.Refused
	if sealed.local == nil {
		info.MissingKeys = sealed.missing
	}
	if err == nil {
		err = v.checkQuorum(&sealed)
	}
	return info, err
}

// errNoTag means that a conditional write was requested and the server returned no tag to
// compare.
var errNoTag = fmt.Errorf("%w: the server returns no tag (ETag) for the object, so the write cannot be conditional", ErrUnsupported)

// condition returns the condition of the write. For a compare-and-swap it reads the object that
// the write replaces.
func (v *Vault) condition(ctx context.Context, name Name, key string, o *PutOptions) (condition, error) {
	switch {
	case o.Create:
		return condition{kind: create}, v.noLegacy(ctx, name, key)
	case o.IfTag == "" && o.IfRevision == 0:
		return condition{}, nil
	case v.store.Swap == nil || v.store.Tag == nil:
		return condition{}, errNoSwap
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
		return condition{}, fmt.Errorf("%w: revision %d was rewrapped %s, not %s", ErrConflict, header.Revision, text.Count(int(header.Rewrap), "time", "times"), text.Count(o.IfRewrap, "time", "times"))
	case h.tag == "":
		return condition{}, errNoTag
	}
	return condition{kind: swap, tag: h.tag, old: h.data[:header.Len()]}, nil
}

// CheckSwap returns an error that wraps [ErrUnsupported] if the store has no compare-and-swap, so that
// a Put with IfTag or IfRevision would store nothing. It opens a deferred store, and sends no other
// request. Some servers refuse every condition all the same: then Put fails with [ErrConflict].
func (v *Vault) CheckSwap(ctx context.Context) error {
	if err := v.opened(); err != nil {
		return err
	}
	if err := v.connect(ctx); err != nil {
		return err
	}
	if v.store.Swap == nil || v.store.Tag == nil {
		return errNoSwap
	}
	return nil
}

var errNoSwap = fmt.Errorf("%w: compare-and-swap", ErrUnsupported)

// tagOf returns the commitment, which is unique to each write and each rewrap.
func tagOf(h *envelope.Header) string { return hex.EncodeToString(h.Commitment[:]) }

// GetOptions configures [Vault.Get]. With nil or the zero value, Get reads the whole current
// object.
type GetOptions struct {
	// Version selects a version of the object. It is an id from [Vault.History], or "@N" for the
	// N-th newest entry of the history, or "r:REVISION" for the newest version with that revision.
	// "@1" is the newest entry; delete markers count. Empty means the current object. If the
	// version does not exist, or is a delete marker, the error wraps [ErrNotFound].
	Version string
	// Range, if not nil, selects a part of the value. Get reads it with one or two requests. If
	// Offset is negative, Get may send a third request, because it must first verify where the
	// object ends.
	Range *Range
	// IfNoneTag is the [Info].Tag of a value that the caller has. If the object still has it, Get
	// returns [ErrUnchanged]. It unwraps no key, and sends one request if Version is empty. The tag of
	// the object is not authenticated: a store can claim that an object is unchanged, as it can return
	// an old one. A pending value is always returned.
	IfNoneTag string

	header bool // of Open: open only the header
}

// A Range is a part of a value. The zero Range is the whole value.
type Range struct {
	Offset int64 // position of the first byte; if negative, counted from the end: -5 means the last five bytes
	Length int64 // number of bytes; 0 or less means all bytes to the end; shortened if the value ends earlier
}

// Get opens the object called name. The caller must close the Reader. The Reader returns only
// verified bytes, and returns [io.EOF] only after it has verified the end of the object. After an
// error, every further Read returns the same error. Get also opens an object whose [Info].Expires
// has passed.
//
// A large object is read with several requests: see [Store].Parallel. If it is replaced or removed before
// the last one, Read returns an error that wraps [ErrUnavailable] or [ErrNotFound].
//
// If the object does not exist, the error wraps [ErrNotFound]. If the envelope cannot be opened,
// the error wraps a sentinel of package envelope. If this Vault has read or stored a newer object,
// the error wraps [ErrRollback]. With [Options].Seen, the error wraps a [*SeenError] if this
// machine has recorded a newer object, or if it has recorded an object and the store has none.
//
// With [Options].Spool, Get returns the pending value of the name, with [Info].Pending set, in
// these cases: the store cannot be reached, does not accept the caller, or has no object or an
// older one. Get never returns a value that the store refused.
func (v *Vault) Get(ctx context.Context, name Name, o *GetOptions) (r *Reader, err error) {
	defer wrap(&err, "get", string(name))
	ctx, op := v.operate(ctx, "get", name)
	defer func() {
		if err != nil {
			op.end(Info{}, err)
		} else {
			r.op = op
		}
	}()
	if o == nil {
		o = &GetOptions{}
	}
	key, err := v.allowed(name)
	if err != nil {
		return nil, err
	}
	for range maxRaces {
		entry := v.pendingOf(ctx, name)
		if o.Version != "" || entry == nil {
			break
		}
		r, err := v.get(ctx, name, key, o)
		var info Info
		if err == nil {
			info = r.info
		}
		if !prefersPending(entry.Entry(), info, err) {
			return r, err
		}
		if err == nil {
			r.Close()
		}
		if r, err = v.readPending(ctx, name, entry, o.Range); !errors.Is(err, ErrNotFound) {
			return r, err
		}
		// Another process has sent the entry, or ended it, after the store was read.
	}
	return v.get(ctx, name, key, o)
}

// get opens an object of the store, or else of a mirror.
func (v *Vault) get(ctx context.Context, name Name, key string, o *GetOptions) (*Reader, error) {
	if v.mirror == nil {
		return v.getHere(ctx, name, key, o)
	}
	at := place{key: key, before: v.mark(ctx, name)}
	r, err := v.getHere(ctx, name, key, o)
	if err == nil || o.Version != "" {
		return r, err
	}
	whole := *o
	whole.IfNoneTag = "" // a mirror that is behind must not answer
	err = v.fromMirrors(ctx, name, at, err, func(m *Vault) (Info, error) {
		if r != nil {
			r.Close() // of a mirror that is behind
		}
		var merr error
		if r, merr = m.getHere(ctx, name, key, &whole); merr != nil {
			return Info{}, merr
		}
		r.info.Mirror = m.name
		return r.info, nil
	})
	if err != nil && r != nil {
		r.Close()
		r = nil
	}
	return r, err
}

// getHere opens an object of the store.
func (v *Vault) getHere(ctx context.Context, name Name, key string, o *GetOptions) (*Reader, error) {
	if err := v.connect(ctx); err != nil {
		return nil, err
	}
	at, err := v.locate(ctx, key, o.Version)
	if err != nil {
		return nil, err
	}
	at.unless, at.headerOnly = o.IfNoneTag, o.header
	if at.known != nil {
		r, err := v.getAt(ctx, name, at, o.Range)
		if v.mayBeLegacy(err) {
			return v.getLegacy(ctx, name, at, o.Range, err)
		}
		return r, err
	}
	at.before = v.mark(ctx, name)
	r, err := v.getAt(ctx, name, at, o.Range)
	for attempt := 1; v.mayBeLegacy(err); attempt++ {
		if r, err = v.getLegacy(ctx, name, at, o.Range, err); err != errReplaced || attempt == maxReplaced || !pause(ctx, attempt) {
			break
		}
		at.before = v.mark(ctx, name) // an envelope has replaced the object of agentKeys
		r, err = v.getAt(ctx, name, at, o.Range)
	}
	return r, v.gone(ctx, v.ref(name), at.before.seen, err)
}

// getAt opens the object, or the part of it, at one place.
func (v *Vault) getAt(ctx context.Context, name Name, at place, part *Range) (*Reader, error) {
	if part != nil || at.headerOnly {
		return v.openRange(ctx, name, at, part)
	}
	body, err := v.fetch(ctx, at, 0, -1)
	if err != nil {
		return nil, v.absentAt(ctx, at, err)
	}
	sealed := io.Reader(body)
	if at.unless != "" {
		var start bytes.Buffer
		header, err := envelope.ReadHeader(io.TeeReader(body, &start))
		if err == nil {
			err = v.checkChanged(ctx, name, at, header)
		}
		if errors.Is(err, ErrUnchanged) {
			body.Close()
			return nil, err
		}
		sealed = io.MultiReader(&start, body)
	}
	r, err := envelope.Open(ctx, sealed, v.ref(name), v.keys)
	if err != nil {
		body.Close()
		if !v.readsLegacy() { // otherwise findLegacy does it
			err = v.describeLegacy(ctx, at, err)
		}
		return nil, v.backend.explain(err)
	}
	info, err := v.found(ctx, name, at, body.snapshot, r.Header(), r.Metadata())
	if err != nil {
		body.Close()
		return nil, err
	}
	return &Reader{v: v, info: info, header: r.Header().Bytes(), plain: r, body: body, object: r.Object()}, nil
}

// checkChanged returns an [ErrUnchanged] if the object has the tag that the caller has. It leaves it to
// found to refuse an object that is older than a known one, or is not the requested one.
func (v *Vault) checkChanged(ctx context.Context, name Name, at place, h *envelope.Header) error {
	switch {
	case at.unless == "", at.unless != tagOf(h), v.checkSeen(ctx, name, &at, h) != nil, at.check(h) != nil:
		return nil
	case at.known == nil && h.Revision < v.revisions.latest(name):
		return nil
	}
	return &unchangedError{h.Revision}
}

// An unchangedError is an [ErrUnchanged].
type unchangedError struct{ revision int64 }

func (e *unchangedError) Error() string { return ErrUnchanged.Error() }
func (e *unchangedError) Unwrap() error { return ErrUnchanged }

// A Reader returns the verified bytes of one object. [Vault.Get] opens it.
type Reader struct {
	v       *Vault
	info    Info
	header  []byte // sealed bytes of the header that was verified
	plain   io.Reader
	body    *body            // nil if the first request returned the whole range
	object  *envelope.Object // the whole value, for Download; nil: it can only be read in order
	remote  *remote          // of Open
	local   io.Closer        // the entry of the spool; nil: the value is in the store
	started bool             // Read or WriteTo was called
	err     error            // returned by every further Read
	op      *operation       // ends with the Reader
}

// Info describes the object. Revision, Rewrap, Tag and the sealed metadata were authenticated
// before Get returned. Size is verified only when Read returns [io.EOF]. SealedSize, Modified and
// Version are reported by the store and are not authenticated.
func (r *Reader) Info() Info { return r.info }

// Read implements [io.Reader]. See [Vault.Get] for its guarantees.
func (r *Reader) Read(p []byte) (int, error) {
	if r.plain == nil {
		return 0, &Error{Op: "get", Err: fmt.Errorf("%w: the Reader was not returned by Get", ErrConfig)}
	}
	if r.err != nil {
		return 0, r.err
	}
	r.started = true
	n, err := r.plain.Read(p)
	if err != io.EOF {
		err = r.checked(err)
	}
	r.end(err)
	return n, err
}

// end records the error that every further Read returns; nil: none.
func (r *Reader) end(err error) {
	if r.err = err; err != nil {
		r.op.endRead(r.info, err)
	}
}

// checked explains the error of reading the value.
func (r *Reader) checked(err error) error {
	if err == nil {
		return nil
	}
	// If header and payload were read by different requests, they may belong to two objects.
	if r.body != nil && r.body.finished != errClosedReader {
		err = r.v.replacedOrDamaged(r.body.parent, r.body.at, r.header, r.body.tag, err)
	}
	err = r.v.backend.explain(err)
	wrap(&err, "get", string(r.info.Name))
	return err
}

// Close ends the request, if it is still in progress. It always returns nil, and may be called more
// than once, but not while another goroutine reads: cancel the context of Get to end a Read. Only [io.EOF]
// from Read proves that the object was complete.
func (r *Reader) Close() error {
	if r.body != nil {
		r.body.Close()
	}
	if r.local != nil {
		r.local.Close()
	}
	if r.plain != nil && r.err == nil {
		r.op.end(r.info, nil)
		r.err = &Error{Op: "get", Name: string(r.info.Name), Err: errClosedReader}
	}
	return nil
}

// Stat describes the object called name without reading its value. It reads the first 16 KiB of the
// object. Revision and sealed metadata are authenticated, but sizes and times are not. A Vault
// without keys returns no metadata, and nothing is authenticated.
//
// With [Options].Spool, Stat describes the pending value in the cases in which [Vault.Get] returns
// it.
func (v *Vault) Stat(ctx context.Context, name Name) (info Info, err error) {
	defer wrap(&err, "stat", string(name))
	ctx, op := v.operate(ctx, "stat", name)
	defer op.finish(&info, &err)
	key, err := v.allowed(name)
	if err != nil {
		return Info{}, err
	}
	for range maxRaces {
		entry := v.pendingOf(ctx, name)
		if info, err = v.stat(ctx, name, place{key: key}); entry == nil || !prefersPending(entry.Entry(), info, err) {
			return info, err
		}
		value, info, err := v.pendingInfo(ctx, name, entry)
		if err == nil {
			value.Close()
		}
		if !errors.Is(err, ErrNotFound) {
			return info, err
		}
		// Another process has sent the entry, or ended it, after the store was read.
	}
	return v.stat(ctx, name, place{key: key})
}

// stat describes the current object at a place of the store, or else of a mirror.
func (v *Vault) stat(ctx context.Context, name Name, at place) (info Info, err error) {
	if v.mirror == nil {
		return v.statHere(ctx, name, at)
	}
	before := at
	before.before = v.mark(ctx, name)
	if info, err = v.statHere(ctx, name, at); err == nil {
		return info, nil
	}
	err = v.fromMirrors(ctx, name, before, err, func(m *Vault) (found Info, merr error) {
		found, merr = m.statHere(ctx, name, at)
		found.Mirror = m.name
		info = found
		return found, merr
	})
	if err != nil {
		return Info{}, err
	}
	return info, nil
}

// statHere describes the current object at a place of the store.
func (v *Vault) statHere(ctx context.Context, name Name, at place) (Info, error) {
	if err := v.connect(ctx); err != nil {
		return Info{}, err
	}
	for attempt := 1; ; attempt++ {
		info, err := v.statOnce(ctx, name, at)
		if err != errReplaced || !v.readsLegacy() || attempt == maxReplaced || !pause(ctx, attempt) {
			return info, err
		}
	}
}

// statOnce is stat. It returns errReplaced if an envelope replaces an object of agentKeys meanwhile.
func (v *Vault) statOnce(ctx context.Context, name Name, at place) (Info, error) {
	at.before = v.mark(ctx, name)
	head, err := v.head(ctx, at)
	if err != nil {
		if err = v.absent(ctx, at.key, err); v.mayBeLegacy(err) {
			o, err := v.openLegacy(ctx, name, at, err)
			return o.info, v.gone(ctx, v.ref(name), at.before.seen, err)
		}
		return Info{}, v.gone(ctx, v.ref(name), at.before.seen, err)
	}
	if len(v.keys) == 0 && !at.accept {
		header, err := envelope.ReadHeader(bytes.NewReader(head.data))
		if err != nil {
			return Info{}, legacy(head.data, err)
		}
		return v.found(ctx, name, place{}, head.snapshot, header, envelope.Metadata{})
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(head.data), v.ref(name), v.keys)
	if v.mayBeLegacy(err) {
		o, err := v.openLegacy(ctx, name, at, legacy(head.data, v.backend.explain(err)))
		return o.info, err
	}
	if err != nil {
		return Info{}, v.backend.explain(legacy(head.data, err))
	}
	return v.found(ctx, name, at, head.snapshot, object.Header(), object.Metadata())
}

// ref returns the full name that the envelope of name is bound to.
func (v *Vault) ref(name Name) envelope.Ref {
	return envelope.Ref{Vault: v.id, Tenant: string(v.tenant), Collection: string(v.collection), Name: string(name)}
}

// found returns the Info of an object that was opened and remembers its revision. It rejects a
// length that no envelope has, and a version other than the requested one.
func (v *Vault) found(ctx context.Context, name Name, at place, s snapshot, h *envelope.Header, m envelope.Metadata) (Info, error) {
	if err := v.checkSeen(ctx, name, &at, h); err != nil {
		return Info{}, err
	}
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
		v.saw(ctx, name, at, h, m)
	}
	info := v.info(name, h, m)
	info.Version, info.Size, info.SealedSize, info.Modified = s.version, size, s.size, s.modified
	return info, nil
}

// infoOf describes what s has stored at key, or saved on this machine.
func (v *Vault) infoOf(s *sealing, key string) Info {
	info := Info{}
	if s.object != nil {
		info = v.legacyInfo(s, key)
	} else {
		info = v.info(s.name, s.header, s.metadata)
		info.Size, info.SealedSize = s.read, s.written
	}
	info.Unfinished = s.unfinished
	return info
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

// Check returns an error that wraps [ErrPermission] if the scope does not contain name, or if write is
// true and the scope is read-only.
func (s Scope) Check(name Name, write bool) error {
	switch {
	case s.Names != nil && !slices.Contains(s.Names, name):
		return fmt.Errorf("%w: the name is outside the scope of this vault", ErrScope)
	case write && s.ReadOnly:
		return fmt.Errorf("%w: this vault is read-only", ErrScope)
	}
	return nil
}

// opened returns an error if the Vault was not made by New.
func (v *Vault) opened() error {
	if v == nil || v.backend == nil {
		return fmt.Errorf("%w: the Vault was not returned by New", ErrConfig)
	}
	return nil
}

// readable checks name and scope, opens a deferred store, and returns the key of the object.
func (v *Vault) readable(ctx context.Context, name Name) (string, error) {
	key, err := v.allowed(name)
	if err == nil {
		err = v.connect(ctx)
	}
	return key, err
}

// allowed checks name and scope and returns the key of the object. It sends no request.
func (v *Vault) allowed(name Name) (string, error) {
	if err := v.opened(); err != nil {
		return "", err
	}
	if _, err := ParseName(string(name)); err != nil {
		return "", err
	}
	if err := v.scope.Check(name, false); err != nil {
		return "", err
	}
	return objectKey(v.tenant, v.collection, name)
}

// storable is [Vault.writable] for operations that store an object under the name.
func (v *Vault) storable(name Name) (string, error) {
	key, err := v.writable(name)
	if err == nil {
		err = name.checkNew()
	}
	return key, err
}

// writable is [Vault.allowed] for operations that change the store.
func (v *Vault) writable(name Name) (string, error) {
	key, err := v.allowed(name)
	if err == nil {
		err = v.scope.Check(name, true)
	}
	return key, err
}

func hasPrefix(n Name, prefix string) bool {
	return len(n) >= len(prefix) && string(n[:len(prefix)]) == prefix
}
