package conformance_test

import (
	"context"
	"testing"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// A provider's test is one call. This one is in a file of its own, as
// TestConformance(t *testing.T); here it holds only what must be claimed, so that it
// would fail and name every other clause that is honoured.
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
