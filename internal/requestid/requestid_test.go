package requestid_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/objectvault/objectvault/internal/requestid"
)

// Each request is reported to its context: with the id of the response, also if the request failed at the
// server, or without one. Without such a context, nothing happens. A request that was not sent is not reported.
func TestTransport(t *testing.T) {
	var drops atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.URL.Query().Get("id"); id != "" {
			w.Header().Set("X-Request-Id", id)
		}
		switch {
		case r.URL.Path == "/denied":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/lost" || r.URL.Path == "/lostonce" && drops.Add(1)%2 == 1:
			panic(http.ErrAbortHandler)
		}
	}))
	defer server.Close()
	client := &http.Client{Transport: requestid.Transport{Base: new(http.Transport), Header: "X-Request-Id"}}
	defer client.CloseIdleConnections()
	var ids []string
	var conns []httptrace.GotConnInfo // of the last request
	observed := requestid.With(t.Context(), func(id string) { ids = append(ids, id) })
	send := func(ctx context.Context, method, url string) error {
		conns = nil
		trace := httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { conns = append(conns, i) }}
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &trace), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
	for _, tc := range []struct {
		method, path string
		want         []string
		fails        bool
	}{
		{http.MethodGet, "/?id=one", []string{"one"}, false},
		{http.MethodGet, "/denied?id=two", []string{"two"}, false},
		{http.MethodGet, "/", []string{""}, false},
		{http.MethodGet, "/lostonce?id=three", []string{"three", ""}, false}, // http.Transport repeats it
		{http.MethodPost, "/lost?id=four", []string{""}, true},
	} {
		for _, ctx := range []context.Context{observed, t.Context()} {
			ids = nil
			err := send(ctx, tc.method, server.URL+tc.path)
			// http.Transport repeats a request only on a connection that was used before. On a busy machine it
			// sometimes opens another one.
			for n := 0; strings.HasPrefix(tc.path, "/lostonce") && (len(conns) == 0 || !conns[0].Reused); n++ {
				if n == 20 {
					t.Fatal("no connection was used a second time")
				}
				if err := send(t.Context(), http.MethodGet, server.URL); err != nil {
					t.Fatal(err)
				}
				drops.Store(0)
				ids = nil
				err = send(ctx, tc.method, server.URL+tc.path)
			}
			if (err != nil) != tc.fails {
				t.Errorf("%s: %v", tc.path, err)
			}
			if ctx == observed && !slices.Equal(ids, tc.want) || ctx != observed && ids != nil {
				t.Errorf("%s: ids %q, want %q", tc.path, ids, tc.want)
			}
		}
	}
	server.Close()
	ids = nil
	if err := send(observed, http.MethodGet, server.URL); err == nil || ids != nil {
		t.Errorf("a server that has ended: %v, ids %q", err, ids)
	}
}
