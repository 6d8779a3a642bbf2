package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/objectvault/objectvault/envelope"
)

// A store that returns an older object, which was sealed under the same name, cannot be detected
// from the object alone. A Seen remembers what the store has returned before.

// A Seen remembers the newest state of each object that this machine has stored or read. With
// [Options].Seen, a Vault detects that a store returns an older object, or no object any more. Package
// seen implements a Seen with files.
//
// No operation fails because a Seen cannot be read or written. Its methods return no error, so an
// implementation must report its problems in another way.
type Seen interface {
	// Last returns the recorded state of the object ref. If no state is recorded, it returns the
	// zero SeenState.
	Last(ctx context.Context, ref envelope.Ref) SeenState
	// Record replaces the recorded state with the parameter state, if the recorded state still
	// equals the parameter old. The caller got old from Last. If another process or goroutine has
	// changed it since then, Record changes nothing and returns false. Otherwise Record returns
	// true, even if it failed, because another attempt would not help.
	Record(ctx context.Context, ref envelope.Ref, old, state SeenState) bool
}

// A SeenState is a state of an object. Its fields were authenticated when they were recorded.
type SeenState struct {
	Revision int64     // 0: no state is recorded
	Rewrap   int       // how often the revision was rewrapped
	Tag      string    // [Info].Tag
	Deleted  bool      // this machine has deleted the object
	Expires  time.Time // [Info].Expires, if it was known; it belongs to Tag, so it is not compared
	Time     time.Time // when the state was recorded
}

// Compare returns a negative number if s is older than t, a positive number if s is newer, and 0
// otherwise. It compares Revision, then Rewrap. A deletion is newer than the object that it removed.
// Two writers may use the same revision. Neither of their objects is older, so Tag is not compared.
func (s SeenState) Compare(t SeenState) int {
	switch c := cmp.Or(cmp.Compare(s.Revision, t.Revision), cmp.Compare(s.Rewrap, t.Rewrap)); {
	case c != 0 || s.Deleted == t.Deleted:
		return c
	case s.Deleted:
		return 1
	}
	return -1
}

// Same reports whether s and t are equal, apart from Time.
func (s SeenState) Same(t SeenState) bool {
	return s.Compare(t) == 0 && s.Tag == t.Tag
}

// String describes the state for a message: "revision 7", or "revision 7 (rewrap counter 1)".
func (s SeenState) String() string {
	if s.Revision == legacyRevision {
		return "an object of agentKeys"
	}
	if s.Rewrap == 0 {
		return fmt.Sprintf("revision %d", s.Revision)
	}
	return fmt.Sprintf("revision %d (rewrap counter %d)", s.Revision, s.Rewrap)
}

// A SeenError means that [Options].Seen has recorded an object, and that the store returned an
// older one or none. It wraps [ErrRollback] if the object is older, and [ErrNotFound] if there is
// none.
//
// If the object is older, the store returned an old object, or the clock of another writer is slow.
// [Vault.AcceptOlder] accepts the object. If there is no object, another writer or a lifecycle rule
// of the bucket deleted it, or the store withholds it. If you know that it was deleted, call
// [Vault.Delete], which records the deletion. Delete records it even if it returns a SeenError
// itself, which it may do because the store has no object.
type SeenError struct {
	Last     SeenState // newest state that was recorded
	Returned SeenState // state of the older object; zero if the store returned none, or one of agentKeys
	Key      string    // the object's key in the bucket, if the store returned none
	Err      error     // wraps ErrRollback or ErrNotFound
}

func (e *SeenError) Error() string {
	when := e.Last.Time.UTC().Format(time.RFC3339)
	verb := "seen"
	if e.Last.Deleted {
		verb = "deleted"
	}
	switch {
	case e.Returned.Revision == 0 && errors.Is(e.Err, ErrRollback):
		return fmt.Sprintf("%v: %v was %s on this machine at %s, but the store returned an object of agentKeys, which is older", e.Err, e.Last, verb, when)
	case e.Returned.Revision == 0:
		return fmt.Sprintf("%v; last seen on this machine: %v, %s; another writer or a lifecycle rule deleted it, or the store hides it", e.Err, e.Last, when)
	}
	return fmt.Sprintf("%v: %v was %s on this machine at %s, but the store returned %v: the object is old, or the clock of its writer is slow", e.Err, e.Last, verb, when, e.Returned)
}

// Unwrap returns Err.
func (e *SeenError) Unwrap() error { return e.Err }

// stateOf returns the state of an object without metadata.
func stateOf(h *envelope.Header) SeenState {
	return SeenState{Revision: h.Revision, Rewrap: int(h.Rewrap), Tag: tagOf(h)}
}

// lastSeen returns the recorded state of ref, or the zero SeenState.
func (v *Vault) lastSeen(ctx context.Context, ref envelope.Ref) SeenState {
	if v.seen == nil {
		return SeenState{}
	}
	return v.seen.Last(ctx, ref)
}

// record replaces the recorded state old, unless state is the same and adds no expiry. It reports whether
// the recorded state was still old.
func (v *Vault) record(ctx context.Context, ref envelope.Ref, old, state SeenState) bool {
	if v.seen == nil || old.Same(state) && (state.Expires.IsZero() || !old.Expires.IsZero()) {
		return true
	}
	if state.Time = v.revisions.now(); old.Same(state) {
		state.Time = old.Time
	}
	return v.seen.Record(context.WithoutCancel(ctx), ref, old, state)
}

