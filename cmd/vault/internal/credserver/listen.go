package credserver

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/objectvault/objectvault/internal/loopback"
	"github.com/objectvault/objectvault/vault"
)

// Listen listens on an address of this machine: "127.0.0.1:8090", "[::1]:8090", "localhost:8090" or
// "unix:/PATH". The caller passes the listeners to [Server.Serve], which closes them, or closes them.
//
// "localhost" means 127.0.0.1 and, if this machine has it, ::1. If another process uses the port of
// either, Listen fails: a client that connects to localhost could reach that process.
//
// A Unix socket has mode 0600, so only processes of this user can connect. Listen replaces a socket to
// which no process listens. Closing the listener removes the socket.
//
// If other machines could reach the address, or if it is malformed, the error wraps [vault.ErrConfig].
func Listen(ctx context.Context, address string) ([]net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		l, err := listenUnix(ctx, path)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("%w: the address %q is not HOST:PORT or unix:/PATH", vault.ErrConfig, address)
	}
	if !loopback.Host(host) {
		return nil, fmt.Errorf("%w: %s is not an address of this machine only (localhost, 127.0.0.0/8, ::1)", vault.ErrConfig, address)
	}
	if !strings.EqualFold(host, "localhost") {
		l, err := listenTCP(ctx, host, port)
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	v4, err := listenTCP(ctx, "127.0.0.1", port)
	if err != nil {
		return nil, err
	}
	_, port, _ = net.SplitHostPort(v4.Addr().String()) // port was perhaps 0
	v6, err := listenTCP(ctx, "::1", port)
	if err == nil {
		return []net.Listener{v4, v6}, nil
	}
	if free, ferr := listenTCP(ctx, "::1", "0"); ferr == nil { // there is an ::1, but the port is in use
		free.Close()
		v4.Close()
		return nil, err
	}
	return []net.Listener{v4}, nil
}

func listenTCP(ctx context.Context, host, port string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	if err := checkLocal(l.Addr()); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// Activated returns the listeners that systemd has opened for this process (socket activation), or
// none if it has opened none. It reads and unsets LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES. If
// another machine could reach one of the listeners, or if one is not a stream socket, Activated closes
// all of them, and the error wraps [vault.ErrConfig].
func Activated() ([]net.Listener, error) {
	listeners, err := activation.Listeners()
	for i, l := range listeners {
		switch {
		case err != nil:
		case l == nil:
			err = fmt.Errorf("%w: socket %d of systemd is not a stream socket that listens", vault.ErrConfig, i+1)
		default:
			err = checkLocal(l.Addr())
		}
	}
	if err == nil {
		return listeners, nil
	}
	for _, l := range listeners {
		if l != nil {
			l.Close()
		}
	}
	return nil, err
}

// checkLocal returns an error if other machines can reach an address.
func checkLocal(addr net.Addr) error {
	switch a := addr.(type) {
	case *net.UnixAddr:
		return nil
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return nil
		}
	}
	return fmt.Errorf("%w: other machines may reach %s: listen on 127.0.0.1, [::1] or a Unix socket", vault.ErrConfig, addr)
}

// checkListener returns an error if other machines can reach a listener, or if requests that are
// passed to the old server would arrive at the listener.
func (s *Server) checkListener(l net.Listener) error {
	if err := checkLocal(l.Addr()); err != nil {
		return err
	}
	if a, ok := l.Addr().(*net.TCPAddr); ok && s.upstream != nil && isAddress(s.upstream, a.AddrPort()) {
		return fmt.Errorf("%w: this server cannot listen on %s, which is the address of the old server", vault.ErrConfig, a)
	}
	return nil
}

// isAddress reports whether a URL of this machine may lead to the address.
func isAddress(u *url.URL, addr netip.AddrPort) bool {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	if port != fmt.Sprint(addr.Port()) {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || ip.Unmap() == addr.Addr().Unmap() // err: it is localhost
}
