package testcloud

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/objectvault/objectvault/internal/fault"
)

// A Proxy forwards requests from clients to a server, counts them, and injects a [Fault] into some
// of them. Clients use its URL as their endpoint. The proxy keeps the Host header, so signatures
// stay valid. The caller must call Close.
type Proxy struct {
	URL string // http://127.0.0.1:port

	upstream  *url.URL
	transport http.RoundTripper
	server    *http.Server

	mu       sync.Mutex
	rule     func(r *http.Request, n int) *Fault
	requests []*Request
	expired  map[string]bool // expired access key ids
	expiring *expiry
	slow     int // number of S3 requests that still get 503 SlowDown
}

// An expiry is an access key that will expire after some requests.
type expiry struct {
	id   string // "" until the first request
	left int
}

// ProxyOptions configures [NewProxy]. Nil, or the zero value, passes everything on.
type ProxyOptions struct {
	// Rule chooses the fault of each request; nil means none. n counts the requests from 1, and
	// starts again after [Proxy.Reset]. The proxy calls Rule concurrently.
	Rule func(r *http.Request, n int) *Fault

	// CA contains the certificate of an upstream with an https URL. Signatures stay valid, because
	// they do not cover the scheme.
	CA *x509.CertPool
}

// A Request is the proxy's record of one request.
type Request struct {
	Method      string
	Path        string // escaped, as the client sent it
	Query       string // sorted by name
	AccessKeyID string // "" if the request was not signed
	Service     string // the service in the signature: s3, iam, …
	Attempt     string // amz-sdk-request, such as "attempt=1; max=3"
	Header      http.Header

	// Status is the status that the client received, or 0 if the connection was closed first.
	Status int
	// Applied reports whether the server handled the request.
	Applied bool
}

// String returns text such as "PUT /bucket/key?x-id=PutObject 200".
func (r Request) String() string {
	query := ""
	if r.Query != "" {
		query = "?" + r.Query
	}
	return fmt.Sprintf("%s %s%s %d", r.Method, r.Path, query, r.Status)
}

// NewProxy starts a proxy for the server at upstream, which is an http or https URL. Like
// [net/http/httptest.NewServer], it panics if it cannot listen on the loopback interface.
func NewProxy(upstream string, o *ProxyOptions) *Proxy {
	u, err := url.Parse(upstream)
	if err != nil {
		panic("testcloud: " + err.Error())
	}
	if o == nil {
		o = new(ProxyOptions)
	}
	p := &Proxy{
		upstream: u,
		// Each request has its own connection, because a server that closes an idle one would look
		// like a fault. The proxy adds no headers, because the signature would not cover them.
		transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true, ExpectContinueTimeout: time.Second,
			TLSClientConfig: &tls.Config{RootCAs: o.CA, MinVersion: tls.VersionTLS12},
		},
		rule:    o.Rule,
		expired: make(map[string]bool),
	}
	p.server, p.URL = serve(p)
	return p
}

// Close stops the proxy and closes its connections.
func (p *Proxy) Close() error { return p.server.Close() }

// SetRule replaces the rule. Nil means no faults.
func (p *Proxy) SetRule(rule func(r *http.Request, n int) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = rule
}

// Requests returns the requests since the start or the last Reset, in the order of their arrival.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Request, len(p.requests))
	for i, r := range p.requests {
		all[i] = *r
	}
	return all
}

// Reset deletes the recorded requests. Rules and expired keys stay.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.requests = nil
}

// ExpireKeyAfter makes an access key expire after n more S3 requests. The key is the one in the
// next S3 request. Later requests with this key get ExpiredToken, as from AWS. Other keys and STS
// are not affected, so call ExpireKeyAfter again for the client's next key.
func (p *Proxy) ExpireKeyAfter(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expiring = &expiry{left: n}
}

// ExpireKey makes an access key expire immediately.
func (p *Proxy) ExpireKey(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expired[id] = true
}

// SlowDown makes the proxy respond to the next k S3 requests with 503 SlowDown.
func (p *Proxy) SlowDown(k int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = k
}

// ServeHTTP handles one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	seen, f := p.record(r)
	switch f.does.Kind {
	case fault.RespondBefore:
		io.Copy(io.Discard, r.Body) // otherwise the client may get a broken pipe instead of the response
		p.setResponse(seen, f.does.Status, false)
		respond(w, f)
		return
	case fault.Lost:
		panic(http.ErrAbortHandler)
	case fault.Delay:
		timer := time.NewTimer(f.does.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	if f.does.Kind == fault.AppliedLater {
		p.holdBack(seen, r, f)
		panic(http.ErrAbortHandler)
	}
	resp, err := p.transport.RoundTrip(p.outgoing(r, f))
	if err != nil {
		panic(http.ErrAbortHandler) // the client would have seen the same without a proxy
	}
	defer resp.Body.Close()
	if f.does.Kind == fault.ApplyThen || f.does.Kind == fault.Applied {
		io.Copy(io.Discard, resp.Body)
	}
	switch f.does.Kind {
	case fault.ApplyThen:
		p.setResponse(seen, f.does.Status, true)
		respond(w, f)
		return
	case fault.Applied:
		p.setResponse(seen, 0, true)
		panic(http.ErrAbortHandler)
	}
	p.setResponse(seen, resp.StatusCode, true)
	p.relay(w, resp, f)
}

// holdBack reads a request completely and holds it back. It returns when the connection to the client
// can be closed.
func (p *Proxy) holdBack(seen *Request, r *http.Request, f *Fault) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the request did not arrive completely
	}
	later := r.Clone(context.WithoutCancel(r.Context()))
	later.Body = io.NopCloser(bytes.NewReader(body))
	done := f.does.Later.Keep(func() {
		resp, err := p.transport.RoundTrip(p.outgoing(later, f))
		if err != nil {
			return
		}
		defer resp.Body.Close()
		io.Copy(io.Discard, resp.Body)
		p.setResponse(seen, 0, true)
	})
	if f.does.Hold {
		select {
		case <-done:
		case <-r.Context().Done():
		}
	}
}