// mark returns the current mark of name. It must be called before the request for the object: a state
// that is recorded during the request may be newer than the object that the store returns.
func (v *Vault) mark(ctx context.Context, name Name) mark {
	m := v.revisions.mark(name)
	m.seen = v.lastSeen(ctx, v.ref(name))
	return m
}

// raiseSeen makes sure that the next write of name gets a later revision than the recorded one, even
// if the clock of this machine is slow.
func (v *Vault) raiseSeen(ctx context.Context, name Name) {
	if last := v.lastSeen(ctx, v.ref(name)); last.Revision > 0 {
		v.revisions.raise(name, last.Revision)
	}
}

// checkSeen returns an error if the current object at a place is older than the recorded one.
func (v *Vault) checkSeen(ctx context.Context, name Name, at *place, h *envelope.Header) error {
	state, last := stateOf(h), at.before.seen
	if last.Revision == 0 || state.Compare(last) >= 0 || at.accept || at.before.writing {
		return nil
	}
	// Two processes may have written the name at the same time, and one has recorded it since.
	if now := v.lastSeen(ctx, v.ref(name)); !now.Same(last) && state.Compare(now) >= 0 {
		at.before.seen = now
		return nil
	}
	return &SeenError{Last: last, Returned: state, Err: ErrRollback}
}

// maxRecords is the number of attempts to replace a recorded state that other processes also change.
const maxRecords = 4

// saw remembers a current object that was authenticated.
func (v *Vault) saw(ctx context.Context, name Name, at place, h *envelope.Header, m envelope.Metadata) {
	ref, state := v.ref(name), stateOf(h)
	state.Expires = m.Expires
	if !at.accept {
		v.revisions.saw(name, h.Revision, at.before)
		if !at.before.writing {
			v.record(ctx, ref, at.before.seen, state)
		}
		return
	}
	v.revisions.accept(name, h.Revision)
	for old, n := at.before.seen, 0; n < maxRecords && !v.record(ctx, ref, old, state); n++ {
		old = v.lastSeen(ctx, ref)
	}
}

// wrote records an object that this Vault stored. old is the state that was recorded before the write.
// If the recorded state has changed since then, another write on this machine overlapped, and either
// object may be the current one. So wrote keeps the older of the two states.
func (v *Vault) wrote(ctx context.Context, ref envelope.Ref, old SeenState, h *envelope.Header, m envelope.Metadata) {
	state := stateOf(h)
	if state.Expires = m.Expires; state.Expires.IsZero() && state.Revision == old.Revision {
		state.Expires = old.Expires // a rewrap keeps the metadata
	}
	for n := 0; n < maxRecords && !v.record(ctx, ref, old, state); n++ {
		if old = v.lastSeen(ctx, ref); old.Revision <= state.Revision {
			return
		}
	}
}

// gone adds what was seen before to the error err of reading the current object, if it is ErrNotFound.
// last is the state that was recorded before the request.
func (v *Vault) gone(ctx context.Context, ref envelope.Ref, last SeenState, err error) error {
	if !errors.Is(err, ErrNotFound) || last.Revision == 0 || last.Deleted || !v.lastSeen(ctx, ref).Same(last) {
		return err
	}
	key, _ := objectKey(Tenant(ref.Tenant), Collection(ref.Collection), Name(ref.Name)) // it was valid before the request
	return &SeenError{Last: last, Key: key, Err: err}
}

// deleted records the result err of removing an object. last is the state that was recorded before.
func (v *Vault) deleted(ctx context.Context, ref envelope.Ref, last SeenState, err error) error {
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	err = v.gone(ctx, ref, last, err)
	if last.Revision > 0 {
		state := last
		state.Deleted = true
		v.record(ctx, ref, last, state)
	}
	return err
}

// A seenPage contains what is recorded about the objects of one page of a teardown, from before
// they are removed, by key.
type seenPage map[string]seenObject

type seenObject struct {
	ref  envelope.Ref
	last SeenState
}

// seenPage returns the recorded objects among keys.
func (v *Vault) seenPage(ctx context.Context, keys []string) seenPage {
	if v.seen == nil {
		return nil
	}
	page := make(seenPage)
	for _, key := range keys {
		collection, _, _ := strings.Cut(strings.TrimPrefix(key, tenantPrefix(v.tenant)), "/")
		name, ours := nameOf(v.tenant, Collection(collection), key)
		if !ours {
			continue
		}
		ref := v.ref(name)
		ref.Collection = collection
		if last := v.lastSeen(ctx, ref); last.Revision > 0 {
			page[key] = seenObject{ref, last}
		}
	}
	return page
}

// deletedKey records that a teardown removed key.
func (v *Vault) deletedKey(ctx context.Context, page seenPage, key string) {
	if o, ok := page[key]; ok {
		v.deleted(ctx, o.ref, o.last, nil)
	}
}

// AcceptOlder records the current object called name as the newest one. This object may be older
// than an object that this Vault or its [Options].Seen remembers. Call AcceptOlder after an
// [ErrRollback], when you know why the object is older. It returns the same Info as [Vault.Stat],
// but ignores pending values. If there is no object, the error wraps [ErrNotFound], and nothing is
// recorded.
func (v *Vault) AcceptOlder(ctx context.Context, name Name) (info Info, err error) {
	defer wrap(&err, "stat", string(name))
	ctx, op := v.operate(ctx, "accept", name)
	defer op.finish(&info, &err)
	key, err := v.allowed(name)
	if err != nil {
		return Info{}, err
	}
	return v.statHere(ctx, name, place{key: key, accept: true})
}
