// Package linger provides contexts for the requests that follow the end of a context. For example,
// a write whose caller gave up is read back, and a multipart upload that failed is aborted. The
// caller may also set a time by which these requests must end.
//
// The package uses only the standard library.
package linger

import (
	"context"
	"time"
)

type endKey struct{}

// WithEnd returns a context that carries the time by which everything must end, including the
// requests after the end of ctx.
func WithEnd(ctx context.Context, end time.Time) context.Context {
	return context.WithValue(ctx, endKey{}, end)
}

// Context returns a context that continues after ctx has ended, for at most d from the call, and
// within the limits of [WithEnd] and [Within].
func Context(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), left(ctx, d))
}

// Half returns the duration of the first of two waits: d, or half of the time that [WithEnd] and
// [Within] leave, so the same time remains for the second wait.
func Half(ctx context.Context, d time.Duration) time.Duration {
	const unbounded = 1 << 62
	if rest := left(ctx, unbounded); rest < unbounded {
		d = max(0, min(d, rest/2))
	}
	return d
}
