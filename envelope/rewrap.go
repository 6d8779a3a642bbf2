package envelope

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
)

// Rewrap returns a new header for the payload of h: the data key, which one of have
// unwraps, is wrapped for want. Stanzas of h that want does not name are dropped (see
// [Keep]); revision and metadata stay. The caller puts the new header before the old
// payload and replaces the object on condition that it is still the one that h came
// from. Rewrap takes nothing away from who could read before: for that, seal anew.
// After 65535 re-wraps it refuses.
func Rewrap(ctx context.Context, h *Header, ref Ref, have, want []KeySource) ([]byte, error) {
	return Move(ctx, h, ref, ref, have, want)
}

// Move is [Rewrap] into another name, tenant, collection or vault: after it the object
// opens as to, and no longer as from. Nothing can be kept.
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
		return nil, fmt.Errorf("%w: it was re-wrapped %d times; seal the object anew", ErrInvalid, h.Rewrap)
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

// Keep stands among the wanted sources of [Rewrap] for a stanza that stays as it is,
// such as one whose source is not at hand. It is of no other use.
func Keep(s Stanza) KeySource { return kept(s) }

type kept Stanza

var errKeep = fmt.Errorf("%w: a stanza to keep is not of this object, or the object's name changes", ErrInvalid)

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
