package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/objectvault/objectvault/envelope"
	"github.com/objectvault/objectvault/internal/linger"
)

// The outcome of a write. Each attempt ends as stored, refused, not applied or unknown.
// After an unknown one only proof ends the write without ErrUnsure: our own envelope is
// there (stored); for a create, another writer's object is there (ErrExist); for a
// compare-and-swap, the object is no longer the one that was read (ErrConflict). "Not there
// yet" proves nothing, because a request may be applied after its client has given up.

// publish stores the envelope of s at key, or nothing, and returns which of the two
// happened even when the store did not respond.
func (v *Vault) publish(ctx context.Context, key string, how condition, s *sealing) (version string, err error) {
	again, err := s.readStart()
	if err != nil {
		return "", notOfStore(err)
	}
	end := v.revisions.begin(s.name) // before a revision is taken
	revision := int64(0)             // that was stored; also when the reader of the value panics
	defer func() { end(revision) }()
	if err := s.refresh(ctx); err != nil {
		return "", notOfStore(err)
	}
	version, err = v.write(ctx, key, how, s, again)
	if err == nil {
		revision = s.header.Revision
	}
	return version, err
}

// write makes the attempts. again is whether there may be more than one.
func (v *Vault) write(ctx context.Context, key string, how condition, s *sealing, again bool) (version string, err error) {
	now := how          // the condition of the next attempt
	conditional := true // the store may be asked for another condition than how
	unknowns := 0       // attempts with an unknown outcome
	arriving := 0       // those that would replace what others wrote if they still arrived
	var lost error      // of the last attempt with an unknown outcome
	for n := 1; ; n++ {
		fill := func(w io.Writer) error { return s.fill(ctx, w) }
		a := v.attempt(ctx, key, now, n, fill)
		if now.kind != how.kind && a.outcome == refused && !errors.Is(a.err, ErrExist) && !errors.Is(a.err, ErrConflict) {
			// The store, or what the caller may do, allows no condition: a plain put never needed one.
			now, conditional = how, false
			a = v.attempt(ctx, key, now, n, fill)
		}
		switch {
		case a.outcome == stored:
			return a.version, nil
		case errors.Is(a.err, ErrUnsure):
			return "", a.err // what the store itself cannot promise, no read can
		case a.outcome == unknown:
			unknowns++
			lost = a.err
			if mayArrive(a.err) {
				arriving++
			}
		}
		raced := now.kind != how.kind && (errors.Is(a.err, ErrExist) || errors.Is(a.err, ErrConflict))
		reload := !again && unknowns == 0 && a.outcome == notApplied && needsNewUpload(a.err)
		more := n < maxAttempts && (again && (retryable(a.err) || raced) || reload && s.source != nil)
		if arriving > 0 && v.store.Settle != nil && how.kind != replace {
			// What is there now proves nothing: the store judges it, in the end.
			if more && a.outcome != refused && pause(ctx, n) {
				continue
			}
			return v.settle(ctx, key, how, s, arriving, a.err)
		}
		var there object
		if unknowns > 0 {
			there = v.readBack(ctx, key, how, s.header)
		}
		switch decide(how.kind, a.outcome, unknowns > 0, there.seen) {
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
				now, more = v.followUp(there, s.header.Revision, more)
			}
			if !more || !pause(ctx, n) {
				break
			}
			if unknowns == 0 {
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
		case reload && s.source == nil:
			return "", fmt.Errorf("%w; nothing was stored, and the value streams, so that it has to be put again from its start", a.err)
		case unknowns == 0:
			return "", a.err
		case a.outcome == unknown:
			return "", fmt.Errorf("%w: %w", ErrUnsure, a.err)
		}
		return "", fmt.Errorf("%w: %w, then %w", ErrUnsure, lost, a.err)
	}
}

// notOfStore explains an error of reading or sealing the value, in which the store had no part.
func notOfStore(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fact(ErrUnavailable, err)
	}
	err, _ = explainOurs(err)
	return err
}

func mayArrive(err error) bool {
	var cause *Cause
	return errors.As(err, &cause) && cause.Effect == MayArrive
}

