package main

import (
	"context"
	"iter"

	"github.com/objectvault/objectvault/internal/ordered"
	"github.com/objectvault/objectvault/vault"
)

// entriesAtOnce is the number of objects that a command opens concurrently.
const entriesAtOnce = 8

// eachEntry calls do for each object whose name starts with prefix, several at once, and show for
// each result, in the order of [vault.Vault.List].
func eachEntry[T any](ctx context.Context, v *vault.Vault, prefix string, do func(context.Context, vault.Entry) T, show func(T) error) error {
	return eachAtOnce(ctx, v, &vault.ListOptions{Prefix: prefix}, entriesAtOnce, do, show)
}

// eachAtOnce is eachEntry for the entries that o selects, with at most jobs of them at once.
func eachAtOnce[T any](ctx context.Context, v *vault.Vault, o *vault.ListOptions, jobs int, do func(context.Context, vault.Entry) T, show func(T) error) error {
	list := func(ctx context.Context) iter.Seq2[vault.Entry, error] {
		return v.List(ctx, o)
	}
	for result, err := range ordered.Map(ctx, jobs, list, do) {
		if err == nil {
			err = show(result)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
