package credserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/objectvault/objectvault/cmd/vault/internal/credserver"
	"github.com/objectvault/objectvault/vault"
)

// An old is the plaintext credential server of agentKeys: the part that this server asks.
type old struct {
	*httptest.Server
	mu       sync.Mutex
	sessions map[string]session // by token
	stored   []string           // services
	requests map[string]int     // by path
	before   func(w http.ResponseWriter, r *http.Request) (done bool)
}

type session struct {
	services []string // nil: no scope
	other    bool     // of another owner
	readOnly bool
}

func newOld(t *testing.T) *old {
	o := &old{sessions: make(map[string]session), requests: make(map[string]int)}
	o.Server = httptest.NewServer(o)
	t.Cleanup(o.Close)
	return o
}

func (o *old) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.requests[r.URL.Path]++
	before := o.before
	o.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	s, known := o.sessions[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	q := r.URL.Query()
	answer := func(status int, body any) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(body)
	}
	switch {
	case !known:
		answer(401, map[string]string{"error": "unauthorized", "message": "x"})
	case r.URL.Path == "/credential/store" && !s.other && !s.readOnly && s.services == nil:
		answer(400, map[string]string{"error": "bad_request", "message": "x"}) // no test stores a valid value
	case s.other || q.Get("agent_id") != wallet:
		answer(403, map[string]string{"error": "forbidden", "message": "x"})
	case r.URL.Path == "/credential/list":
		services := []string{}
		for _, name := range o.stored {
			if s.services == nil || slices.Contains(s.services, name) {
				services = append(services, name)
			}
		}
		answer(200, map[string][]string{"services": services})
	case r.URL.Path == "/credential/read" && s.services != nil && !slices.Contains(s.services, q.Get("service")):
		answer(403, map[string]string{"error": "forbidden", "message": "x"})
	case r.URL.Path == "/credential/read" && slices.Contains(o.stored, q.Get("service")):
		answer(200, map[string]string{"ciphertext": ""})
	default:
		answer(404, map[string]string{"error": "not_found", "message": "x"})
	}
}

// set changes the behaviour of the server.
func (o *old) set(before func(w http.ResponseWriter, r *http.Request) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.before = before
}

// checks returns the number of lists since the last call.
func (o *old) checks() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.requests["/credential/list"]
	o.requests["/credential/list"] = 0
	return n
}

func (o *old) url(t *testing.T) *url.URL { return parseURL(t, o.URL) }

// verifying returns a server whose tokens are those of o.
func (w *world) verifying(o *old) *client {
	return w.serve(func(c *credserver.Config) {
		v, err := credserver.NewUpstreamVerifier(o.url(w.t), wallet, w.now)
		if err != nil {
			w.t.Fatal(err)
		}
		c.Verifier = v
	})
}

// TestVerifyUpstream: the sessions of the old server stay valid, and are checked once a minute.
func TestVerifyUpstream(t *testing.T) {
	w, o := newWorld(t), newOld(t)
	o.sessions = map[string]session{"session": {}, "other": {other: true}}
	c := w.verifying(o).as("session")
	for range 3 {
		c.store("a", "1").want(t, "store", 200, isOK)
		c.read("a").wantValue(t, "read", "1")
	}
	if n := o.checks(); n != 1 {
		t.Errorf("%d checks of a valid token", n)
	}
	for range 3 {
		c.as("guess").read("a").want(t, "unknown token", 401, "unauthorized")
		c.as("other").read("a").want(t, "token of another owner", 403, "forbidden")
	}
	if n := o.checks(); n != 2 {
		t.Errorf("%d checks of two invalid tokens", n)
	}
	o.mu.Lock()
	o.sessions = map[string]session{"guess": {}} // the session was revoked, and another created
	o.mu.Unlock()
	w.advance(time.Minute - 1)
	c.read("a").wantValue(t, "revoked token within a minute", "1")
	c.as("guess").read("a").want(t, "new token within a minute", 401, "unauthorized")
	w.advance(1)
	c.read("a").want(t, "revoked token after a minute", 401, "unauthorized")
	c.as("guess").read("a").wantValue(t, "new token after a minute", "1")
	if n := o.checks(); n != 2 {
		t.Errorf("%d checks after a minute", n)
	}
	c.as("guess").teardown().want(t, "teardown", 200, isOK)
	if strings.Contains(w.log.String(), "session") || strings.Contains(w.log.String(), "guess") {
		t.Errorf("the log contains a token: %v", w.log)
	}
}

