// Package ordered runs several calls at once, and returns their results in order.
package ordered

import (
	"context"
	"iter"
)

// Map calls do for each item that items yields, for at most jobs items at once, and yields the results
// in the order of the items. If items yields an error, Map yields it after the results before it, and
// ends. If the caller stops early, or ctx ends, Map cancels the context that it passes to items and do,
// and waits for them. If ctx ends, Map yields its error last.
func Map[A, B any](ctx context.Context, jobs int, items func(context.Context) iter.Seq2[A, error], do func(context.Context, A) B) iter.Seq2[B, error] {
	return func(yield func(B, error) bool) {
		outer := ctx
		ctx, cancel := context.WithCancel(ctx)
		results := make(chan chan B, max(jobs, 1)-1) // one more is outside the channel, in the loop below
		var failed error                             // of items; read after results is closed
		go func() {
			defer close(results)
			for item, err := range items(ctx) {
				if err != nil {
					failed = err
					return
				}
				r := make(chan B, 1)
				select {
				case results <- r: // waits while jobs calls are in progress
				case <-ctx.Done():
					return
				}
				go func() { r <- do(ctx, item) }()
			}
		}()
		defer func() {
			cancel()
			for r := range results { // also waits until items has ended
				<-r
			}
		}()
		for r := range results {
			if !yield(<-r, nil) {
				return
			}
		}
		var none B
		if failed == nil {
			failed = outer.Err()
		}
		if failed != nil {
			yield(none, failed)
		}
	}
}
