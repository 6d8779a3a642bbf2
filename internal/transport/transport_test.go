package transport_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/internal/transport"
)

type answer func(*http.Request) *http.Response

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) { return a(r), nil }

// TestRanges: responses with the requested range pass, and others are rejected.
func TestRanges(t *testing.T) {
	for _, tc := range []struct {
		asked  string
		status int
		header string
		length int64
		ok     bool
	}{
		{"bytes=5-9", 206, "bytes 5-9/100", 5, true},
		{"bytes=5-9", 206, "bytes 5-9/100", -1, true},
		{"bytes=5-9", 206, "bytes 5-7/8", 3, true}, // shortened at the end of the object
		{"bytes=5-", 206, "bytes 5-99/100", 95, true},
		{"", 200, "", 100, true},
		{"bytes=5-9", 416, "bytes */3", 0, true}, // left to the caller
		{"bytes=5-9", 404, "", 0, true},
		{"bytes=5-9", 200, "", 100, false},
		{"bytes=0-9", 200, "", 10, false},
		{"bytes=5-9", 206, "bytes 5-8/100", 4, false},
		{"bytes=5-9", 206, "bytes 4-9/100", 6, false},
		{"bytes=5-9", 206, "bytes 0-99/100", 100, false},
		{"bytes=5-9", 206, "bytes 5-9/7", 5, false},
		{"bytes=5-9", 206, "bytes 5-9/*", 5, false},
		{"bytes=5-9", 206, "bytes 5-9/100", 6, false},
		{"bytes=5-9", 206, "", 5, false},
		{"bytes=5-", 206, "bytes 5-98/100", 94, false},
		{"bytes=-5", 206, "bytes 95-99/100", 5, false}, // this client never sends such a range
	} {
		body := &closing{Reader: strings.NewReader("x")}
		rt := transport.Ranges{Base: answer(func(*http.Request) *http.Response {
			h := http.Header{}
			if tc.header != "" {
				h.Set("Content-Range", tc.header)
			}
			return &http.Response{StatusCode: tc.status, Header: h, ContentLength: tc.length, Body: body}
		})}
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
		if tc.asked != "" {
			r.Header.Set("Range", tc.asked)
		}
		resp, err := rt.RoundTrip(r)
		switch {
		case tc.ok && (err != nil || resp == nil || body.closed):
			t.Errorf("%+v: %v, body closed is %v", tc, err, body.closed)
		case !tc.ok && (!errors.Is(err, transport.ErrRange) || !body.closed):
			t.Errorf("%+v: %v, body closed is %v", tc, err, body.closed)
		}
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// TestBodies: the body that the transport gets has no WriteTo, and the caller's request is
// unchanged.
func TestBodies(t *testing.T) {
	var got io.ReadCloser
	rt := transport.Bodies{Base: answer(func(r *http.Request) *http.Response { got = r.Body; return &http.Response{} })}
	r := httptest.NewRequest(http.MethodPut, "http://127.0.0.1/", strings.NewReader("x"))
	body := r.Body
	if _, ok := body.(io.WriterTo); !ok {
		t.Fatal("the body has no WriteTo, so this test proves nothing")
	}
	if _, err := rt.RoundTrip(r); err != nil {
		t.Fatal(err)
	}
	if _, ok := got.(io.WriterTo); ok || got == nil || r.Body != body {
		t.Errorf("the transport got a %T, and the request has a %T", got, r.Body)
	}
	if b, err := io.ReadAll(got); string(b) != "x" || err != nil {
		t.Errorf("the body is %q, %v", b, err)
	}
	r.Body = http.NoBody
	if _, err := rt.RoundTrip(r); err != nil || got != http.NoBody {
		t.Errorf("a request without a body got a %T, %v", got, err)
	}
}

// A closedBody announces more bytes than it has, like a body that was closed before it was read.
type closedBody struct {
	closed  chan struct{}
	once    sync.Once
	drained chan struct{} // is closed when the transport has read the end
	ended   chan struct{} // is closed when the transport needs the body no more
}

func (b *closedBody) Read(p []byte) (int, error) {
	<-b.closed
	b.once.Do(func() { close(b.drained) })
	return 0, io.EOF
}

func (b *closedBody) Close() error { close(b.ended); return nil }

// TestEarlyResponse: a response to a request whose body is closed before it is sent can be read to its end, and
// the connection ends with it.
func TestEarlyResponse(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	body := &closedBody{closed: make(chan struct{}), drained: make(chan struct{}), ended: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			ended <- err
			return
		}
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			ended <- err
			return
		}
		io.WriteString(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n")
		<-body.drained
		c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)) // in which a transport closes the connection
		c.Read(make([]byte, 1))
		io.WriteString(c, "reason")
		c.SetReadDeadline(time.Now().Add(time.Minute))
		_, err = io.Copy(io.Discard, c)
		ended <- err
	}()
	client := &http.Client{Transport: transport.Bodies{Base: transport.New(0)}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+l.Addr().String(), body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 10
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	close(body.closed) // what the AWS SDK does when Do returns
	if got, err := io.ReadAll(resp.Body); string(got) != "reason" || err != nil {
		t.Errorf("the response is %q, %v", got, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the connection remains: %v", err)
	}
	select {
	case <-body.ended:
	case <-time.After(time.Minute):
		t.Error("net/http still reads the body")
	}
}

// TestShortBody: a request whose body is shorter than announced fails before there is a response.
func TestShortBody(t *testing.T) {
	t.Parallel()
	received := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			close(received)
		}
	}))
	defer server.Close()
	client := &http.Client{Transport: transport.Bodies{Base: transport.New(0)}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, server.URL, io.NopCloser(strings.NewReader("12345")))
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = 10
	if _, err := client.Do(r); err == nil {
		t.Error("a request with half of its body succeeded")
	}
	<-received
}

