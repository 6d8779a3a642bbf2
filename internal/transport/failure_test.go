package transport_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/testcloud"
	"github.com/objectvault/objectvault/internal/transport"
)

// TestFailures: a Failure reports whether the request was sent, and whether the server did not
// respond at all.
func TestFailures(t *testing.T) {
	stop := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/first" {
			<-stop
		}
	}))
	defer silent.Close()
	defer close(stop)
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer cut.Close()
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	untrusted.Config.ErrorLog = nil
	plain := httptest.NewServer(http.NotFoundHandler()) // without TLS
	defer plain.Close()

	for _, tc := range []struct {
		name, url                  string
		first                      bool
		notSent, untrusted, silent bool
	}{
		{"silent", silent.URL, false, false, false, true},
		{"silent after one response", silent.URL, true, false, false, false}, // the connection may have been closed
		{"connection closed", cut.URL, false, false, false, false},
		{"unknown CA", untrusted.URL, false, true, true, false},
		{"no TLS", strings.Replace(plain.URL, "http:", "https:", 1), false, true, false, false},
		{"connection refused", testcloud.NoServer(t), false, true, false, false},
		{"no such host", "http://host.invalid", false, true, false, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			timeout := time.Minute
			if strings.HasPrefix(tc.name, "silent") {
				timeout = time.Second
			}
			c := &http.Client{Transport: transport.Failures{Base: transport.New(timeout)}}
			defer c.CloseIdleConnections()
			var err error
			again := true
			for range 20 { // on a busy machine, a connection is not always used a second time
				if tc.first {
					resp, err := c.Get(tc.url + "/first")
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
				}
				again = tc.first
				trace := httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { again = tc.first && !i.Reused }}
				r, rerr := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &trace), http.MethodPost, tc.url, strings.NewReader("x"))
				if rerr != nil {
					t.Fatal(rerr)
				}
				if _, err = c.Do(r); err == nil {
					t.Fatal("the request succeeded")
				}
				if !again {
					break
				}
			}
			if again {
				t.Fatal("no connection was used a second time")
			}
			if got := transport.NotSent(err); got != tc.notSent {
				t.Errorf("not sent is %v: %v", got, err)
			}
			if got := transport.Untrusted(err); got != tc.untrusted {
				t.Errorf("untrusted is %v: %v", got, err)
			}
			if got := transport.Silent(err); got != tc.silent {
				t.Errorf("silent is %v: %v", got, err)
			}
		})
	}
}
