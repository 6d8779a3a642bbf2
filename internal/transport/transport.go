// Package transport contains the HTTP transports that the clouds share. They close connections that
// make no progress, and reject responses that do not contain the requested range.
package transport

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// DialContext returns a function for [net/http.Transport].DialContext. Its connections fail if
// dialing, a write, or a read while nothing is written makes no progress for timeout.
func DialContext(timeout time.Duration) func(ctx context.Context, network, addr string) (net.Conn, error) {
	d := &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, timeout: timeout}, nil
	}
}

// A conn moves its deadlines whenever bytes are transferred. A transport starts to read when it
// starts to write a request, so a write also moves the read deadline.
//
// A conn also hides from the transport that the peer has closed the connection during a request. A
// server may refuse a request before it has read the body, and its response can still be read.
// Otherwise, net/http would report the failed write, and the reason would be lost.
type conn struct {
	net.Conn
	timeout    time.Duration
	peerClosed bool // the peer no longer reads
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if c.peerClosed {
		return len(p), nil
	}
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		c.peerClosed = true // a read returns the response first, and then the error
		return len(p), nil
	}
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(c.timeout))
	}
	return n, err
}
