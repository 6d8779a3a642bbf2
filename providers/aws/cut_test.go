package aws_test

import (
	"net/http"
	"testing"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/providers/aws"
	"github.com/objectvault/objectvault/vault"
)

// TestCutListOnce: a list, and a teardown, survive one list response that ends early.
func TestCutListOnce(t *testing.T) {
	t.Parallel()
	server := testcloud.RequireVersity(t)
	bucket := testcloud.NewBucket(t, server.URL, server.Root, true)
	proxy := testcloud.NewProxy(server.URL, nil)
	t.Cleanup(func() { proxy.Close() })
	v := newVault(t, open(t, aws.Config{Bucket: bucket, Endpoint: proxy.URL, Static: static(server.Root)}), "acme")
	if _, err := v.Put(t.Context(), "openai", noise(1, 100), nil); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, parameter string
		run             func() error
	}{
		{"list", "list-type", func() (err error) {
			for _, err = range v.List(t.Context(), nil) {
			}
			return err
		}},
		{"history", "versions", func() (err error) {
			for _, err = range v.History(t.Context(), "openai") {
			}
			return err
		}},
		{"list of objects in a teardown", "list-type", func() error { _, err := v.Teardown(t.Context(), nil); return err }},
		{"list of versions in a purge", "versions", func() error {
			_, err := v.Teardown(t.Context(), &vault.TeardownOptions{Purge: true})
			return err
		}},
	} {
		done := loseOne(proxy, func(r *http.Request) bool { return r.Method == http.MethodGet && r.URL.Query().Has(tc.parameter) }, func() *testcloud.Fault { return testcloud.CutBody(50) })
		if err := tc.run(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if !done.Load() {
			t.Errorf("%s: no response was truncated", tc.name)
		}
	}
}
