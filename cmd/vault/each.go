package main

import (
	"context"
	"iter"

	"github.com/objectvault/objectvault/vault"
)

// entriesAtOnce is the number of objects that a command opens concurrently.
const entriesAtOnce = 8

// eachEntry calls do for each object whose name starts with prefix, several at once, and show for
// each result, in the order of [vault.Vault.List].
func eachEntry[T any](ctx context.Context, v *vault.Vault, prefix string, do func(context.Context, vault.Entry) T, show func(T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	return eachOf(ctx, cancel, v.List(ctx, prefix), entriesAtOnce, do, show)
}

// eachOf is eachEntry for the entries of a list that uses ctx. It opens at most jobs objects at once.
func eachOf[T any](ctx context.Context, cancel context.CancelFunc, list iter.Seq2[vault.Entry, error], jobs int, do func(context.Context, vault.Entry) T, show func(T) error) error {
	defer cancel()
	results := make(chan chan T, jobs-1) // one more is outside the channel, in the loop below
	var failed error
	go func() {
		defer close(results)
		for e, err := range list {
			if err != nil {
				failed = err
				return
			}
			r := make(chan T, 1)
			select {
			case results <- r: // waits while jobs calls of do are in progress
			case <-ctx.Done():
				return
			}
			go func() { r <- do(ctx, e) }()
		}
	}()
	for r := range results {
		if err := show(<-r); err != nil {
			return err
		}
	}
	if failed != nil {
		return failed
	}
	return ctx.Err()
}
