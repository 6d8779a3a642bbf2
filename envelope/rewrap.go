package envelope

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
)

// Rewrap returns a new header for the payload of h: the data key, which one of have unwraps, is
// wrapped for want. It drops the other stanzas of h, except those that [Keep] selects; revision
// and metadata stay. The caller must store the new header followed by the old payload, with a
// compare-and-swap against the object that h was read from. Rewrap does not revoke access:
// recipients that could read the object before may know its data key. To revoke access, seal
// the value again. Rewrap fails after 65535 rewraps.
func Rewrap(ctx context.Context, h *Header, ref Ref, have, want []KeySource) ([]byte, error) {
	return Move(ctx, h, ref, ref, have, want)
}

// Move is [Rewrap] for another name, tenant, collection or vault: the result opens as to, and
// no longer as from. Want must not contain a [Keep].
func Move(ctx context.Context, h *Header, from, to Ref, have, want []KeySource) ([]byte, error) {
	if h == nil {
		return nil, misuse("the header is nil")
	}
	if err := errors.Join(checkSources(have), checkSources(want)); err != nil {
		return nil, err
	}
	if err := h.check(); err != nil {
		return nil, malformed(err)
	}
	if h.Rewrap == math.MaxUint16 {
		return nil, fmt.Errorf("%w: the key was already re-wrapped %d times; seal the object again", ErrInvalid, h.Rewrap)
	}
	n := *h
	n.Rewrap++
	if err := n.checkNumbers(len(want)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	dek, err := h.unwrap(ctx, from, AAD{Stable: h.stable(), Ctx: from.Context()}, have)
	if err != nil {
		return nil, err
	}
	defer clear(dek)
	var keep []Stanza
	if from == to {
		keep = h.Stanzas
	}
	aad := AAD{Stable: n.stable(), Ctx: to.Context()}
	if n.Stanzas, err = wrap(ctx, to, dek, aad, want, keep); err != nil {
		return nil, err
	}
	if err := n.commit(dek, aad.Ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return n.Bytes(), nil
}

// Keep returns a source that stands for a stanza to be kept unchanged, for example because its
// source is not available. It is valid only in want of [Rewrap].
func Keep(s Stanza) KeySource { return kept(s) }

type kept Stanza

var errKeep = fmt.Errorf("%w: a stanza to keep belongs to another object, or the name of the object would change", ErrInvalid)

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
