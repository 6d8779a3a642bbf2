package credserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/internal/intercept"
	"github.com/objectvault/objectvault/vault"
)

// refusesConnections waits until nothing listens at the address.
func refusesConnections(addr net.Addr) {
	for {
		c, err := net.Dial(addr.Network(), addr.String())
		if err != nil {
			return
		}
		c.Close()
		runtime.Gosched()
	}
}

// later sends a request that takes a while.
func later(t *testing.T, send func() (response, error)) <-chan response {
	done := make(chan response, 1)
	go func() {
		r, err := send()
		if err != nil {
			r.text = err.Error()
		}
		done <- r
	}()
	return done
}

func (c *client) storeLater(service, value string) <-chan response {
	return later(c.t, func() (response, error) {
		return c.do(context.Background(), "POST", "/credential/store", "", storeBody(wallet, service, value))
	})
}

// TestDrain: a server that stops completes the requests in progress, and accepts no others.
func TestDrain(t *testing.T) {
	w := newWorld(t)
	r := w.start("127.0.0.1:0", func(c *credserver.Config) { c.DrainTime = time.Hour })
	c := r.client(full)
	arrived, release := w.blocked("put", "create")
	stored := c.storeLater("a", "1")
	<-arrived
	r.stop()
	refusesConnections(r.addr)
	select {
	case <-r.ended:
		t.Fatal("the server ended before the request")
	case got := <-stored:
		t.Fatalf("the request ended with %v", got)
	default:
	}
	release()
	(<-stored).want(t, "store", 200, isOK)
	if err := r.end(); err != nil {
		t.Errorf("serve: %v", err)
	}
	if value, _, err := w.vault.ReadAll(t.Context(), "a", nil); err != nil || string(value) != "1" {
		t.Errorf("the vault has %q, %v", value, err)
	}
}

// TestDrainEnds: a store that takes too long is ended. Its value is in the spool, and the client gets the
// response.
func TestDrainEnds(t *testing.T) {
	w := newWorld(t)
	r := w.start("127.0.0.1:0", func(c *credserver.Config) { c.DrainTime = time.Millisecond })
	arrived, release := w.blocked("put", "create")
	stored := r.client(full).storeLater("a", "1")
	<-arrived
	if err := r.end(); !errors.Is(err, credserver.ErrDrain) {
		t.Errorf("serve: %v", err)
	}
	(<-stored).want(t, "store", 200, isOK)
	release()
	w.each(nil)
	if value, info, err := w.vault.ReadAll(t.Context(), "a", nil); err != nil || string(value) != "1" || !info.Pending {
		t.Errorf("the vault has %q, pending %v, %v", value, info.Pending, err)
	}
}

// TestDrainUpload: a client that does not complete its request does not keep the server running.
func TestDrainUpload(t *testing.T) {
	w := newWorld(t)
	r := w.start("127.0.0.1:0", func(c *credserver.Config) { c.DrainTime, c.RequestTimeout = time.Millisecond, time.Hour })
	conn, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The server sends 100 when it starts to read the body.
	request := "POST /credential/store HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + full + "\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(conn, make([]byte, len("HTTP/1.1 100"))); err != nil {
		t.Fatal(err)
	}
	if err := r.end(); !errors.Is(err, credserver.ErrDrain) {
		t.Errorf("serve: %v", err)
	}
}

// TestDrainStream: a response of the old server that does not end does not keep the server running.
func TestDrainStream(t *testing.T) {
	w := newWorld(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer upstream.Close()
	r := w.start("127.0.0.1:0", func(c *credserver.Config) {
		c.Upstream, c.DrainTime = parseURL(t, upstream.URL), time.Millisecond
	})
	c := r.client(full)
	resp, err := c.http.Get("http://" + c.host + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := r.end(); !errors.Is(err, credserver.ErrDrain) {
		t.Errorf("serve: %v", err)
	}
	if text, err := io.ReadAll(resp.Body); err == nil || string(text) != "first\n" {
		t.Errorf("the client got %q, %v", text, err)
	}
}

// TestClientGone: a value that has arrived is stored, even if the client closes the connection.
func TestClientGone(t *testing.T) {
	w := newWorld(t)
	r := w.start("127.0.0.1:0", func(c *credserver.Config) { c.DrainTime = time.Hour })
	c := r.client(full)
	arrived, release := w.blocked("put", "create", "get")
	ctx, leave := context.WithCancel(t.Context())
	gone := later(t, func() (response, error) {
		return c.do(ctx, "POST", "/credential/store", "", storeBody(wallet, "a", "1"))
	})
	<-arrived
	leave()
	<-gone
	c.http.CloseIdleConnections()
	// A read whose client has gone ends, which shows that the server notices it.
	ctx, leave = context.WithCancel(t.Context())
	gone = later(t, func() (response, error) {
		return c.do(ctx, "GET", "/credential/read", "agent_id="+wallet+"&service=b", "")
	})
	<-arrived
	leave()
	<-gone
	for len(w.log.lines(t, "request")) == 0 { // of the read
		runtime.Gosched()
	}
	release()
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if value, info, err := w.vault.ReadAll(t.Context(), "a", nil); err != nil || string(value) != "1" || info.Pending {
		t.Errorf("the vault has %q, pending %v, %v", value, info.Pending, err)
	}
}

// TestMaxInFlight: more requests wait for their turn, and for a limited time.
func TestMaxInFlight(t *testing.T) {
	for _, patient := range []bool{false, true} {
		w := newWorld(t)
		c := w.serve(func(c *credserver.Config) {
			c.MaxInFlight, c.QueueTime = 2, time.Millisecond
			if patient {
				c.QueueTime = time.Hour
			}
		})
		arrived, release := w.blocked("put", "create")
		first, second := c.storeLater("a", "1"), c.storeLater("b", "1")
		<-arrived
		<-arrived
		third := c.storeLater("c", "1")
		c.list().want(t, "a list does not wait for stores", 200, `{"services":["a","b"]}`)
		if !patient {
			r := <-third
			r.want(t, "third request", 503, "busy")
			if r.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
			}
		}
		c.call("GET", "/healthz", "", "").want(t, "healthz", 200, "ok")
		release()
		(<-first).want(t, "first request", 200, isOK)
		(<-second).want(t, "second request", 200, isOK)
		if patient {
			(<-third).want(t, "third request", 200, isOK)
		}
		c.read("b").wantValue(t, "afterwards", "1")
	}
}

// TestPassesInFlight: requests for the old server do not take the places of the others.
func TestPassesInFlight(t *testing.T) {
	w := newWorld(t)
	arrived, release := make(chan struct{}), make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
	}))
	defer upstream.Close()
	c := w.serve(func(c *credserver.Config) {
		c.Upstream, c.MaxInFlight, c.QueueTime = parseURL(t, upstream.URL), 1, time.Millisecond
	})
	passed := later(t, func() (response, error) { return c.do(context.Background(), "GET", "/poll", "", "") })
	<-arrived
	c.call("GET", "/poll", "", "").want(t, "second request for the old server", 503, "busy")
	c.store("a", "1").want(t, "store", 200, isOK)
	close(release)
	if r := <-passed; r.status != 200 {
		t.Errorf("first request for the old server: %d %s", r.status, r.text)
	}
}

