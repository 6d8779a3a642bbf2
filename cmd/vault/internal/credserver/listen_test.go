package credserver_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/vault"
)

// TestListen: the server listens only on this machine.
func TestListen(t *testing.T) {
	for _, address := range []string{
		"0.0.0.0:0", ":0", "[::]:0", "example.com:0", "10.0.0.1:0", "localhost.example.com:0", "[::1%lo]:0", "", "127.0.0.1", "localhost", "8090", "unix:", "unix:relative", "unix:@abstract", "http://127.0.0.1:0",
	} {
		listeners, err := credserver.Listen(t.Context(), address)
		if !errors.Is(err, vault.ErrConfig) {
			t.Errorf("%q: %v", address, err)
		}
		for _, l := range listeners {
			l.Close()
		}
	}
	for _, address := range []string{"127.0.0.1:0", "127.9.8.7:0", "localhost:0", "LOCALHOST:0", "[::1]:0"} {
		listeners, err := credserver.Listen(t.Context(), address)
		if err != nil {
			if address == "[::1]:0" || address == "127.9.8.7:0" {
				t.Logf("%s: %v", address, err) // not every machine has it
				continue
			}
			t.Errorf("%s: %v", address, err)
		}
		for _, l := range listeners {
			if !l.Addr().(*net.TCPAddr).IP.IsLoopback() {
				t.Errorf("%s: it listens on %s", address, l.Addr())
			}
			l.Close()
		}
	}
}

// TestListenLocalhost: localhost is every loopback address that a client may try first.
func TestListenLocalhost(t *testing.T) {
	var v6 net.Listener
	var port string
	for free, n := false, 0; !free; n++ { // for 127.0.0.1, too
		if n == 100 {
			t.Fatal("no port is free for both loopback addresses")
		}
		var err error
		if v6, err = net.Listen("tcp", "[::1]:0"); err != nil {
			t.Skipf("this machine has no ::1: %v", err)
		}
		defer v6.Close()
		_, port, _ = net.SplitHostPort(v6.Addr().String())
		v4, err := net.Listen("tcp", "127.0.0.1:"+port)
		if free = err == nil; free {
			v4.Close()
		} else {
			v6.Close()
		}
	}
	listeners, err := credserver.Listen(t.Context(), "localhost:"+port)
	if err == nil {
		t.Error("localhost was taken although another process has the port of ::1")
		for _, l := range listeners {
			l.Close()
		}
	}
	if c, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		c.Close()
		t.Error("a Listen that failed left a listener")
	}
	v6.Close()
	w := newWorld(t)
	r := w.start("localhost:0", nil)
	_, port, _ = net.SplitHostPort(r.addr.String())
	for _, host := range []string{"127.0.0.1", "::1"} {
		if got := raw(t, "tcp", net.JoinHostPort(host, port), "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); got != 200 {
			t.Errorf("%s: %d", host, got)
		}
	}
}

// TestServeElsewhere: a listener that other machines can reach is refused, and closed.
func TestServeElsewhere(t *testing.T) {
	w := newWorld(t)
	s, err := credserver.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	inside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	outside, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), inside, outside); !errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), "other machines may reach") {
		t.Errorf("serve: %v", err)
	}
	for _, l := range []net.Listener{inside, outside} {
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", l.Addr(), err)
		}
	}
}

// TestListenerFails: Serve returns the error of a listener.
func TestListenerFails(t *testing.T) {
	w := newWorld(t)
	s, err := credserver.New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Serve(t.Context(), other, l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve: %v", err)
	}
	if _, err := other.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the other listener: %v", err)
	}
}

// TestNotActivated: without systemd there are no listeners.
func TestNotActivated(t *testing.T) {
	t.Setenv("LISTEN_FDS", "1")
	t.Setenv("LISTEN_PID", "1") // another process
	if listeners, err := credserver.Activated(); err != nil || len(listeners) != 0 {
		t.Errorf("%v, %v", listeners, err)
	}
}