// TestVerifyUpstreamReadOnly: a session that may not write at the old server may not write here.
func TestVerifyUpstreamReadOnly(t *testing.T) {
	w, o := newWorld(t), newOld(t)
	o.sessions = map[string]session{"session": {}, "reader": {readOnly: true}}
	c := w.verifying(o).as("session")
	c.store("a", "1").want(t, "store", 200, isOK)
	c.as("reader").read("a").wantValue(t, "read", "1")
	c.as("reader").store("a", "2").want(t, "store with a read-only session", 403, "forbidden")
	c.as("reader").teardown().want(t, "teardown with a read-only session", 403, "forbidden")
	c.read("a").wantValue(t, "read afterwards", "1")
}

// TestVerifyUpstreamScope: a session with a scope can read what the old server lists, and no more.
func TestVerifyUpstreamScope(t *testing.T) {
	w, o := newWorld(t), newOld(t)
	o.stored = []string{"a", "b"}
	o.sessions = map[string]session{"full": {}, "scoped": {services: []string{"a", "new"}}, "none": {services: []string{}}}
	c := w.verifying(o).as("full")
	for _, name := range []string{"a", "b", "new"} {
		c.store(name, "1").want(t, "store "+name, 200, isOK)
	}
	c.list().want(t, "list", 200, `{"services":["a","b","new"]}`)
	scoped := c.as("scoped")
	scoped.list().want(t, "list with a scope", 200, `{"services":["a"]}`)
	scoped.read("a").wantValue(t, "read within the scope", "1")
	scoped.read("b").want(t, "read outside of the scope", 403, "forbidden")
	scoped.read("new").want(t, "read of a service that the old server does not have", 403, "forbidden")
	scoped.store("a", "2").want(t, "store with a scope", 403, "forbidden")
	scoped.teardown().want(t, "teardown with a scope", 403, "forbidden")
	c.as("none").list().want(t, "list with an empty scope", 200, `{"services":[]}`)
	c.as("none").read("a").want(t, "read with an empty scope", 403, "forbidden")
}

// TestVerifyUpstreamFails: while the old server does not give an answer, nothing is permitted, and
// nothing is remembered.
func TestVerifyUpstreamFails(t *testing.T) {
	w, o := newWorld(t), newOld(t)
	o.sessions = map[string]session{"session": {}}
	c := w.verifying(o).as("session")
	status := func(path string, status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/credential/"+path {
				return false
			}
			if status == 307 {
				w.Header().Set("Location", o.URL+"/elsewhere")
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
			return true
		}
	}
	for name, before := range map[string]func(http.ResponseWriter, *http.Request) bool{
		"list: internal error":        status("list", 500, ""),
		"list: rate limit":            status("list", 429, ""),
		"list: redirect":              status("list", 307, ""),
		"list: too long":              status("list", 200, strings.Repeat(" ", 1<<20+1)),
		"read: internal error":        status("read", 500, ""),
		"read: rate limit":            status("read", 429, ""),
		"read: a value for any name":  status("read", 200, `{"ciphertext":""}`),
		"connection closed":           func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) },
		"connection closed in a body": func(w http.ResponseWriter, r *http.Request) bool { w.Header().Set("Content-Length", "9"); return true },
	} {
		o.set(before)
		r := c.list()
		r.want(t, name, 503, "unavailable")
		if r.header.Get("Retry-After") == "" || strings.Contains(r.text, "session") {
			t.Errorf("%s: %v %s", name, r.header, r.text)
		}
	}
	for _, body := range []string{"", "hello", "[]", "{}", `{"services":"a"}`} {
		o.set(func(w http.ResponseWriter, r *http.Request) bool {
			return status("read", 403, "")(w, r) || status("list", 200, body)(w, r)
		})
		c.list().want(t, "list that is "+body, 503, "unavailable")
	}
	o.set(nil)
	c.list().want(t, "afterwards", 200, `{"services":[]}`)
	o.Close()
	c.list().want(t, "the old server has ended, the token was checked", 200, `{"services":[]}`)
	w.advance(time.Hour)
	c.list().want(t, "the old server has ended", 503, "unavailable")
}

