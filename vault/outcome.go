package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/linger"
)

// Each attempt at a write ends as stored, refused, not applied or unknown. After an unknown
// attempt only proof ends the write without ErrUnsure: the key holds our envelope (stored); for
// a create, it holds an object of another writer (ErrExist); for a compare-and-swap, it no
// longer holds the object that was read (ErrConflict). A missing object proves nothing, because
// a request may be applied after its client has given up.

// publish stores the envelope of s at key. If it fails, nothing was stored, unless the error wraps
// ErrUnsure. If the store does not respond, publish reads the object back to find out the outcome.
func (v *Vault) publish(ctx context.Context, key string, how condition, s *sealing) (version string, err error) {
	ctx, stop := linger.Within(ctx, writeTime)
	defer stop()
	again, err := s.readStart()
	if err != nil {
		return "", notOfStore(err)
	}
	end := v.revisions.begin(s.name) // before s takes a revision
	seen := v.lastSeen(ctx, s.ref)
	revision := int64(0) // the stored revision; 0 also if the reader of the value panics
	defer func() { end(revision) }()
	defer func() {
		if err == nil && s.object == nil {
			s.notes = v.noteChange(ctx, s.name, s.header.Revision, false) // mirrorStored makes the change
		}
	}()
	if s.writer != nil {
		err = v.sealLegacy(ctx, key, s, again)
		again = true // the object is in memory
	} else {
		err = notOfStore(s.refresh(ctx))
	}
	if err != nil {
		return "", err
	}
	version, err = v.write(ctx, key, how, s, again)
	switch {
	case err != nil:
	case s.unopened:
	case s.object != nil:
		v.wroteLegacy(ctx, s, seen)
	default:
		revision = s.header.Revision
		v.wrote(ctx, s.ref, seen, s.header, s.metadata)
	}
	return version, err
}

// write makes the attempts. If again is false, the value cannot be sent again.
func (v *Vault) write(ctx context.Context, key string, how condition, s *sealing, again bool) (version string, err error) {
	next := how            // the condition of the next attempt
	conditional := true    // a retry may use another condition than how
	unknowns := 0          // attempts with an unknown outcome
	arriving := 0          // attempts that may be applied later, and would then replace objects of other writers
	var lost error         // error of the last attempt with an unknown outcome
	unfinished := int64(0) // size of the uploads of earlier attempts that may remain
	defer func() {
		if err == nil {
			s.unfinished += unfinished
		}
	}()
	for n := 1; ; n++ {
		a := v.attempt(ctx, key, next, n, s)
		if a.err = withUnfinished(a.err, unfinished); a.err != nil {
			unfinished = unfinishedBy(a.err)
		}
		if next.kind != how.kind && a.outcome == refused && !errors.Is(a.err, ErrExist) && !errors.Is(a.err, ErrConflict) {
			// The store or the caller's permissions do not allow the condition, and a plain put
			// needs none.
			next, conditional = how, false
			a = v.attempt(ctx, key, next, n, s)
			if a.err = withUnfinished(a.err, unfinished); a.err != nil {
				unfinished = unfinishedBy(a.err)
			}
		}
		switch {
		case a.outcome == stored:
			return a.version, nil
		case errors.Is(a.err, ErrUnsure):
			return "", a.err // a read cannot prove what the store cannot guarantee
		case a.outcome == unknown:
			unknowns++
			lost = a.err
			if mayArrive(a.err) {
				arriving++
			}
		}
		raced := next.kind != how.kind && (errors.Is(a.err, ErrExist) || errors.Is(a.err, ErrConflict))
		upload := needsNewUpload(a.err)
		reload := !again && unknowns == 0 && a.outcome == notApplied && (upload || retryable(a.err))
		more := n < maxAttempts && (again && (retryable(a.err) || raced) || reload && s.source != nil)
		if arriving > 0 && v.store.Settle != nil && how.kind != replace {
			// The current object proves nothing. In the end the store decides.
			if more && a.outcome != refused && pause(ctx, n) {
				continue
			}
			return v.settle(ctx, key, how, s, arriving, a.err)
		}
		var found object
		if unknowns > 0 {
			found = v.readBack(ctx, key, how, s.identity())
		}
		switch decide(how.kind, a.outcome, unknowns > 0, found.seen) {
		case succeed:
			return "", nil
		case failed:
			return "", a.err
		case exists:
			return "", fact(ErrExist, a.err)
		case conflicts:
			return "", fact(ErrConflict, a.err)
		case tryAgain:
			if unknowns > 0 && how.kind == replace && conditional {
				next, more = v.followUp(found, s.sentRevision(), more)
			}
			if !more || !pause(ctx, n) {
				break
			}
			if unknowns == 0 && s.object == nil {
				if err := s.refresh(ctx); err != nil {
					return "", notOfStore(err)
				}
			}
			if reload {
				if err := s.rewind(); err != nil {
					return "", notOfStore(err)
				}
			}
			continue
		}
		switch {
		case reload && upload && s.source == nil:
			return "", fmt.Errorf("%w; nothing was stored, and a streamed value cannot be sent again: put it again from its start", a.err)
		case unknowns == 0:
			return "", a.err
		case a.outcome == unknown:
			return "", fmt.Errorf("%w: %w", ErrUnsure, a.err)
		}
		return "", fmt.Errorf("%w: %w, then %w", ErrUnsure, lost, a.err)
	}
}

