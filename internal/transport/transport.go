// Package transport is what the clouds' HTTP clients share: a connection that makes no
// progress ends, and an answer that is not the range that was asked for is an error.
package transport

import (
	"context"
	"net"
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
		return &conn{c, timeout}, nil
	}
}

// A conn moves its deadlines whenever bytes move. A transport reads from the moment it
// begins to write a request, so that a write moves the deadline of the read as well.
type conn struct {
	net.Conn
	timeout time.Duration
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	if err == nil {
		err = c.SetReadDeadline(time.Now().Add(c.timeout))
	}
	return n, err
}
