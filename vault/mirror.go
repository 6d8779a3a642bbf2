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
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/linger"
)

// A Mirror keeps the objects of a Vault in further stores, as the same sealed bytes. The store of the
// Vault itself is the primary one: it decides about the conditions of a write. What it has stored or
// deleted then goes to each mirror, through the spool of the mirror, if it has one. So a mirror that
// cannot be reached gets the change later. A change of a mirror never replaces a newer object there.

// A Mirror configures the mirrors of a [Vault]: see [Options].Mirror.
type Mirror struct {
	// Vaults open the mirrors, in the order in which Get asks them. Each must have the tenant, the
	// collection, the VaultID and the keys of the Vault, and a store of its own. With an
	// [Options].Spool of its own, a change that a mirror does not get is saved on this machine, and
	// the method Sync of package spool sends it later. Without one, only [Vault.Repair] does.
	Vaults []*Vault
	// Quorum is the number of stores, with the primary one, that must have a value before Put returns
	// nil. Otherwise Put returns a [*QuorumError]. 0 means that the primary store must have it. If the
	// primary store cannot be reached, Quorum mirrors are sufficient for a Put without a condition, if
	// the Vault has a [Spool].
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
	Err   error  // why; wraps ErrSpooled if the change is saved on this machine
}

// A QuorumError means that fewer stores than [Mirror].Quorum have the value of a Put. The other stores
// may get it later: it is saved on this machine if the error wraps [ErrSpooled].
type QuorumError struct {
	Stored, Quorum int
	Err            error // of a store that does not have the value
}

func (e *QuorumError) Error() string {
	return fmt.Sprintf("%d of %d stores have the value: %v", e.Stored, e.Quorum, e.Err)
}

// Unwrap returns Err.
func (e *QuorumError) Unwrap() error { return e.Err }

// mirrorTime is the time that a write waits for mirrors that the caller does not require.
const mirrorTime = 2 * time.Second