// TestRequestTimeout: a request has a limited time.
func TestRequestTimeout(t *testing.T) {
	w := newWorld(t)
	c := w.serve(func(c *credserver.Config) { c.RequestTimeout = 50 * time.Millisecond })
	w.each(func(ctx context.Context, _ intercept.Call, _ func() error) error {
		<-ctx.Done()
		return fmt.Errorf("%w: %w", vault.ErrUnavailable, ctx.Err())
	})
	if r, err := c.do(t.Context(), "GET", "/credential/read", "agent_id="+wallet+"&service=a", ""); err == nil {
		r.want(t, "read", 503, "unavailable")
	}
	w.each(nil)
	if lines := w.log.lines(t, "request"); len(lines) != 1 || lines[0]["status"] != 503.0 {
		t.Errorf("logged %v", w.log)
	}
}

// TestSlowClient: a client that does not send its request does not keep a place.
func TestSlowClient(t *testing.T) {
	w := newWorld(t)
	r := w.start("127.0.0.1:0", func(c *credserver.Config) { c.RequestTimeout, c.DrainTime = 50*time.Millisecond, time.Hour })
	request := "POST /credential/store HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + full + "\r\nContent-Length: 1000\r\n\r\n{"
	conn, err := net.Dial("tcp", r.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, conn) // until the server closes the connection
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if lines := w.log.lines(t, "request"); len(lines) != 1 || lines[0]["status"] != 400.0 {
		t.Errorf("logged %v", w.log)
	}
}

// TestLoad: many clients at once; each finds what it has stored, whatever the others do.
func TestLoad(t *testing.T) {
	const clients, rounds = 8, 5
	w := newWorld(t)
	r := w.start("127.0.0.1:0", func(c *credserver.Config) { c.MaxInFlight, c.QueueTime = 4, time.Hour })
	var wg sync.WaitGroup
	for n := range clients {
		c := r.client(full)
		wg.Go(func() {
			mine := fmt.Sprint("service-", n)
			for round := range rounds {
				value := fmt.Sprint(n, "/", round, strings.Repeat("x", round*1000))
				c.store(mine, value).want(t, "store", 200, isOK)
				c.store("common", value).want(t, "store of the common service", 200, isOK)
				c.read(mine).wantValue(t, "read", value)
				if got := c.list(); got.status != 200 || !strings.Contains(got.text, `"`+mine+`"`) {
					t.Errorf("list: %d %s", got.status, got.text)
				}
				if got := c.read("common"); got.status != 200 {
					t.Errorf("read of the common service: %d %s", got.status, got.text)
				}
				c.as("guess").read(mine).want(t, "read with an unknown token", 401, "unauthorized")
			}
		})
	}
	wg.Wait()
	for n := range clients {
		name := vault.Name(fmt.Sprint("service-", n))
		value, _, err := w.vault.ReadAll(t.Context(), name, nil)
		if want := fmt.Sprint(n, "/", rounds-1); err != nil || !bytes.HasPrefix(value, []byte(want)) {
			t.Errorf("%s is %.20q, %v; want %s", name, value, err, want)
		}
	}
	if err := r.end(); err != nil {
		t.Error(err)
	}
	if lines := w.log.lines(t, "request"); len(lines) != clients*rounds*6 {
		t.Errorf("%d requests were logged, want %d", len(lines), clients*rounds*6)
	}
}
