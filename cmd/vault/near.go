package main

import (
	"context"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// The limits of a listing that the user did not request.
const (
	nearNames = 2000
	nearTime  = 2 * time.Second
)

// someNames returns the first names with a prefix, for suggestions. It ignores errors.
func someNames(ctx context.Context, v *vault.Vault, prefix string) []string {
	ctx, cancel := context.WithTimeout(ctx, nearTime)
	defer cancel()
	var names []string
	for e, err := range v.List(ctx, &vault.ListOptions{Prefix: prefix}) {
		if err != nil || len(names) == nearNames {
			break
		}
		if !e.Foreign {
			names = append(names, string(e.Name))
		}
	}
	return names
}
