package memfs_test

import (
	"context"
	"os"
	"testing"

	"github.com/objectvault/objectvault/conformance"
	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// Every check, except those about credentials and networks, which these stores do not use.
var claims = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects", "create-atomic",
	"swap", "swap-atomic", "swap-large", "splice", "splice-atomic",
	"history", "history-overwriters", "versions",
	"remove", "remove-tells-absent", "delete-tells-absent", "purge",
	"errors", "close", "no-secrets",
}

// The same without history, which is a separate configuration.
var claimsWithoutHistory = []string{
	"read-after-write", "two-clients", "sizes", "large", "names", "ranges", "list", "list-after-write",
	"all-or-nothing", "all-or-nothing-large",
	"create", "create-after-delete", "create-large", "create-detects", "create-atomic",
	"swap", "swap-atomic", "swap-large", "splice", "splice-atomic",
	"remove", "remove-tells-absent", "delete-tells-absent",
	"errors", "close", "no-secrets",
}

func TestConformanceMem(t *testing.T) {
	conform(t, "memory", memfs.Config{Memory: new(memfs.Memory)}, claims, false)
}

func TestConformanceMemWithoutHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite has run with history")
	}
	conform(t, "memory, without versions", memfs.Config{Memory: new(memfs.Memory), Versions: -1}, claimsWithoutHistory, true)
}

func TestConformanceFile(t *testing.T) {
	if testing.Short() {
		t.Skip("TestRacingCreates and others find the data races of the store, and TestConformanceMem those of the vault")
	}
	conform(t, "directory", memfs.Config{Dir: privateDir(t)}, claims, false)
}

func TestConformanceFileWithoutHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite has run with history")
	}
	conform(t, "directory, without versions", memfs.Config{Dir: privateDir(t), Versions: -1}, claimsWithoutHistory, true)
}

func privateDir(t *testing.T) string {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// conform runs the suite. below is true for the stores without history, which treat keys in the same way
// as the stores with history.
func conform(t *testing.T, server string, c memfs.Config, claims []string, below bool) {
	open := func(ctx context.Context) (*vault.Store, error) { return memfs.Open(ctx, c) }
	conformance.Run(t, conformance.Provider{
		Name: "memfs", Server: server, Open: open, Reopen: open, Claims: claims, Below: below,
		Large: 3 << 20, // no multipart uploads
	})
}

// TestConformanceMirror runs the suite with vaults that mirror their objects to a second store.
func TestConformanceMirror(t *testing.T) {
	open := func(c memfs.Config) func(context.Context) (*vault.Store, error) {
		return func(ctx context.Context) (*vault.Store, error) { return memfs.Open(ctx, c) }
	}
	primary := memfs.Config{Memory: new(memfs.Memory)}
	conformance.Run(t, conformance.Provider{
		Name: "memory, mirrored to a directory", Open: open(primary), Reopen: open(primary), Claims: claims,
		Mirror: open(memfs.Config{Dir: privateDir(t)}),
	})
}
