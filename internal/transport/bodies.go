package transport

import (
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
)

// Bodies keeps a response readable although the AWS SDK closes the body of the request when the response
// starts to arrive. A server may refuse a request before it has received the body. Then net/http reads the
// closed body, finds it too short, and closes the connection while the response is being read. The body that
// Bodies passes to Base waits in this case until the response has been read. The last Read of the response then
// takes 50 ms, in which net/http waits for the body.
//
// Bodies also hides all methods of a body except Read and Close. WriteTo in smithy-go 1.28.1 returns io.EOF
// after a Close, which net/http treats as a failed write.
type Bodies struct{ Base http.RoundTripper }

// RoundTrip sends the request.
func (t Bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.Base.RoundTrip(r)
	}
	sent := &requestBody{ctx: r.Context(), body: r.Body, left: r.ContentLength, done: make(chan struct{})}
	plain := *r // a RoundTripper must not change the request
	plain.Body = sent
	resp, err := t.Base.RoundTrip(&plain)
	if err != nil {
		return nil, err
	}
	sent.answered.Store(true)
	resp.Body = &responseBody{resp.Body, sent}
	return resp, nil
}

// CloseIdleConnections closes the idle connections of Base.
func (t Bodies) CloseIdleConnections() { closeIdle(t.Base) }

// A requestBody is the body of a request.
type requestBody struct {
	ctx      context.Context
	body     io.ReadCloser
	left     int64       // bytes of the announced length that were not read; -1: it is unknown
	answered atomic.Bool // RoundTrip has returned the response, so that the caller may have closed body
	once     sync.Once
	done     chan struct{} // is closed when net/http no longer needs the connection
}

func (b *requestBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if b.left > 0 {
		b.left -= min(int64(n), b.left)
	}
	if err == nil || b.left <= 0 || !b.answered.Load() {
		return n, err
	}
	select {
	case <-b.done:
	case <-b.ctx.Done():
	}
	return n, io.ErrUnexpectedEOF
}

// Close is called by net/http. The caller of RoundTrip may also close body.
func (b *requestBody) Close() error {
	b.end()
	return b.body.Close()
}

func (b *requestBody) end() { b.once.Do(func() { close(b.done) }) }

// A responseBody ends the body of its request.
type responseBody struct {
	io.ReadCloser
	request *requestBody
}

func (b *responseBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.request.end()
	}
	return n, err
}

func (b *responseBody) Close() error {
	b.request.end()
	return b.ReadCloser.Close()
}

func closeIdle(t http.RoundTripper) {
	if c, ok := t.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}
