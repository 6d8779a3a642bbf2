package linger

import (
	"context"
	"sync/atomic"
	"time"
)

type boundKey struct{}

// A bound is the total time of all follow-up requests after a context has ended.
type bound struct {
	ctx   context.Context
	d     time.Duration
	ended atomic.Int64 // when ctx ended, in nanoseconds since 1970; 0 means that it has not ended
}

// Within returns a context for an operation. It limits the follow-up requests from [Context] and
// [Half] to a total of d, from the time at which ctx ends. The caller must call stop at the end of
// the operation.
func Within(ctx context.Context, d time.Duration) (_ context.Context, stop func()) {
	b := &bound{ctx: ctx, d: d}
	unregister := context.AfterFunc(ctx, b.end)
	return context.WithValue(ctx, boundKey{}, b), func() { unregister() }
}

func (b *bound) end() { b.ended.CompareAndSwap(0, time.Now().UnixNano()) }

// left returns the time that remains: at most d, and within the bounds in ctx.
func left(ctx context.Context, d time.Duration) time.Duration {
	if end, ok := ctx.Value(endKey{}).(time.Time); ok {
		d = min(d, time.Until(end))
	}
	if b, ok := ctx.Value(boundKey{}).(*bound); ok && b.ctx.Err() != nil {
		b.end() // because AfterFunc may not have run its function yet
		d = min(d, time.Until(time.Unix(0, b.ended.Load()).Add(b.d)))
	}
	return d
}
