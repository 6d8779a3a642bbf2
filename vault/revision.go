package vault

import (
	"container/list"
	"fmt"
	"sync"
	"time"
)

// maxRevision is the largest that a header holds: JSON numbers are exact up to here.
const maxRevision = 1<<53 - 1

// maxKnownNames is how many names a Vault remembers revisions of.
const maxKnownNames = 1 << 14

// revisions gives revisions to writes and remembers those of each name: microseconds since
// the Unix epoch, or one more than the highest known revision of the name, whichever is more.
//
// Memory is bounded: the name that was not used for the longest time is forgotten, and base
// keeps its revision, so that no later write of any name gets a lower one.
type revisions struct {
	now func() time.Time

	mu    sync.Mutex
	names map[Name]*list.Element // of a *known
	used  list.List              // the name used last is in front
	base  int64                  // the highest revision of a forgotten name
}

// known is what a Vault knows of one name.
type known struct {
	name  Name
	given int64 // the highest revision that was given to a write, or seen
	seen  int64 // the highest one that was stored with certainty, or authenticated when read
	// floor is the lowest revision that the current object may have. It lags behind seen while
	// several writes of the name are in progress: they may arrive in any order.
	floor    int64
	writing  int  // writes in progress
	overlaps bool // more than one was in progress since there was none
	epoch    int  // how many writes have begun or ended
}

// of returns the entry of name. The caller holds the lock.
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

// forgetOne forgets the name that was not used for the longest time and is not being written.
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
		return 0, fmt.Errorf("%w: the revisions of this name are used up; delete it and use another name", ErrConflict)
	}
	k.given = revision
	return revision, nil
}

// saw notes the revision of a current object that was authenticated. before is the mark from
// before it was requested: if a write began or ended since, another object may be current by now.
func (r *revisions) saw(name Name, revision int64, before mark) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k := r.of(name)
	k.given, k.seen = max(k.given, revision), max(k.seen, revision)
	if k.writing == 0 && k.epoch == before.epoch {
		k.floor = max(k.floor, revision)
	}
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

// A mark is what is known of a name before its object is requested.
type mark struct {
	floor int64 // the lowest revision that the object may have
	epoch int
}

// mark returns what is known of name now.
func (r *revisions) mark(name Name) mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.names[name]; ok {
		k := e.Value.(*known)
		return mark{k.floor, k.epoch}
	}
	return mark{}
}

// begin notes that a write of name is in progress. The function that it returns notes its
// end: the revision that was stored, or 0 when none was with certainty.
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