// unfinishedBy returns the size of the incomplete upload that err reports.
func unfinishedBy(err error) int64 {
	if cause := (*Cause)(nil); errors.As(err, &cause) {
		return cause.Unfinished
	}
	return 0
}

// withUnfinished adds the size of the incomplete uploads of earlier attempts to err. Otherwise only the
// last attempt would be reported, which may not even have started an upload.
func withUnfinished(err error, size int64) error {
	if err == nil || size == 0 {
		return err
	}
	sum := Cause{Sentinel: err}
	if cause := (*Cause)(nil); errors.As(err, &cause) {
		sum = *cause
	}
	sum.Unfinished += size
	return fact(&sum, err)
}

// notOfStore explains an error of reading or sealing the value, before the store was involved.
func notOfStore(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fact(ErrUnavailable, err)
	}
	err, _ = explainOurs(err)
	return err
}

// keepUnfinished adds the size of the incomplete uploads of earlier attempts to err, or to sum if err is nil.
func keepUnfinished(err error, size int64, sum *int64) error {
	if err == nil {
		*sum += size
		return nil
	}
	return withUnfinished(err, size)
}

func mayArrive(err error) bool {
	var cause *Cause
	return errors.As(err, &cause) && cause.Effect == MayArrive
}

// settle asks the store which of several writers won, after the last attempt, which ended with err.
// arriving is the number of attempts that may be applied later.
func (v *Vault) settle(ctx context.Context, key string, how condition, s *sealing, arriving int, err error) (version string, _ error) {
	version, serr := v.backend.settle(ctx, key, UnknownWrite{Tag: how.tag, Header: s.identity(), Size: s.written})
	lost := errors.Is(serr, ErrExist) || errors.Is(serr, ErrConflict)
	switch {
	case serr == nil:
		return version, nil
	case errors.Is(serr, ErrUnsure):
		return "", fmt.Errorf("%w: %w", serr, err)
	case lost && arriving == 1:
		return "", serr
	case lost: // one attempt was undone, another may still arrive
		return "", fmt.Errorf("%w: %w", ErrUnsure, serr)
	}
	return "", fmt.Errorf("%w: %w, then %w", ErrUnsure, err, serr)
}

// A verdict is how a write continues after an attempt.
type verdict int

const (
	succeed   verdict = iota
	failed            // with the error of the attempt
	exists            // ErrExist
	conflicts         // ErrConflict
	tryAgain          // without a further attempt: ErrUnsure if an attempt is unknown, else failed
	unsure            // ErrUnsure
)