// TestVerifyUpstreamOnce: concurrent checks of one token are one request.
func TestVerifyUpstreamOnce(t *testing.T) {
	w, o := newWorld(t), newOld(t)
	o.sessions = map[string]session{"session": {}}
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	o.set(func(w http.ResponseWriter, r *http.Request) bool {
		arrived <- struct{}{}
		<-release
		return false
	})
	v, err := credserver.NewUpstreamVerifier(o.url(t), wallet, w.now)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	verify := func(ctx context.Context) {
		wg.Go(func() {
			if g, err := v.Verify(ctx, "session"); err != nil || g.Wallet != wallet {
				t.Errorf("%+v, %v", g, err)
			}
		})
	}
	verify(ctx)
	<-arrived
	for range 7 {
		verify(t.Context())
	}
	cancel() // the first caller has gone; the check is for all
	close(release)
	wg.Wait()
	if n := o.checks(); n != 1 {
		t.Errorf("%d checks", n)
	}
}

// TestVerifyUpstreamFlood: many invalid tokens do not make the server forget how to check.
func TestVerifyUpstreamFlood(t *testing.T) {
	if testing.Short() {
		t.Skip("3000 requests")
	}
	w, o := newWorld(t), newOld(t)
	o.sessions = map[string]session{"session": {}}
	v, err := credserver.NewUpstreamVerifier(o.url(t), wallet, w.now)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1500 {
		if _, err := v.Verify(t.Context(), fmt.Sprint("guess", n)); !errors.Is(err, credserver.ErrToken) {
			t.Fatal(err)
		}
	}
	if _, err := v.Verify(t.Context(), "session"); err != nil {
		t.Error(err)
	}
}

// TestPassThrough: the old server receives the requests for other paths as the client sent them.
func TestPassThrough(t *testing.T) {
	w := newWorld(t)
	type seen struct{ method, host, uri, token, body, forwarded, agent string }
	var mu sync.Mutex
	var got []seen
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, seen{r.Method, r.Host, r.RequestURI, r.Header.Get("Authorization"), string(body), fmt.Sprint(r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Host"], r.Header["Forwarded"]), r.Header.Get("User-Agent")})
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("X-Old", "yes")
		w.WriteHeader(418)
		io.WriteString(w, "from the old server")
	}))
	defer upstream.Close()
	c := w.serve(func(c *credserver.Config) { c.Upstream = parseURL(t, upstream.URL) }).as("session")
	for _, tc := range []struct{ method, path, query, body string }{
		{"POST", "/session/create", "", `{"auth_token":"x"}`},
		{"GET", "/audit/query", "service=a;b+c%zz&x=%", ""},
		{"DELETE", "/", "", ""},
		{"GET", "/healthz/", "", ""},
		{"PUT", "/large", "", strings.Repeat("x", 3<<20)},
	} {
		r := c.call(tc.method, tc.path, tc.query, tc.body, "X-Forwarded-For", "1.2.3.4", "User-Agent", "agentkeys")
		if r.status != 418 || r.text != "from the old server" || r.header.Get("X-Old") != "yes" {
			t.Errorf("%s: %d %q %v", tc.path, r.status, r.text, r.header)
		}
		uri := tc.path
		if tc.query != "" {
			uri += "?" + tc.query
		}
		mu.Lock()
		want := seen{tc.method, strings.TrimPrefix(upstream.URL, "http://"), uri, "Bearer session", tc.body, "[] [] []", "agentkeys"}
		if len(got) != 1 || got[0] != want {
			t.Errorf("%s: the old server received %.300v, want %.300v", tc.path, got, want)
		}
		got = nil
		mu.Unlock()
	}
	c.as("").call("GET", "/healthz", "", "").want(t, "healthz is answered here", 200, "ok")
	for _, path := range []string{"/credential/export", "/credential", "/credential/", "/credential/store/", "//credential/store", "/x/../credential/store", "/./credential/read"} {
		c.as(full).call("GET", path, "", "").want(t, path, 404, "not_found")
	}
	c.call("GET", "/session", "", "", "Host", "evil.example").want(t, "another Host", 403, "forbidden")
	c.call("GET", "/session", "", "", "Origin", "http://evil.example").want(t, "a browser", 403, "forbidden")
	mu.Lock()
	defer mu.Unlock()
	if len(got) != 0 {
		t.Errorf("the old server received %v", got)
	}
	if lines := w.log.lines(t, "request"); lines[1]["path"] != "/audit/query" || lines[1]["status"] != 418.0 || lines[1]["bytes"] != 19.0 {
		t.Errorf("logged %v", lines[1])
	}
}

