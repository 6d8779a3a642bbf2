package conformance_test

import (
	"context"
	"testing"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A provider's test is one call in TestConformance(t *testing.T). This example claims only the
// required clauses. It would fail, and name every other clause that the store supports.
func ExampleRun() {
	_ = func(t *testing.T) {
		memory := new(memfs.Memory)
		open := func(ctx context.Context) (*vault.Store, error) {
			return memfs.Open(ctx, memfs.Config{Memory: memory})
		}
		conformance.Run(t, conformance.Provider{
			Name:   "memfs",
			Open:   open,
			Reopen: open,
			Claims: []string{"create", "read-after-write", "errors"},
		})
	}
}
