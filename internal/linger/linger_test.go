package linger_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/objectvault/objectvault/internal/linger"
)

// TestContext: the context outlives its parent, but not the end from WithEnd.
func TestContext(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	end := time.Now().Add(time.Hour)
	bounded := linger.WithEnd(parent, end)
	cancel()
	for _, tc := range []struct {
		name string
		ctx  context.Context
		d    time.Duration
		most time.Duration
	}{
		{"no end", parent, 2 * time.Hour, 2 * time.Hour},
		{"before the end", bounded, time.Minute, time.Minute},
		{"after the end", bounded, 2 * time.Hour, time.Hour},
	} {
		ctx, stop := linger.Context(tc.ctx, tc.d)
		deadline, ok := ctx.Deadline()
		if left := time.Until(deadline); ctx.Err() != nil || !ok || left > tc.most || left < tc.most/2 {
			t.Errorf("%s: the context ends in %v (%v), want %v", tc.name, left, ctx.Err(), tc.most)
		}
		stop()
	}
	ctx, stop := linger.Context(linger.WithEnd(t.Context(), time.Now().Add(-time.Second)), time.Hour)
	defer stop()
	if ctx.Err() != context.DeadlineExceeded {
		t.Errorf("past the end: %v", ctx.Err())
	}
}

// TestHalf: the second wait has the same time as the first.
func TestHalf(t *testing.T) {
	ctx := linger.WithEnd(t.Context(), time.Now().Add(time.Hour))
	if d := linger.Half(t.Context(), time.Hour); d != time.Hour {
		t.Errorf("no end: %v", d)
	}
	if d := linger.Half(ctx, time.Minute); d != time.Minute {
		t.Errorf("far from the end: %v", d)
	}
	if d := linger.Half(ctx, time.Hour); d > 30*time.Minute || d < 20*time.Minute {
		t.Errorf("near the end: %v", d)
	}
	if d := linger.Half(linger.WithEnd(t.Context(), time.Now().Add(-time.Hour)), time.Hour); d != 0 {
		t.Errorf("past the end: %v", d)
	}
}

// TestWithin: the requests after the end of a context share one limit, which starts at that end.
func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent, cancel := context.WithCancel(t.Context())
		ctx, stop := linger.Within(parent, 5*time.Second)
		defer stop()
		if d := linger.Half(ctx, time.Minute); d != time.Minute {
			t.Errorf("before the end: %v", d)
		}
		<-time.After(time.Hour) // on the clock of the test
		cancel()
		if d := linger.Half(ctx, time.Minute); d != 2500*time.Millisecond {
			t.Errorf("at the end: half is %v, want 2.5s", d)
		}
		<-time.After(2 * time.Second)
		after, release := linger.Context(ctx, time.Minute)
		defer release()
		if end, _ := after.Deadline(); time.Until(end) != 3*time.Second || after.Err() != nil {
			t.Errorf("2s later: the context ends in %v, %v, want 3s", time.Until(end), after.Err())
		}
		<-time.After(4 * time.Second)
		late, release := linger.Context(ctx, time.Minute)
		defer release()
		if late.Err() == nil {
			t.Error("6s later: the context has not ended")
		}
	})
}
