package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/objectvault/objectvault/envelope"
)

// A StoreStatus is what a store has under a name, compared with the other stores of a [Mirror].
type StoreStatus string

const (
	StoreNewest    StoreStatus = "newest"    // the object with the latest revision
	StoreBehind    StoreStatus = "behind"    // an older object
	StoreDifferent StoreStatus = "different" // another object with the latest revision: two writers used it
	StoreMissing   StoreStatus = "missing"   // no object
	StoreFailed    StoreStatus = "failed"    // Err is the reason
)

// A StoreState is the answer of one store to [Vault.Compare].
type StoreState struct {
	Store  string // [Store].Name
	Status StoreStatus
	Info   Info  // zero if Status is StoreMissing or StoreFailed
	Err    error // nil unless Status is StoreFailed
}

// Compare asks every store for the object called name, authenticates the answers, and compares their
// revisions. The first StoreState is that of the primary store, and those of the mirrors follow. An older
// object is no [ErrRollback] while another store has the newest one, or does not answer. If all stores
// answer, and none has the newest object that this machine has seen, the error wraps a [*SeenError]. If
// none has an object, the error wraps [ErrNotFound].
func (v *Vault) Compare(ctx context.Context, name Name) (states []StoreState, err error) {
	defer wrap(&err, "get", string(name))
	ctx, op := v.operate(ctx, "compare", name)
	defer op.finish(new(Info), &err)
	key, err := v.allowed(name)
	if err != nil {
		return nil, err
	}
	last := v.lastSeen(ctx, v.ref(name))
	stores := append([]*Vault{v}, v.mirrors()...)
	states = make([]StoreState, len(stores))
	var group sync.WaitGroup
	for i, s := range stores {
		group.Go(func() { states[i] = s.state(ctx, name, key) })
	}
	group.Wait()
	newest, found, failed := SeenState{}, false, false
	for _, s := range states {
		if failed = failed || s.Status == StoreFailed; s.Status == StoreNewest {
			if state := s.Info.state(); !found || state.Compare(newest) > 0 {
				newest, found = state, true
			}
		}
	}
	switch {
	case !found && failed:
		return states, nil
	case !found:
		return states, v.gone(ctx, v.ref(name), last, ErrNotFound)
	case last.Deleted && newest.Compare(last) < 0 && states[0].Status == StoreMissing:
		allBehind(states) // this machine has deleted it, and mirrors do not know that yet
		return states, ErrNotFound
	}
	for i, s := range states {
		if s.Status != StoreNewest {
			continue
		}
		switch state := s.Info.state(); {
		case state.Compare(newest) < 0:
			states[i].Status = StoreBehind
		case state.Tag != newest.Tag:
			states[i].Status = StoreDifferent
		}
	}
	switch {
	case newest.Compare(last) >= 0:
	case !failed:
		return states, &SeenError{Last: last, Returned: newest, Err: ErrRollback}
	default: // the store that did not answer may have the newest object
		allBehind(states)
		return states, nil
	}
	v.record(ctx, v.ref(name), last, newest)
	return states, nil
}

// allBehind marks every object, because none of them is the newest one.
func allBehind(states []StoreState) {
	for i, s := range states {
		if s.Status == StoreNewest {
			states[i].Status = StoreBehind
		}
	}
}

func (i Info) state() SeenState {
	return SeenState{Revision: i.Revision, Rewrap: i.Rewrap, Tag: i.Tag}
}

// state authenticates the object of one store. It compares it with nothing.
func (v *Vault) state(ctx context.Context, name Name, key string) StoreState {
	s := StoreState{Store: v.name, Status: StoreNewest}
	if s.Err = v.connect(ctx); s.Err == nil {
		s.Info, s.Err = v.authenticated(ctx, name, key)
	}
	switch {
	case errors.Is(s.Err, ErrNotFound):
		s.Status, s.Err = StoreMissing, nil
	case s.Err != nil:
		s.Status = StoreFailed
	}
	return s
}

func (v *Vault) authenticated(ctx context.Context, name Name, key string) (Info, error) {
	h, err := v.head(ctx, place{key: key})
	if err = v.absent(ctx, key, err); err != nil {
		return Info{}, err
	}
	object, err := envelope.OpenHeader(ctx, bytes.NewReader(h.data), v.ref(name), v.keys)
	if err != nil {
		return Info{}, v.backend.explain(legacy(h.data, err))
	}
	info := v.info(name, object.Header(), object.Metadata())
	info.SealedSize, info.Modified = h.size, h.modified
	info.Size, err = object.Header().PlaintextSize(h.size)
	return info, err
}

// RepairOptions configures [Vault.Repair]. Nil, or the zero value, repairs all names.
type RepairOptions struct {
	Prefix string // of the names
	Jobs   int    // objects that are compared at once; 0 means 16
	DryRun bool   // only report
}

