// Package requestid collects the ids that a service gives to requests. They identify the requests in
// the logs of the service.
package requestid

import (
	"context"
	"net/http"
)

type contextKey struct{}

// With returns a context whose responses are reported to add. Several goroutines may call add at once.
func With(ctx context.Context, add func(id string)) context.Context {
	return context.WithValue(ctx, contextKey{}, add)
}

// Transport reports the id in the header of each response to the context of its request.
type Transport struct {
	Base   http.RoundTripper
	Header string
}

// RoundTrip sends the request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Base.RoundTrip(r)
	if err == nil {
		if add, ok := r.Context().Value(contextKey{}).(func(string)); ok {
			if id := resp.Header.Get(t.Header); id != "" {
				add(id)
			}
		}
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of Base.
func (t Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
