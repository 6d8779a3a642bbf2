package vault

import (
	"container/list"
	"fmt"
	"sync"
	"time"
)

// maxRevision is the largest revision of a header: JSON numbers are exact up to this limit.
const maxRevision = 1<<53 - 1

// maxKnownNames is the number of names whose revisions a Vault remembers.
const maxKnownNames = 1 << 14

// revisions assigns revisions to writes and remembers the highest one of each name. A revision
// is the time in microseconds since the Unix epoch, or the highest known revision of the name
// plus one, whichever is greater.
//
// Memory is bounded: revisions forgets the least recently used name. base keeps its revision,
// so that no later write of any name gets a lower one.
type revisions struct {
	now func() time.Time

	mu    sync.Mutex
	names map[Name]*list.Element // of a *known
	used  list.List              // most recently used first
	base  int64                  // the highest revision of a forgotten name
}

// known contains the revisions of one name.
type known struct {
	name  Name
	given int64 // the highest revision that was assigned to a write, or seen
	seen  int64 // the highest revision that was certainly stored, or authenticated when read
	// floor is the lowest possible revision of the current object. It does not follow seen
	// while several writes of the name are in progress, because they may arrive in any order.
	floor    int64
	writing  int  // writes in progress
	overlaps bool // writes overlapped since the last time that none was in progress
	epoch    int  // number of writes that have begun or ended
}

// of returns the entry of name. The caller must hold the lock.
func (r *revisions) of(name Name) *known {
	if e, ok := r.names[name]; ok {
		r.used.MoveToFront(e)
		return e.Value.(*known)
	}
	if len(r.names) >= maxKnownNames {
		r.forgetOne()
	}
	if r.names == nil {
		r.names = make(map[Name]*list.Element)
	}
	k := &known{name: name}
	r.names[name] = r.used.PushFront(k)
	return k
}

// forgetOne forgets the least recently used name that is not being written.
func (r *revisions) forgetOne() {
	for e := r.used.Back(); e != nil; e = e.Prev() {
		if k := e.Value.(*known); k.writing == 0 {
			r.used.Remove(e)
			delete(r.names, k.name)
			r.base = max(r.base, k.given)
			return
		}
	}
}

// next returns the revision of a write of name that is about to be sealed.
func (r *revisions) next(name Name) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of(name)
	revision := max(1, r.now().UnixMicro(), k.given+1, r.base+1)
	if revision > maxRevision {
		return 0, fmt.Errorf("%w: the name has no revisions left; delete it and use another name", ErrConflict)
	}
	k.given = revision
	return revision, nil
}

// from returns the given revision if it is later than all known ones of name, and otherwise the next one.
func (r *revisions) from(name Name, revision int64) (int64, error) {
	r.mu.Lock()
	if k := r.of(name); revision > max(k.given, r.base) && revision <= maxRevision {
		k.given = revision
		r.mu.Unlock()
		return revision, nil
	}
	r.mu.Unlock()
	return r.next(name)
}

// saw records the authenticated revision of a current object. before is the mark from before
// the request: if a write has begun or ended since, another object may be current.
func (r *revisions) saw(name Name, revision int64, before mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of(name)
	k.given, k.seen = max(k.given, revision), max(k.seen, revision)
	if k.writing == 0 && k.epoch == before.epoch {
		k.floor = max(k.floor, revision)
	}
}

// accept records that the current object has this revision, even if a later one was seen.
func (r *revisions) accept(name Name, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of(name)
	k.given, k.floor = max(k.given, revision), revision
}

// raise makes sure that later writes of name get a higher revision.
func (r *revisions) raise(name Name, revision int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of(name)
	k.given = max(k.given, revision)
}

// latest returns the highest revision of name that is known to have been stored.
func (r *revisions) latest(name Name) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.names[name]; ok {
		return e.Value.(*known).seen
	}
	return 0
}

// A mark is the state of a name before its object is requested.
type mark struct {
	floor int64 // the lowest revision that the object may have
	epoch int
	seen  SeenState // what [Seen] has recorded; zero if nothing
	// writing means that a write of the name is in progress, so that any of several objects may be
	// the current one.
	writing bool
}

// mark returns the current mark of name.
func (r *revisions) mark(name Name) mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.names[name]; ok {
		k := e.Value.(*known)
		return mark{floor: k.floor, epoch: k.epoch, writing: k.writing > 0}
	}
	return mark{}
}

// begin records the start of a write of name. The function that it returns records the end of
// the write: stored is the revision that was stored, or 0 if none certainly was.
func (r *revisions) begin(name Name) (end func(stored int64)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of(name)
	k.writing++
	k.epoch++
	k.overlaps = k.overlaps || k.writing > 1
	return func(stored int64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		k.writing--
		k.epoch++
		k.given, k.seen = max(k.given, stored), max(k.seen, stored)
		if !k.overlaps {
			k.floor = max(k.floor, stored)
		}
		if k.writing == 0 {
			k.overlaps = false
		}
	}
}
