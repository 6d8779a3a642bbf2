package vault_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// TestRequests asserts the exact list of requests of every operation.
func TestRequests(t *testing.T) {
	var rec recorder
	v := newVault(t, intercept.Store(newStore(t), rec.hooks()), nil)
	ctx := t.Context()
	check := func(what string, err error, want ...string) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if diff := cmp.Diff(want, rec.take()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", what, diff)
		}
	}
	long := strings.Repeat("0123456789", 20_000) // 200,000 bytes: 4 segments
	info, err := v.Put(ctx, "a", strings.NewReader("one"), nil)
	check("put", err, "put")
	_, err = v.Put(ctx, "b", strings.NewReader("one"), &vault.PutOptions{Create: true})
	check("create", err, "create")
	_, err = v.Put(ctx, "a", strings.NewReader("two"), &vault.PutOptions{IfRevision: info.Revision})
	check("swap", err, "get 0+16384", "swap")
	get(t, v, "a", nil)
	check("get", nil, "get 0+-1")
	_, err = v.Stat(ctx, "a")
	check("stat", err, "get 0+16384")
	put(t, v, "long", long, nil)
	rec.take()
	h, err := v.Stat(ctx, "long")
	check("stat", err, "get 0+16384")
	header := h.SealedSize - h.Size - 40 - 16*4
	get(t, v, "long", &vault.GetOptions{Range: &vault.Range{Offset: 70_000, Length: 5}})
	check("range", nil, "get 0+16384", fmt.Sprintf("get %d+65536", header+65536))
	err = v.Delete(ctx, "b", nil)
	check("rm", err, "remove")
	for e, err := range v.History(ctx, "a") {
		if err != nil || e.Revision == 0 {
			t.Errorf("history: %v, %v", e, err)
		}
	}
	check("history", nil, "versions", "open-version 0+16384", "open-version 0+16384")
	for range v.List(ctx, &vault.ListOptions{Prefix: "nothing"}) {
		t.Error("a list of an unused prefix returned an entry")
	}
	check("empty list", nil, "list")
	_, err = v.Teardown(ctx, nil)
	check("teardown", err, "list", "remove", "leftovers")
	_, err = v.Teardown(ctx, nil)
	check("empty teardown", err, "list", "leftovers")
	_, err = v.Undelete(ctx, "a")
	check("undelete", err, "versions", "open-version 0+-1", "create")
	_, err = v.Rollback(ctx, "a", "@3")
	check("rollback", err, "versions", "open-version 0+-1", "put")
}
