package credserver

import (
	"context"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/objectvault/objectvault/internal/loopback"
	"github.com/objectvault/objectvault/vault"
)

const (
	// maxValue is the maximum length of a value in bytes.
	maxValue = 1 << 20
	// maxBody is the maximum length of a request body: a value in base64, a name, and the JSON.
	maxBody = maxValue/3*4 + 64<<10
)

// Header is a header of each response to a request for a credential. The old server does not send it, so a
// migration does not take this server for the old one.
const Header = "Objectvault-Serve"

// An endpoint is a path of the contract.
type endpoint struct {
	method string
	handle func(*call) (any, error)
}

var endpoints = map[string]endpoint{
	"/credential/store":    {http.MethodPost, (*call).store},
	"/credential/read":     {http.MethodGet, (*call).read},
	"/credential/list":     {http.MethodGet, (*call).list},
	"/credential/teardown": {http.MethodDelete, (*call).teardown},
}

// A call is a request for an endpoint.
type call struct {
	s      *Server
	ctx    context.Context // ends with the connection, or with Config.RequestTimeout
	base   context.Context // ends with Serve
	w      *recorder
	r      *http.Request
	caller caller
}

// handler returns the handler of all requests. base ends when the requests in progress must end.
func (s *Server) handler(base context.Context) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := newRecorder(w, s.timeout)
		defer s.logRequest(rec, r, time.Now())
		if err := s.serve(base, rec, r); err != nil {
			rec.fail(err)
		}
	})
}

// serve handles one request. It returns an error that determines the response.
func (s *Server) serve(base context.Context, w *recorder, r *http.Request) error {
	if err := checkBrowser(r); err != nil {
		return err
	}
	p := r.URL.Path
	e, known := endpoints[p]
	clean := path.Clean("/" + p)
	switch {
	case known:
		return s.serveCredential(base, e, w, r)
	case p == "/healthz":
		if err := checkMethod(w, r, http.MethodGet); err != nil {
			return err
		}
		w.text("ok")
		return nil
	case clean == "/credential", strings.HasPrefix(clean, "/credential/"), !strings.HasPrefix(p, "/"):
		return &failure{status: http.StatusNotFound, code: "not_found", message: "there is no such path"}
	case s.proxy == nil:
		return &failure{status: http.StatusNotFound, code: "not_found",
			message: "this server supports /credential/* and /healthz only; start it with --upstream URL to pass other paths to the old server"}
	}
	return s.pass(w, r)
}

// checkBrowser refuses requests that a web page may have sent. A page can resolve its own name to
// 127.0.0.1 (DNS rebinding); then the Host header has that name.
func checkBrowser(r *http.Request) error {
	if r.Header.Values("Origin") != nil {
		return forbidden("requests of web browsers (with the header Origin) are refused")
	}
	if peerOf(r.Context()).unix {
		return nil
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]") {
		host = host[1 : len(host)-1]
	}
	if !loopback.Host(host) {
		return forbidden("the header Host must name this machine: localhost, 127.0.0.1 or [::1]")
	}
	return nil
}

func checkMethod(w *recorder, r *http.Request, method string) error {
	if r.Method == method {
		return nil
	}
	w.Header().Set("Allow", method)
	return &failure{status: http.StatusMethodNotAllowed, code: "method_not_allowed", message: "this path supports only " + method}
}

// serveCredential handles a request for an endpoint.
func (s *Server) serveCredential(base context.Context, e endpoint, w *recorder, r *http.Request) error {
	w.Header().Set(Header, "legacy")
	if err := checkMethod(w, r, e.method); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.timeout)
	defer cancel()
	w.limitBody(time.Now().Add(s.timeout))
	c := &call{s: s, ctx: ctx, base: base, w: w, r: r}
	var err error
	if c.caller, err = s.authenticate(ctx, r); err != nil {
		return err
	}
	slots := s.slots
	if r.Method == http.MethodPost {
		slots = s.stores
	}
	leave, err := s.enter(ctx, slots)
	if err != nil {
		return err
	}
	defer leave()
	response, err := e.handle(c)
	if err != nil {
		return err
	}
	w.json(http.StatusOK, response)
	return nil
}

