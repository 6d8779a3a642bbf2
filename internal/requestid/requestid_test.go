package requestid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/objectvault/objectvault/internal/requestid"
)

// The id of a response is reported to the context of its request, also if the request failed at the server.
// Without such a context, and without an id, nothing happens.
func TestTransport(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.URL.Query().Get("id"); id != "" {
			w.Header().Set("X-Request-Id", id)
		}
		if r.URL.Path == "/denied" {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	client := &http.Client{Transport: requestid.Transport{Base: http.DefaultTransport, Header: "X-Request-Id"}}
	defer client.CloseIdleConnections()
	var ids []string
	observed := requestid.With(t.Context(), func(id string) { ids = append(ids, id) })
	for _, path := range []string{"/?id=one", "/denied?id=two", "/"} {
		for _, ctx := range []context.Context{observed, t.Context()} {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	if want := []string{"one", "two"}; !slices.Equal(ids, want) {
		t.Errorf("ids %q, want %q", ids, want)
	}
}
