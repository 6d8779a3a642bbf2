package tencent_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/costest"
	"github.com/objectvault/objectvault/vault"
)

// TestOperationRequests: an operation accounts for each request that the service got, by its id or, if the
// response was lost, by counting it.
func TestOperationRequests(t *testing.T) {
	s := newServer(t, nil)
	var ops []vault.Operation
	v, err := vault.New(open(t, config(s, owner(s))), "acme", keys, &vault.Options{ObserveOperation: func(_ context.Context, o vault.Operation) { ops = append(ops, o) }})
	if err != nil {
		t.Fatal(err)
	}
	for name, drop := range map[string]func() *costest.Fault{"applied": costest.DropAfter, "not applied": costest.DropBefore} {
		const lost = 3
		var seen [lost]atomic.Bool // the first request of each of the first parts
		s.SetRule(func(r *costest.Request) *costest.Fault {
			for i := range seen {
				if r.Action == "UploadPart" && strings.HasPrefix(r.Query, fmt.Sprintf("partNumber=%d&", i+1)) && !seen[i].Swap(true) {
					return drop()
				}
			}
			return nil
		})
		s.Reset()
		ops = nil
		if _, err := v.Put(t.Context(), "large", noise(1, 40<<20), nil); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := s.Requests()
		if len(ops) != 1 || ops[0].RequestsWithoutID != lost || len(ops[0].RequestIDs)+lost != len(got) {
			t.Errorf("%s: %d ids and %d requests without one, want %d of %d", name, len(ops[0].RequestIDs), ops[0].RequestsWithoutID, lost, len(got))
		}
		if ids := slices.Compact(slices.Sorted(slices.Values(ops[0].RequestIDs))); len(ids) != len(ops[0].RequestIDs) {
			t.Errorf("%s: an id is there twice", name)
		}
	}
}
