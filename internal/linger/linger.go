// Package linger is for requests that follow the end of a context: a write whose caller gave
// up is read back, and an upload that failed is aborted. A caller may set the time at which
// these requests have to end as well.
//
// It needs the standard library alone.
package linger

import (
	"context"
	"time"
)

type endKey struct{}

// WithEnd returns a context that carries the time at which everything has to end, also what
// goes on after ctx has ended.
func WithEnd(ctx context.Context, end time.Time) context.Context {
	return context.WithValue(ctx, endKey{}, end)
}

// Context returns a context that goes on after ctx has ended, for at most d from now, and not
// longer than [WithEnd] and [Within] allow.
func Context(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), left(ctx, d))
}

// Half returns how long the first of two waits may take: d, or half of the time that
// [WithEnd] and [Within] leave, so that the second has as much.
func Half(ctx context.Context, d time.Duration) time.Duration {
	const unbounded = 1 << 62
	if rest := left(ctx, unbounded); rest < unbounded {
		d = max(0, min(d, rest/2))
	}
	return d
}