// decide returns the verdict on an attempt at a write of the given kind. afterUnknown reports
// whether the outcome of this or an earlier attempt is unknown; only then was the object read
// back.
func decide(kind writeKind, o outcome, afterUnknown bool, readBack seen) verdict {
	switch {
	case o == stored:
		return succeed
	case !afterUnknown && o == refused:
		return failed
	case !afterUnknown:
		return tryAgain
	case readBack == ours:
		return succeed
	case readBack == unreadable:
		return unsure
	case kind == create && readBack == others:
		return exists
	case kind == swap && readBack != unchanged:
		return conflicts
	}
	return tryAgain
}

// A seen is the content of a key after a write with an unknown outcome.
type seen int

const (
	nothing    seen = iota // no object
	ours                   // the envelope that was written, current or in the history
	unchanged              // the object that the compare-and-swap was meant to replace
	others                 // another object
	unreadable             // unknown: it could not be read
)

// An object is the result of a read back.
type object struct {
	seen
	tag string
	// revision is from the header, not authenticated; of an object of agentKeys, it is the time of the
	// write. 0: it is not known.
	revision int64
}

// followUp returns the condition of the next attempt at an unconditional put after an unknown
// one, and reports whether there may be one. If the store supports conditions, the attempt is
// conditional on the object that was read back, so that it cannot overtake another writer. An
// object with a later revision is never replaced.
func (v *Vault) followUp(found object, revision int64, more bool) (condition, bool) {
	switch {
	case found.seen == nothing:
		return condition{kind: create}, more
	case found.revision > revision:
		return condition{}, false
	case found.tag != "" && v.store.Swap != nil:
		return condition{kind: swap, tag: found.tag}, more
	}
	return condition{}, more
}

// readBackTime is the time to learn the outcome of a deletion after its context has ended.
const readBackTime = 5 * time.Second

// writeTime is the time that a write may take after its context has ended, to wait for the response,
// to abort an upload and to read the object back.
const writeTime = 4500 * time.Millisecond

// lingering returns a context that ends readBackTime after ctx, because a caller who gave up
// still needs the outcome.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	return linger.Context(ctx, readBackTime)
}

// readBack reads the object at key, and its history, after an unknown attempt. It recognizes a
// write by want, its identity. It does not compare revisions, because two writers can share a
// microsecond.
func (v *Vault) readBack(ctx context.Context, key string, how condition, want []byte) object {
	ctx, cancel := lingering(ctx)
	defer cancel()
	h, err := v.head(ctx, place{key: key})
	err = v.absent(ctx, key, err)
	found := object{seen: others, tag: h.tag}
	switch {
	case errors.Is(err, ErrNotFound):
		found.seen = nothing
	case err != nil:
		return object{seen: unreadable}
	case bytes.HasPrefix(h.data, want):
		return object{seen: ours}
	case how.kind == swap && bytes.HasPrefix(h.data, how.old):
		return object{seen: unchanged}
	}
	if v.wasStored(ctx, key, want) {
		return object{seen: ours}
	}
	if header, err := envelope.ReadHeader(bytes.NewReader(h.data)); err == nil {
		found.revision = header.Revision
	} else if v.readsLegacy() && isLegacy(h.data) {
		found.revision = h.modified.UnixMicro()
	}
	return found
}

// maxReadBack is the number of versions in which wasStored looks for a write.
const maxReadBack = 32

// wasStored reports whether any version in the history starts with the identity of our write. The write
// stays there even after another writer replaces or deletes it. Without access to the history it
// reports false.
func (v *Vault) wasStored(ctx context.Context, key string, identity []byte) bool {
	if v.store.History == nil {
		return false
	}
	n := 0
	for version, err := range v.backend.versions(ctx, key) {
		if n++; err != nil || n > maxReadBack {
			return false
		}
		if version.Deleted {
			continue
		}
		h, err := v.readHead(ctx, at(key, version), 0, int64(len(identity)))
		if err == nil && bytes.HasPrefix(h.data, identity) {
			return true
		}
	}
	return false
}
