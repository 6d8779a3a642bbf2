package vault

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/linger"
)

// A mirror has the objects of a Vault in another store, as the same sealed bytes. The store of the
// Vault itself is the primary one: it decides about the conditions of a write. After it has stored or
// deleted an object, each mirror is brought to the state of the primary store: it gets the current
// object if that is newer, or its object is deleted. A note in the spool of the mirror says which name
// this is about, until it has been done. Because only the current state of the primary store counts, an
// old note cannot bring back what was deleted or replaced since.

// A Mirror configures the mirrors of a [Vault]: see [Options].Mirror.
type Mirror struct {
	// Vaults open the mirrors, in the order in which Get asks them. Each must have the tenant, the
	// collection, the VaultID and the keys of the Vault, and a store of its own. New binds them to the
	// new Vault: no other Vault may have them as mirrors. With an [Options].Spool of its own, this
	// machine remembers which changes a mirror does not have, and the method Sync of package spool
	// makes them later. The spool must not be that of another Vault. Without one, only [Vault.Repair]
	// makes them.
	Vaults []*Vault
	// Quorum is the number of stores, with the primary one, that must have a value before Put returns
	// nil. If fewer have it, Put returns a [*QuorumError], or the error of the primary store if that does not
	// have the value. 0 means that the primary store must have it. If the primary store cannot be reached,
	// Quorum mirrors are sufficient for a Put without a condition, if the Vault has a [Spool].
	Quorum int
	// Behind, if not nil, is called for each mirror that does not have a change yet. Several goroutines
	// may call it at once.
	Behind func(Behind)
	// Fallback, if not nil, is called when the mirror called store answers a read in place of the primary
	// store, which failed with err.
	Fallback func(store string, err error)
}

// A Behind is a change that a store does not have yet.
type Behind struct {
	Name  Name
	Store string // [Store].Name
	Err   error  // why; wraps ErrSpooled if this machine remembers the change, and ErrConflict if the mirror has a newer object
}

// A QuorumError means that fewer stores than [Mirror].Quorum have the value of a Put. The other stores
// may get it later: it is saved on this machine if the error wraps [ErrSpooled].
type QuorumError struct {
	Stored, Quorum int
	Err            error // of a store that does not have the value
}

func (e *QuorumError) Error() string {
	return fmt.Sprintf("the value is in %d of %d stores: %v", e.Stored, e.Quorum, e.Err)
}

// Unwrap returns Err.
func (e *QuorumError) Unwrap() error { return e.Err }

const (
	// mirrorTime is the time that a write waits for mirrors that the caller does not require.
	mirrorTime = 2 * time.Second
	// quorumTime is the time that a Put waits for mirrors that the quorum requires.
	quorumTime = time.Minute
)

// setMirror checks and sets the mirrors of a new Vault.
func (v *Vault) setMirror(m *Mirror) error {
	if m == nil {
		return nil
	}
	own := *m
	own.Vaults = slices.Clone(m.Vaults)
	switch {
	case m.Quorum < 0 || m.Quorum > 1+len(m.Vaults):
		return fmt.Errorf("%w: the quorum must be between 0 and the number of stores, which is %d", ErrConfig, 1+len(m.Vaults))
	case v.writer != nil:
		return fmt.Errorf("%w: objects of agentKeys cannot be mirrored", ErrConfig)
	}
	for i, other := range own.Vaults {
		switch {
		case other == nil || other.opened() != nil:
			return fmt.Errorf("%w: a mirror was not returned by New", ErrConfig)
		case other.mirror != nil || other.primary != nil || other.writer != nil:
			return fmt.Errorf("%w: a mirror belongs to another Vault, has mirrors of its own, or stores objects of agentKeys", ErrConfig)
		case other.ref("") != v.ref(""):
			return fmt.Errorf("%w: a mirror has another tenant, collection or vault id", ErrConfig)
		case other.scope.ReadOnly && !v.scope.ReadOnly:
			return fmt.Errorf("%w: a mirror is read-only", ErrConfig)
		case other.store == v.store, slices.ContainsFunc(own.Vaults[:i], func(o *Vault) bool { return o.store == other.store }):
			return fmt.Errorf("%w: two mirrors have the same store", ErrConfig)
		}
	}
	for _, other := range own.Vaults {
		other.primary = v
	}
	v.mirror = &own
	return nil
}

