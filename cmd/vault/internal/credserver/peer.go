package credserver

import (
	"context"
	"net"
)

// A peer is the process at the other end of a connection.
type peer struct {
	unix  bool // the connection is a Unix socket
	known bool // uid is known
	uid   int
}

type peerKey struct{}

// withPeer adds the peer of a connection to its context.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	var p peer
	if u, ok := c.(*net.UnixConn); ok {
		p.unix = true
		if uid, err := peerUID(u); err == nil { // otherwise the peer needs a token
			p.uid, p.known = uid, true
		}
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf returns the peer of a request.
func peerOf(ctx context.Context) peer {
	p, _ := ctx.Value(peerKey{}).(peer)
	return p
}
