package aws_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
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

// TestCutRefusal: an error response that ends early proves nothing, whatever its status is.
func TestCutRefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 404} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Length", "1000")
				w.WriteHeader(status)
				io.WriteString(w, "<html>blocked") // net/http closes the connection
			}))
			t.Cleanup(server.Close)
			v := newVault(t, open(t, aws.Config{Bucket: "bucket", Endpoint: server.URL, Static: static(testcloud.Keys{AccessKeyID: "AKID", SecretKey: "secret"})}), "acme")
			_, put := v.Put(t.Context(), "openai", noise(1, 100), nil)
			if !errors.Is(put, vault.ErrUnsure) {
				t.Errorf("put: %v, want ErrUnsure", put)
			}
			_, get := v.Get(t.Context(), "openai", nil)
			for op, err := range map[string]error{"put": put, "get": get, "delete": v.Delete(t.Context(), "openai", nil)} {
				if !errors.Is(err, vault.ErrUnavailable) || errors.Is(err, vault.ErrPermission) || errors.Is(err, vault.ErrNotFound) {
					t.Errorf("%s: %v, want only ErrUnavailable", op, err)
				}
			}
		})
	}
}
