package transport

import (
	"io"
	"net/http"
)

// Bodies hides all methods of a request's body except Read and Close. The AWS SDK closes a body
// when its response starts to arrive. Then WriteTo in smithy-go 1.28.1 returns io.EOF. net/http
// calls WriteTo to check that the body was not longer than announced, treats io.EOF as a failed
// write, and closes the connection while the response is being read.
type Bodies struct{ Base http.RoundTripper }

// RoundTrip sends the request.
func (t Bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.Base.RoundTrip(r)
	}
	plain := *r // a RoundTripper must not change the request
	plain.Body = struct{ io.ReadCloser }{r.Body}
	return t.Base.RoundTrip(&plain)
}

// CloseIdleConnections closes the idle connections of Base.
func (t Bodies) CloseIdleConnections() { closeIdle(t.Base) }

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
