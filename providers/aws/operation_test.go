package aws_test

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestOperationRequests: an operation accounts for each request that the server got, by its id or, if the
// response to a part was lost, by counting it.
func TestOperationRequests(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, false)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	var ops []vault.Operation
	v, err := vault.New(open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme", keys,
		&vault.Options{ObserveOperation: func(_ context.Context, o vault.Operation) { ops = append(ops, o) }})
	if err != nil {
		t.Fatal(err)
	}
	const lost = 3
	var seen [lost]atomic.Bool // the first request of each of the first parts
	proxy.SetRule(func(r *http.Request, _ int) *testcloud.Fault {
		for i := range seen {
			if r.URL.Query().Get("partNumber") == strconv.Itoa(i+1) && !seen[i].Swap(true) {
				return testcloud.DropAfter()
			}
		}
		return nil
	})
	proxy.Reset()
	if _, err := v.Put(t.Context(), "large", noise(1, 40<<20), nil); err != nil {
		t.Fatal(err)
	}
	sent := len(proxy.Requests())
	if len(ops) != 1 || ops[0].RequestsWithoutID != lost || len(ops[0].RequestIDs)+lost != sent {
		t.Errorf("%d ids and %d requests without one, want %d of %d", len(ops[0].RequestIDs), ops[0].RequestsWithoutID, lost, sent)
	}
}
