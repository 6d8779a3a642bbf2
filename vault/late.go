package vault

import (
	"context"
	"errors"
	"fmt"
)

// A settler is an error as [Creator] has it: about a write that may still be under way.
type settler interface {
	error
	Settle(context.Context) (version string, err error)
}

// late remembers the attempts at one write that may still be under way.
type late struct {
	first settler // nil: none
	n     int
}

// notes takes the error of an attempt, and says whether there was a late one so far.
func (l *late) notes(err error) bool {
	if s := settler(nil); errors.As(err, &s) {
		if l.first == nil {
			l.first = s
		}
		l.n++
	}
	return l.first != nil
}

// settle has the store judge what came of the attempts, the last of which failed with err.
func (l *late) settle(ctx context.Context, v *Vault, err error) (version string, _ error) {
	if l.first == nil {
		return "", err
	}
	version, serr := l.first.Settle(ctx)
	switch {
	case serr == nil:
		return version, nil
	case errors.Is(serr, ErrUnsure):
		return "", fmt.Errorf("%w: %w", serr, err)
	case l.n > 1: // one was undone, another may come
		return "", fmt.Errorf("%w: %w", ErrUnsure, serr)
	}
	return "", v.explain(serr)
}
