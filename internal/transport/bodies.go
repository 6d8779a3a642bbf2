package transport

import (
	"io"
	"net/http"
)

// Bodies hides everything of a request's body but Read and Close. The AWS SDK closes a
// body when its answer begins to arrive. smithy-go 1.28.1 then lets WriteTo return
// io.EOF, which net/http, about to see whether the body was longer than announced, takes
// for a failed write: it closes the connection under the answer that is being read.
type Bodies struct{ Base http.RoundTripper }

// RoundTrip sends the request.
func (t Bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.Base.RoundTrip(r)
	}
	plain := *r // a RoundTripper does not change the request
	plain.Body = struct{ io.ReadCloser }{r.Body}
	return t.Base.RoundTrip(&plain)
}

// CloseIdleConnections closes those of Base.
func (t Bodies) CloseIdleConnections() { closeIdle(t.Base) }

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
