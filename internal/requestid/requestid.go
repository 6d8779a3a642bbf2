// Package requestid collects the ids that a service gives to requests. They identify the requests in
// the logs of the service.
package requestid

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

type contextKey struct{}

// With returns a context whose requests are reported to add: each with its id, or with "" if the service may
// have received it and no response had an id. Several goroutines may call add at once.
func With(ctx context.Context, add func(id string)) context.Context {
	return context.WithValue(ctx, contextKey{}, add)
}

// Transport reports the id in the header of each response to the context of its request. It also reports the
// requests that [net/http.Transport] repeats itself.
type Transport struct {
	Base   http.RoundTripper
	Header string
}

// RoundTrip sends the request.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	add, ok := r.Context().Value(contextKey{}).(func(string))
	if !ok {
		return t.Base.RoundTrip(r)
	}
	var sent atomic.Int64
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent.Add(1) }})
	resp, err := t.Base.RoundTrip(r.WithContext(ctx))
	unknown := sent.Load()
	if err == nil {
		unknown = max(unknown, 1)
		if id := resp.Header.Get(t.Header); id != "" {
			add(id)
			unknown--
		}
	}
	for range unknown {
		add("")
	}
	return resp, err
}

// CloseIdleConnections closes the idle connections of Base.
func (t Transport) CloseIdleConnections() {
	if c, ok := t.Base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
