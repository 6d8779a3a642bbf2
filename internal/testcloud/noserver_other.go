//go:build !unix

package testcloud

import (
	"net"
)

// NoServer returns a URL at which connections are refused, unless another server gets the port meanwhile.
func NoServer(t TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}
