package envelope

import (
	"context"
	"errors"
	"fmt"
)

// Recipients returns, for each stanza of h, the index of the first source that recognizes it, or -1
// if none does. For a [Recognizer] it calls Recognizes, which opens no stanza. If a source cannot
// be used now, the result is still correct for the stanzas of the other sources, and the error
// wraps [ErrUnavailable], [ErrUnauthenticated], [ErrDenied] or [ErrChanged].
//
// A remote source may send one request for each call of Recipients. The result is not
// authenticated: the header may be forged.
func (h *Header) Recipients(ctx context.Context, ref Ref, sources []KeySource) ([]int, error) {
	if err := checkSources(sources); err != nil {
		return nil, err
	}
	aad := AAD{Stable: h.stable(), Ctx: ref.Context()}
	found := make([]int, len(h.Stanzas))
	for i := range found {
		found[i] = -1
	}
	var away failures
	for n, source := range sources {
		for i, s := range h.Stanzas {
			if found[i] >= 0 {
				continue
			}
			recognized, err := recognizes(ctx, source, ref, s, aad)
			if err == nil && recognized {
				found[i] = n
			}
			if err == nil || errors.Is(err, ErrUnknownKey) {
				continue
			}
			if !isAway(err) {
				return nil, fmt.Errorf("%s: %w", source.Name(), err)
			}
			away.skip(source, err)
			break
		}
	}
	return found, errors.Join(away...)
}

// recognizes reports whether source made s.
func recognizes(ctx context.Context, source KeySource, ref Ref, s Stanza, aad AAD) (bool, error) {
	if r, ok := source.(Recognizer); ok {
		return r.Recognizes(ctx, ref, s, aad)
	}
	dek, err := source.Unwrap(ctx, ref, s, aad)
	clear(dek)
	if errors.Is(err, ErrDecrypt) {
		return true, nil
	}
	return err == nil, err
}
