package envelope

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
)

// Rewrap returns a new header for the payload of h. A source of oldKeys unwraps the data key, and
// each source of newKeys wraps it again. Of the stanzas of h, the new header contains only those
// that [Keep] selects. Revision and metadata stay the same.
//
// The caller must store the new header followed by the old payload, with a compare-and-swap against
// the object that h was read from. Rewrap does not revoke access, because recipients that could
// read the object before may know its data key. To revoke access, seal the value again. An object
// can be rewrapped 65535 times; then Rewrap fails with [ErrInvalid].
func Rewrap(ctx context.Context, h *Header, ref Ref, oldKeys, newKeys []KeySource) ([]byte, error) {
	return Move(ctx, h, ref, ref, oldKeys, newKeys)
}

// Move rewraps an object for another name, tenant, collection or vault, as [Rewrap] does. With the
// new header, the payload opens as newRef, and no longer as oldRef. newKeys must not contain the
// result of [Keep].
func Move(ctx context.Context, h *Header, oldRef, newRef Ref, oldKeys, newKeys []KeySource) ([]byte, error) {
	if h == nil {
		return nil, misuse("the header is nil")
	}
	if err := errors.Join(checkSources(oldKeys), checkSources(newKeys)); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, malformed(err)
	}
	if h.Rewrap == math.MaxUint16 {
		return nil, fmt.Errorf("%w: the object was rewrapped %d times; seal it again", ErrInvalid, h.Rewrap)
	}
	n := *h
	n.Rewrap++
	if err := n.checkNumbers(len(newKeys)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	key, err := h.unwrap(ctx, oldRef, AAD{Stable: h.stable(), Ctx: oldRef.Context()}, oldKeys)
	if err != nil {
		return nil, err
	}
	defer key.clear()
	var keep []Stanza
	if oldRef == newRef {
		keep = h.Stanzas
	}
	aad := AAD{Stable: n.stable(), Ctx: newRef.Context()}
	if n.Stanzas, err = wrap(ctx, newRef, key.dek, aad, newKeys, keep); err != nil {
		return nil, err
	}
	if err := n.commit(key, aad.Ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return n.Bytes(), nil
}

// Keep returns a source that makes [Rewrap] copy s unchanged into the new header, for example
// because the source of s is not available. Pass it only in newKeys of Rewrap.
func Keep(s Stanza) KeySource { return kept(s) }

type kept Stanza

var errKeep = fmt.Errorf("%w: the stanza passed to Keep belongs to another object, or the object is moved to another name", ErrInvalid)

func (kept) Name() string { return "kept stanza" }

func (kept) Wrap(context.Context, Ref, []byte, AAD) (Stanza, error) { return Stanza{}, errKeep }

func (kept) Unwrap(context.Context, Ref, Stanza, AAD) ([]byte, error) { return nil, ErrUnknownKey }

func (k kept) in(stanzas []Stanza) bool {
	for _, s := range stanzas {
		if s.Type == k.Type && s.ID == k.ID && bytes.Equal(s.Body, k.Body) {
			return true
		}
	}
	return false
}