// setMirror checks and sets the mirrors of a new Vault.
func (v *Vault) setMirror(m *Mirror) error {
	if m == nil {
		return nil
	}
	own := *m
	own.Vaults = slices.Clone(m.Vaults)
	v.mirror = &own
	switch {
	case m.Quorum < 0 || m.Quorum > 1+len(m.Vaults):
		return fmt.Errorf("%w: the quorum must be between 0 and the number of stores, which is %d", ErrConfig, 1+len(m.Vaults))
	case v.writer != nil:
		return fmt.Errorf("%w: objects of agentKeys cannot be mirrored", ErrConfig)
	}
	for i, other := range m.Vaults {
		switch {
		case other == nil || other.opened() != nil:
			return fmt.Errorf("%w: a mirror was not returned by New", ErrConfig)
		case other.mirror != nil || other.writer != nil:
			return fmt.Errorf("%w: a mirror has mirrors of its own, or stores objects of agentKeys", ErrConfig)
		case other.ref("") != v.ref(""):
			return fmt.Errorf("%w: a mirror has another tenant, collection or vault id", ErrConfig)
		case other.store == v.store, slices.ContainsFunc(m.Vaults[:i], func(o *Vault) bool { return o.store == other.store }):
			return fmt.Errorf("%w: two mirrors have the same store", ErrConfig)
		}
	}
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
func (v *Vault) eachMirror(ctx context.Context, name Name, required int, do func(context.Context, *Vault) error) (stored int, err error) {
	outer := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if required <= 0 {
		ctx = linger.WithEnd(ctx, time.Now().Add(2*mirrorTime))
		defer time.AfterFunc(mirrorTime, cancel).Stop()
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	for _, m := range v.mirrors() {
		group.Go(func() {
			merr := do(ctx, m)
			if errors.Is(merr, context.Canceled) && outer.Err() == nil {
				merr = tooSlow(merr)
			}
			mu.Lock()
			if merr == nil {
				if stored++; stored == required {
					time.AfterFunc(mirrorTime, cancel)
				}
			} else if err == nil || errors.Is(merr, ErrSpooled) {
				err = merr
			}
			mu.Unlock()
			if merr != nil {
				v.behind(name, m.store.Name, merr)
			}
		})
	}
	group.Wait()
	return stored, err
}

// tooSlow replaces the error of a mirror for which a write does not wait any longer.
func tooSlow(err error) error {
	slow := fmt.Errorf("%w: it did not answer within %v", ErrUnavailable, mirrorTime)
	if spooled := (*SpooledError)(nil); errors.As(err, &spooled) {
		return &SpooledError{ID: spooled.ID, Err: slow}
	}
	return slow
}

// behind reports a store that does not have a change.
func (v *Vault) behind(name Name, store string, err error) {
	if v.mirror.Behind != nil {
		v.mirror.Behind(Behind{Name: name, Store: store, Err: err})
	}
}

// mirrorWrite gives the mirrors the object that s has stored at key, of which required must get it.
func (v *Vault) mirrorWrite(ctx context.Context, key string, s *sealing, required int) {
	if len(v.mirrors()) == 0 {
		return
	}
	s.mirrored, s.mirrorErr = v.eachMirror(ctx, s.name, required, func(ctx context.Context, m *Vault) error {
		if s.repeatable() && m.spool != nil && s.written <= m.spool.Limit() {
			e := SpoolEntry{Ref: s.ref, Revision: s.header.Revision, Mirrored: true}
			entry, err := m.keep(ctx, e, func(w io.Writer) error { return s.fill(ctx, w) })
			if err == nil {
				return m.deliverKept(ctx, entry)
			}
		}
		return v.copyTo(ctx, m, s.name, key)
	})
}

// copyTo copies the current object to a mirror, if it is newer.
func (v *Vault) copyTo(ctx context.Context, m *Vault, name Name, key string) error {
	if err := ctx.Err(); err != nil {
		return v.backend.explain(err)
	}
	c, err := newCopier(ctx, m, v, &CopyOptions{Names: []Name{name}, Mode: CopyNewer})
	if err != nil {
		return err
	}
	return c.current(ctx, pair{Entry: Entry{Name: name, Key: key}, inSource: true}, new(Copied))
}

// mirrorDelete deletes the object called name from the mirrors, after it was deleted from the primary
// store.
func (v *Vault) mirrorDelete(ctx context.Context, name Name, key string) error {
	if len(v.mirrors()) == 0 {
		return nil
	}
	v.raiseSeen(ctx, name)
	revision, err := v.revisions.next(name) // a later value of the name has a later one
	if err != nil {
		return err
	}
	v.eachMirror(ctx, name, 0, func(ctx context.Context, m *Vault) error {
		if m.spool != nil {
			e := SpoolEntry{Ref: v.ref(name), Revision: revision, Mirrored: true, Deleted: true}
			entry, err := m.keep(ctx, e, func(io.Writer) error { return nil })
			if err == nil {
				return m.deliverKept(ctx, entry)
			}
		}
		if err := m.connect(ctx); err != nil {
			return err
		}
		_, err := m.deleteOlder(ctx, name, key, revision)
		return err
	})
	return nil
}

// keep adds an entry to the spool of a mirror. The end of the context does not prevent it.
func (v *Vault) keep(ctx context.Context, e SpoolEntry, fill func(io.Writer) error) (Spooled, error) {
	e.Created = v.revisions.now()
	entry, err := v.spool.Add(context.WithoutCancel(ctx), e, fill)
	if err != nil && entry != nil {
		entry.Remove()
		entry.Unlock()
	}
	return entry, err
}

// deliverKept sends an entry, and the older entries of the same name before it.
func (v *Vault) deliverKept(ctx context.Context, entry Spooled) error {
	e := entry.Entry()
	entry.Unlock()
	if err := v.sendOlder(ctx, &sealing{ref: e.Ref}, e.ID); err != nil {
		return &SpooledError{ID: e.ID, Err: err}
	}
	_, err := v.Deliver(ctx, entry)
	return err
}

// deleteOlder deletes the object at key, unless it is newer than the revision of a deletion.
func (v *Vault) deleteOlder(ctx context.Context, name Name, key string, revision int64) (newer bool, err error) {
	for attempt := 1; ; attempt++ {
		h, err := v.head(ctx, place{key: key})
		if err = v.absent(ctx, key, err); errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		header, err := envelope.ReadHeader(bytes.NewReader(h.data))
		if err != nil {
			return false, fmt.Errorf("%w: the mirror has an object that is no envelope of this vault: %v", ErrConflict, err)
		}
		if header.Revision > revision {
			return true, nil // it was put after the deletion
		}
		if v.store.RemoveIf == nil || h.tag == "" {
			err = v.remove(ctx, key)
		} else if err = v.removeExactly(ctx, key, h.tag, header.Bytes()); errors.Is(err, ErrUnsupported) {
			err = v.remove(ctx, key)
		}
		if err = v.absent(ctx, key, err); errors.Is(err, ErrNotFound) {
			return false, nil
		}
		if !errors.Is(err, ErrConflict) || attempt == maxRaces || !pause(ctx, attempt) {
			return false, err
		}
	}
}

// repeatable reports whether fill can be called again, also by several goroutines at once.
func (s *sealing) repeatable() bool { return s.replay != nil || s.sealed != nil }

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
		info, merr := read(m)
		if merr == nil {
			if merr = v.checkMirrored(ctx, name, &at, info); merr == nil {
				v.fellBack(m, err)
				return nil
			}
		}
		notes += fmt.Sprintf("; mirror %s: %v", m.store.Name, merr)
	}
	return fmt.Errorf("%w%s", err, notes)
}

func (v *Vault) fellBack(m *Vault, err error) {
	if v.mirror.Fallback != nil {
		v.mirror.Fallback(m.store.Name, err)
	}
}

// errBehind means that a mirror has an older object than one that this machine knows.
var errBehind = errors.New("it is behind, and has an older value than this machine has seen")

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
	v.saw(ctx, name, *at, h)
	return nil
}

// checkQuorum returns an error if too few stores have the value of a Put that the primary store has.
func (v *Vault) checkQuorum(s *sealing) error {
	if stored := 1 + s.mirrored; stored < s.quorum {
		return &QuorumError{Stored: stored, Quorum: s.quorum, Err: s.mirrorErr}
	}
	return nil
}

// withoutPrimary gives the mirrors a value that the primary store did not get, because of err, and that
// is saved in the spool. If enough mirrors have it, the Put is successful.
func (v *Vault) withoutPrimary(ctx context.Context, key string, s *sealing, o *PutOptions, err error) error {
	var spooled *SpooledError
	conditional := o.Create || o.IfTag != "" || o.IfRevision != 0 // only the primary store can decide
	if s.quorum == 0 || conditional || s.local != nil || !errors.As(err, &spooled) || spooled.Refused {
		return err
	}
	v.mirrorWrite(ctx, key, s, s.quorum)
	if s.mirrored < s.quorum {
		return err
	}
	s.mirrored-- // the primary store is behind in its place
	v.behind(s.name, v.store.Name, err)
	return nil
}

func (v *Vault) quorum() int {
	if v.mirror == nil {
		return 0
	}
	return v.mirror.Quorum
}