func (v *Vault) mirrors() []*Vault {
	if v.mirror == nil {
		return nil
	}
	return v.mirror.Vaults
}

// eachMirror calls do for all mirrors at once. It returns how many calls succeeded, and an error of
// another one. Once required calls have succeeded, it waits mirrorTime for the others.
func (v *Vault) eachMirror(ctx context.Context, name Name, required int, do func(ctx context.Context, i int, m *Vault) error) (stored int, err error) {
	wait := quorumTime
	if required <= 0 {
		wait = mirrorTime
		ctx = linger.WithEnd(ctx, time.Now().Add(2*mirrorTime))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := time.AfterFunc(wait, func() { cancel(errSlowMirror) })
	defer limit.Stop()
	var mu sync.Mutex
	var group sync.WaitGroup
	for i, m := range v.mirrors() {
		group.Go(func() {
			merr := do(ctx, i, m)
			mu.Lock()
			if merr == nil {
				if stored++; stored == required {
					limit.Reset(mirrorTime)
				}
			} else if err == nil || errors.Is(merr, ErrSpooled) {
				err = merr
			}
			mu.Unlock()
			if merr != nil {
				v.behind(name, m.name, merr)
			}
		})
	}
	group.Wait()
	return stored, err
}

// errSlowMirror means that a write does not wait for a mirror any longer.
var errSlowMirror = fmt.Errorf("%w: it did not answer in time", ErrUnavailable)

// tooSlow replaces the error of a mirror that did not answer in time.
func tooSlow(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && context.Cause(ctx) == errSlowMirror {
		return withUnfinished(errSlowMirror, unfinishedBy(err))
	}
	return err
}

// behind reports a store that does not have a change.
func (v *Vault) behind(name Name, store string, err error) {
	if v.mirror.Behind != nil {
		v.mirror.Behind(Behind{Name: name, Store: store, Err: err})
	}
}

// changes are the notes about one change of the primary store, one for each mirror.
type changes struct {
	revision int64
	deleted  bool
	keys     []envelope.KeySource // open the objects of all stores; nil: the keys of each Vault do
	notes    []Spooled            // durable and locked; nil for a mirror without a spool, or whose spool cannot be written
}

// noteChange notes that the primary store has stored or deleted an object. The end of the context does not
// prevent it. It returns nil without mirrors.
func (v *Vault) noteChange(ctx context.Context, name Name, revision int64, deleted bool) *changes {
	if len(v.mirrors()) == 0 {
		return nil
	}
	c := &changes{revision: revision, deleted: deleted, notes: make([]Spooled, len(v.mirrors()))}
	for i, m := range v.mirrors() {
		if m.spool == nil {
			continue
		}
		e := SpoolEntry{Ref: v.ref(name), Revision: revision, Created: v.revisions.now(), Mirrored: true, Deleted: deleted}
		entry, err := m.spool.Add(context.WithoutCancel(ctx), e, func(io.Writer) error { return nil })
		if err == nil {
			c.notes[i] = entry
		} else if entry != nil {
			entry.Remove()
			entry.Unlock()
		}
	}
	return c
}

// mirrorStored makes the change of s in the mirrors. The caller must have removed the entry of s from the
// spool, so that no other process waits for its lock, and a killed process does not send it again.
func (v *Vault) mirrorStored(ctx context.Context, key string, s *sealing) {
	if s.notes != nil {
		unfinished := int64(0)
		s.mirrored, unfinished, s.mirrorErr = v.mirrorChange(ctx, s.name, key, s.notes, s.quorum-1)
		s.unfinished += unfinished
		s.notes = nil
	}
}

// mirrorUnchanged brings the mirrors to the state of the primary store, which has the requested object
// already: the process that stored it may have ended before it noted the change. keys open the objects.
// unfinished is the size of the uploads that may remain.
func (v *Vault) mirrorUnchanged(ctx context.Context, name Name, key string, keys []envelope.KeySource) (unfinished int64) {
	if len(v.mirrors()) > 0 {
		_, unfinished, _ = v.mirrorChange(ctx, name, key, &changes{keys: keys, notes: make([]Spooled, len(v.mirrors()))}, 0)
	}
	return unfinished
}

// mirrorDelete deletes the object called name from the mirrors, after it was deleted from the primary
// store.
func (v *Vault) mirrorDelete(ctx context.Context, name Name, key string) {
	if len(v.mirrors()) == 0 {
		return
	}
	v.raiseSeen(ctx, name)
	revision, err := v.revisions.next(name) // a later value of the name has a later one
	if err != nil {
		revision = maxRevision // no revision is left, so no value has a later one
	}
	v.mirrorChange(ctx, name, key, v.noteChange(ctx, name, revision, true), 0)
}

// mirrorChange makes a change in the mirrors, of which required must have it. unfinished is the size of the
// uploads that may remain in the mirrors that have the change.
func (v *Vault) mirrorChange(ctx context.Context, name Name, key string, c *changes, required int) (stored int, unfinished int64, err error) {
	var sum atomic.Int64
	stored, err = v.eachMirror(ctx, name, required, func(ctx context.Context, i int, m *Vault) error {
		unfinished, err := v.bring(ctx, m, name, key, c)
		sum.Add(unfinished)
		err = tooSlow(ctx, err)
		note := c.notes[i]
		if note == nil {
			return err
		}
		defer note.Unlock()
		return m.finishNote(ctx, note, err)
	})
	return stored, sum.Load(), err
}

// deletion returns the revision of a deletion, or 0 if the change is not one.
func (c *changes) deletion() int64 {
	if c.deleted {
		return c.revision
	}
	return 0
}

// finishNote removes a note whose change was made, or is not needed because the mirror has a newer object.
func (v *Vault) finishNote(ctx context.Context, note Spooled, err error) error {
	if errors.Is(err, errNewerInMirror) {
		note.Remove() // if it stays, the next attempt finds the same
		return err
	}
	return v.finish(ctx, note, true, err)
}

// bring brings the object called name in a mirror to the state of the primary store. If the primary store
// has no object, the one of the mirror is deleted only if c is a deletion, or another one is known. An empty
// primary store is no deletion. If the mirror has a newer object, the error wraps ErrConflict. unfinished is
// the size of the uploads that may remain; if there is an error, it is in the Cause of that instead.
func (v *Vault) bring(ctx context.Context, m *Vault, name Name, key string, c *changes) (unfinished int64, err error) {
	defer func() {
		if err != nil {
			err, unfinished = withUnfinished(err, unfinished), 0
		}
	}()
	if _, err := m.writable(name); err != nil {
		return 0, err
	}
	for range maxRaces {
		if err := ctx.Err(); err != nil {
			return unfinished, v.backend.explain(err)
		}
		gone, left, err := v.copyTo(ctx, m, name, key, c.keys)
		unfinished += left
		if !gone {
			return unfinished, err
		}
		known, err := v.deletion(ctx, name, key)
		if err != nil {
			return unfinished, err
		}
		removed, newer, err := m.deleteOlder(ctx, key, max(c.deletion(), known))
		switch {
		case err == nil && newer && c.deletion() > 0:
			return unfinished, errNewerInMirror
		case err != nil || !removed:
			return unfinished, err
		}
		// Another process may have stored a value meanwhile, and in the mirror: look again.
	}
	return unfinished, fact(ErrBusy, errors.New("other writers changed the name at the same time"))
}

var errNewerInMirror = fmt.Errorf("%w: the mirror has an object with a later revision, or another one with the same revision", ErrConflict)

// copyTo copies the current object to a mirror, if it is newer. If keys is not nil, they open both objects.
// gone reports that there is none, and unfinished is the size of the uploads that may remain and are not in
// err.
func (v *Vault) copyTo(ctx context.Context, m *Vault, name Name, key string, keys []envelope.KeySource) (gone bool, unfinished int64, err error) {
	if err := v.connect(ctx); err != nil {
		return false, 0, err
	}
	if err := m.connect(ctx); err != nil {
		return false, 0, err
	}
	if len(v.keys) == 0 {
		_, err := v.readHead(ctx, place{key: key}, 0, 1)
		if err = v.absent(ctx, key, err); err == nil {
			err = fmt.Errorf("%w: there is no key to compare the object with that of the mirror", envelope.ErrUnknownKey)
		}
		return errors.Is(err, ErrNotFound), 0, err
	}
	c, err := newCopier(ctx, m, v, &CopyOptions{Names: []Name{name}, Mode: CopyNewer})
	if err != nil {
		return false, 0, err
	}
	c.mirrored, c.keys = true, keys
	var done Copied
	err = done.withUnfinished(c.current(ctx, pair{Entry: Entry{Name: name, Key: key}, inSource: true}, &done))
	var side *CopyError
	switch {
	case errors.As(err, &side) && side.Source && errors.Is(err, ErrNotFound):
		return true, unfinishedBy(err), nil
	case err == nil && (done.Status == CopyOlder || done.Status == CopyExists):
		return false, done.Unfinished, errNewerInMirror
	case side != nil:
		return false, 0, side.Err
	}
	return false, done.Unfinished, err
}

// deleteOlder deletes the object at key, unless it is newer than the revision of a deletion.
func (v *Vault) deleteOlder(ctx context.Context, key string, revision int64) (removed, newer bool, err error) {
	for attempt := 1; ; attempt++ {
		h, err := v.head(ctx, place{key: key})
		if err = v.absent(ctx, key, err); errors.Is(err, ErrNotFound) {
			return false, false, nil
		}
		if err != nil {
			return false, false, err
		}
		header, err := envelope.ReadHeader(bytes.NewReader(h.data))
		if err != nil {
			return false, false, fmt.Errorf("%w: the mirror has an object that is no envelope of this vault: %v", ErrConflict, err)
		}
		if header.Revision > revision {
			return false, true, nil // it was put after the deletion, or no deletion is known
		}
		if v.store.RemoveIf == nil || h.tag == "" {
			err = v.remove(ctx, key)
		} else if err = v.removeExactly(ctx, key, h.tag, header.Bytes()); errors.Is(err, ErrUnsupported) {
			err = v.remove(ctx, key)
		}
		if err = v.absent(ctx, key, err); err == nil || errors.Is(err, ErrNotFound) {
			return true, false, nil
		}
		if !errors.Is(err, ErrConflict) || attempt == maxRaces || !pause(ctx, attempt) {
			return false, false, err
		}
	}
}

// withoutPrimary gives the mirrors a value that the primary store did not get, because of err, and that
// is saved in the spool. If enough mirrors have it, the Put is successful.
func (v *Vault) withoutPrimary(ctx context.Context, key string, s *sealing, o *PutOptions, err error) error {
	var spooled *SpooledError
	conditional := o.Create || o.IfTag != "" || o.IfRevision != 0 // only the primary store can decide
	away := errors.As(err, &spooled) && !spooled.Refused && isAway(spooled.Err) && !errors.Is(err, ErrBusy)
	if s.quorum == 0 || conditional || s.local != nil || !away {
		return err
	}
	var unfinished atomic.Int64
	stored, _ := v.eachMirror(ctx, s.name, s.quorum, func(ctx context.Context, _ int, m *Vault) error {
		left, err := m.storeNewer(ctx, key, s)
		unfinished.Add(left)
		return tooSlow(ctx, err)
	})
	s.unfinished += unfinished.Load()
	if stored < s.quorum {
		return err
	}
	s.mirrored = stored - 1 // the primary store is behind in the place of one mirror
	v.behind(s.name, v.name, err)
	return nil
}

// storeNewer stores the envelope of s, unless there is a newer object. unfinished is the size of the uploads
// that may remain and are not in err.
func (v *Vault) storeNewer(ctx context.Context, key string, s *sealing) (unfinished int64, err error) {
	if err := v.connect(ctx); err != nil {
		return 0, err
	}
	own := &sealing{ref: s.ref, revisions: &v.revisions, name: s.name, header: s.header, written: s.written, replay: s.replay}
	e := SpoolEntry{Ref: s.ref, Revision: s.header.Revision}
	next, err := v.again(ctx, key, e, own)
	if err == nil && !next.done {
		_, err = v.publishAgain(ctx, key, e, next, own)
	}
	return own.unfinished, err
}

// checkQuorum returns an error if too few stores have the value of a Put that the primary store has.
func (v *Vault) checkQuorum(s *sealing) error {
	if stored := 1 + s.mirrored; stored < s.quorum { // the primary store has it, or a mirror in its place
		return &QuorumError{Stored: stored, Quorum: s.quorum, Err: s.mirrorErr}
	}
	return nil
}

func (v *Vault) quorum() int {
	if v.mirror == nil {
		return 0
	}
	return v.mirror.Quorum
}

// isAway reports whether err means that the store cannot be reached.
func isAway(err error) bool {
	return errors.Is(err, ErrUnavailable) && !errors.Is(err, envelope.ErrUnavailable) && !errors.Is(err, errReplaced)
}

// fromMirrors calls read for each mirror in order, until one succeeds, if the error err of the primary
// store is a reason to ask them: it cannot be reached, or its object is older than one that this machine
// knows, which a mirror may have. An object of a mirror that is older than that is not accepted, either.
func (v *Vault) fromMirrors(ctx context.Context, name Name, at place, err error, read func(m *Vault) (Info, error)) error {
	if v.mirror == nil || !isAway(err) && !errors.Is(err, ErrRollback) {
		return err
	}
	notes := ""
	for _, m := range v.mirrors() {
		if ctx.Err() != nil {
			break
		}
		var info Info
		merr := m.isNoted(ctx, name)
		if merr == nil {
			info, merr = read(m)
		}
		if merr == nil {
			if merr = v.checkMirrored(ctx, name, &at, info); merr == nil {
				v.fellBack(m, err)
				return nil
			}
		}
		notes += fmt.Sprintf("; mirror %s: %v", m.name, merr)
	}
	return fmt.Errorf("%w%s", err, notes)
}

func (v *Vault) fellBack(m *Vault, err error) {
	if v.mirror.Fallback != nil {
		v.mirror.Fallback(m.name, err)
	}
}

// errBehind means that a mirror has an older object than one that this machine knows.
var errBehind = errors.New("it is behind, and has an older value than this machine has seen")

// isNoted returns errBehind if the mirror does not have a change of the name, as its spool says.
func (v *Vault) isNoted(ctx context.Context, name Name) error {
	if v.spool == nil {
		return nil
	}
	if entries, err := v.spool.Entries(ctx, v.ref(name)); err == nil && len(entries) > 0 {
		return errBehind
	}
	return nil
}

// checkMirrored compares an object of a mirror with what this machine knows, and remembers it.
func (v *Vault) checkMirrored(ctx context.Context, name Name, at *place, info Info) error {
	if info.Tag == "" {
		return nil // without a key nothing is authenticated
	}
	h := &envelope.Header{Revision: info.Revision, Rewrap: uint16(info.Rewrap)}
	hex.Decode(h.Commitment[:], []byte(info.Tag))
	if v.checkSeen(ctx, name, at, h) != nil || at.check(h) != nil {
		return errBehind
	}
	v.saw(ctx, name, *at, h, envelope.Metadata{Expires: info.Expires})
	return nil
}