// settle has the store find out which of several writers won, after the last attempt, which
// ended with err. arriving is how many attempts may still arrive.
func (v *Vault) settle(ctx context.Context, key string, how condition, s *sealing, arriving int, err error) (version string, _ error) {
	version, serr := v.backend.settle(ctx, key, UnknownWrite{Tag: how.tag, Header: s.header.Bytes(), Size: s.written})
	lost := errors.Is(serr, ErrExist) || errors.Is(serr, ErrConflict)
	switch {
	case serr == nil:
		return version, nil
	case errors.Is(serr, ErrUnsure):
		return "", fmt.Errorf("%w: %w", serr, err)
	case lost && arriving == 1:
		return "", serr
	case lost: // one attempt was undone, another may arrive
		return "", fmt.Errorf("%w: %w", ErrUnsure, serr)
	}
	return "", fmt.Errorf("%w: %w, then %w", ErrUnsure, err, serr)
}

// A verdict is what follows from an attempt.
type verdict int

const (
	succeed   verdict = iota
	failed            // with the error of the attempt
	exists            // ErrExist
	conflicts         // ErrConflict
	tryAgain          // or, if there is no further attempt: ErrUnsure after an unknown one, else failed
	unsure            // ErrUnsure
)

// decide returns what follows from an attempt at a write of the given kind. afterUnknown is
// whether its outcome, or that of an earlier attempt, is unknown; only then was the object
// read back.
func decide(kind writeKind, o outcome, afterUnknown bool, there seen) verdict {
	switch {
	case o == stored:
		return succeed
	case !afterUnknown && o == refused:
		return failed
	case !afterUnknown:
		return tryAgain
	case there == ours:
		return succeed
	case there == unreadable:
		return unsure
	case kind == create && there == others:
		return exists
	case kind == swap && there != unchanged:
		return conflicts
	}
	return tryAgain
}

// What a key holds after a write whose outcome is unknown.
type seen int

const (
	nothing    seen = iota // no object
	ours                   // the envelope that was written, now or in the history
	unchanged              // the object that a swap was to replace
	others                 // another object
	unreadable             // unknown: it could not be read
)

// An object is what a read-back found.
type object struct {
	seen
	tag      string
	revision int64 // as its header says, not authenticated; 0 for what is no envelope
}

// followUp returns the condition of another attempt at an unconditional put after an unknown
// one, and whether there may be one. Where the store has conditions it is conditional on what
// the read-back found, so that it cannot overtake another writer. An object with a later
// revision is never replaced.
func (v *Vault) followUp(there object, revision int64, more bool) (condition, bool) {
	switch {
	case there.seen == nothing:
		return condition{kind: create}, more
	case there.revision > revision:
		return condition{}, false
	case there.tag != "" && v.store.Swap != nil:
		return condition{kind: swap, tag: there.tag}, more
	}
	return condition{}, more
}

// readBackTime is how long a caller whose context has ended waits for the outcome of a write.
const readBackTime = 5 * time.Second

// lingering returns a context that goes on for a while after ctx has ended: a caller who
// gave up still wants to know the outcome.
func lingering(ctx context.Context) (context.Context, context.CancelFunc) {
	return linger.Context(ctx, readBackTime)
}

// readBack reads what is at key, and in its history, after an unknown attempt. It recognises
// a write by the one thing that no two writes share: the header, whose commitment holds a
// fresh key. Revisions do not decide, because two writers can share a microsecond.
func (v *Vault) readBack(ctx context.Context, key string, how condition, mine *envelope.Header) object {
	ctx, cancel := lingering(ctx)
	defer cancel()
	want := mine.Bytes()
	h, err := v.head(ctx, place{key: key})
	err = v.absent(ctx, key, err)
	there := object{seen: others, tag: h.tag}
	switch {
	case errors.Is(err, ErrNotFound):
		there.seen = nothing
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
		there.revision = header.Revision
	}
	return there
}

// maxReadBack is how many versions may have been written since a write of ours, for it to
// be found.
const maxReadBack = 32

// wasStored reports whether any version in the history has this header. Our write stays there
// even after another writer replaces or deletes it. Without access to the history it reports
// false.
func (v *Vault) wasStored(ctx context.Context, key string, header []byte) bool {
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
		h, err := v.readHead(ctx, at(key, version), 0, int64(len(header)))
		if err == nil && bytes.HasPrefix(h.data, header) {
			return true
		}
	}
	return false
}