// record records a request and returns its fault.
func (p *Proxy) record(r *http.Request) (*Request, *Fault) {
	seen := &Request{
		Method: r.Method, Path: r.URL.EscapedPath(), Query: r.URL.Query().Encode(),
		Attempt: r.Header.Get("Amz-Sdk-Request"), Header: r.Header.Clone(),
	}
	seen.AccessKeyID, seen.Service = signer(r)
	seen.Header.Del("Authorization")
	seen.Header.Del("X-Amz-Security-Token")
	p.mu.Lock()
	p.requests = append(p.requests, seen)
	n, rule := len(p.requests), p.rule
	f := p.priorityFault(seen)
	p.mu.Unlock()
	if f == nil && rule != nil {
		f = rule(r, n)
	}
	if f == nil {
		f = new(Fault)
	}
	return seen, f
}

// priorityFault returns the fault of an S3 request that has priority over the rule. The caller must hold
// p.mu.
func (p *Proxy) priorityFault(r *Request) *Fault {
	if r.Service != "s3" {
		return nil
	}
	if e := p.expiring; e != nil && (e.id == "" || e.id == r.AccessKeyID) {
		e.id = r.AccessKeyID
		if e.left == 0 {
			p.expired[e.id], p.expiring = true, nil
		}
		e.left--
	}
	switch {
	case p.expired[r.AccessKeyID]:
		return RespondBefore(http.StatusBadRequest, ErrorXML("ExpiredToken", "The provided token has expired."))
	case p.slow > 0:
		p.slow--
		return RespondBefore(http.StatusServiceUnavailable, ErrorXML("SlowDown", "Please reduce your request rate."))
	}
	return nil
}

// setResponse records the response before the client can receive it, so a test that has the response finds
// it in Requests.
func (p *Proxy) setResponse(r *Request, status int, applied bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.Status, r.Applied = status, applied
}

// outgoing returns the request to the server.
func (p *Proxy) outgoing(r *http.Request, f *Fault) *http.Request {
	out := r.Clone(r.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.upstream.Scheme, p.upstream.Host
	dropHopByHop(out.Header)
	if _, ok := out.Header["User-Agent"]; !ok {
		out.Header.Set("User-Agent", "") // otherwise Go adds its default
	}
	if f.does.Kind == fault.IgnoreRange {
		out.Header.Del("Range")
		if f.keys != (Keys{}) {
			resign(out, f.keys)
		}
	}
	return out
}

// relay passes a response on, as far as f allows.
func (p *Proxy) relay(w http.ResponseWriter, resp *http.Response, f *Fault) {
	dropHopByHop(resp.Header)
	for name, values := range resp.Header {
		w.Header()[name] = slices.Clone(values)
	}
	body := io.Reader(resp.Body)
	switch f.does.Kind {
	case fault.CutBody:
		body = io.LimitReader(body, f.does.Bytes)
	case fault.Truncated:
		body = io.LimitReader(body, f.does.Bytes)
		if resp.ContentLength > f.does.Bytes {
			w.Header().Set("Content-Length", strconv.FormatInt(f.does.Bytes, 10))
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, err := io.Copy(w, body)
	if f.does.Kind == fault.CutBody {
		http.NewResponseController(w).Flush()
	}
	if err != nil || f.does.Kind == fault.CutBody {
		panic(http.ErrAbortHandler)
	}
}

func respond(w http.ResponseWriter, f *Fault) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(f.does.Status)
	io.WriteString(w, f.does.Body)
}

// dropHopByHop removes the headers that apply to a single connection (RFC 9110, 7.6.1).
func dropHopByHop(h http.Header) {
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		h.Del(name)
	}
}

// signer returns the access key id and the service of a signature of version 4. The signature is in
// a header, or in the query of a presigned URL.
func signer(r *http.Request) (id, service string) {
	_, scope, ok := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	if !ok {
		scope = r.URL.Query().Get("X-Amz-Credential")
	}
	scope, _, _ = strings.Cut(scope, ",")
	parts := strings.Split(scope, "/") // id/date/region/service/aws4_request
	if len(parts) != 5 {
		return "", ""
	}
	return parts[0], parts[3]
}

// resign replaces the signature of r by one for its current content.
func resign(r *http.Request, k Keys) {
	for _, name := range []string{"Authorization", "X-Amz-Security-Token", "X-Amz-Date"} {
		r.Header.Del(name)
	}
	hash := r.Header.Get("X-Amz-Content-Sha256")
	if hash == "" {
		hash = "UNSIGNED-PAYLOAD"
		r.Header.Set("X-Amz-Content-Sha256", hash)
	}
	s := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	creds := aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.SecretKey}
	if err := s.SignHTTP(context.Background(), creds, r, hash, "s3", Region, time.Now()); err != nil {
		panic("testcloud: " + err.Error())
	}
}

// quiet discards the messages of servers about aborted connections.
var quiet = log.New(io.Discard, "", 0)