// TestNoProgress: the requests to a server that does not respond, and to one that stops within a
// body, end. A request to a slow server does not.
func TestNoProgress(t *testing.T) {
	t.Parallel()
	get := func(timeout time.Duration, serve func(net.Conn)) error {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err == nil {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
					serve(c)
				}
			}
		}()
		tr := &http.Transport{DialContext: transport.DialContext(timeout)}
		defer tr.CloseIdleConnections()
		resp, err := (&http.Client{Transport: tr}).Get("http://" + l.Addr().String())
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	stop := make(chan struct{})
	defer close(stop)
	const head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
	var ne net.Error
	if err := get(time.Second, func(net.Conn) { <-stop }); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("a silent server: %v, want a timeout", err)
	}
	if err := get(time.Second, func(c net.Conn) { io.WriteString(c, head+"12345"); <-stop }); !errors.As(err, &ne) || !ne.Timeout() {
		t.Errorf("a server that stops within a body: %v, want a timeout", err)
	}
	for timeout := time.Second; ; timeout *= 2 { // a busy machine may suspend the test
		err := get(timeout, func(c net.Conn) {
			io.WriteString(c, head)
			for range 10 { // longer than the timeout in total, but never long without a byte
				<-time.After(timeout / 8)
				io.WriteString(c, "x")
			}
			<-stop
		})
		if err == nil {
			break
		}
		if timeout > 5*time.Second {
			t.Fatalf("a slow server: %v", err)
		}
	}
}

// TestRefusedEarly: if a server responds and closes the connection before it has read the body, the
// client gets the response. If the server closes without a response, the client gets an error.
func TestRefusedEarly(t *testing.T) {
	for _, responds := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.Read(make([]byte, 1000)) // the header and a part of the body
				if responds {
					io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno")
				}
				c.Close() // a reset, because the rest was not read
			}
		}()
		tr := &http.Transport{DialContext: transport.DialContext(5 * time.Second)}
		for range 50 {
			r, err := http.NewRequest(http.MethodPut, "http://"+l.Addr().String(), strings.NewReader(strings.Repeat("x", 4<<20)))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := (&http.Client{Transport: tr}).Do(r)
			if !responds {
				if err == nil {
					t.Fatal("got a response that no server sent")
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden || string(b) != "no" || err != nil {
				t.Fatalf("%d %q, %v", resp.StatusCode, b, err)
			}
		}
		tr.CloseIdleConnections()
		l.Close()
	}
}