// TestPassStream: the client receives the start of a response before its end.
func TestPassStream(t *testing.T) {
	w := newWorld(t)
	more := make(chan struct{})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "13")
		io.WriteString(w, "first\n")
		http.NewResponseController(w).Flush()
		<-more
		io.WriteString(w, "second\n")
	}))
	defer upstream.Close()
	c := w.serve(func(c *credserver.Config) { c.Upstream = parseURL(t, upstream.URL) })
	resp, err := c.http.Get("http://" + c.host + "/rendezvous/poll")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	if text, err := lines.ReadString('\n'); err != nil || text != "first\n" {
		t.Errorf("%q, %v", text, err)
	}
	close(more)
	if text, err := lines.ReadString('\n'); err != nil || text != "second\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// TestPassFails: the client learns that the old server is the problem.
func TestPassFails(t *testing.T) {
	w := newWorld(t)
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/upgrade" {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "x")
			w.WriteHeader(101)
			return
		}
		panic(http.ErrAbortHandler)
	}))
	c := w.serve(func(c *credserver.Config) { c.Upstream = parseURL(t, upstream.URL) })
	c.call("GET", "/session", "", "").want(t, "the old server closes the connection", 502, "upstream_failed")
	c.call("GET", "/upgrade", "", "", "Connection", "Upgrade", "Upgrade", "x").want(t, "a connection that is no longer HTTP", 502, "upstream_failed")
	upstream.Close()
	c.call("GET", "/session", "", "").want(t, "the old server has ended", 502, "upstream_failed")
	c.store("a", "1").want(t, "store without the old server", 200, isOK)
}

// TestUpstreamURL: tokens are sent to this machine only.
func TestUpstreamURL(t *testing.T) {
	w := newWorld(t)
	for text, accepted := range map[string]bool{
		"http://127.0.0.1:8091": true, "http://localhost:8091": true, "http://[::1]:8091": true, "http://localhost": true, "http://localhost:8091/": true,
		"http://10.0.0.1:8091": false, "http://example.com": false, "http://0.0.0.0:8091": false, "http://[::]:8091": false, "http://localhost.example.com:8091": false,
		"localhost:8091": false, "//localhost:8091": false, "ftp://localhost": false, "unix:/run/old.sock": false, "http://": false, "http://user@localhost:8091": false, "http://localhost:8091?x=1": false, "http://localhost:8091#x": false,
	} {
		c := w.config()
		c.Upstream = parseURL(t, text)
		_, err := credserver.New(c)
		_, verr := credserver.NewUpstreamVerifier(c.Upstream, wallet, nil)
		for _, err := range []error{err, verr} {
			if (err == nil) != accepted || err != nil && !errors.Is(err, vault.ErrConfig) {
				t.Errorf("%s: %v", text, err)
			}
		}
	}
}

// TestUpstreamIsSelf: a server that would pass requests to itself does not start.
func TestUpstreamIsSelf(t *testing.T) {
	w := newWorld(t)
	listeners, err := credserver.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(listeners[0].Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost"} {
		c := w.config()
		c.Upstream = parseURL(t, "http://"+host+":"+port)
		s, err := credserver.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Serve(t.Context(), listeners...); !errors.Is(err, vault.ErrConfig) || !strings.Contains(err.Error(), "the address of the old server") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if _, err := net.Dial("tcp", "127.0.0.1:"+port); err == nil {
		t.Error("a server that did not start left its listener open")
	}
}
