// Package transport is what the clouds' HTTP clients share: a connection that makes no
// progress ends, and an answer that is not the range that was asked for is an error.
package transport

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// DialContext returns what dials connections on which nothing may stand still for
// longer than timeout: dialing, a read while nothing is written, a write. It is for
// [net/http.Transport].DialContext.
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

// A conn moves its deadlines whenever bytes move. A transport reads from the moment it
// begins to write a request, so that a write moves the deadline of the read as well.
//
// And it keeps from the transport that the peer has closed in the middle of a request: a
// server may refuse a request before it has read the body, and its answer is there to be
// read. Without this net/http reports the failed write, and the reason is lost.
type conn struct {
	net.Conn
	timeout time.Duration
	gone    bool // the peer takes no more
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if c.gone {
		return len(p), nil
	}
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		c.gone = true // what is to be read says it as well, after the answer
		return len(p), nil
	}
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(c.timeout))
	}
	return n, err
}
