package main

import (
	"context"

	"github.com/objectvault/objectvault/vault"
)

// entriesAtOnce is the number of objects that a command opens concurrently.
const entriesAtOnce = 8

// eachEntry calls do for each object whose name starts with prefix, several at once, and show for
// each result, in the order of [vault.Vault.List].
func eachEntry[T any](ctx context.Context, v *vault.Vault, prefix string, do func(context.Context, vault.Entry) T, show func(T) error) error {
	return eachAtOnce(ctx, v, prefix, entriesAtOnce, do, show)
}

// eachAtOnce is eachEntry, with at most jobs objects at once.
func eachAtOnce[T any](ctx context.Context, v *vault.Vault, prefix string, jobs int, do func(context.Context, vault.Entry) T, show func(T) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan chan T, jobs-1) // one more is outside the channel, in the loop below
	var failed error
	go func() {
		defer close(results)
		for e, err := range v.List(ctx, prefix) {
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
