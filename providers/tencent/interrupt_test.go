package tencent_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/objectvault/objectvault/vault"
)

// TestInterruptedStart: if the caller gives up before the response to an initiate arrives, no
// multipart upload remains. newServer checks this.
func TestInterruptedStart(t *testing.T) {
	for _, create := range []bool{false, true} {
		s := newServer(t, nil)
		u, err := url.Parse(s.URL())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started := 0
		front := httptest.NewServer(&httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) {
				r.SetURL(u)
				r.Out.Host = r.In.Host
			},
			ModifyResponse: func(resp *http.Response) error {
				if !resp.Request.URL.Query().Has("uploads") {
					return nil
				}
				started = len(s.Uploads(s.Bucket()))
				cancel()
				held := time.NewTimer(300 * time.Millisecond)
				defer held.Stop()
				select {
				case <-held.C:
				case <-resp.Request.Context().Done(): // the client did not wait
				}
				return nil
			},
		})
		t.Cleanup(front.Close)
		c := config(s, owner(s))
		c.Endpoint = front.URL
		v := newVault(t, open(t, c), "acme")
		_, err = v.Put(ctx, "x", noise(1, 20<<20), &vault.PutOptions{Create: create})
		if !errors.Is(err, context.Canceled) || errors.Is(err, vault.ErrUnsure) || started != 1 {
			t.Errorf("put: %v, %d uploads were started", err, started)
		}
		if n := len(s.Uploads(s.Bucket())); n != 0 {
			t.Errorf("%d uploads remain", n)
		}
	}
}