// A Repaired is the result of one name in one mirror.
type Repaired struct {
	// Store is the [Store].Name of the mirror that was compared.
	Store string
	// Restored means that the primary store got the object of the mirror, which was newer.
	Restored bool
	// Removed means that the object of the mirror was removed, because it was deleted from the primary
	// store.
	Removed bool
	Copied
}

// Repair compares each mirror with the primary store, name by name, and copies what is newer in both
// directions. Two lists find the names that one store does not have; for each other name, Repair reads
// the header of both objects. If the object of the mirror has a later revision, but the one of the primary
// store was written later, the clock of a writer is wrong: the status is [CopyExists], and nothing is
// changed.
//
// If only a mirror has a name, it was deleted from the primary store, or the primary store has lost it. It
// was deleted if [Options].Seen has recorded that, or if the history of the primary store shows it. Then
// it is removed from the mirror. Otherwise the status is [CopyExtra], and nothing is changed, because a
// deleted object must not come back: use [Copy] to restore a primary store that has lost its objects.
//
// If a mirror cannot be listed, Repair yields an error, with the mirror in Repaired.Store, and continues
// with the next one. If an object cannot be copied, Copied.Err is the reason. Repair needs keys. It sends no
// entries of a spool: do that first.
func (v *Vault) Repair(ctx context.Context, o *RepairOptions) iter.Seq2[Repaired, error] {
	if o == nil {
		o = &RepairOptions{}
	}
	return func(yield func(Repaired, error) bool) {
		fail := func(store string, err error) bool {
			wrap(&err, "repair", "")
			return yield(Repaired{Store: store}, err)
		}
		if err := v.opened(); err != nil {
			fail("", err)
			return
		}
		if v.scope.ReadOnly {
			fail("", fmt.Errorf("%w: this vault is read-only", ErrScope))
			return
		}
		for _, m := range v.mirrors() {
			if !v.repair(ctx, m, o, yield, fail) {
				return
			}
		}
	}
}

// repair compares one mirror. It returns false if the caller wants no more results.
func (v *Vault) repair(ctx context.Context, m *Vault, o *RepairOptions, yield func(Repaired, error) bool, fail func(string, error) bool) bool {
	var restore []Name
	for c, err := range copyAll(ctx, m, v, &CopyOptions{Prefix: o.Prefix, Mode: CopyNewer, Extra: true, Jobs: o.Jobs, DryRun: o.DryRun}, true) {
		if err != nil {
			return fail(m.name, err)
		}
		r := Repaired{Store: m.name, Copied: c}
		switch c.Status {
		case CopyOlder:
			if c.later {
				r.Status = CopyExists
				break
			}
			restore = append(restore, c.Name)
			continue
		case CopyExtra:
			v.removeDeleted(ctx, m, &r, o)
		}
		if !yield(r, nil) {
			return false
		}
	}
	for names := range slices.Chunk(restore, maxPage) {
		for c, err := range Copy(ctx, v, m, &CopyOptions{Names: names, Mode: CopyNewer, Jobs: o.Jobs, DryRun: o.DryRun}) {
			if err != nil {
				return fail(m.name, err)
			}
			if !yield(Repaired{Store: m.name, Restored: c.Status == CopyCopied, Copied: c}, nil) {
				return false
			}
		}
	}
	return true
}

// removeDeleted removes the object of a mirror, if it was deleted from the primary store.
func (v *Vault) removeDeleted(ctx context.Context, m *Vault, r *Repaired, o *RepairOptions) {
	revision, err := v.deletion(ctx, r.Name, r.Key)
	if err == nil && revision == 0 {
		return
	}
	if err != nil {
		r.Status, r.Err = CopyFailed, sided(err, true, v)
		return
	}
	if o.DryRun {
		r.Removed = true
		return
	}
	r.Unfinished, err = v.bring(ctx, m, r.Name, r.Key, &changes{revision: revision, deleted: true})
	if err != nil && !errors.Is(err, errNewerInMirror) {
		r.Status, r.Err = CopyFailed, sided(err, false, m)
		return
	}
	if r.Removed = err == nil; !r.Removed {
		r.Unfinished = unfinishedBy(err)
	}
}

// deletion returns a revision that is not earlier than that of the object that was deleted from the store,
// or 0 if no deletion is known.
func (v *Vault) deletion(ctx context.Context, name Name, key string) (revision int64, err error) {
	if last := v.lastSeen(ctx, v.ref(name)); last.Deleted {
		revision = last.Revision
	}
	if v.store.History == nil {
		return revision, nil
	}
	for version, err := range v.backend.versions(ctx, key) { // the newest one decides
		switch {
		case errors.Is(err, ErrPermission), errors.Is(err, ErrUnsupported):
			return revision, nil // the history may not be listed
		case err == nil && version.Deleted:
			revision = max(revision, version.Modified.UnixMicro())
		}
		return revision, err
	}
	return revision, nil
}
