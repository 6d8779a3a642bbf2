package main

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/objectvault/objectvault/providers/memfs"
	"github.com/objectvault/objectvault/vault"
)

// TestSomeNames: a list that the user did not request is limited, and fails without a message.
func TestSomeNames(t *testing.T) { synctest.Test(t, testSomeNames) } // however slow the machine is

func testSomeNames(t *testing.T) {
	store, err := memfs.Open(t.Context(), memfs.Config{})
	if err != nil {
		t.Fatal(err)
	}
	v, err := vault.New(store, "", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range nearNames + 10 {
		if err := store.Bucket.WriteAll(t.Context(), fmt.Sprintf("bots/default/credentials/n%05d.enc", i), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if got := someNames(t.Context(), v, ""); len(got) != nearNames || got[0] != "n00000" {
		t.Errorf("%d names, want %d", len(got), nearNames)
	}
	if got := someNames(t.Context(), v, "n0001"); len(got) != 10 {
		t.Errorf("names under a prefix: %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := someNames(ctx, v, ""); len(got) != 0 {
		t.Errorf("names with a context that ended: %d", len(got))
	}
}
