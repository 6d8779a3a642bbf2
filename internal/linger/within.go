package linger

import (
	"context"
	"sync/atomic"
	"time"
)

type boundKey struct{}

// A bound is the time that all follow-up requests together may take after a context has ended.
type bound struct {
	ctx   context.Context
	d     time.Duration
	ended atomic.Int64 // when ctx ended, in nanoseconds since 1970; 0: it has not
}

// Within returns a context for an operation. [Context] and [Half] let its follow-up requests take d
// together, from the moment when ctx ends. The caller calls stop when the operation is over.
func Within(ctx context.Context, d time.Duration) (_ context.Context, stop func()) {
	b := &bound{ctx: ctx, d: d}
	unregister := context.AfterFunc(ctx, b.end)
	return context.WithValue(ctx, boundKey{}, b), func() { unregister() }
}

func (b *bound) end() { b.ended.CompareAndSwap(0, time.Now().UnixNano()) }

// left returns how much of d is left of the bounds that ctx carries.
func left(ctx context.Context, d time.Duration) time.Duration {
	if end, ok := ctx.Value(endKey{}).(time.Time); ok {
		d = min(d, time.Until(end))
	}
	if b, ok := ctx.Value(boundKey{}).(*bound); ok && b.ctx.Err() != nil {
		b.end() // the function of AfterFunc may not have run yet
		d = min(d, time.Until(time.Unix(0, b.ended.Load()).Add(b.d)))
	}
	return d
}