// enter waits for a free place in slots. The caller must call leave.
func (s *Server) enter(ctx context.Context, slots chan struct{}) (leave func(), err error) {
	leave = func() { <-slots }
	select {
	case slots <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(s.queue)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		return leave, nil
	case <-timer.C:
		return nil, &failure{status: http.StatusServiceUnavailable, code: "busy", message: "too many requests are in progress", retryAfter: s.queue}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ok is the response to a write.
var ok = map[string]bool{"ok": true}

func (c *call) store() (any, error) {
	members, err := c.body("agent_id", "service", "ciphertext")
	if err != nil {
		return nil, err
	}
	agent, service, ciphertext := members[0], members[1], members[2]
	if err := c.checkAgent(agent); err != nil {
		return nil, err
	}
	if _, err := vault.ParseNewName(service); err != nil {
		return nil, badRequest("service is empty, too long, or contains characters that a vault does not accept") // it may be a secret
	}
	c.w.service = service
	switch {
	case c.caller.ReadOnly:
		return nil, forbidden("the token is read-only")
	case !c.caller.allows(service):
		return nil, outOfScope()
	}
	value, err := base64.StdEncoding.Strict().DecodeString(ciphertext)
	switch {
	case err != nil:
		return nil, badRequest("ciphertext is not standard base64")
	case len(value) > maxValue:
		return nil, tooLarge()
	}
	ctx, cancel := c.detached()
	defer cancel()
	err = c.s.backend.Store(ctx, service, value)
	if errors.Is(err, vault.ErrSpooled) {
		cause := err
		if spooled := (*vault.SpooledError)(nil); errors.As(err, &spooled) {
			cause = spooled.Err
		}
		c.s.log.Warn("saved in the spool, not yet in the store", "service", service, "cause", cause)
		err = nil
	}
	return ok, err
}

func (c *call) read() (any, error) {
	q, err := parseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	if err := c.checkAgent(q.agent); err != nil {
		return nil, err
	}
	if q.service == "" {
		return nil, badRequest("the parameter service is missing or empty")
	}
	if first := q.names()[0]; isName(first) {
		c.w.service = first
	}
	names := slices.DeleteFunc(q.names(), func(name string) bool { return !c.caller.allows(name) })
	if len(names) == 0 {
		return nil, outOfScope()
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !isName(name) })
	if len(names) == 0 {
		return nil, badRequest("service is too long, or contains characters that a vault does not accept") // it may be a secret
	}
	if wait := c.s.reads.take(c.caller.id); wait > 0 {
		return nil, &failure{status: http.StatusTooManyRequests, code: "rate_limited", message: "too many reads with this token", retryAfter: wait}
	}
	var value []byte
	for _, name := range names {
		if value, err = c.s.backend.Read(c.ctx, name); err == nil {
			c.w.service = name
		}
		if !errors.Is(err, vault.ErrNotFound) {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return map[string]string{"ciphertext": base64.StdEncoding.EncodeToString(value)}, nil
}

func (c *call) list() (any, error) {
	q, err := parseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	if err := c.checkAgent(q.agent); err != nil {
		return nil, err
	}
	names, err := c.s.backend.List(c.ctx)
	if err != nil {
		return nil, err
	}
	allowed := make([]string, 0, len(names)) // not nil: JSON must have a list
	for _, name := range names {
		if c.caller.allows(name) {
			allowed = append(allowed, name)
		}
	}
	slices.Sort(allowed)
	return map[string][]string{"services": slices.Compact(allowed)}, nil
}

func (c *call) teardown() (any, error) {
	members, err := c.body("agent_id")
	if err != nil {
		return nil, err
	}
	if err := c.checkAgent(members[0]); err != nil {
		return nil, err
	}
	if !c.caller.unscoped() {
		return nil, forbidden("teardown needs a token without a scope")
	}
	ctx, cancel := c.detached()
	defer cancel()
	return ok, c.s.backend.Teardown(ctx)
}

// detached returns a context for a write. It does not end when the client closes the connection: a
// value that has arrived must not be lost.
func (c *call) detached() (context.Context, context.CancelFunc) {
	deadline, _ := c.ctx.Deadline()
	return context.WithDeadline(c.base, deadline)
}

// isName reports whether a text may be the name of a credential. Other text is not logged.
func isName(text string) bool {
	_, err := vault.ParseName(text)
	return err == nil
}

// checkAgent returns an error if agent is not an id of the owner.
func (c *call) checkAgent(agent string) error {
	if agent == "" {
		return badRequest("agent_id is missing or empty")
	}
	agent = strings.ToLower(agent)
	if !slices.Contains(c.s.agents, agent) {
		return forbidden("this server has no credentials of that agent_id")
	}
	c.w.agent = agent
	return nil
}
