package ordered_test

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/internal/ordered"
)

func numbers(n int, last error) func(context.Context) iter.Seq2[int, error] {
	return func(context.Context) iter.Seq2[int, error] {
		return func(yield func(int, error) bool) {
			for i := range n {
				if !yield(i, nil) {
					return
				}
			}
			if last != nil {
				yield(0, last)
			}
		}
	}
}

func TestMapKeepsTheOrder(t *testing.T) {
	const jobs = 4
	var running, most atomic.Int32
	var together sync.WaitGroup // jobs calls wait for each other, so that they must run at once
	together.Add(jobs)
	var got []int
	for n, err := range ordered.Map(t.Context(), jobs, numbers(100, nil), func(_ context.Context, n int) int {
		most.Store(max(most.Load(), running.Add(1)))
		defer running.Add(-1)
		if n < jobs {
			together.Done()
			together.Wait()
		}
		return 2 * n
	}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	want := make([]int, 100)
	for i := range want {
		want[i] = 2 * i
	}
	if !slices.Equal(got, want) {
		t.Errorf("results = %v", got)
	}
	if most.Load() > jobs {
		t.Errorf("%d calls at once, want at most %d", most.Load(), jobs)
	}
}

func TestMapYieldsTheErrorLast(t *testing.T) {
	broken := errors.New("broken")
	results := 0
	var last error
	for _, err := range ordered.Map(t.Context(), 3, numbers(10, broken), func(_ context.Context, n int) int { return n }) {
		if last = err; err == nil {
			results++
		}
	}
	if results != 10 || last != broken {
		t.Errorf("%d results and then %v; want 10 and %v", results, last, broken)
	}
}

func TestMapEndsItsCalls(t *testing.T) {
	var begun, ended atomic.Int32
	started := make(chan struct{}, 100)
	wait := func(ctx context.Context, n int) int {
		if n == 0 {
			return n
		}
		begun.Add(1)
		started <- struct{}{}
		<-ctx.Done()
		ended.Add(1)
		return n
	}
	for range ordered.Map(t.Context(), 3, numbers(10, nil), wait) {
		<-started
		break
	}
	if b, e := begun.Load(), ended.Load(); b < 1 || e != b {
		t.Errorf("%d of %d calls had ended when Map returned after a break", e, b)
	}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range ordered.Map(ctx, 3, numbers(10, nil), wait) { // started has room for every call
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the last error is %v, want that of the context", last)
	}
}
